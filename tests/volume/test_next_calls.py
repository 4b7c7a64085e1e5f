"""Every call that an error about volumes proposes does what the message promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import Folder, Session
from simple_orthanc.errors import VolumeError
from simple_orthanc.phantom import make_enhanced, make_series, put
from tests.next_calls import assert_next_calls_work, run_call
from tests.volume.helpers import SAGITTAL, at
from tests.volume.mosaics import siemens_mosaic, uih_grid

Archive = Callable[[list[Dataset]], Session]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    def store(datasets: list[Dataset]) -> Session:
        for number, dataset in enumerate(datasets):
            dataset.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        return Folder(tmp_path, cache=False)

    return store


def joined(*variants: dict[str, Any], modality: str = "MR") -> list[Dataset]:
    series: list[Dataset] = []
    for number, tags in enumerate(variants):
        numbers = [3 * number + 1, 3 * number + 2, 3 * number + 3]
        like = series[0] if series else None
        series += make_series(modality=modality, like=like, **{"InstanceNumber": numbers, **tags})
    return series


def alternating(keyword: str, first: Any, second: Any) -> list[Dataset]:
    return make_series((8, 4, 4), modality="MR", **{keyword: [first, second] * 4})


def holey() -> list[Dataset]:
    series = make_series((6, 4, 4))
    del series[2]
    return series


def odd_slice(**change: Any) -> list[Dataset]:
    series = make_series((4, 4, 4))
    for keyword, value in change.items():
        put(series[1], keyword, value)
    return series


def with_localizer() -> list[Dataset]:
    block = make_series()
    scout = make_series((1, 4, 4), orientation=SAGITTAL, like=block[0], ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    return block + scout


def one_of_a_concatenation() -> list[Dataset]:
    tags = {"ConcatenationUID": "1.2.3", "InConcatenationNumber": 1, "InConcatenationTotalNumber": 2}
    return [make_enhanced((3, 4, 4), modality="CT", **tags)]


def private_b() -> list[Dataset]:
    series = joined({}, {})
    for number, image in enumerate(series):
        block = image.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", str(1000 * (number // 3)))
    return series


def mosaic_without_its_normal() -> list[Dataset]:
    image = siemens_mosaic(np.zeros((5, 4, 4), np.int16))
    del image[0x0029, 0x1010]
    return [image]


def thicknesses() -> list[Dataset]:
    return at(0, 4, 8, 12, 13.5, 20.5, 27.5, 34.5, SliceThickness=[4] * 4 + [7] * 4)


def two_spacings() -> list[Dataset]:
    return at(*[2.5 * number for number in range(10)], *[27.5 + 5 * number for number in range(10)])


def rounded() -> list[Dataset]:
    heights = [1.25 * number for number in range(1, 12)]
    positions = [float(round(height)) for height in heights]
    return at(*positions, SliceLocation=heights, InstanceNumber=[*range(1, 12)])


ADC = {"ImageType": ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")}
ORIGINAL = {"ImageType": ("ORIGINAL", "PRIMARY")}
DIRECTIONS = [
    {"DiffusionBValue": 1000.0, "DiffusionGradientOrientation": tuple(direction)}
    for direction in (*np.eye(3)[:2], np.zeros(3))
]
VIEWS = {"ImagePositionPatient": None, "ImageOrientationPatient": None}


@pytest.mark.parametrize(
    ("make", "least"),
    [
        (holey, 2),
        (two_spacings, 1),
        (thicknesses, 3),
        (rounded, 1),
        (lambda: at(0, 2, 4.1, 6.3), 1),
        (with_localizer, 2),
        (lambda: odd_slice(PixelSpacing=(1.01, 1.01)), 2),
        (lambda: odd_slice(PixelSpacing=None), 1),
        (lambda: odd_slice(FrameOfReferenceUID="1.2.3"), 1),
        (lambda: odd_slice(ImagePositionPatient=None), 1),
        (lambda: odd_slice(ImageOrientationPatient=(0.9, 0.1, 0, 0, 1, 0)), 1),
        (lambda: joined({"EchoNumbers": 1}, {"EchoNumbers": 2}), 4),
        (lambda: joined({"DiffusionBValue": 0.0}, {"DiffusionBValue": 700.0}), 4),
        (lambda: joined(*({"TriggerTime": 10 * number} for number in range(3))), 4),
        (lambda: joined({}, {}, {}), 4),
        (lambda: joined({"ImageComments": "rest"}, {"ImageComments": "stress"}), 3),
        (lambda: joined({"SeriesNumber": 1}, {"SeriesNumber": 2}), 3),
        (private_b, 3),
        (lambda: alternating("EchoTime", 4.6, 9.2), 3),
        (lambda: alternating("ConvolutionKernel", "B30f", "B70f"), 3),
        (lambda: alternating("TriggerTime", 0, 500), 3),
        (lambda: make_series((2, 4, 4), modality="MG", ImageLaterality=["L", "R"], **VIEWS), 3),
        (one_of_a_concatenation, 1),
        (lambda: make_series((4, 4, 4), ImageOrientationPatient=(0.9, 0.1, 0, 0, 1, 0)), 1),
        (
            lambda: make_series(
                (3, 4, 4), ImageOrientationPatient=None, ImagePositionPatient=[(0, 0, 0), (5, 0, 2), (0, 0, 4)]
            ),
            1,
        ),
        (lambda: make_series((3, 4, 4), InstanceNumber=1, **VIEWS), 1),
        (lambda: make_series((2, 4, 4), ImagePositionPatient=[(0, 0, 0), (4, 0, 0)]), 1),
        (lambda: make_series((1, 64, 64), modality="MR", ImageType=("ORIGINAL", "PRIMARY", "M", "MOSAIC")), 1),
        (mosaic_without_its_normal, 1),
        (lambda: [uih_grid(np.zeros((4, 4, 4), np.int16), [(0, 0, 0)])], 1),
    ],
)
def test_one_volume(archive: Archive, make: Callable[[], list[Dataset]], least: int) -> None:
    session = archive(make())
    with pytest.raises(VolumeError) as caught:
        session.get_volume()
    assert_next_calls_work(session, caught.value, least=least)


@pytest.mark.parametrize(
    ("make", "axis"),
    [
        (lambda: joined({"DiffusionBValue": 0.0, **ORIGINAL}, {"DiffusionBValue": 700.0, **ORIGINAL}, ADC), "b"),
        (
            lambda: joined(
                {"DiffusionBValue": 0.0, **ORIGINAL},
                {"DiffusionBValue": 700.0, **ORIGINAL},
                {**ADC, "DiffusionBValue": 700.0},
            ),
            "b",
        ),
        (lambda: joined({"DiffusionBValue": 0.0}, {"DiffusionBValue": 700.0}, {}), "b"),
        (lambda: joined({"DiffusionBValue": 0.0}, *DIRECTIONS), "b"),
        (lambda: joined({"EchoTime": 4.6}, {"EchoTime": 9.2}, {}), "echo"),
        (lambda: joined({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}, {}), "time"),
        (lambda: joined({"TriggerTime": 10}, {"TriggerTime": 50}, {}), "phase"),
        (lambda: joined({"DiffusionBValue": 700.0}, {}), "b"),
        (lambda: joined({"EchoTime": 4.6}, {"EchoTime": 9.2}), "time"),
        (make_series, "time"),
    ],
)
def test_a_fourth_axis(archive: Archive, make: Callable[[], list[Dataset]], axis: str) -> None:
    session = archive(make())
    with pytest.raises(VolumeError) as caught:
        session.get_volume(dims=axis)
    assert_next_calls_work(session, caught.value)


@pytest.mark.parametrize(
    ("make", "axis", "steps"),
    [
        (lambda: joined({"DiffusionBValue": 0.0, **ORIGINAL}, {"DiffusionBValue": 700.0, **ORIGINAL}, ADC), "b", 2),
        (lambda: joined({"DiffusionBValue": 0.0}, *DIRECTIONS), "b", 3),
        (lambda: joined({"EchoTime": 4.6}, {"EchoTime": 9.2}, {}), "echo", 2),
    ],
)
def test_the_steps_are_left_after_the_exclusion(
    archive: Archive, make: Callable[[], list[Dataset]], axis: str, steps: int
) -> None:
    session = archive(make())
    with pytest.raises(VolumeError) as caught:
        session.get_volume(dims=axis)
    call = caught.value.message.partition("Leave it out with ")[2].partition(", or read")[0]
    assert run_call(session, call).shape[0] == steps


def test_a_spacing_that_is_missing(archive: Archive) -> None:
    (image,) = make_series((1, 4, 4), SliceThickness=None)
    image.NumberOfFrames, image.PixelData = 3, image.PixelData * 3
    session = archive([image])
    with pytest.raises(VolumeError, match=r"get_volume\(spacing=\.\.\.\)") as caught:
        session.get_volume()
    assert_next_calls_work(session, caught.value)
    assert session.get_volume(spacing=2.5).spacing == (1, 1, 2.5)
    assert [volume.spacing for volume in session.get_volumes(spacing=2.5).values()] == [(1, 1, 2.5)]
