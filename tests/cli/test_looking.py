"""The commands that look: columns, sorting, and headers as text and as DICOM JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import simple_orthanc
from simple_orthanc.cli import looking, main, tabular
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.phantom import as_bytes, make_series
from tests import stand_ins
from tests.memory_source import instance, put_raw


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(simple_orthanc, "Folder", stand_ins.Folder, raising=False)
    datasets = [
        *make_series((2, 4, 4), seed=1, PatientID="b", SeriesNumber=10, KVP=[80, 120], SeriesDescription="x"),
        *make_series((1, 4, 4), seed=2, PatientID="a", SeriesNumber=9, SeriesDescription=None),
        *make_series((1, 4, 4), seed=3, PatientID="c", SeriesNumber=None, SeriesDescription="y"),
    ]
    for number, dataset in enumerate(datasets):
        (tmp_path / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return tmp_path


def found(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["--folder", str(folder), "find", *arguments, "--format", "json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_rows_are_those_of_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stand_ins.Folder(folder) as session:
        for level in ("patient", "study", "series", "instance"):
            frame = session.table("PatientID", "SeriesNumber", "instance_count", level="series")
            rows = tabular.from_frame(frame)
            asked = ("series", "--columns", "PatientID,SeriesNumber", "--columns", "instance_count")
            wanted = [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
            assert found(folder, capsys, *asked) == wanted
            everything = found(folder, capsys, level, "--columns", "all")
            assert len(everything) == len(session.table(level=level))  # type: ignore[arg-type]
            # The table leaves out what has no value in any row.
            columns = list(session.table(level=level).columns)  # type: ignore[arg-type]
            assert [name for name in everything[0] if name in columns] == columns


def test_what_is_missing_comes_last_both_ways(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def order(*arguments: str) -> list[object]:
        asked = ("series", "--columns", "PatientID", "--sort", "SeriesNumber", *arguments)
        return [row["PatientID"] for row in found(folder, capsys, *asked)]

    assert order() == ["a", "b", "c"]
    assert order("--descending") == ["b", "a", "c"]
    assert order("--offset", "1", "--limit", "1") == ["b"]
    assert order("--limit", "0") == []
    assert order("--offset", "7") == []


def test_what_differs_inside_a_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert found(folder, capsys, "series", "b", "--columns", "KVP") == [{"KVP": None}]
    assert main(["--folder", str(folder), "find", "series", "b", "--columns", "KVP"]) == 0
    assert "warning: KVP differs within 1 of 1 rows" in capsys.readouterr().err
    assert found(folder, capsys, "series", "b", "--columns", "KVP", "--varying", "list") == [{"KVP": [80.0, 120.0]}]


def test_info_of_a_folder_shows_the_status_of_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(folder), "info"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert dict(lines)["files:"] == "4 indexed"
    assert dict(lines)["instances:"] == "4"


def test_columns_may_be_written_with_commas_in_them() -> None:
    private = '(0009,"GEMS, PETD_01",0D)'
    assert looking.column_names(f"PatientID,0018,0050,{private} KVP") == ["PatientID", "0018,0050", private, "KVP"]
    assert looking.column_names("ImageSurface,0018,0050") == ["ImageSurface", "0018,0050"]


@given(
    st.lists(
        st.sampled_from(
            ["PatientID", "0018,0050", '(0009,"A,B C",0D)', "RequestAttributesSequence[0].ScheduledProcedureStepID"]
        ),
        min_size=1,
    ),
    st.sampled_from([",", ", ", " "]),
)
def test_a_list_of_columns_is_split_as_it_was_joined(names: list[str], separator: str) -> None:
    assert looking.column_names(separator.join(names)) == names


def test_malformed_values_are_shown_as_they_stand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = instance(1, PatientName="A^B\x1b[2J")
    put_raw(header, "SliceThickness", "thin")
    put_raw(header, "StudyDate", "yesterday")
    put_raw(header, "PixelSpacing", "1\\x")
    item = Dataset()
    item.CodeMeaning = "Liver"
    header.AnatomicRegionSequence = Sequence([item])
    header.RedPaletteColorLookupTableData = bytes(100)
    rows = {row[0]: row[1:] for row in looking._elements(header)}
    assert rows["0018,0050"] == ["DS", "SliceThickness", "thin"]
    assert rows["0028,0030"] == ["DS", "PixelSpacing", "1\\x"]
    assert rows["0008,2218"] == ["SQ", "AnatomicRegionSequence", "1 item"]
    assert rows["0008,2218[0].0008,0104"] == ["LO", "CodeMeaning", "Liver"]
    assert rows["0028,1201"][2] == "(100 bytes)"
    for path in rows:
        assert str(parse_tag(path if "[" not in path else path.replace("[0]", "[0]")))
    made = looking.dicom_json(header)
    assert made["00180050"] == {"vr": "DS", "Value": ["thin"]}
    assert made["00280030"] == {"vr": "DS", "Value": ["1", "x"]}
    assert made["00080020"] == {"vr": "DA", "Value": ["yesterday"]}
    assert made["00082218"] == {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": ["Liver"]}}]}
    json.loads(tabular.json_text(made))


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtplan.dcm", "reportsi.dcm", "badVR.dcm", "nested_priv_SQ.dcm"])
def test_the_dicom_json_of_a_real_file_is_its_header(name: str) -> None:
    path = str(get_testdata_file(name, download=False))
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    made = json.loads(tabular.json_text(looking.dicom_json(header)))
    assert len(made) == len(header)
    assert len(list(looking._elements(header))) >= len(header)
    if name != "badVR.dcm":
        again = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        assert made == json.loads(again.to_json())


def test_all_headers_or_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(folder), "tags", "b", "--index", "1", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["00180060"]["Value"] == [120.0]
    assert main(["--folder", str(folder), "tags", "b", "--all", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "instance,tag,VR,keyword,value"
    assert [line for line in lines if ",0018,0060" in line or '"0018,0060"' in line] == [
        '0,"0018,0060",DS,KVP,80.0',
        '1,"0018,0060",DS,KVP,120.0',
    ]
    assert main(["--folder", str(folder), "tags", "b", "--index", "2"]) == 1
    assert "2 instances are selected" in capsys.readouterr().err
