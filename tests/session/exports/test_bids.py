"""BIDS datasets: names by BIDS's own table, and the files beside them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import SelectionError
from simple_orthanc.session import Session
from simple_orthanc.session.exports.bids import add_participants
from tests.killed import contents, stamps
from tests.session.exports.series import dwi, in_memory, one_series

# BIDS 1.10, schema/rules/files/raw: the suffixes of each datatype and the entities that each may have, in the order of
# schema/rules/entities.yaml. Those with an exclamation mark are required.
LABEL, INDEX = "[A-Za-z0-9]+", "[0-9]+"
RULES = {
    "anat": [
        ("T1w|T2w|PDw|T2starw|FLAIR|angio", "task acq ce rec run part"),
        ("MESE|MEGRE", "task acq ce rec run echo! part"),
    ],
    "dwi": [("dwi", "acq rec dir run part"), ("ADC|FA|colFA|expADC|trace", "acq rec dir run")],
    "func": [("bold|sbref", "task! acq ce rec dir run echo part")],
    "fmap": [("phasediff|magnitude1|magnitude2", "acq run")],
    "pet": [("pet", "task trc rec run")],
}
ENDINGS = {"dwi": r"nii\.gz|json|bval|bvec"}


def patterns() -> list[re.Pattern[str]]:
    found = []
    for datatype, rules in RULES.items():
        for suffixes, entities in rules:
            parts = [f"sub-(?P<sub>{LABEL})", f"_ses-(?P<ses>{LABEL})"]
            for name in entities.split():
                part = f"_{name.rstrip('!')}-{INDEX if name.rstrip('!') in ('run', 'echo') else LABEL}"
                parts.append(part if name.endswith("!") else f"({part})?")
            endings = ENDINGS.get(datatype, r"nii\.gz|json")
            folder = f"sub-(?P<a>{LABEL})/ses-(?P<b>{LABEL})/{datatype}/"
            found.append(re.compile(folder + "".join(parts) + rf"_({suffixes})\.({endings})"))
    return found


def check_names(folder: Path) -> None:
    for name in contents(folder):
        if name in ("dataset_description.json", "participants.tsv") or name.startswith("sourcedata/"):
            continue
        (match,) = [found for pattern in patterns() if (found := pattern.fullmatch(name))] or [None]
        assert match is not None, name
        assert (match["a"], match["b"]) == (match["sub"], match["ses"])
        assert name.replace(".nii.gz", ".json") in contents(folder)


def gre_field_map() -> list[list[Dataset]]:
    tags: dict[str, Any] = {"SeriesDescription": "gre_field_mapping", "SequenceName": "*fm2d2r"}
    uids = [["21", "22", "23"], ["24", "25", "26"]]
    magnitudes = [
        one_series(20, EchoTime=time, EchoNumbers=echo, SOPInstanceUID=uids[echo - 1], **tags)
        for echo, time in ((1, 4.92), (2, 7.38))
    ]
    phase = one_series(21, ImageType=("ORIGINAL", "PRIMARY", "P", "ND"), EchoTime=7.38, EchoNumbers=2, **tags)
    return [*magnitudes, phase]


def bold() -> list[Dataset]:
    images = []
    for step in range(3):
        tags = {"TemporalPositionIdentifier": step + 1, "RepetitionTime": 2000, "ScanningSequence": "EP"}
        uids = [f"1.5.{step}.{number}" for number in range(3)]
        images += one_series(30, SeriesDescription="bold_rest", SOPInstanceUID=uids, **tags)
    return images


def study() -> Session:
    return in_memory(
        one_series(1, SeriesDescription="t1_mprage", EchoTime=3, PatientAge="034Y", PatientSex="F"),
        one_series(2, SeriesDescription="t1_mprage", EchoTime=3),
        one_series(3, SeriesDescription="t2star", EchoTime=20, ImageType=("ORIGINAL", "PRIMARY", "P")),
        one_series(4, SeriesDescription="ax brain"),
        one_series(5, SeriesDescription="../abdomen", modality="CT"),
        one_series(6, SeriesDescription="PET WB", modality="PT", patient="P-2"),
        dwi(7, SeriesDescription="dti"),
        *gre_field_map(),
        bold(),
    )


def test_a_study_becomes_a_dataset(tmp_path: Path) -> None:
    session = study()
    table = session.save_volumes(tmp_path, "BIDS")
    assert set(table.status) == {"saved"}
    check_names(tmp_path)
    images = sorted(name for name in contents(tmp_path) if not name.endswith(".json"))
    start = "sub-P1/ses-20200131/{}/sub-P1_ses-20200131_{}"
    source = "sourcedata/sub-P1/ses-20200131/"
    assert images == sorted(
        [
            "participants.tsv",
            start.format("anat", "acq-t1mprage_run-1_T1w.nii.gz"),
            start.format("anat", "acq-t1mprage_run-2_T1w.nii.gz"),
            start.format("anat", "acq-t2star_part-phase_T2starw.nii.gz"),
            start.format("dwi", "acq-dti_dwi.bval"),
            start.format("dwi", "acq-dti_dwi.bvec"),
            start.format("dwi", "acq-dti_dwi.nii.gz"),
            start.format("fmap", "acq-grefieldmapping_magnitude1.nii.gz"),
            start.format("fmap", "acq-grefieldmapping_magnitude2.nii.gz"),
            start.format("fmap", "acq-grefieldmapping_phasediff.nii.gz"),
            start.format("func", "task-rest_acq-boldrest_bold.nii.gz"),
            source + "004_ax_brain_axial_3x4x5.nii.gz",
            source + "005_.._abdomen_axial_3x4x5.nii.gz",
            "sub-P2/ses-20200131/pet/sub-P2_ses-20200131_rec-PETWB_pet.nii.gz",
        ]
    )
    messages = {Path(path).name: message for path, message in zip(table.path, table.message, strict=True) if message}
    assert messages == {
        "004_ax_brain_axial_3x4x5.nii.gz": "in sourcedata, since its headers do not state its contrast",
        "005_.._abdomen_axial_3x4x5.nii.gz": "in sourcedata, since BIDS has no name for images of modality CT",
    }
    phase = json.loads((tmp_path / start.format("fmap", "acq-grefieldmapping_phasediff.json")).read_text())
    assert (phase["EchoTime1"], phase["EchoTime2"], phase["Units"]) == (0.00492, 0.00738, "arbitrary")
    task = json.loads((tmp_path / start.format("func", "task-rest_acq-boldrest_bold.json")).read_text())
    assert (task["TaskName"], task["RepetitionTime"]) == ("rest", 2)
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert (description["Name"], description["BIDSVersion"]) == (tmp_path.name, "1.10.0")
    assert (tmp_path / "participants.tsv").read_text() == "participant_id\nsub-P2\nsub-P1\n"
    before = stamps(tmp_path)
    assert set(session.save_volumes(tmp_path, "BIDS").status) == {"already there"}
    assert stamps(tmp_path) == before


def test_age_and_sex_are_there_on_request(tmp_path: Path) -> None:
    old = one_series(2, patient="P2", PatientAge="093Y", PatientSex="M")
    in_memory(one_series(1, PatientAge="034Y", PatientSex="F"), old).save_volumes(tmp_path, "BIDS", identifiers=True)
    table = (tmp_path / "participants.tsv").read_text()
    assert table == "participant_id\tage\tsex\nsub-P1\t34\tF\nsub-P2\t89+\tM\n"


def test_what_is_in_the_dataset_stays(tmp_path: Path) -> None:
    mine = {"dataset_description.json": b"mine", "participants.tsv": b"participant_id\tgroup\nsub-01\tpatient\n"}
    for name, content in mine.items():
        (tmp_path / name).write_bytes(content)
    in_memory(one_series(1)).save_volumes(tmp_path, "BIDS")
    assert (tmp_path / "dataset_description.json").read_bytes() == b"mine"
    assert (tmp_path / "participants.tsv").read_bytes() == mine["participants.tsv"] + b"sub-P1\tn/a\n"
    (tmp_path / "participants.tsv").write_text("name\n")
    with pytest.raises(SelectionError, match="begins with a column 'name'"):
        in_memory(one_series(2)).save_volumes(tmp_path, "BIDS")
    assert add_participants("participant_id\n", {}) == "participant_id\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_others_stay_as_they_are(end: str, tmp_path: Path) -> None:
    mine = f"participant_id\tnote{end}sub-P2\ta\u2028b\x0bc\x85d{end}sub-01\tlast".encode()
    (tmp_path / "participants.tsv").write_bytes(mine)
    in_memory(one_series(1), one_series(2, patient="P2")).save_volumes(tmp_path, "BIDS")
    assert (tmp_path / "participants.tsv").read_bytes() == mine + f"{end}sub-P1\tn/a{end}".encode()


@pytest.mark.parametrize("kind", ["folder", "pipe", "Latin-1"])
def test_a_table_of_participants_that_cannot_be_read(kind: str, tmp_path: Path) -> None:
    table = tmp_path / "participants.tsv"
    if kind == "folder":
        table.mkdir()
    elif kind == "pipe":
        os.mkfifo(table)
    else:
        table.write_bytes(b"participant_id\tcity\nsub-01\tK\xf6ln\n")
    with pytest.raises(SelectionError, match=r"^save_volumes\(\): "):
        in_memory(one_series(1)).save_volumes(tmp_path, "BIDS")
    assert [path.name for path in tmp_path.iterdir()] == ["participants.tsv"]


def test_two_patients_are_never_one_subject(tmp_path: Path) -> None:
    session = in_memory(one_series(1, patient="P-1"), one_series(2, patient="P1"))
    with pytest.raises(SelectionError, match=r"one subject, sub-.1, of the PatientIDs .*Nothing was written"):
        session.save_volumes(tmp_path / "new", "BIDS")
    assert not (tmp_path / "new").exists()


def test_labels_of_hostile_and_missing_values(tmp_path: Path) -> None:
    series = [
        one_series(1, patient="../..", StudyDate=None, SeriesDescription="t1 ../../x"),
        one_series(2, patient="山田", SeriesDescription="\u202et1"),
        one_series(3, patient="", SeriesDescription=None, StudyInstanceUID="1.2.7"),
        one_series(4, patient="", SeriesDescription=None, StudyInstanceUID="1.2.7", SeriesNumber=3),
    ]
    table = in_memory(*series).save_volumes(tmp_path / "target", "BIDS")
    assert set(table.status) == {"saved"}
    assert all(name.startswith("target/") for name in contents(tmp_path))
    check_names(tmp_path / "target")
    assert len(set(table.path)) == 4


def test_a_field_map_without_its_magnitudes(tmp_path: Path) -> None:
    table = in_memory(gre_field_map()[2]).save_volumes(tmp_path, "BIDS")
    assert "the magnitudes that have its echo times are not selected" in table.message[0]
    assert "sourcedata" in table.path[0]
