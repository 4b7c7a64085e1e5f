"""What the files of a folder make together: one object for each chain of identifiers, restricted by a DICOMDIR."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from simple_orthanc import Folder
from simple_orthanc.errors import (
    SelectionError,
)
from tests.memory_source import as_file, instance
from tests.session.uploads.test_files import zipped
from tests.sources.folder.folders import (
    DICOMDIR,
    counts,
    listing,
    rows,
    statuses,
    write,
)


def test_one_uid_under_two_patients_is_two_objects(top: Path) -> None:
    folder = Folder(top)
    with pytest.warns(UserWarning, match="occurs 2 times in the archive"):
        folder.select("1.2.1.1.1")
    assert counts(folder) == [2, 2, 2, 2]
    key = folder._source.resolve("P1")[0].key
    assert folder.reset().select(key).PatientIDs == ["P1"]
    with pytest.raises(SelectionError, match="is not a UID"):
        folder.select("1.2.3.4.5.6")


def test_the_first_file_by_path_gives_the_values_of_its_study_and_series(tmp_path: Path) -> None:
    write(tmp_path, {"b/1": as_file(instance(1, PatientName="b", SeriesDescription="b"))})
    write(tmp_path, {"a/9": as_file(instance(2, series="2", PatientName="a", SeriesDescription="of another"))})
    write(tmp_path, {"b/0": as_file(instance(3, PatientName="c", SeriesDescription="c"))})
    folder = Folder(tmp_path)
    assert folder.PatientNames == ["a"]
    assert sorted(folder.SeriesDescriptions) == ["c", "of another"]
    assert set(folder.verify_index().problem) == {"differs inside the study", "differs inside the series"}


def test_duplicates_and_conflicts(tmp_path: Path) -> None:
    one, other = as_file(instance(1, StudyDescription="aa")), as_file(instance(1, StudyDescription="bb"))
    longer = as_file(instance(1, StudyDescription="c" * 10))
    write(tmp_path, {"b": other, "a/x": one, "c": one, "d": longer, "z.zip": zipped(m=one), "e": as_file(instance(2))})
    with pytest.warns(UserWarning, match="2 with the SOPInstanceUID of another file but different content"):
        folder = Folder(tmp_path)
    assert rows(folder) == {
        "a/x": ("indexed", ""),
        "b": ("conflict", f"not used: {os.path.join('a', 'x')} has the same SOPInstanceUID but different content"),
        "c": ("duplicate", f"the same file as {os.path.join('a', 'x')}"),
        "d": ("conflict", f"not used: {os.path.join('a', 'x')} has the same SOPInstanceUID but different content"),
        "e": ("indexed", ""),
        "z.zip!m": ("duplicate", f"the same file as {os.path.join('a', 'x')}"),
    }
    assert counts(folder) == [1, 1, 1, 2]
    assert folder.StudyDescriptions == ["aa"]


def test_a_dicomdir_restricts_to_what_it_lists(tmp_path: Path) -> None:
    files = {"images/im1": as_file(instance(1)), "IMAGES2/IM2": as_file(instance(2)), "other": as_file(instance(3))}
    write(tmp_path, {**files, "DICOMDIR": listing("IMAGES/IM1", "IMAGES2/IM2", "IMAGES/GONE", "-UNUSED", "../OUT")})
    with pytest.warns(UserWarning, match="2 listed in a DICOMDIR but not there"):
        listed = Folder(tmp_path / "DICOMDIR")
    assert listed.get_dicom_tag("InstanceNumber") == [1, 2]
    assert rows(listed) == {
        "../OUT": ("missing", "listed in DICOMDIR, and not there"),
        "DICOMDIR": ("skipped", "a DICOMDIR: a list of files, not an object"),
        "IMAGES/GONE": ("missing", "listed in DICOMDIR, and not there"),
        "IMAGES2/IM2": ("indexed", ""),
        "images/im1": ("indexed", ""),
        "other": ("skipped", "not listed in the DICOMDIR"),
    }
    with pytest.warns(UserWarning, match="2 listed in a DICOMDIR but not there"):
        assert Folder(tmp_path).get_dicom_tag("InstanceNumber") == [1, 2, 3]
    # Of folders that are not entered nobody knows.
    with pytest.warns(UserWarning, match="1 listed in a DICOMDIR but not there"):
        Folder(tmp_path, recursive=False)


def test_real_dicomdirs() -> None:
    assert DICOMDIR is not None
    folder = Folder(DICOMDIR)
    assert counts(folder) == [2, 6, 13, 31]
    assert set(statuses(folder).values()) == {"indexed", "skipped"}


def test_a_dicomdir_in_a_zip_and_one_that_is_broken(tmp_path: Path) -> None:
    members = {"disk__IM1": as_file(instance(1)), "disk__DICOMDIR": listing("IM1", "IM2")}
    broken = listing("IM1")
    write(tmp_path, {"x.zip": zipped(**members), "y/DICOMDIR": broken[: len(broken) - 20]})
    with pytest.warns(UserWarning, match="1 listed in a DICOMDIR but not there"):
        folder = Folder(tmp_path)
    assert rows(folder)["x.zip!disk/IM2"] == ("missing", "listed in disk/DICOMDIR, and not there")
    assert statuses(folder)["y/DICOMDIR"] == "skipped"
    assert folder.instance_count == 1
