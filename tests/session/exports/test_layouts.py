"""Layouts: what they make of values, which they refuse, and that no two files ever share a name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError, UnknownTagError
from simple_orthanc.session.exports.layouts import parse_layout, plan_names
from tests.session.exports.test_names import HOSTILE, NAMES

VALUES: dict[str, Value | int] = {
    "PatientID": ("P 1",),
    "PatientName": ("Doe^Jane",),
    "StudyDate": ("2020.01.31",),
    "StudyTime": ("103015.5",),
    "AcquisitionDateTime": ("20200131103015.5+0100",),
    "SeriesNumber": ("4",),
    "SliceThickness": ("1.50",),
    "ImageType": ("ORIGINAL", "PRIMARY"),
    "PixelSpacing": ("0.5", "0.25"),
    "SeriesDescription": ("T2* / FLAIR",),
    "InstanceNumber": ("-7",),
    "PixelPaddingValue": (b"\x01\x02",),
    "index": 3,
}


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("{PatientID}", "P_1"),
        ("{PatientName}.dcm", "Doe_Jane.dcm"),
        ("{StudyDate:%Y}/{StudyDate:%m-%d}/a", "2020/01-31/a"),
        ("{StudyDate:%y%j}", "20031"),
        ("{StudyTime:%H%M%S.%f}", "103015.500000"),
        ("{AcquisitionDateTime:%Y-%m-%dT%H}", "2020-01-31T10"),
        ("{SeriesNumber:03d}-{InstanceNumber:04d}.dcm", "004--007.dcm"),
        ("{SliceThickness:.1f}mm", "1.5mm"),
        ("{SliceThickness:d}", "1.50"),
        ("{PixelSpacing:.1f}", "0.5-0.2"),
        ("{ImageType}", "ORIGINAL-PRIMARY"),
        ("{ImageType:.4}", "ORIG-PRIM"),
        ("{SeriesDescription}", "T2____FLAIR"),
        ("{0020,0011}_{index:02d}", "4_03"),
        ("{StationName}/{StationName|no station}/{StationName|}/x{StationName|}.dcm", "missing/no station/x.dcm"),
        ("{StationName|}.dcm", "missing.dcm"),
        ("{StationName:.3}", "missing"),
        ("{{braces}}", "{braces}"),
        ("a b/{PatientID}", "a b/P_1"),
        ("{PixelPaddingValue}", "0102"),
    ],
)
def test_what_a_layout_makes_of_values(layout: str, path: str) -> None:
    # The names of fields are those in the layout.
    values = {**VALUES, "0020,0011": VALUES["SeriesNumber"]}
    assert str(parse_layout(layout, "download").name(values).path) == path


@pytest.mark.parametrize(
    ("value", "name"),
    [("20200231", "20200231"), ("unknown", "unknown"), ("", "")],
)
def test_what_is_no_date_is_named_as_it_is(value: str, name: str) -> None:
    made = parse_layout("x{StudyDate:%Y}", "download").name({"StudyDate": (value,) if value else None})
    assert str(made.path) == f"x{name or 'missing'}"


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("", "a layout is a string of tags"),
        (None, "a layout is a string of tags"),
        (5, "a layout is a string of tags"),
        ("/{PatientID}", "begins or ends with a slash"),
        ("{PatientID}/", "begins or ends with a slash"),
        ("a//b", "begins or ends with a slash"),
        ("../{PatientID}", "a folder of dots"),
        ("a/./b", "a folder of dots"),
        ("{PatientID", "a { without its other half"),
        ("PatientID}", "a } without its other half"),
        ("C:\\{PatientID}", "character that names on some systems cannot have"),
        ("a\0b", "character that names on some systems cannot have"),
        ("a\nb", "character that names on some systems cannot have"),
        ("{PatientID|a/b}", "the default 'a/b'"),
        ("{StudyDate:%b}", r"'%b' is no format of StudyDate: it takes %Y, .*as in \{StudyDate:%Y%m%d\}"),
        ("{StudyDate:%}", "is no format of StudyDate"),
        ("{StudyDate:04d}", "is no format of StudyDate"),
        ("{StudyTime:%Y}", "is no format of StudyTime"),
        ("{StudyDate:%Y/%m}", r"for folders write \{StudyDate:%Y\}/\{StudyDate:%m\}"),
        ("{InstanceNumber:04s}", r"a number, as in \{InstanceNumber:04d\}"),
        ("{InstanceNumber:999999999d}", "a number"),
        ("{InstanceNumber:.2d}", "a number"),
        ("{PatientID:04d}", r"a string, .*as in \{PatientID:.20\}"),
        ("{PatientID:.9999}", "a string"),
        ("{PixelData}", "a sequence or pixels"),
        ("{ReferencedImageSequence}", "a sequence or pixels"),
    ],
)
def test_layouts_that_are_refused(layout: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as caught:
        parse_layout(layout, "download")
    assert "A layout is, for example, " in caught.value.message


def test_an_unknown_tag_is_an_error_with_close_matches() -> None:
    with pytest.raises(UnknownTagError, match=r"download\(layout='\{PatientNme\}'\): .*Did you mean PatientName"):
        parse_layout("{PatientNme}", "download")
    with pytest.raises(UnknownTagError, match=r"\{index\}, \{label\}"):
        parse_layout("{}", "save_volumes", ("index", "label"))


def test_the_layout_of_a_message_can_be_used() -> None:
    for verb in ("download", "save_volumes"):
        with pytest.raises(SelectionError) as caught:
            parse_layout("", verb)
        (example,) = re.findall(r'for example, "(.*?)"', caught.value.message)
        parse_layout(example, verb)


PROPOSALS = (("InstanceNumber",), ("SOPInstanceUID",), ("index",))


def planned(layout: str, columns: Mapping[str, Sequence[Value | int]]) -> list[PurePosixPath]:
    count = len(next(iter(columns.values())))
    every = {"index": list(range(1, count + 1)), **columns}
    return plan_names(parse_layout(layout, "download"), every.__getitem__, "object {}".format, "download", PROPOSALS)


@pytest.mark.parametrize(
    ("layout", "ids", "message"),
    [
        ("{PatientID}.dcm", ["a", "a"], "object 0 and object 1 into one file, 'a.dcm'"),
        ("{PatientID}.dcm", ["a", "A"], "into one file"),
        ("{PatientID}.dcm", ["e\u0301", "\u00c9"], "into one file"),
        ("{PatientID}.dcm", ["a b", "a_b"], "into one file"),
        ("same.dcm", ["a", "b"], "into one file, 'same.dcm'"),
        ("{PatientID}/{index}", ["a b", "a_b"], r"into one folder, 'a_b', .*\('a b' and 'a_b'\)"),
        ("{PatientID}/{index}", [None, "missing"], "into one folder, 'missing'"),
        ("{PatientID}/{index}", ["a", "A"], "into one folder, 'A'"),
    ],
)
def test_no_two_files_share_a_name(layout: str, ids: list[str | None], message: str) -> None:
    columns: dict[str, list[Value]] = {
        "PatientID": [None if text is None else (text,) for text in ids],
        "InstanceNumber": [("1",), ("2",)],
        "SOPInstanceUID": [("1.2",), ("1.3",)],
    }
    with pytest.raises(SelectionError, match=message) as caught:
        planned(layout, columns)
    # The layout that is proposed is one.
    (proposal,) = re.findall(r"keeps them apart: download\(layout='(.*?)'\)", caught.value.message)
    assert len(set(planned(proposal, columns))) == 2
    assert proposal.endswith(".dcm") == layout.endswith(".dcm")


def test_a_file_and_a_folder_do_not_share_a_name() -> None:
    columns: dict[str, list[Value]] = {"PatientID": [("a",), ("b",)], "StudyID": [("x",), None]}
    columns |= {"InstanceNumber": [("1",), ("1",)], "SOPInstanceUID": [("1.2",), ("1.3",)]}
    with pytest.raises(SelectionError, match="under one name, 'x', as a file and a folder"):
        planned("{StudyID|}/x", columns)


def test_values_that_are_alike_by_their_format_share_a_folder() -> None:
    columns: dict[str, list[Value]] = {"StudyDate": [("20200131",), ("2020.12.31",)], "SeriesNumber": [("1",), ("01",)]}
    assert [str(path) for path in planned("{StudyDate:%Y}/{SeriesNumber:02d}/{index}", columns)] == [
        "2020/01/1",
        "2020/01/2",
    ]


@given(st.lists(st.tuples(NAMES, NAMES | st.none()), min_size=1, max_size=5))
def test_no_name_leaves_the_folder_whatever_the_values(rows: list[tuple[str, str | None]]) -> None:
    columns: dict[str, list[Value]] = {
        "PatientID": [(one,) for one, _ in rows],
        "SeriesDescription": [None if other is None else (other,) for _, other in rows],
        "InstanceNumber": [("1",)] * len(rows),
        "SOPInstanceUID": [(f"1.{number}",) for number in range(len(rows))],
    }
    with suppress(SelectionError):
        check_paths(planned("{PatientID}/{SeriesDescription|}/{index}.dcm", columns))
    # No values share the name of another object here.
    check_paths(planned("{index}/{PatientID}-{SeriesDescription}.dcm", columns))


def check_paths(paths: list[PurePosixPath]) -> None:
    assert len({str(path).casefold() for path in paths}) == len(paths)
    for path in paths:
        whole = Path("/base", path)
        assert Path(os.path.normpath(whole)) == whole
        assert all(part.isprintable() and not set(part) & set('\\:*?"<>|') for part in path.parts)


@pytest.mark.parametrize("value", [*HOSTILE, "x" * 1000, "\u202e\u2066", "\r\n"])
def test_hostile_values_alone(value: str) -> None:
    name = parse_layout("{PatientID}/{PatientID}.dcm", "download").name({"PatientID": (value,)})
    whole = Path("/base", name.path)
    assert Path(os.path.normpath(whole)) == whole
    assert len(name.parts) == 2
