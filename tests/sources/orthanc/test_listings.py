"""The studies come with the series, once, and are asked for again where they did not come."""

from __future__ import annotations

from typing import Any, cast

import pytest

from simple_orthanc.errors import TransportError
from simple_orthanc.sources.orthanc.find import Arrived, Finder
from simple_orthanc.sources.orthanc.listings import Listings


class Levels:
    """Answers for whole levels, and what was asked for."""

    def __init__(self, *failures: str) -> None:
        self.asked: list[str] = []
        self.failures = list(failures)

    def all(self, level: str, arrived: Arrived) -> list[dict[str, Any]]:
        self.asked.append(level)
        if level in self.failures:
            self.failures.remove(level)
            raise TransportError(f"no {level}")
        answers = [{"ID": level}]
        arrived(answers)
        return answers


def listings_of(levels: Levels) -> Listings:
    return Listings(cast(Finder, levels))


def test_the_studies_come_with_the_series_and_are_handed_over_once() -> None:
    levels = Levels()
    listings = listings_of(levels)
    assert listings.all("series").answers == [{"ID": "series"}]
    assert sorted(levels.asked) == ["series", "study"]
    assert listings.all("study").answers == [{"ID": "study"}]
    assert len(levels.asked) == 2
    assert listings.all("study").answers == [{"ID": "study"}]
    assert levels.asked[2:] == ["study"]


@pytest.mark.parametrize("first", ["study", "series"])
def test_studies_that_were_listed_are_not_listed_with_the_series(first: Any) -> None:
    levels = Levels()
    listings = listings_of(levels)
    listings.all(first)
    levels.asked.clear()
    listings.all("series")
    assert levels.asked == ["series"]


def test_what_came_before_a_change_is_forgotten() -> None:
    levels = Levels()
    listings = listings_of(levels)
    listings.all("series")
    listings.forget()
    levels.asked.clear()
    listings.all("study")
    listings.forget()
    listings.all("series")
    assert sorted(levels.asked) == ["series", "study", "study"]


def test_an_error_of_the_studies_is_for_whoever_asks_for_them() -> None:
    listings = listings_of(Levels("study"))
    assert listings.all("series").answers == [{"ID": "series"}]
    assert listings.all("study").answers == [{"ID": "study"}]
    with pytest.raises(TransportError, match="no study"):
        listings_of(Levels("study")).all("study")
    with pytest.raises(TransportError, match="no series"):
        listings_of(Levels("series")).all("series")


def test_instances_come_alone() -> None:
    levels = Levels()
    assert listings_of(levels).all("instance").answers == [{"ID": "instance"}]
    assert levels.asked == ["instance"]


def test_studies_that_were_on_their_way_when_the_archive_changed_are_listed_again() -> None:
    class Slow(Levels):
        def all(self, level: str, arrived: Arrived) -> list[dict[str, Any]]:
            if len(self.asked) < 2:
                # Another thread looks at the archive again before the answer is here.
                listings.forget()
            return [{**answer, "number": len(self.asked)} for answer in super().all(level, arrived)]

    levels = Slow()
    listings = listings_of(levels)
    listings.all("series")
    assert listings.all("study").answers == [{"ID": "study", "number": 3}]


def test_rows_are_made_of_what_has_arrived() -> None:
    answers, rows = listings_of(Levels()).all("series")
    (row,), _ = rows.of(answers)
    assert row.key == "series"
    assert rows.of(answers)[0][0] is row
    # Another answer about the same object has a row of its own.
    (other,), _ = rows.of([{"ID": "series", "ParentStudy": "study"}])
    assert (row.parent, other.parent) == ("", "study")
