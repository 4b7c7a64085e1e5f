"""Requests for volumes, labels of several, and the memory that a volume needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import Session, VolumeError
from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.session.reading import volume_reader
from simple_orthanc.session.reading.volume_reader import VolumeRequest
from tests.memory_source import MemorySource


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"units": "SUV"}, "Did you mean 'SUVbw'"),
        ({"errors": "skip"}, 'choose "raise" or "report"'),
        ({"gaps": "fill"}, 'choose "raise", "nan" or "split"'),
        ({"spacing": 0.0}, "spacing"),
        ({"spacing": float("inf")}, "spacing"),
    ],
)
def test_a_request_without_meaning_is_refused_before_anything_is_read(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(VolumeError, match=says):
        VolumeRequest(**wrong)
    source = MemorySource(make_series())
    for read in (Session(source).get_volume, Session(source).get_volumes):
        with pytest.raises(VolumeError, match=says):
            read(**wrong)
    assert source.requests == 0


def test_a_volume_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(MemorySource(make_series((3, 4, 4))))
    # Three slices of 16 values, two bytes each.
    monkeypatch.setattr(volume_reader, "free_memory", lambda: 96)
    assert session.get_array().nbytes == 96
    monkeypatch.setattr(volume_reader, "free_memory", lambda: 95)
    with pytest.raises(VolumeError, match=r"3 instances like the first would need .* of memory are free"):
        session.get_volume()
    ((label, _),) = session.volume_table()[["label", "slices"]].itertuples(index=False)
    with pytest.raises(VolumeError, match=f"The volume '{label}' would need"):
        session.get_volumes()[label]
    monkeypatch.setattr(volume_reader, "free_memory", lambda: None)
    assert session.get_array().nbytes == 96


@pytest.mark.parametrize("arguments", [{}, {"slices": 1}, {"lazy": True}], ids=str)
def test_a_whole_slide_image_is_refused_before_its_pixels_are_fetched(arguments: dict[str, Any]) -> None:
    slide = make_enhanced((4, 4, 4), TotalPixelMatrixRows=8, TotalPixelMatrixColumns=8)
    source = MemorySource([slide])
    with pytest.raises(VolumeError, match="whole-slide image, whose frames are tiles of one plane and no slices"):
        Session(source).get_volume(**arguments)
    table = Session(source).volume_table()
    assert table.regular.tolist() == [False]
    assert "tiles of one plane" in table.reason[0]
    assert "content" not in source.asked


def test_labels_of_series_with_one_name_stay_apart() -> None:
    first = make_series((2, 4, 4), seed=1, SeriesDescription="head", SeriesNumber=1)
    second = make_series((2, 4, 4), seed=2, like=first[0], SeriesDescription="head", SeriesNumber=2)
    for dataset in second:
        dataset.SeriesInstanceUID = "1.2.3"
    volumes = Session(MemorySource([*first, *second])).get_volumes()
    assert list(volumes) == ["head 1 - axial 2x4x4", "head 2 - axial 2x4x4"]
    assert repr(volumes) == "<2 volumes: head 1 - axial 2x4x4, head 2 - axial 2x4x4>"
    shown = volumes._repr_html_()
    assert all(text in shown for text in ("2 volumes by label", "head 2 - axial 2x4x4", "<td>2 x 4 x 4</td>"))
    with pytest.raises(KeyError):
        volumes["head"]


def test_labels_of_two_time_points_have_their_dates() -> None:
    first = make_series((2, 4, 4), seed=1, SeriesDescription="head", SeriesNumber=1, StudyDate="20200131")
    second = make_series((2, 4, 4), seed=2, SeriesDescription="head", SeriesNumber=1, StudyDate="20210228")
    for dataset in second:
        dataset.PatientID = first[0].PatientID
    session = Session(MemorySource([*first, *second]))
    assert list(session.get_volumes()) == ["head 2020-01-31 - axial 2x4x4", "head 2021-02-28 - axial 2x4x4"]


def test_labels_are_names_of_files(tmp_path: Path) -> None:
    first = make_series((2, 4, 4), seed=1, SeriesDescription="T1/T2*: a", SeriesNumber=1)
    second = make_series((2, 4, 4), seed=2, like=first[0], SeriesDescription="T1:T2?: a", SeriesNumber=1)
    for dataset in second:
        dataset.SeriesInstanceUID = "1.2.3"
    volumes = Session(MemorySource([*first, *second])).get_volumes()
    assert list(volumes) == ["T1_T2__ a - axial 2x4x4", "T1_T2__ a - axial 2x4x4 (2)"]
    for label, volume in volumes.items():
        assert volume.save(tmp_path / f"{label}.nii.gz").parent == tmp_path


def test_a_report_says_whose_the_volumes_are() -> None:
    session = Session(MemorySource(make_series((2, 4, 4), PatientID="P7", StudyDate="20200131", modality="MR")))
    (row,) = session.volume_table().to_dict("records")
    assert list(row)[:5] == ["PatientID", "StudyDate", "Modality", "SeriesInstanceUID", "label"]
    assert (row["PatientID"], str(row["StudyDate"].date()), row["Modality"]) == ("P7", "2020-01-31", "MR")


def test_free_memory_is_known_on_this_system_or_not_at_all() -> None:
    free = volume_reader.free_memory()
    assert free is None or free > 1_000_000
