"""C-MOVE and C-GET: how they are chosen, and what one job asks for."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import AuthenticationError, JobError, NotFoundError, ServerError
from simple_orthanc.rest import Rest
from simple_orthanc.sources.keys import Key
from simple_orthanc.sources.pacs.retrieval import choose_method, retrieve
from simple_orthanc.transport import Transport
from tests.sources.contract import make_dataset
from tests.sources.pacs.stand_in import PacsServer, serving


def images(series: int, count: int) -> list[Key]:
    return [Key("p", "1.2", f"1.2.{series}", f"1.2.{series}.{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("counts", "sizes"), [([1], [1]), ([100], [100]), ([101, 3], [100, 1, 3]), ([250], [100, 100, 50])]
)
def test_images_of_one_series_are_retrieved_many_at_once(counts: list[int], sizes: list[int]) -> None:
    keys = [key for series, count in enumerate(counts) for key in images(series, count)]
    with serving() as (source, server):
        retrieve(source.rest, "PACS", "move", "instance", keys)
        assert [len(body["Resources"]) for _, body in server.retrieved] == sizes
        uids = [resource["SOPInstanceUID"] for _, body in server.retrieved for resource in body["Resources"]]
        assert uids == [key.instance for key in keys]


def test_one_uid_of_two_patients_is_retrieved_once() -> None:
    with serving() as (source, server):
        retrieve(source.rest, "PACS", "get", "study", [Key("a", "1.2"), Key("b", "1.2"), Key("a", "1.3")])
        bodies = [{"Level": "Study", "Resources": [{"StudyInstanceUID": uid}]} for uid in ("1.2", "1.3")]
        assert server.retrieved == [("get", body) for body in bodies]


@pytest.mark.parametrize(
    ("version", "method", "how", "chosen"),
    [
        ("1.12.7", "C-MOVE", None, "move"),
        ("1.12.7", "C-GET", None, "get"),
        ("1.12.7", "SystemDefault", None, "move"),
        ("1.10.1", "C-GET", None, "move"),
        ("1.12.7", "C-GET", "move", "move"),
    ],
)
def test_the_method_is_the_one_asked_for_or_configured(version: str, method: str, how: str | None, chosen: str) -> None:
    server = PacsServer([make_dataset(1, "1", "1", "p")], version=version, method=method)
    with server, Transport(server.url, patience=0) as transport:
        assert choose_method(Rest(transport), "PACS", how) == chosen


@pytest.mark.parametrize("error", [AuthenticationError("no", status=401), NotFoundError("gone", status=404)])
def test_what_is_not_about_the_pacs_stays_what_it_is(error: ServerError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    with serving() as (source, _):
        monkeypatch.setattr(Rest, "start_job", refuse)
        with pytest.raises(type(error)) as caught:
            retrieve(source.rest, "PACS", "move", "study", [Key("a", "1.2")])
        assert caught.value is error


@pytest.mark.parametrize(("method", "advice"), [("move", "AE title"), ("get", 'how="move"')])
def test_a_failure_says_what_failed_and_how_much_was_done(method: str, advice: str) -> None:
    with serving() as (source, server):
        server.habits.failing = {"1.2.2": "C-MOVE SCU has failed with DIMSE status 0xA801"}
        keys = [Key("p1", "1.2.1"), Key("P1", "1.2.2"), Key("P1", "1.2.3")]
        with pytest.raises(JobError, match=rf"study 1\.2\.2 from 'PACS'.*0xA801.*1 of 3 steps.*{advice}"):
            retrieve(source.rest, "PACS", method, "study", keys)  # type: ignore[arg-type]
        assert len(server.retrieved) == 2
