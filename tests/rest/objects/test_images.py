"""The file of an instance, its pixels and its copies."""

from __future__ import annotations

import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.valuerep import IS, DSfloat, PersonName

from simple_orthanc import NoPixelDataError, NotFoundError, SelectionError, ServerError, TransportError, UnknownTagError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.rest.objects import Instance, images
from tests.http_stand_in import reply
from tests.rest.objects.server import ObjectServer, data, revision, text

ROUTE = "/instances/i"
HELD = {f"GET {ROUTE}": {"ID": "i", "MainDicomTags": {}}}
(DATASET,) = make_series((1, 4, 5), seed=3)
FILE = as_bytes(DATASET)
GRAY = np.arange(20, dtype=np.uint8).reshape(4, 5)


def png(array: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return reply(stream.getvalue(), 200, {"Content-Type": "image/png"})


def served(content: bytes = FILE) -> dict[str, Any]:
    md5 = revision(content).partition("-")[2]
    return {
        **HELD,
        f"GET {ROUTE}/attachments": ["dicom"],
        f"GET {ROUTE}/attachments/dicom/data": data(content),
        f"GET {ROUTE}/attachments/dicom/md5": text(md5),
        f"GET {ROUTE}/frames": [0, 1],
    }


def test_the_file(tmp_path: Path) -> None:
    with ObjectServer(served()) as server:
        instance = Instance(server.rest, "i")
        assert instance.content == FILE
        assert instance.dataset().SOPInstanceUID == DATASET.SOPInstanceUID
        assert instance.save(tmp_path / "a.dcm").read_bytes() == FILE
        assert np.array_equal(instance.frames()[0], DATASET.pixel_array)


def test_a_damaged_file() -> None:
    with (
        ObjectServer(served(FILE[:140] + b"\xff" * 50)) as server,
        pytest.raises(TransportError, match="cannot be read"),
    ):
        Instance(server.rest, "i").dataset()


@pytest.mark.parametrize("array", [GRAY, np.stack([GRAY, GRAY + 1, GRAY + 2], axis=2)])
@pytest.mark.parametrize("route", ["preview", "rendered"])
def test_a_rendered_frame_is_an_array(array: Any, route: str) -> None:
    with ObjectServer({**served(), f"GET {ROUTE}/frames/1/{route}": png(array)}) as server:
        made = getattr(Instance(server.rest, "i"), route)(1)
        assert (made.dtype, made.tolist()) == (np.uint8, array.tolist())
        assert server.asked[-1].headers["accept"] == "image/png"


def test_sixteen_bits_are_shown_by_eight() -> None:
    with ObjectServer({**served(), f"GET {ROUTE}/frames/0/preview": png(GRAY.astype(np.uint16) << 8)}) as server:
        assert Instance(server.rest, "i").preview().tolist() == GRAY.tolist()


def test_the_window_of_a_rendered_frame() -> None:
    with ObjectServer({**served(), f"GET {ROUTE}/frames/0/rendered": png(GRAY)}) as server:
        Instance(server.rest, "i").rendered(window=(40, 400.5), width=64)
        assert server.calls == [f"GET {ROUTE}/frames/0/rendered?width=64&window-center=40&window-width=400.5"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"window": 40},
        {"window": (40,)},
        {"window": (40, 400, 1)},
        {"window": ("a", "b")},
        {"window": (40, float("nan"))},
        {"width": -5},
        {"width": 0},
        {"width": "abc"},
        {"height": 10**12},
        {"height": True},
    ],
)
def test_what_is_no_window_or_size_is_refused_before_any_request(arguments: Any) -> None:
    (name,) = arguments
    with ObjectServer({}) as server:
        with pytest.raises(SelectionError, match=f"{name} is .*; give"):
            Instance(server.rest, "i").rendered(**arguments)
        assert server.calls == []


@pytest.mark.parametrize("value", [None, True, b"x", float("nan"), date(2020, 1, 31), [1, None], {1}, [{"KVP": None}]])
def test_a_value_that_would_be_written_as_another_is_refused_before_any_request(value: Any) -> None:
    with ObjectServer({}) as server:
        instance = Instance(server.rest, "i")
        for make in (instance.modify, instance.anonymize):
            with pytest.raises(SelectionError, match="cannot be the value of a tag, and nothing was sent"):
                make({"PatientComments": value})
        assert server.calls == []


@pytest.mark.parametrize("replace", ["PatientName", ["PatientName"], 5])
def test_replacements_that_are_no_mapping(replace: Any) -> None:
    with ObjectServer({}) as server, pytest.raises(SelectionError, match=r"replace is of type .*; give a dict"):
        Instance(server.rest, "i").modify(replace)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float64(0.5), "0.5"),
        ((np.int16(3), 4), "3\\4"),
        (DSfloat("1.50"), "1.50"),
        (IS("7"), "7"),
        (PersonName("Doe^Jane"), "Doe^Jane"),
        ("", ""),
        ([], ""),
    ],
)
def test_values_are_written_as_they_print(value: Any, written: str) -> None:
    assert images._value(value) == written


def test_a_raw_frame() -> None:
    with ObjectServer({**served(), f"GET {ROUTE}/frames/0/raw": reply(b"\x01\x02")}) as server:
        instance = Instance(server.rest, "i")
        assert (instance.raw_frame(), instance.frame_count) == (b"\x01\x02", 2)


@pytest.mark.parametrize("route", ["preview", "rendered", "raw_frame"])
@pytest.mark.parametrize("status", [400, 404, 415])
def test_a_frame_that_does_not_exist(route: str, status: int) -> None:
    name = {"raw_frame": "raw"}.get(route, route)
    with (
        ObjectServer({**served(), f"GET {ROUTE}/frames/2/{name}": reply(b"", status)}) as server,
        pytest.raises(SelectionError, match="Frame 2 of the instance i was asked for; it has 2, from 0 on"),
    ):
        getattr(Instance(server.rest, "i"), route)(2)


@pytest.mark.parametrize("frame", [-1, 1.5, "0", None, True])
def test_an_invalid_frame(frame: Any) -> None:
    with ObjectServer({}) as server:
        with pytest.raises(SelectionError, match=r"frame is .*; give a number from 0 on"):
            Instance(server.rest, "i").preview(frame)
        assert server.calls == []


@pytest.mark.parametrize("status", [400, 404, 415])
def test_an_object_without_an_image(status: int) -> None:
    refused = {f"GET {ROUTE}/frames{rest}": reply(b"", status) for rest in ("", "/0/preview", "/0/raw", "/0/rendered")}
    with ObjectServer({**HELD, **refused}) as server:
        instance = Instance(server.rest, "i")
        assert instance.frame_count == 0
        for use in (instance.preview, instance.rendered, instance.raw_frame):
            with pytest.raises(NoPixelDataError, match="holds no image, or none that the server can render"):
                use()


def test_the_raw_frame_of_a_document() -> None:
    refusal = reply({"Message": "Not implemented yet", "OrthancStatus": 2}, 500)
    with (
        ObjectServer({**HELD, f"GET {ROUTE}/frames/0/raw": refusal, f"GET {ROUTE}/frames": [0]}) as server,
        pytest.raises(NoPixelDataError, match="holds no image"),
    ):
        Instance(server.rest, "i").raw_frame()


def test_an_image_that_cannot_be_rendered_for_another_reason() -> None:
    with (
        ObjectServer({**HELD, f"GET {ROUTE}/frames/0/preview": reply({"Message": "Corrupted"}, 500)}) as server,
        pytest.raises(ServerError, match="Corrupted"),
    ):
        Instance(server.rest, "i").preview()


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x89PNG\r\n\x1a\n cut"])
def test_an_image_that_cannot_be_read(content: bytes) -> None:
    with (
        ObjectServer({**HELD, f"GET {ROUTE}/frames/0/preview": reply(content)}) as server,
        pytest.raises(TransportError, match="The preview of <instance i> was asked for as PNG"),
    ):
        Instance(server.rest, "i").preview()


def test_a_document() -> None:
    with ObjectServer({**HELD, f"GET {ROUTE}/pdf": reply(b"%PDF-1.4")}) as server:
        assert Instance(server.rest, "i").pdf() == b"%PDF-1.4"
    with ObjectServer(HELD) as server, pytest.raises(NoPixelDataError, match="encapsulates no PDF"):
        Instance(server.rest, "i").pdf()


def test_a_raw_value() -> None:
    routes = {
        f"GET {ROUTE}/content/0010-0020": reply(b"P1 "),
        f"GET {ROUTE}/content/0008-1032/0/0008-0100": reply(b"1"),
    }
    with ObjectServer({**HELD, **routes}) as server:
        instance = Instance(server.rest, "i")
        assert instance.raw_value("PatientID") == b"P1 "
        assert instance.raw_value("ProcedureCodeSequence[0].CodeValue") == b"1"
        with pytest.raises(NotFoundError, match="The instance i has no KVP"):
            instance.raw_value("KVP")
        with pytest.raises(UnknownTagError):
            instance.raw_value("KVPP")


# Modified copies


def sent(server: ObjectServer) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(server.asked[-1].body)
    return body


def test_a_modified_copy() -> None:
    dicom = reply(FILE, 200, {"Content-Type": "application/dicom"})
    with ObjectServer({**HELD, f"POST {ROUTE}/modify": dicom}) as server:
        instance = Instance(server.rest, "i")
        assert instance.modify() == FILE
        assert sent(server) == {"Replace": {}, "Remove": [], "Keep": [], "Force": False}
        instance.modify(
            {
                "PatientWeight": 70,
                "0010,0020": "P2",
                "PixelSpacing": [0.5, 0.25],
                "ProcedureCodeSequence": [{"CodeValue": 1}],
            },
            remove=["KVP"],
            keep=["SOPInstanceUID"],
            remove_private_tags=True,
            private_creator="ACME",
            force=True,
        )
        assert sent(server) == {
            "RemovePrivateTags": True,
            "Replace": {
                "PatientWeight": "70",
                "PatientID": "P2",
                "PixelSpacing": "0.5\\0.25",
                "ProcedureCodeSequence": [{"CodeValue": "1"}],
            },
            "Remove": ["KVP"],
            "Keep": ["SOPInstanceUID"],
            "Force": True,
            "PrivateCreator": "ACME",
        }


def test_an_anonymized_copy() -> None:
    dicom = reply(FILE, 200, {"Content-Type": "application/dicom"})
    with ObjectServer({**HELD, f"POST {ROUTE}/anonymize": dicom}) as server:
        assert (
            Instance(server.rest, "i").anonymize(keep=["0009,1001"], keep_private_tags=True, dicom_version="2021b")
            == FILE
        )
        expected = {
            "KeepPrivateTags": True,
            "DicomVersion": "2021b",
            "Replace": {},
            "Remove": [],
            "Keep": ["0009,1001"],
        }
        assert sent(server) == {**expected, "Force": False}


def test_an_unknown_tag_is_refused_before_any_request() -> None:
    with ObjectServer({}) as server:
        instance = Instance(server.rest, "i")
        for arguments in (
            {"replace": {"PatientWeihgt": 1}},
            {"remove": ["PatientWeihgt"]},
            {"keep": ["PatientWeihgt"]},
        ):
            for make in (instance.modify, instance.anonymize):
                with pytest.raises(UnknownTagError, match="PatientWeight"):
                    make(**arguments)  # type: ignore[operator]
        with pytest.raises(
            SelectionError, match=r"keep is the string 'KVP'; give a list of tags, as in keep=\['KVP'\]"
        ):
            instance.modify(keep="KVP")
        assert server.calls == []


@pytest.mark.parametrize("answer", [reply(b"short"), reply({"ID": "x"}), text("DICM")])
def test_an_answer_that_is_not_a_copy(answer: bytes) -> None:
    with (
        ObjectServer({**HELD, f"POST {ROUTE}/modify": answer}) as server,
        pytest.raises(TransportError, match="something else"),
    ):
        Instance(server.rest, "i").modify()


def test_an_unknown_instance(tmp_path: Path) -> None:
    with ObjectServer({}) as server:
        instance = Instance(server.rest, "nope")
        uses: list[Any] = [
            lambda: instance.content,
            instance.dataset,
            lambda: instance.save(tmp_path / "a"),
            lambda: instance.raw_value("PatientID"),
            lambda: instance.frame_count,
            instance.frames,
            instance.raw_frame,
            instance.preview,
            instance.rendered,
            instance.pdf,
            instance.modify,
            instance.anonymize,
            lambda: instance.tags,
        ]
        for use in uses:
            with pytest.raises(NotFoundError, match="holds no instance with the id 'nope'"):
                use()
    assert list(tmp_path.iterdir()) == []
