"""What patients, studies, series and instances have in common."""

from __future__ import annotations

import pickle
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import NotFoundError, SelectionError, TransportError
from simple_orthanc.rest.objects import Instance, Patient, Series, Study
from tests.http_stand_in import reply
from tests.rest.objects.server import KEY, STUDY, In, ObjectServer, text

ROUTE = f"/studies/{KEY}"
SIZES = {"CountInstances": 2, "CountSeries": 1, "DiskSize": "4422", "DiskSizeMB": 0, "UncompressedSize": "4422"}
KINDS = [Patient, Study, Series, Instance]


def test_objects_are_equal_by_level_and_id() -> None:
    with ObjectServer({}) as server, ObjectServer({}) as another:
        assert Study(server.rest, KEY) == Study(another.rest, KEY)
        assert Study(server.rest, KEY) != Study(server.rest, "x")
        assert Study(server.rest, KEY) != Series(server.rest, KEY)
        assert Study(server.rest, KEY) != KEY
        assert len({Study(server.rest, KEY), Study(another.rest, KEY), Series(server.rest, KEY)}) == 2
        assert server.calls == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_representation_asks_nothing(kind: Any) -> None:
    with ObjectServer({}) as server:
        made = kind(server.rest, KEY)
        assert repr(made) == f"<{kind.level} {KEY}>"
        assert (made.id, made.level) == (KEY, kind.level)
        assert made.legacy_viewer_url == f"{server.url}/app/explorer.html#{kind.level}?uuid={KEY}"
        assert server.calls == []


def test_an_object_is_not_pickled_with_its_connection() -> None:
    with ObjectServer({}) as server, pytest.raises(TypeError, match="pickle the session"):
        pickle.dumps(Study(server.rest, KEY))


def test_what_identifies_an_object_is_asked_once() -> None:
    with ObjectServer({f"GET {ROUTE}": STUDY}) as server:
        study = Study(server.rest, KEY)
        assert study.main_dicom_tags["StudyDate"] == "20200101"
        assert (study.dicom_id, study.patient_main_dicom_tags, study.description) == ("1.2", {"PatientID": "P1"}, STUDY)
        assert server.calls == [f"GET {ROUTE}"]
        assert study.refresh().dicom_id == "1.2"
        assert len(server.calls) == 2


def test_what_changes_is_asked_each_time() -> None:
    with ObjectServer({f"GET {ROUTE}": In(STUDY, {**STUDY, "IsStable": False}, {**STUDY, "LastUpdate": ""})}) as server:
        study = Study(server.rest, KEY, STUDY)
        assert (study.is_stable, study.is_stable) == (True, False)
        assert study.last_update is None
        server.routes[f"GET {ROUTE}"] = STUDY
        assert study.last_update == datetime(2026, 11, 29, 1, 44, 35, tzinfo=timezone.utc)


@pytest.mark.parametrize("answer", [{}, {**STUDY, "ID": "another"}, {"ID": KEY, "MainDicomTags": []}, []])
def test_an_invalid_description(answer: Any) -> None:
    with ObjectServer({f"GET {ROUTE}": reply(answer)}) as server, pytest.raises(TransportError, match="something else"):
        Study(server.rest, KEY).main_dicom_tags  # noqa: B018


def test_statistics_are_numbers() -> None:
    with ObjectServer({f"GET {ROUTE}/statistics": SIZES}) as server:
        assert Study(server.rest, KEY).statistics == {
            "CountInstances": 2,
            "CountSeries": 1,
            "DiskSize": 4422,
            "DiskSizeMB": 0,
            "UncompressedSize": 4422,
        }


def test_statistics_of_nothing_are_not_those_of_an_unknown_object() -> None:
    # Orthanc 1.13.0 counts nothing, with success, for what it does not hold.
    nothing = {name: "0" if isinstance(value, str) else 0 for name, value in SIZES.items()}
    with ObjectServer({f"GET {ROUTE}/statistics": nothing}) as server:
        with pytest.raises(NotFoundError, match=f"holds no study with the id '{KEY}'"):
            Study(server.rest, KEY).statistics  # noqa: B018
        server.routes[f"GET {ROUTE}"] = STUDY
        assert Study(server.rest, KEY).statistics["CountInstances"] == 0


@pytest.mark.parametrize("answer", [{"CountInstances": "many"}, {"CountInstances": None}, []])
def test_invalid_statistics(answer: Any) -> None:
    with ObjectServer({f"GET {ROUTE}/statistics": reply(answer)}) as server:
        study = Study(server.rest, KEY)
        with pytest.raises(TransportError, match="something else"):
            study.statistics  # noqa: B018


def test_a_module() -> None:
    module = {"0008,0020": {"Name": "StudyDate", "Type": "String", "Value": "20200101"}}
    with ObjectServer({f"GET {ROUTE}/module": module, f"GET {ROUTE}/module-patient": {}}) as server:
        study = Study(server.rest, KEY)
        assert study.module()["StudyDate"] == "20200101"
        assert list(study.patient_module()) == []


def tag(name: str, value: str | None) -> dict[str, Any]:
    return {"Name": name, "Type": "TooLong" if value is None else "String", "Value": value}


def test_long_values_that_all_instances_share_are_not_left_out() -> None:
    short = {
        "0008,0060": tag("Modality", "CT"),
        "0020,4000": tag("ImageComments", None),
        "0008,1030": tag("StudyDescription", None),
    }
    whole = {"0008,0060": tag("Modality", "CT"), "0008,1030": tag("StudyDescription", "s" * 300)}
    routes = {
        f"GET {ROUTE}": {**STUDY, "Series": ["e", "f"]},
        "GET /series/e": {"ID": "e", "Instances": ["a", "b"]},
        "GET /instances/a/tags": short,
        f"GET {ROUTE}/shared-tags": {"0008,0060": tag("Modality", "CT")},
        f"GET {ROUTE}/instances-tags?ignore-length=0008-1030,0020-4000": {
            "a": {**whole, "0020,4000": tag("ImageComments", "c" * 400)},
            "b": {**whole, "0020,4000": tag("ImageComments", "d" * 400)},
        },
    }
    with ObjectServer(routes) as server:
        for tags in (Study(server.rest, KEY).shared_tags, Study(server.rest, KEY).tags):
            assert tags.simplified == {"StudyDescription": "s" * 300, "Modality": "CT"}


def test_shared_tags_without_long_values_take_small_requests() -> None:
    shared = {"0008,0060": tag("Modality", "CT")}
    routes = {
        "GET /patients/p/shared-tags": shared,
        "GET /patients/p": {"ID": "p", "Studies": ["s"]},
        "GET /studies/s": {"ID": "s", "Series": ["e"]},
        "GET /series/e": {"ID": "e", "Instances": ["a"]},
        "GET /instances/a/tags": shared,
    }
    with ObjectServer(routes) as server:
        assert Patient(server.rest, "p").shared_tags.simplified == {"Modality": "CT"}
        assert sorted(server.calls) == sorted(routes)


def test_shared_tags_of_nothing() -> None:
    with ObjectServer({"GET /series/e/shared-tags": {}, "GET /series/e": {"ID": "e", "Instances": []}}) as server:
        assert len(Series(server.rest, "e").tags) == 0


def test_an_object_is_reconstructed_and_then_asked_again() -> None:
    with ObjectServer({f"POST {ROUTE}/reconstruct": text(""), f"GET {ROUTE}": STUDY}) as server:
        study = Study(server.rest, KEY, {**STUDY, "MainDicomTags": {}})
        study.reconstruct(timeout=600)
        assert study.dicom_id == "1.2"


def test_an_object_is_deleted() -> None:
    with ObjectServer({f"DELETE {ROUTE}": {"RemainingAncestor": None}}) as server:
        Study(server.rest, KEY).delete()
        with pytest.raises(NotFoundError, match="holds no study with the id 'nope'"):
            Study(server.rest, "nope").delete()


# Archives


def zipped(tmp_path: Path, *names: str) -> bytes:
    with zipfile.ZipFile(tmp_path / ".made", "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    content = (tmp_path / ".made").read_bytes()
    (tmp_path / ".made").unlink()
    return content


def test_an_archive_is_written_whole(tmp_path: Path) -> None:
    content = zipped(tmp_path, "a", "b")
    with ObjectServer({f"GET {ROUTE}/archive": reply(content), f"GET {ROUTE}/statistics": SIZES}) as server:
        assert Study(server.rest, KEY).archive(tmp_path / "a.zip") == tmp_path / "a.zip"
        assert (tmp_path / "a.zip").read_bytes() == content


def test_media_have_a_dicomdir(tmp_path: Path) -> None:
    content = zipped(tmp_path, "IMAGES/a", "IMAGES/b", "DICOMDIR")
    with ObjectServer({f"GET {ROUTE}/media": reply(content), f"GET {ROUTE}/statistics": SIZES}) as server:
        study = Study(server.rest, KEY)
        study.media(str(tmp_path / "a.zip"))
        study.media(tmp_path / "b.zip", extended=True)
        assert [call for call in server.calls if "media" in call] == [
            f"GET {ROUTE}/media",
            f"GET {ROUTE}/media?extended=",
        ]


@pytest.mark.parametrize("route", ["archive", "media"])
@pytest.mark.parametrize("names", [(), ("a",), ("a", "DICOMDIR"), ("sub/DICOMDIR", "DICOMDIR", "a")])
def test_an_archive_without_every_instance_leaves_no_file(route: str, names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "old.zip").write_bytes(b"old")
    content = zipped(tmp_path, *names)
    with ObjectServer({f"GET {ROUTE}/{route}": reply(content), f"GET {ROUTE}/statistics": SIZES}) as server:
        with pytest.raises(TransportError, match=f"The {route} of study {KEY} was asked for, which has 2 instances"):
            getattr(Study(server.rest, KEY), route)(tmp_path / "old.zip")
        assert [path.name for path in tmp_path.iterdir()] == ["old.zip"]
        assert (tmp_path / "old.zip").read_bytes() == b"old"


def test_an_archive_of_an_unknown_object_leaves_no_file(tmp_path: Path) -> None:
    with ObjectServer({}) as server:
        for route in ("archive", "media"):
            with pytest.raises(NotFoundError, match="holds no series with the id 'nope'"):
                getattr(Series(server.rest, "nope"), route)(tmp_path / "a.zip")
    # Deleted between the two requests.
    with (
        ObjectServer({"GET /series/nope/statistics": SIZES}) as server,
        pytest.raises(NotFoundError, match="holds no series with the id 'nope'"),
    ):
        Series(server.rest, "nope").archive(tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", None, 7])
def test_an_invalid_path(path: Any) -> None:
    with ObjectServer({f"GET {ROUTE}/statistics": SIZES}) as server, pytest.raises(SelectionError, match="path"):
        Study(server.rest, KEY).archive(path)


def test_a_path_that_is_a_folder(tmp_path: Path) -> None:
    with ObjectServer({f"GET {ROUTE}/statistics": SIZES}) as server, pytest.raises(SelectionError, match="is a folder"):
        Study(server.rest, KEY).archive(tmp_path)
