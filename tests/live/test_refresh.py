"""refresh() finds what was added, deleted, overwritten, and reads nothing again that has not changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from simple_orthanc import LocalOrthanc, Orthanc, SelectionError
from simple_orthanc.local.server import free_port
from tests.conftest import MakeServer, ask
from tests.live.archives import simple_file, store

pytestmark = pytest.mark.on_postgresql


def sent(session: Orthanc) -> int:
    return session._source.requests


def series_file(number: int, **attributes: object) -> bytes:
    """Write a series of one instance."""
    return simple_file(
        number, **{"SeriesInstanceUID": f"1.2.3.{number}", "SeriesDescription": f"d{number}", **attributes}
    )


def delete_series(server: LocalOrthanc, uid: str) -> None:
    found = ask(server, "/tools/lookup", "POST", uid.encode())
    ask(server, f"/series/{found[0]['ID']}", "DELETE")


@pytest.fixture
def known(empty_server: LocalOrthanc, orthanc: Orthanc) -> Orthanc:
    """A session that knows all four levels of three series, and one tag from the files."""
    store(empty_server, *(series_file(number, KVP=str(100 + number)) for number in (1, 2, 3)))
    session = empty_server.connect()
    assert session.table("SeriesDescription", "KVP", "instance_count").KVP.tolist() == [101, 102, 103]
    return session


def test_refresh_without_changes_takes_two_requests(known: Orthanc) -> None:
    known.select(SeriesDescription="d*", KVP=(102, None))
    before = sent(known)
    assert known.refresh() is known
    assert known.get_dicom_tag("KVP") == [102, 103]
    assert sent(known) - before == 2
    assert known.selection == {"SeriesDescription": "d*", "KVP": (102, None)}


def test_additions_are_added(empty_server: LocalOrthanc, known: Orthanc) -> None:
    known.select(SeriesDescription="d*")
    store(empty_server, series_file(4, KVP="104"), simple_file(5, SeriesInstanceUID="1.2.3.1", KVP="105"))
    assert known.instance_count == 3
    known.refresh()
    assert known.series_count == 4
    assert known.get_dicom_tag("KVP", unique=False, level="instance") == [101, 105, 102, 103, 104]
    assert known.table("instance_count").instance_count.tolist() == [2, 1, 1, 1]


def test_a_few_additions_do_not_list_the_archive_again(empty_server: LocalOrthanc, known: Orthanc) -> None:
    store(empty_server, series_file(4))
    before = sent(known)
    assert known.refresh().SeriesDescriptions == ["d1", "d2", "d3", "d4"]
    # The feed, the counts, and the new rows at three levels.
    assert sent(known) - before == 5


def test_one_deleted_and_one_added_leave_the_counts_equal(empty_server: LocalOrthanc, known: Orthanc) -> None:
    known.select(SeriesDescription="d*")
    delete_series(empty_server, "1.2.3.2")
    store(empty_server, series_file(4, KVP="104"))
    known.refresh()
    assert known.series_count == 3
    assert known.SeriesDescriptions == ["d1", "d3", "d4"]
    assert known.get_dicom_tag("KVP") == [101, 103, 104]
    assert known.reset().SeriesDescriptions == ["d1", "d3", "d4"]


def test_the_newest_deleted_and_one_added(empty_server: LocalOrthanc, known: Orthanc) -> None:
    delete_series(empty_server, "1.2.3.3")
    store(empty_server, series_file(4, KVP="104"))
    assert known.refresh().SeriesDescriptions == ["d1", "d2", "d4"]
    assert known.get_dicom_tag("KVP") == [101, 102, 104]


def test_the_feed_cleared_in_between(empty_server: LocalOrthanc, known: Orthanc) -> None:
    store(empty_server, series_file(4, KVP="104"))
    ask(empty_server, "/changes", "DELETE")
    delete_series(empty_server, "1.2.3.2")
    # As many as the feed now tells of, and as before: neither the counts nor the feed show what has happened.
    store(empty_server, series_file(5, KVP="105"))
    delete_series(empty_server, "1.2.3.1")
    assert known.refresh().SeriesDescriptions == ["d3", "d4", "d5"]
    assert known.get_dicom_tag("KVP") == [103, 104, 105]
    store(empty_server, series_file(6))
    assert known.refresh().SeriesDescriptions == ["d3", "d4", "d5", "d6"]


def test_everything_deleted_and_the_feed_cleared(empty_server: LocalOrthanc, known: Orthanc) -> None:
    for identifier in ask(empty_server, "/patients"):
        ask(empty_server, f"/patients/{identifier}", "DELETE")
    ask(empty_server, "/changes", "DELETE")
    assert known.refresh().series_count == 0
    assert known.SeriesDescriptions == []
    store(empty_server, series_file(7))
    assert known.refresh().SeriesDescriptions == ["d7"]


def test_another_database_at_the_same_address(make_server: MakeServer, tmp_path: Path) -> None:
    options = {"HttpPort": free_port(), "StableAge": 3600}
    server = make_server(options, folder=tmp_path / "before")
    store(server, *(series_file(number) for number in (1, 2)))
    session, cached = server.connect(), server.connect(cache=tmp_path / "cache")
    for each in (session, cached):
        assert each.SeriesDescriptions == ["d1", "d2"]
    former = [header.SeriesDescription for header in cached.get_instances()]
    last = ask(server, "/changes?last")["Last"]
    server.stop()
    # As many objects with the same UIDs, as after an upload of corrected files.
    server = make_server(options, folder=tmp_path / "after")
    store(server, *(series_file(number, SeriesDescription=f"e{number}") for number in (1, 2)))
    assert ask(server, "/changes?last")["Last"] == last
    assert former == ["d1", "d2"]
    assert [header.SeriesDescription for header in cached.get_instances()] == ["e1", "e2"]
    assert session.refresh().SeriesDescriptions == ["e1", "e2"]


def test_an_overwritten_instance_is_read_again(make_server: MakeServer) -> None:
    server = make_server({"OverwriteInstances": True})
    store(server, series_file(1, KVP="100"), series_file(2, KVP="100"))
    session = server.connect()
    assert session.table("SeriesDescription", "KVP").KVP.tolist() == [100, 100]
    store(server, series_file(1, KVP="80", SeriesDescription="other"))
    session.refresh()
    assert session.SeriesDescriptions == ["other", "d2"]
    assert session.get_dicom_tag("KVP") == [80, 100]


def test_a_selection_that_a_deletion_empties_warns(empty_server: LocalOrthanc, known: Orthanc) -> None:
    known.select(SeriesDescription="d2")
    delete_series(empty_server, "1.2.3.2")
    with pytest.warns(UserWarning, match="Nothing is selected"):
        known.refresh()
    assert known.series_count == 0
    store(empty_server, series_file(2))
    assert known.refresh().series_count == 1


def test_what_was_uploaded_here_is_found(orthanc: Orthanc) -> None:
    orthanc.upload_file(series_file(1))
    assert orthanc.select(SeriesDescription="d*").series_count == 1
    orthanc.upload_file(series_file(2))
    assert orthanc.refresh().series_count == 2


def test_a_copy_keeps_its_own_view(empty_server: LocalOrthanc, known: Orthanc) -> None:
    other = known.copy()
    store(empty_server, series_file(4))
    assert known.refresh().series_count == 4
    assert other.SeriesDescriptions == ["d1", "d2", "d3"]
    assert other.refresh().series_count == 4


def test_an_interrupted_refresh_changes_nothing(
    empty_server: LocalOrthanc, known: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.select(SeriesDescription="d*")
    store(empty_server, series_file(4))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(known._source, "rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            known.refresh()
    assert known.series_count == 3
    assert known.SeriesDescriptions == ["d1", "d2", "d3"]
    assert known.refresh().series_count == 4


def test_objects_deleted_elsewhere_are_not_taken_for_missing_values(empty_server: LocalOrthanc, known: Orthanc) -> None:
    delete_series(empty_server, "1.2.3.2")
    with pytest.raises(SelectionError, match="has changed since it was read"):
        known.select(EchoTime=None)
    assert known.selection == {}
    assert known.refresh().select(EchoTime=None).series_count == 2


@pytest.mark.parametrize("series", ["1.2.3.0", ["1.2.3.0", "1.2.3.1"]])
@pytest.mark.parametrize("keyword", ["InstanceNumber", "KVP"])
def test_a_series_deleted_elsewhere_is_forgotten(
    empty_server: LocalOrthanc, orthanc: Orthanc, series: str | list[str], keyword: str
) -> None:
    store(empty_server, *(simple_file(number, SeriesInstanceUID=f"1.2.3.{number % 3}") for number in range(9)))
    orthanc.refresh().select(SeriesInstanceUID=series)
    empty_server.connect().select(SeriesInstanceUID="1.2.3.0").delete_selected_series()
    with pytest.raises(SelectionError, match=r"3 of \d objects of level instance .* refresh\(\)"):
        orthanc.get_dicom_tag(keyword)
