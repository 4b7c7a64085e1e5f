"""The feed of changes is believed only where it can be complete."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import ServerError
from simple_orthanc.selection.source import Revision
from simple_orthanc.sources.orthanc import changes
from simple_orthanc.sources.orthanc.changes import LastChange, count_all, read_changes, read_last
from simple_orthanc.transport import Transport
from tests.http_stand_in import Asked, StandIn, always, reply
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_archive, make_dataset


@pytest.fixture
def stand_in() -> Iterator[OrthancServer]:
    with OrthancServer(make_archive()) as stand_in:
        yield stand_in


@pytest.fixture
def transport(stand_in: OrthancServer) -> Iterator[Transport]:
    with Transport(stand_in.url) as transport:
        yield transport


def now(transport: Transport) -> Revision:
    return Revision(read_last(transport), count_all(transport))


def added(number: int = 9) -> Dataset:
    return make_dataset(number, "1", "1", "p1")


def test_everything_is_counted(transport: Transport) -> None:
    assert count_all(transport) == {"patient": 2, "study": 3, "series": 6, "instance": 15}


def test_nothing_changed(transport: Transport) -> None:
    before = now(transport)
    assert read_changes(transport, before) == changes.Changes(before, frozenset(), False)


@pytest.mark.parametrize("page", [1, 2, 1000])
def test_what_was_stored_is_named_whatever_the_size_of_a_page(
    stand_in: OrthancServer, transport: Transport, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(changes, "_PAGE", page)
    before = now(transport)
    new = [added(8), added(9)]
    stand_in.datasets += new
    seen = read_changes(transport, before)
    assert seen.added == {stand_in.identifier_of(dataset, "instance") for dataset in new}
    assert not seen.removed
    assert seen.revision == now(transport)


def test_a_deletion_beside_an_addition_is_noticed_by_the_counts(stand_in: OrthancServer, transport: Transport) -> None:
    before = now(transport)
    del stand_in.datasets[0]
    stand_in.datasets.append(added())
    seen = read_changes(transport, before)
    assert seen.added == {stand_in.identifier_of(added(), "instance")}
    assert seen.removed


def test_a_feed_without_its_former_end_is_not_believed(stand_in: OrthancServer, transport: Transport) -> None:
    before = now(transport)
    del stand_in.datasets[-1]
    stand_in.datasets.append(added())
    seen = read_changes(transport, before)
    assert (seen.added, seen.removed) == (None, True)


@pytest.mark.parametrize("more", [0, 1])
def test_a_feed_of_another_database_with_the_same_numbers_is_not_believed(
    stand_in: OrthancServer, transport: Transport, more: int
) -> None:
    before = now(transport)
    others = [make_dataset(number, "7", "7", "p7") for number in range(len(stand_in.datasets) + more)]
    with OrthancServer(others) as server, Transport(server.url) as other:
        seen = read_changes(other, before)
    assert (seen.added, seen.removed) == (None, True)


def test_a_feed_that_is_too_long_is_not_read(
    stand_in: OrthancServer, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_PAGE", 1)
    monkeypatch.setattr(changes, "_MAX_PAGES", 2)
    before = now(transport)
    stand_in.datasets += [added(8), added(9)]
    assert read_changes(transport, before).added is None


@pytest.mark.parametrize(("instances", "added_then"), [(0, frozenset()), (15, None)])
def test_a_feed_that_was_empty_is_complete_only_if_the_server_was(
    transport: Transport, instances: int, added_then: frozenset[str] | None
) -> None:
    before = Revision(LastChange(0), {**count_all(transport), "instance": instances})
    seen = read_changes(transport, before)
    assert (seen.added, seen.removed) == (added_then, True)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 501])
def test_a_user_who_may_not_read_the_feed_gets_no_number(status: int) -> None:
    def answer(asked: Asked, count: int) -> bytes:
        if asked.path.startswith("/changes"):
            return reply({"Message": "forbidden"}, status)
        return reply({f"Count{name}": 0 for name in ("Patients", "Studies", "Series", "Instances")})

    with StandIn(answer) as stand_in, Transport(stand_in.url) as transport:
        assert read_last(transport) is None
        seen = read_changes(transport, Revision(None, {}))
        assert (seen.added, seen.removed) == (None, True)


@pytest.mark.parametrize("status", [400, 408, 429, 500, 502, 503, 504])
def test_a_feed_that_cannot_be_read_now_is_an_error(status: int) -> None:
    with StandIn(always(reply(b"busy", status))) as stand_in, Transport(stand_in.url, patience=0) as transport:
        with pytest.raises(ServerError) as caught:
            read_last(transport)
        assert caught.value.status == status
