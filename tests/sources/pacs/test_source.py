"""A PACS keeps the contract of sources as far as it can, and names retrieve() where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import UnsupportedError
from simple_orthanc.selection.predicates import StringIs
from simple_orthanc.selection.source import Source
from simple_orthanc.sources.pacs.source import PacsSource
from simple_orthanc.transport import Transport
from tests.sources.contract import Archive, SourceTests, make_archive, make_dataset
from tests.sources.pacs.stand_in import COUNTS, Habits, PacsServer, serving


class TestPacs(SourceTests):
    habits = Habits()

    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        with serving(cls.habits, datasets) as (source, server):
            yield Archive(source, server.pacs.append, server.pacs.remove)
        assert server.open_queries == 0

    @pytest.mark.parametrize("level", ["series", "instance"])
    def test_rows_read_from_files_hold_what_the_files_hold(
        self, source: Source, level: Level, datasets: list[Dataset]
    ) -> None:
        # There is nothing to correct.
        rows = list(source.listing(level))[:2]
        assert list(source.reload_from_files(level, rows)) == rows

    def test_columns_hold_what_the_files_hold(self, source: Source, datasets: list[Dataset]) -> None:
        with pytest.raises(UnsupportedError, match=r"KVP, SliceThickness: .*retrieve\(\)"):
            source.columns([parse_tag("KVP"), parse_tag("SliceThickness")], list(source.listing("series")))

    def test_columns_can_be_read_of_some_instances(self, source: Source, datasets: list[Dataset]) -> None:
        with pytest.raises(UnsupportedError, match=r"Rows: .*retrieve\(\)"):
            source.columns([parse_tag("Rows")], list(source.listing("series"))[:1], frozenset("k"))

    def test_a_header_is_that_of_the_file_without_its_pixels(self, source: Source, datasets: list[Dataset]) -> None:
        key = next(iter(source.listing("instance"))).key
        with pytest.raises(UnsupportedError, match=r"hands over no files.*retrieve\(\)"):
            source.header(key)

    def test_the_header_of_an_instance_is_that_of_the_instance(self, source: Source) -> None:
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.check_identity("1.2.1/1.2.1.1/1.2.1.1.1/p1", make_dataset(1, "1", "1", "p1"))

    def test_files_are_read_byte_by_byte(self, source: Source, datasets: list[Dataset], tmp_path: Path) -> None:
        key = next(iter(source.listing("instance"))).key
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.content(key)
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.stored_file(key)
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            source.save(key, tmp_path / "file.dcm")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_on_disk_is_compared_with_an_instance(
        self, source: Source, datasets: list[Dataset], tmp_path: Path
    ) -> None:
        with pytest.raises(UnsupportedError, match=r"hands over no files.*retrieve\(\)"):
            source.is_copy(next(iter(source.listing("instance"))).key, tmp_path)

    @pytest.mark.parametrize("how", ["read"])
    def test_an_instance_that_is_gone_is_an_error(
        self, archive: Archive, datasets: list[Dataset], tmp_path: Path, how: str
    ) -> None:
        with pytest.raises(UnsupportedError, match=r"retrieve\(\)"):
            archive.source.read("1.2.1/1.2.1.1/1.2.1.1.1/p1", lambda size: memoryview(bytearray(size)))

    def test_it_can_be_used_by_several_threads_at_once(self, source: Source) -> None:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: sorted(row.key for row in source.listing("instance")), range(8)))
        assert all(answer == answers[0] for answer in answers)

    def test_it_can_be_used_again_after_it_was_closed(self, archive: Archive) -> None:
        rows = list(archive.source.listing("series"))
        archive.source.close()
        assert list(archive.source.listing("series")) == rows
        archive.source.close()
        archive.source.close()


class TestStrictPacs(TestPacs):
    """A PACS that compares with regard to case, keys of the level of the question alone, and counts nothing."""

    habits = Habits(is_cased=True, is_relational=False, repeats=True, ignored=set(COUNTS))


# UIDs alone, and what is missing


def test_a_uid_alone_is_searched_for_once() -> None:
    predicate = StringIs("1.2.2.1", "exact", True)
    with serving() as (source, server):
        found = source.search("series", parse_tag("SeriesInstanceUID"), predicate)
        assert {"1.2.2/1.2.2.1/P1"} <= {row.key for row in found}
        # The second is for the patients that its study is of.
        assert server.questions == [
            ("Series", {"SeriesInstanceUID": "1.2.2.1"}),
            ("Study", {"StudyInstanceUID": "1.2.2"}),
        ]
        assert list(source.search("series", parse_tag("SeriesInstanceUID"), StringIs("1.9", "exact", True))) == []


def test_a_uid_that_a_pacs_does_not_search_for_is_looked_for_everywhere() -> None:
    class Deaf(PacsServer):
        def _matching(self, level: str, keys: object) -> list[Dataset]:
            assert isinstance(keys, dict)
            asks_alone = level == "Series" and keys.get("SeriesInstanceUID") and not keys.get("StudyInstanceUID")
            return [] if asks_alone else super()._matching(level, keys)

    with Deaf(make_archive()) as server, Transport(server.url, patience=0) as transport:
        source = PacsSource(transport, "PACS")
        rows = source.search("series", parse_tag("SeriesInstanceUID"), StringIs("1.2.2.1", "exact", True))
        assert "1.2.2/1.2.2.1/P1" in {row.key for row in rows}


def test_less_than_a_study_says_is_warned_of() -> None:
    class Hiding(PacsServer):
        def _matching(self, level: str, keys: object) -> list[Dataset]:
            assert isinstance(keys, dict)
            return super()._matching(level, keys)[: 1 if level == "Series" else None]

    with Hiding(make_archive()) as server, Transport(server.url, patience=0) as transport:
        source = PacsSource(transport, "PACS")
        with pytest.warns(UserWarning, match="at least 6 objects of level series.* shows 3"):
            assert len(list(source.listing("series"))) == 3


def test_a_study_that_was_deleted_meanwhile_is_not_warned_of() -> None:
    with serving() as (source, server):
        rows = list(source.listing("study"))
        server.pacs = [dataset for dataset in server.pacs if dataset.StudyInstanceUID != "1.2.1"]
        assert len(list(source.below("series", rows))) == 4
