"""What orthanc-api-client 0.25 did wrongly when it was executed is right here."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pydicom
import pytest

import simple_orthanc
from simple_orthanc import (
    NotFoundError,
    Orthanc,
    SelectionError,
    TransportError,
)
from simple_orthanc.rest.capabilities import Capabilities, parse_version
from simple_orthanc.testing import OrthancStandIn, as_bytes, make_series
from tests.earlier_clients import CT, DEFECTS, MR, PATIENT_ID, STUDY_ID, Defect, defect, session_on
from tests.http_stand_in import StandIn, reply
from tests.rest.test_capabilities import SYSTEM


@defect("orthanc-api-client", "a with statement fails")
def _(path: Path) -> None:
    with OrthancStandIn(CT) as server, Orthanc(server.url) as orthanc:
        assert orthanc.series_count == 1


@defect("orthanc-api-client", "a path in the address is lost without a slash at its end")
def _(path: Path) -> None:
    with StandIn(lambda asked, count: reply(SYSTEM) if asked.path == "/orthanc/system" else reply({}, 404)) as server:
        for address in (f"{server.url}/orthanc", f"{server.url}/orthanc/"):
            assert Orthanc(address, patience=0).rest.get("/system")["Version"] == SYSTEM["Version"]


@defect("orthanc-api-client", "an answer that breaks off is None")
def _(path: Path) -> None:
    cut = reply(b"x" * 3000, headers={"X-Close": "yes"}, chunked=True)[:-1200]
    answers = {"/gone": None, "/cut": cut}
    with StandIn(lambda request, count: answers.get(request.path, reply(SYSTEM))) as server:
        rest = Orthanc(server.url, patience=0, timeout=(1, 1)).rest
        for route in ("/gone", "/cut"):
            with pytest.raises(TransportError):
                rest.get(route)


@defect("orthanc-api-client", "the message of an error is a number")
def _(path: Path) -> None:
    server, orthanc = session_on({})
    with server, pytest.raises(NotFoundError, match=r"no study with the Orthanc id 'gone'.*rest\.get"):
        orthanc.rest.get("/studies/gone")


@defect("orthanc-api-client", "2.0.0 is older than 1.12")
def _(path: Path) -> None:
    assert parse_version("2.0.0") > parse_version("1.12") < parse_version("1.12.1") < parse_version("1.13.0")


@defect("orthanc-api-client", "a version with letters is an error")
def _(path: Path) -> None:
    assert parse_version("1.12.5rc") == (1, 12, 5)


@defect("orthanc-api-client", "asking an old server for its capabilities is a KeyError")
def _(path: Path) -> None:
    old = Capabilities.from_system({"Version": "1.10.1", "ApiVersion": 16})
    assert (old.labels, old.extended_find) == (False, False)


@defect("orthanc-api-client", "the studies of a patient are an AttributeError")
def _(path: Path) -> None:
    with OrthancStandIn([*CT, *MR]) as server, server.connect() as orthanc:
        assert [study.id for study in orthanc.rest.patients[PATIENT_ID].studies] == [STUDY_ID]


TAGS = {"0008,103e": {"Name": "SeriesDescription", "Type": "String", "Value": "ct_scan"}}


@defect("orthanc-api-client", "tags with capital digits are not found")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /instances/i1/tags": TAGS})
    with server:
        tags = orthanc.rest.instances["i1"].tags
        assert tags["0008,103E"] == tags["0008,103e"] == tags["0008103E"] == "ct_scan"


@defect("orthanc-api-client", "tags have no length, and a missing one is None")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /instances/i1/tags": TAGS})
    with server:
        tags = orthanc.rest.instances["i1"].tags
        assert (len(tags), len(list(tags)), len(tags.keys())) == (1, 1, 1)
        assert tags.get("PatientName") is None
        with pytest.raises(KeyError):
            tags["PatientName"]


@defect("orthanc-api-client", "the ways to retrieve are spelled in two ways")
def _(path: Path) -> None:
    server, orthanc = session_on({"GET /modalities": ["PACS"]})
    with server:
        retrieve = orthanc.modalities["PACS"].retrieve
        with pytest.raises(SelectionError, match=r"move.*get|get.*move"):
            retrieve({"StudyInstanceUID": "1.2"}, how="C_MOVE")  # type: ignore[arg-type]


@defect("orthanc-api-client", "it cannot be imported on each Python that it names")
def _(path: Path) -> None:
    sources = sorted(Path(simple_orthanc.__file__).parent.rglob("*.py"))
    assert len(sources) > 150
    # New in Python 3.11.
    newer = re.compile(r"\b(StrEnum|ReprEnum|TaskGroup|ExceptionGroup|tomllib|datetime import.*\bUTC|except\*)")
    assert [source for source in sources if newer.search(source.read_text(encoding="utf-8"))] == []


@defect("orthanc-api-client", "a generated file has no preamble")
def _(path: Path) -> None:
    for modality in ("CT", "MR", "US", "CR"):
        (path / "one.dcm").write_bytes(as_bytes(make_series((1, 8, 8), modality=modality)[0]))
        assert pydicom.dcmread(path / "one.dcm").pixel_array.shape == (8, 8)


@defect("orthanc-api-client", "the file meta information is about another object")
def _(path: Path) -> None:
    for modality in ("CT", "MR", "RTSTRUCT"):
        written = pydicom.dcmread(io.BytesIO(as_bytes(make_series(modality=modality, SOPInstanceUID="1.2.3")[0])))
        assert written.file_meta.MediaStorageSOPInstanceUID == written.SOPInstanceUID == "1.2.3"
        assert written.file_meta.MediaStorageSOPClassUID == written.SOPClassUID
        assert written.Modality == modality


@defect("orthanc-api-client", "no PET image can be generated")
def _(path: Path) -> None:
    (image,) = make_series((1, 8, 8), modality="PT")
    assert (image.SOPClassUID.name, image.Units) == ("Positron Emission Tomography Image Storage", "BQML")


CHECKS = [earlier for earlier in DEFECTS if earlier.client == "orthanc-api-client"]


@pytest.mark.parametrize("earlier", CHECKS, ids=lambda earlier: earlier.what)
def test_what_it_did_wrongly(earlier: Defect, tmp_path: Path) -> None:
    earlier.check(tmp_path)


def test_there_is_a_check_for_each_defect() -> None:
    assert len(CHECKS) == 18
