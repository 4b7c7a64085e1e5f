"""Names of many objects: no two share one on any file system, and each message has a layout that works."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.exports.layout_names import plan_names
from simple_orthanc.session.exports.layouts import parse_layout
from tests.session.exports.test_names import NAMES

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
