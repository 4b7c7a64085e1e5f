"""De-identified copies of a selection: the same in every run, without a trace of the originals, and resumable."""

from __future__ import annotations

import asyncio
import io
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from simple_orthanc import AsyncSession, Folder
from simple_orthanc.dicom.header import texts
from simple_orthanc.errors import SelectionError, TransportError, UnknownTagError
from simple_orthanc.phantom import as_bytes, ct_phantom, make_segmentation, make_series, make_structure_set
from simple_orthanc.session import Session
from simple_orthanc.session.deidentifying.results import Deidentified
from tests.command_line import environment
from tests.deidentification.planted import Planted, planted_studies, traces
from tests.memory_source import instance
from tests.secrets_in_tracebacks import leaks
from tests.session.sessions import session_of, source_of

KEY = "correct horse battery staple"
NEW = [f"new_{keyword}" for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
PROGRAM = """
import sys
from simple_orthanc import AsyncSession, Folder
source, target, key, options = sys.argv[1:]
made = Folder(source, cache=False).deidentify(target, key=key, options=options.split(), everything=True)
print(made)
"""
# Ends the process without a warning in the middle of the writing.
KILLED = """
import os, signal
replace, moved = os.replace, []
def killing(part, path):
    replace(part, path)
    moved.append(path)
    if len(moved) == 9:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = killing
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planted, Path]:
    studies = planted_studies()
    return studies, studies.write(tmp_path_factory.mktemp("originals"))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def opened(folder: Path) -> Folder:
    return Folder(folder, cache=False)


def files_of(folder: Path, *datasets: pydicom.Dataset) -> Path:
    folder.mkdir(exist_ok=True)
    for number, dataset in enumerate(datasets):
        (folder / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return folder


@pytest.fixture(scope="module")
def copies(planted: tuple[Planted, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Deidentified, Path]:
    """The copies of the planted studies by the basic profile, which no test changes."""
    folder = tmp_path_factory.mktemp("copies")
    return opened(planted[1]).deidentify(folder, key=KEY, everything=True), folder


def headers_of(folder: Path) -> dict[str, pydicom.Dataset]:
    return {str(header.SOPInstanceUID): header for header in map(pydicom.dcmread, folder.glob("*.dcm"))}


# The same key gives the same copies


def test_another_process_makes_the_same_files(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", PROGRAM, str(planted[1]), "again", KEY, ""]
    env = environment({"PYTHONHASHSEED": "1", "TZ": "UTC11"})
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.stderr, ended.stdout) == ("", f"<Deidentified: {len(planted[0].files)} deidentified>\n")
    assert tree(tmp_path / "again") == tree(copies[1])
    assert len(tree(tmp_path / "again")) == len(planted[0].files)


def test_another_key_makes_other_files(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    opened(planted[1]).deidentify(tmp_path, key=KEY.upper(), everything=True)
    one, other = tree(copies[1]), tree(tmp_path)
    assert len(one) == len(other)
    names = [{part for path in each for part in Path(path).parts} for each in (one, other)]
    assert not names[0] & names[1], "another key makes other names throughout"
    assert not set(one.values()) & set(other.values())


def test_a_second_run_finds_all_there(planted: tuple[Planted, Path], copies: tuple[Deidentified, Path]) -> None:
    made, folder = copies
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}
    again = opened(planted[1]).deidentify(folder, key=KEY, everything=True)
    assert set(made.table.status) == {"deidentified"}
    assert set(again.table.status) == {"already there"}
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}
    columns = [*NEW, "path", "warnings"]
    assert again.table[columns].equals(made.table[columns])
    assert again.key_table.equals(made.key_table)
    assert again.report.equals(made.report)


def test_runs_over_parts_make_the_same_files(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    for patient in opened(planted[1]).patients:
        patient.deidentify(tmp_path, key=KEY, everything=True)
    assert tree(tmp_path) == tree(copies[1])


# What is in the copies


def test_no_identifier_is_left(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    identifiers = planted[0].identifiers
    assert traces(copies[1], identifiers) == []
    assert not any(traces(copies[1], [part]) for part in ("4711", "Jürgen", "山田"))
    options = ["retain_safe_private", "clean_descriptors", "retain_device_identity", "retain_patient_characteristics"]
    opened(planted[1]).deidentify(tmp_path / "more", key=KEY, options=options, everything=True)
    # What is retained is no identifier of a patient.
    retained = {identifier for identifier in identifiers if identifier.startswith(("STATION", "SN"))}
    assert traces(tmp_path / "more", identifiers - retained) == []
    # The search finds what is there: of each kind of file the names in it.
    shutil.copytree(planted[1], tmp_path / "originals", ignore=lambda _, names: sorted(names)[1::2])
    found = {line.partition(": ")[2] for line in traces(tmp_path / "originals", identifiers)}
    assert len(found) > len(identifiers) / 2


def test_pixels_and_transfer_syntax_stay(planted: tuple[Planted, Path], copies: tuple[Deidentified, Path]) -> None:
    originals = headers_of(planted[1])
    syntaxes = set()
    for row in copies[0].table.itertuples():
        copy, original = pydicom.dcmread(row.path), originals[row.SOPInstanceUID]
        syntaxes.add(original.file_meta.TransferSyntaxUID)
        assert copy.file_meta.TransferSyntaxUID == original.file_meta.TransferSyntaxUID
        assert copy.PixelData == original.PixelData
        assert np.array_equal(copy.pixel_array, original.pixel_array)
        assert copy.ImagePositionPatient == original.ImagePositionPatient
        assert copy.SOPInstanceUID == row.new_SOPInstanceUID == copy.file_meta.MediaStorageSOPInstanceUID
    assert len(syntaxes) == 5


def test_frames_of_reference_and_series_stay_together(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path]
) -> None:
    table = copies[0].table
    originals = headers_of(planted[1])
    frames = set()
    for row in table.itertuples():
        copy, original = pydicom.dcmread(row.path), originals[row.SOPInstanceUID]
        frames.add((original.FrameOfReferenceUID, copy.FrameOfReferenceUID))
        # What a CT need not have is removed (X/Z/U*), and all others refer to copies.
        assert "ReferencedImageSequence" not in copy
    assert len({old for old, _ in frames}) == len({new for _, new in frames}) == len(frames) == 12
    assert table.groupby("new_SeriesInstanceUID").size().eq(2).all()
    assert (table.new_PatientID.nunique(), table.new_StudyInstanceUID.nunique()) == (6, 12)


def test_structures_and_segmentations_find_their_images(tmp_path: Path) -> None:
    images = ct_phantom((4, 32, 32))
    z = images[1].ImagePositionPatient[2]
    structures = make_structure_set(images, {"GTV": [[(-12, -12, z), (12, -12, z), (12, 12, z), (-12, 12, z)]]})
    segmentation = make_segmentation(images, {"liver": np.arange(4 * 32 * 32).reshape(4, 32, 32) % 3 == 0})
    originals = opened(files_of(tmp_path / "scans", *images, structures, segmentation))
    made = originals.deidentify(tmp_path / "copies", key=KEY, everything=True)
    assert set(made.table.status) == {"deidentified"}
    copies = opened(tmp_path / "copies")
    assert np.array_equal(copies.select(Modality="CT").get_array(), originals.select(Modality="CT").get_array())
    for modality in ("RTSTRUCT", "SEG"):
        (before,) = originals.copy().reset().select(Modality=modality).get_masks().values()
        (after,) = copies.copy().reset().select(Modality=modality).get_masks().values()
        assert before.array.any()
        assert np.array_equal(before.array, after.array)
        assert before.geometry.isclose(after.geometry)


def _moments(dataset: pydicom.Dataset) -> dict[str, str]:
    keywords = ("StudyDate", "ContentDate", "AcquisitionDateTime")
    return {keyword: str(dataset[keyword].value) for keyword in keywords if keyword in dataset}


def test_intervals_between_dates_stay(planted: tuple[Planted, Path], tmp_path: Path) -> None:
    options = ["retain_modified_dates"]
    made = opened(planted[1]).deidentify(tmp_path / "copies", key=KEY, options=options, max_shift=40, everything=True)
    shifts = made.key_table[made.key_table.kind == "PatientID"].set_index("new").shift_days
    assert shifts.between(-40, 40).all()
    assert not (shifts == 0).any()
    originals = headers_of(planted[1])
    compared = 0
    for row in made.table.itertuples():
        old, new = _moments(originals[row.SOPInstanceUID]), _moments(pydicom.dcmread(row.path))
        for keyword in ("StudyDate", "ContentDate", "AcquisitionDateTime"):
            before, after = (np.datetime64(f"{t[:4]}-{t[4:6]}-{t[6:8]}") for t in (old[keyword], new[keyword]))
            assert (after - before).astype(int) == shifts[row.new_PatientID]
            assert new[keyword][8:] == old[keyword][8:]
            compared += 1
        assert not pydicom.dcmread(row.path).PatientBirthDate
    assert compared == 3 * len(made.table)


_IDENTIFYING = [
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "OtherPatientIDs",
    "PatientAddress",
    "AccessionNumber",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "FrameOfReferenceUID",
    "StudyDate",
    "ContentDate",
    "InstitutionName",
    "StationName",
    "DeviceSerialNumber",
    "ReferringPhysicianName",
    "OperatorsName",
]


_MACHINE = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")


def _identifiers(header: pydicom.Dataset) -> set[str]:
    values = {value for keyword in _IDENTIFYING for value in texts(header, keyword)}
    parts = {part.strip() for value in values for group in value.split("=") for part in group.split("^")}
    # What machines write of themselves stays, though a hospital or a station may be called like its maker.
    machine = " ".join(value for keyword in _MACHINE for value in texts(header, keyword)).casefold()
    # Shorter ones are in other words and numbers by chance.
    return {part for part in parts if len(part) >= 5 and part.casefold() not in machine}


# Some of the files are damaged on purpose, and pydicom warns when the test reads them.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_real_files_keep_no_identifier(tmp_path: Path) -> None:
    folder = opened(Path(pydicom.__file__).parent / "data")
    options = ["retain_safe_private", "retain_modified_dates", "clean_descriptors", "clean_structured_content"]
    with warnings.catch_warnings(record=True) as caught:
        made = folder.deidentify(tmp_path, key=KEY, options=options, suspicious="keep", everything=True)
    assert not caught, "a warning of pydicom holds a value"
    assert set(made.table.status) == {"deidentified"}
    assert len(made.table) > 100
    source, found = folder._source, 0
    keys = dict(zip(folder.get_dicom_tag("SOPInstanceUID", unique=False), folder._instances(), strict=True))
    for row in made.table.itertuples():
        identifiers = _identifiers(source.header(keys[row.SOPInstanceUID]))
        found += len(identifiers)
        copy = Path(row.path)
        (tmp_path / "one").mkdir(exist_ok=True)
        copy.rename(tmp_path / "one" / copy.name)
        assert traces(tmp_path / "one", identifiers) == []
        (tmp_path / "one" / copy.name).unlink()
    assert found > 500


def test_hand_given_pseudonyms_and_tables(tmp_path: Path) -> None:
    images = [make_series((1, 4, 4), seed=n, PatientID=f"P{n}")[0] for n in range(3)]
    folder = opened(files_of(tmp_path / "scans", *images))
    made = folder.deidentify(tmp_path / "copies", key=KEY, prefix="TRIAL-", pseudonyms={"P0": "S01"}, everything=True)
    pseudonyms = dict(zip(made.table.PatientID, made.table.new_PatientID, strict=True))
    assert pseudonyms["P0"] == "S01"
    assert pseudonyms["P1"].startswith("TRIAL-")
    copies = opened(tmp_path / "copies")
    assert sorted(copies.PatientIDs) == sorted(pseudonyms.values())
    # The table of one run names the patients of another.
    again = folder.deidentify(tmp_path / "more", key=KEY.upper(), pseudonyms=made.key_table, everything=True)
    assert dict(zip(again.table.PatientID, again.table.new_PatientID, strict=True)) == pseudonyms
    report = made.report.set_index("path")
    assert report.loc["PatientID", "changed"] == 3
    assert report.loc["PixelData", "kept"] == 3
    text = made.report.to_csv() + repr(made)
    assert not any(identifier in text for identifier in ("P0", "P1", KEY))
    old = set(made.key_table.old)
    assert {str(image.SOPInstanceUID) for image in images} <= old


def test_copies_of_copies_are_not_made(tmp_path: Path) -> None:
    images = make_series((2, 4, 4), seed=1, PatientID="P1")
    folder = opened(files_of(tmp_path / "scans", *images))
    made = folder.deidentify(tmp_path / "copies", key=KEY, everything=True)
    shutil.copytree(tmp_path / "copies", tmp_path / "scans" / "among them")
    again = folder.refresh().deidentify(tmp_path / "copies", key=KEY, everything=True)
    rows = again.table.set_index("SOPInstanceUID").status
    assert rows[made.table.SOPInstanceUID].tolist() == ["already there"] * 2
    assert rows[made.table.new_SOPInstanceUID].tolist() == ["left out"] * 2
    assert set(again.key_table.old) == set(made.key_table.old)
    # With another key a copy is an object like any other.
    other = folder.deidentify(tmp_path / "others", key=KEY.upper(), everything=True)
    assert other.table.status.tolist() == ["deidentified"] * 4


def test_keep_remove_and_replace(tmp_path: Path) -> None:
    image = make_series(
        (1, 4, 4), seed=1, PatientID="P1", StudyDescription="Trial 7", SeriesDescription="for P1", KVP="120"
    )[0]
    made = opened(files_of(tmp_path / "scans", image)).deidentify(
        tmp_path / "copies",
        key=KEY,
        keep=["StudyDescription"],
        remove=["KVP"],
        replace={"SeriesDescription": "a series"},
        everything=True,
    )
    copy = pydicom.dcmread(made.table.path[0])
    assert (copy.StudyDescription, copy.SeriesDescription, "KVP" in copy) == ("Trial 7", "a series", False)


def test_patients_without_an_identifier_stay_apart(tmp_path: Path) -> None:
    images = [
        make_series((1, 4, 4), seed=n, PatientID="", PatientName=name)[0]
        for n, name in enumerate(["Doe^Jane", "Doe^John", "", ""])
    ]
    made = opened(files_of(tmp_path / "scans", *images)).deidentify(tmp_path / "copies", key=KEY, everything=True)
    assert made.table.new_PatientID.nunique() == 4
    assert not any("Doe" in str(path) for path in (tmp_path / "copies").rglob("*"))


def test_originals_are_not_touched(planted: tuple[Planted, Path], copies: tuple[Deidentified, Path]) -> None:
    assert len(copies[0].table) == len(planted[0].files)
    names = [f"{number:03}.dcm" for number in range(len(planted[0].files))]
    assert tree(planted[1]) == dict(zip(names, planted[0].files, strict=True))


# What becomes of single objects


def test_a_dry_run_writes_nothing(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    target = tmp_path / "copies"
    dry = opened(planted[1]).deidentify(target, key=KEY, everything=True, dry_run=True)
    assert not target.exists()
    assert set(dry.table.status) == {"would be deidentified"}
    assert dry.table[NEW].equals(copies[0].table[NEW])
    assert dry.report.equals(copies[0].report)
    assert dry.key_table.equals(copies[0].key_table)


def test_what_may_show_the_patient_is_left_out(tmp_path: Path) -> None:
    images = make_series((2, 4, 4), seed=1, PatientID="P1")
    images[0].BurnedInAnnotation = "YES"
    images[1].BurnedInAnnotation = "NO"
    folder = opened(files_of(tmp_path / "scans", *images))
    made = folder.deidentify(tmp_path / "copies", key=KEY, everything=True)
    rows = made.table.set_index("SOPInstanceUID")
    row = rows.loc[str(images[0].SOPInstanceUID)]
    assert row.status == "left out"
    assert "BurnedInAnnotation" in row.message
    assert "suspicious='keep'" in row.message
    assert rows.loc[str(images[1].SOPInstanceUID)].status == "deidentified"
    assert len(tree(tmp_path / "copies")) == 1
    kept = folder.deidentify(tmp_path / "copies", key=KEY, suspicious="keep", everything=True)
    assert sorted(kept.table.status) == ["already there", "deidentified"]
    assert kept.table.warnings.str.contains("BurnedInAnnotation").any()


def test_a_damaged_object_is_a_row(tmp_path: Path) -> None:
    good, bad = (instance(number, patient="P1") for number in (1, 2))
    session = session_of(good, bad).select(PatientID="P1")
    source = source_of(session)
    content = source.content

    def cut_off(key: str) -> bytes:
        whole = content(key)
        return whole[:200] if pydicom.dcmread(io.BytesIO(whole)).InstanceNumber == 2 else whole

    source.content = cut_off
    made = session.deidentify(tmp_path, key=KEY)
    rows = made.table.set_index("SOPInstanceUID")
    assert rows.loc[good.SOPInstanceUID].status == "deidentified"
    assert rows.loc[bad.SOPInstanceUID].status == "failed"
    assert rows.loc[bad.SOPInstanceUID].message
    assert len(tree(tmp_path)) == 1


def test_a_file_that_cannot_be_opened_is_a_row(tmp_path: Path) -> None:
    session = session_of(instance(1, patient="P1"), instance(2, patient="P1")).select(PatientID="P1")
    source = source_of(session)
    content, calls = source.content, []

    def failing(key: str) -> bytes:
        calls.append(key)
        if len(calls) == 1:
            raise PermissionError(13, "Permission denied")
        return content(key)

    source.content = failing
    made = session.deidentify(tmp_path, key=KEY)
    assert sorted(made.table.status) == ["deidentified", "failed"]
    assert made.table.message.str.contains("Permission denied").any()


def test_an_object_that_is_gone_is_a_row(tmp_path: Path) -> None:
    images = make_series((2, 4, 4), seed=1, PatientID="P1")
    folder = opened(files_of(tmp_path / "scans", *images))
    folder.select(SOPInstanceUID=[str(image.SOPInstanceUID) for image in images])
    (tmp_path / "scans" / "1.dcm").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = folder.deidentify(tmp_path / "copies", key=KEY)
    assert sorted(made.table.status) == ["deidentified", "gone"]


def test_ctrl_c_leaves_the_truth_and_the_next_run_finishes(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    folder = opened(planted[1])
    source: Any = folder._source
    content, calls = source.content, []

    def interrupted(key: str) -> bytes:
        calls.append(key)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return content(key)

    source.content = interrupted
    with pytest.raises(KeyboardInterrupt) as raised:
        folder.deidentify(tmp_path / "copies", key=KEY, everything=True)
    source.content = content
    table = vars(raised.value)["table"]
    done = table[table.status == "deidentified"]
    assert 0 < len(done) < len(table)
    assert set(table.status) <= {"deidentified", "failed", "not tried"}
    assert not table[table.status == "failed"].message.str.contains("not finished").eq(False).any()
    written = tree(tmp_path / "copies")
    assert {str(Path(path).relative_to(tmp_path / "copies")) for path in done.path} <= set(written)
    again = folder.deidentify(tmp_path / "copies", key=KEY, everything=True)
    assert (again.table.status == "already there").sum() == len(written)
    assert tree(tmp_path / "copies") == tree(copies[1])


def test_a_server_that_goes_away_leaves_the_truth(tmp_path: Path) -> None:
    session = session_of(*(instance(number, patient="P1") for number in range(1, 41))).select(PatientID="P1")
    source = source_of(session)
    content, calls = source.content, []

    def lost(key: str) -> bytes:
        calls.append(key)
        if len(calls) > 5:
            if table is not None:
                source.rows = refused
            raise TransportError("The connection was refused.")
        return content(key)

    def refused(level: str, keys: object) -> object:
        raise TransportError("The connection was refused.")

    table = None

    rows = source.rows
    source.content = lost
    # What is lost once is tried no more, and the others go on.
    table = session.deidentify(tmp_path, key=KEY, dry_run=True).table
    assert set(table.status) == {"would be deidentified", "failed"}
    assert (table.status == "would be deidentified").sum() == 5
    calls.clear()
    with pytest.raises(TransportError, match="went away") as raised:
        session.deidentify(tmp_path, key=KEY)
    table = raised.value.table
    assert len(table) == 40
    assert "deidentified" in set(table.status) <= {"deidentified", "failed", "not tried"}
    source.content, source.rows = content, rows
    assert set(session.deidentify(tmp_path, key=KEY).table.status) == {"deidentified", "already there"}


def test_a_session_on_a_folder_takes_copies(tmp_path: Path) -> None:
    folder = opened(files_of(tmp_path / "scans", make_series((1, 4, 4), seed=1)[0]))
    (tmp_path / "shared").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        target = opened(tmp_path / "shared")
    made = folder.deidentify(target, key=KEY, everything=True)
    assert made.table.status.tolist() == ["deidentified"]
    assert target.PatientIDs == made.table.new_PatientID.tolist()


def test_a_layout_names_files_by_their_new_values(tmp_path: Path) -> None:
    images = make_series((2, 4, 4), seed=1, PatientID="P1", Modality="CT", SeriesDescription="of P1")
    folder = opened(files_of(tmp_path / "scans", *images))
    layout = "{PatientID}/{Modality} {SeriesDescription|none}/{InstanceNumber:03d}-{SOPInstanceUID}.dcm"
    made = folder.deidentify(tmp_path / "copies", key=KEY, layout=layout, everything=True)
    expected = {
        f"{row.new_PatientID}/CT none/{number:03d}-{row.new_SOPInstanceUID}.dcm"
        for number, row in enumerate(made.table.itertuples(), 1)
    }
    assert set(tree(tmp_path / "copies")) == expected
    with pytest.raises(SelectionError, match=r"could give two copies one name.*SOPInstanceUID\}\.dcm"):
        folder.deidentify(tmp_path / "copies", key=KEY, layout="{PatientID}/{InstanceNumber}.dcm", everything=True)
    with pytest.raises(UnknownTagError, match="PatientNme"):
        folder.deidentify(tmp_path / "copies", key=KEY, layout="{PatientNme}/{SOPInstanceUID}.dcm", everything=True)


def test_a_full_disk_ends_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_of(*(instance(number, patient="P1") for number in range(1, 31))).select(PatientID="P1")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        return write(path, content)

    written: list[Path] = []
    monkeypatch.setattr(Path, "write_bytes", full)
    table = session.deidentify(tmp_path, key=KEY).table
    assert set(table.status) == {"deidentified", "failed", "not tried"}
    assert table[table.status == "not tried"].message.str.contains("disk is full").all()
    monkeypatch.undo()
    assert set(session.deidentify(tmp_path, key=KEY).table.status) == {"deidentified", "already there"}


def test_no_frame_of_an_error_shows_the_key(tmp_path: Path) -> None:
    session: Session = session_of(instance(1), instance(2)).select(PatientID="P1")
    source = source_of(session)
    source.content = source.rows = lambda *_: (_ for _ in ()).throw(TransportError("refused"))
    secret = "a very secret key of the hospital"
    for arguments in ({}, {"options": ["no such"]}, {"to": b""}):
        with pytest.raises((TransportError, SelectionError)) as raised:
            session.deidentify(**{"to": tmp_path, "key": secret, **arguments})
        assert not leaks(raised.value, secret)

    async def awaited() -> Any:
        with pytest.raises(TransportError) as raised:
            await AsyncSession(session).deidentify(tmp_path, key=secret)
        return raised.value

    assert not leaks(asyncio.run(awaited()), secret)


def test_a_killed_process_leaves_no_halves_and_the_next_run_finishes(
    planted: tuple[Planted, Path], copies: tuple[Deidentified, Path], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED + PROGRAM, str(planted[1]), str(tmp_path / "copies"), KEY, ""]
    ended = subprocess.run(command, env=environment(), capture_output=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    left = tree(tmp_path / "copies")
    whole = tree(copies[1])
    files = {path: content for path, content in left.items() if not path.startswith(".simple_orthanc-")}
    assert 0 < len(files) < len(whole)
    assert files.items() <= whole.items()
    again = opened(planted[1]).deidentify(tmp_path / "copies", key=KEY, everything=True)
    assert (again.table.status == "already there").sum() == len(files)
    assert tree(tmp_path / "copies") == whole
