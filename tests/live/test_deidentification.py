"""De-identified copies on real servers, and real studies that are the same volumes afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from simple_orthanc import DicomWeb, Folder, LocalOrthanc, Orthanc, SuvError, VolumeError
from simple_orthanc.phantom import as_bytes, ct_phantom, make_series
from simple_orthanc.session import Session
from tests.conftest import MakeServer
from tests.deidentification.planted import planted_studies, traces
from tests.examples import THOROUGH

KEY = "correct horse battery staple"
OPTIONS = ["retain_safe_private", "retain_patient_characteristics", "retain_modified_dates", "clean_descriptors"]
NEW = [f"new_{keyword}" for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
REAL = ["brainix-flair", "comunix", "formats", "vendor", "diffusion"] + (["suv-dro"] if THOROUGH else [])


def test_uploaded_copies_are_read_back(orthanc: Orthanc, tmp_path: Path) -> None:
    planted = planted_studies(slices=1)
    (tmp_path / "scans").mkdir()
    originals = Folder(planted.write(tmp_path / "scans"), cache=False)
    made = originals.deidentify(orthanc, key=KEY, everything=True)
    assert made.table.status.tolist() == ["deidentified"] * len(planted.files)
    # What the server holds are the files that a folder gets.
    on_disk = originals.deidentify(tmp_path / "copies", key=KEY, everything=True)
    assert made.table[NEW].equals(on_disk.table[NEW])
    assert orthanc.instance_count == len(planted.files)
    held = {path.read_bytes() for path in orthanc.download(tmp_path / "held")}
    assert held == {Path(path).read_bytes() for path in on_disk.table.path}
    assert traces(tmp_path / "held", planted.identifiers) == []
    assert sorted(orthanc.PatientIDs) == sorted(set(made.table.new_PatientID))
    again = originals.deidentify(orthanc, key=KEY, everything=True)
    assert again.table.status.tolist() == ["already there"] * len(planted.files)


def test_copies_on_the_server_of_the_originals(orthanc: Orthanc, tmp_path: Path) -> None:
    orthanc.upload_dataset(ct_phantom((4, 16, 16)))
    before = orthanc.get_volume()
    dry = orthanc.select(Modality="CT").deidentify(orthanc, key=KEY, dry_run=True)
    assert dry.table.status.tolist() == ["would be deidentified"] * 4
    assert orthanc.reset().instance_count == 4
    made = orthanc.select(Modality="CT").deidentify(orthanc, key=KEY, pseudonyms={"CT-PHANTOM": "S01"})
    assert made.table.status.tolist() == ["deidentified"] * 4
    # The session knows the copies, and its criteria hold for them too.
    assert sorted(orthanc.PatientIDs) == ["CT-PHANTOM", "S01"]
    copy = orthanc.select(PatientID="S01").get_volume()
    assert np.array_equal(copy.array, before.array)
    assert copy.geometry == before.geometry
    again = orthanc.reset().deidentify(orthanc, key=KEY, pseudonyms={"CT-PHANTOM": "S01"}, everything=True)
    assert again.table.status.value_counts().to_dict() == {"already there": 4, "left out": 4}
    # A copy that could replace its original is not sent.
    options = {"keep": ["PatientID"], "options": ["retain_uids"]}
    same = orthanc.reset().select(PatientID="CT-PHANTOM").deidentify(orthanc, key=KEY, **options)
    assert set(same.table.status) == {"failed"}
    assert same.table.message.str.contains("could replace it").all()
    original = orthanc.reset().select(PatientID="CT-PHANTOM").get_volume()
    assert np.array_equal(original.array, before.array)


@pytest.mark.one_version
def test_each_source_makes_the_same_copies(orthanc: Orthanc, server: LocalOrthanc, tmp_path: Path) -> None:
    orthanc.upload_dataset(ct_phantom((3, 16, 16)))
    orthanc.download(tmp_path / "scans")
    web = DicomWeb(f"{server.url}/dicom-web", *(server.credentials or ()))
    sessions: list[Session] = [orthanc, web, Folder(tmp_path / "scans", cache=False)]
    trees = []
    for number, session in enumerate(sessions):
        target = tmp_path / str(number)
        made = session.deidentify(target, key=KEY, options=OPTIONS, everything=True)
        assert set(made.table.status) == {"deidentified"}
        trees.append({path.relative_to(target): path.read_bytes() for path in target.rglob("*.dcm")})
    # By STOW-RS too, and what is there is seen.
    for status in ("deidentified", "already there"):
        uploaded = sessions[2].deidentify(web, key=KEY, options=OPTIONS, everything=True)
        assert set(uploaded.table.status) == {status}
    assert web.instance_count == 6
    web.close()
    assert trees[0] == trees[1] == trees[2]
    assert len(trees[0]) == 3


@pytest.mark.one_version
def test_a_server_that_ends_leaves_the_truth(make_server: MakeServer, tmp_path: Path) -> None:
    images = make_series((12, 4, 4), seed=1, PatientID="P1")
    (tmp_path / "scans").mkdir()
    for number, image in enumerate(images):
        (tmp_path / "scans" / f"{number}.dcm").write_bytes(as_bytes(image))
    folder = Folder(tmp_path / "scans", cache=False)
    server = make_server()
    target = server.connect(timeout=(1, 2))
    source = folder._source
    content, calls = source.content, []

    def ending(key: str) -> bytes:
        calls.append(key)
        if len(calls) == 7:
            server.stop()
        return content(key)

    source.content = ending  # type: ignore[method-assign]
    with pytest.raises(Exception, match="went away") as raised:
        folder.deidentify(target, key=KEY, everything=True)
    source.content = content  # type: ignore[method-assign]
    table = vars(raised.value)["table"]
    assert len(table) == 12
    assert set(table.status) <= {"deidentified", "failed", "not tried"}
    assert (table.status != "deidentified").sum() > 0
    fresh = make_server().connect()
    assert set(folder.deidentify(fresh, key=KEY, everything=True).table.status) == {"deidentified"}
    assert fresh.instance_count == 12


@pytest.mark.parametrize("name", REAL)
def test_real_studies_are_the_same_volumes(shared_data: Path, tmp_path: Path, name: str) -> None:
    originals = Folder(shared_data / name, cache=False)
    made = originals.deidentify(tmp_path, key=KEY, options=OPTIONS, suspicious="keep", everything=True)
    assert set(made.table.status) == {"deidentified"}
    copies = Folder(tmp_path, cache=False)
    new_series = dict(zip(made.table.SeriesInstanceUID, made.table.new_SeriesInstanceUID, strict=True))
    mosaics = set(made.table[made.table.warnings.str.contains("mosaic")].SeriesInstanceUID)
    compared = 0
    for series in originals.series:
        (uid,) = series.SeriesInstanceUIDs
        if uid in mosaics:
            continue
        compared += _compare(series, copies.copy().select(SeriesInstanceUID=new_series[uid]))
    assert compared > 0
    assert len(mosaics) == {"vendor": 3, "diffusion": 2}.get(name, 0)
    for row in made.table.itertuples():
        assert pydicom.dcmread(row.path, specific_tags=["PatientIdentityRemoved"]).PatientIdentityRemoved == "YES"


def _compare(original: Session, copy: Session) -> int:
    """Compare all volumes of a series, and return how many there are."""
    before, after = original.get_volumes(), copy.get_volumes()
    assert len(before) == len(after)
    count = 0
    for one, other in zip(before, after, strict=True):
        try:
            volume = before[one]
        except VolumeError as error:
            with pytest.raises(type(error)):
                after[other]
            continue
        same = after[other]
        assert np.array_equal(volume.array, same.array, equal_nan=volume.array.dtype.kind == "f")
        assert volume.geometry == same.geometry
        assert (volume.units, volume.array.dtype) == (same.units, same.array.dtype)
        count += 1
    if original.get_dicom_tag("Modality") == ["PT"]:
        _compare_uptake(original, copy)
    return count


def _compare_uptake(original: Session, copy: Session) -> None:
    """Compare standardized uptake values: from times that were moved, and a weight that was kept."""
    try:
        uptake = original.get_array("SUVbw")
    except SuvError:
        with pytest.raises(SuvError):
            copy.get_array("SUVbw")
        return
    assert np.array_equal(uptake, copy.get_array("SUVbw"))
