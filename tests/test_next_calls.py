"""Every call that an error of the volume half proposes is made, and keeps its promise.

A case is a session and the reading that fails on it. Where an error gains a call, or a new error comes, a case is added
to `CASES`; `tests.next_calls` takes the calls out of the message and makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, generate_uid

from simple_orthanc import OrthancError, Session, VolumeError
from simple_orthanc.phantom import as_bytes, make_enhanced, make_series
from tests.memory_source import MemorySource
from tests.next_calls import assert_next_calls_work, proposed_calls
from tests.session.damaged import DAMAGES, DamagedSource

Read = Callable[[Session], Any]


def session_of(*series: Sequence[Dataset]) -> Session:
    return Session(MemorySource(dataset for datasets in series for dataset in datasets))


def joined(*series: list[Dataset]) -> Session:
    """A session on images that are made one series, each with an InstanceNumber of its own."""
    first = series[0][0]
    datasets = [dataset for datasets in series for dataset in datasets]
    for number, dataset in enumerate(datasets, 1):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
        dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
        dataset.InstanceNumber = number
    return session_of(datasets)


def mr(shape: tuple[int, int, int] = (3, 4, 4), **keywords: Any) -> list[Dataset]:
    return make_series(shape, modality="MR", **keywords)


def without(keyword: str, datasets: list[Dataset]) -> list[Dataset]:
    for dataset in datasets:
        if keyword in dataset:
            del dataset[keyword]
    return datasets


def positioned(*heights: float, **keywords: Any) -> list[Dataset]:
    """Slices at these heights in mm."""
    keywords = {"ImagePositionPatient": [(0.0, 0.0, height) for height in heights], **keywords}
    return mr((len(heights), 4, 4), **keywords)


def report() -> Dataset:
    dataset = make_series((1, 4, 4))[0]
    for keyword in ("PixelData", "Rows", "Columns"):
        del dataset[keyword]
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComprehensiveSRStorage
    return dataset


def unreadable(kind: str) -> Session:
    series = make_series((5, 4, 4))
    uid = str(series[4].SOPInstanceUID)
    return Session(DamagedSource(series, {uid: DAMAGES[kind](as_bytes(series[4]))}))


def cut_pixels() -> Session:
    series = make_series((5, 4, 4))
    return Session(DamagedSource(series, {str(series[4].SOPInstanceUID): as_bytes(series[4])[:-10]}))


def slices_as_series() -> Session:
    uids = [generate_uid() for _ in range(3)]
    return session_of(mr((3, 4, 4), SeriesInstanceUID=uids, SeriesNumber=[1, 2, 3], SeriesDescription="t1"))


def volume(session: Session) -> Any:
    return session.get_volume()


CASES: dict[str, tuple[Callable[[], Session], Read]] = {
    "several series": (
        lambda: session_of(make_series(SeriesDescription="a"), make_series(seed=2, SeriesDescription="b")),
        volume,
    ),
    "several series of one description": (lambda: session_of(make_series(), make_series(seed=2)), volume),
    "slices that are series": (slices_as_series, volume),
    "series of two studies as one": (
        lambda: session_of(make_series(seed=1), make_series(seed=2)),
        lambda session: session.get_volume(across_series=True),
    ),
    "two echoes": (lambda: joined(mr(EchoTime=4.6, EchoNumbers=1), mr(EchoTime=9.2, EchoNumbers=2)), volume),
    "two echoes by their time alone": (lambda: joined(mr(EchoTime=4.6), mr(EchoTime=9.2)), volume),
    "three times": (
        lambda: joined(*(mr(TemporalPositionIdentifier=time, AcquisitionTime=f"10000{time}") for time in (1, 2, 3))),
        volume,
    ),
    "two b-values": (lambda: joined(mr(DiffusionBValue=0.0), mr(DiffusionBValue=1000.0)), volume),
    "two phases of the heart": (lambda: joined(mr(TriggerTime=0.0), mr(TriggerTime=40.0)), volume),
    "a derived map": (
        lambda: joined(mr(ImageType=("ORIGINAL", "PRIMARY")), mr(ImageType=("DERIVED", "PRIMARY", "ADC"))),
        volume,
    ),
    "a localizer": (
        lambda: joined(
            mr((4, 4, 4), ImageType=("ORIGINAL", "PRIMARY")),
            mr((1, 4, 4), ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"), orientation=(0, 1, 0, 0, 0, -1)),
        ),
        volume,
    ),
    "two sizes": (lambda: joined(mr((3, 4, 4)), mr((3, 5, 6))), volume),
    "two orientations": (lambda: joined(mr(), mr(orientation=(0, 1, 0, 0, 0, -1))), volume),
    "two pixel spacings": (lambda: joined(mr(), mr(spacing=(1.0, 2.0, 2.0))), volume),
    "a missing slice": (lambda: joined(positioned(0, 1, 3, 4)), volume),
    "two spacings": (lambda: joined(positioned(0, 1, 2, 3, 5.3, 7.6, 9.9)), volume),
    "uneven slices": (lambda: joined(positioned(0, 1, 2.7, 3.1, 5.2)), volume),
    "one volume along an axis": (lambda: joined(mr()), lambda session: session.get_volume(dims="time")),
    "an axis that is not there": (
        lambda: joined(mr(EchoTime=4.6), mr(EchoTime=9.2)),
        lambda session: session.get_volume(dims="b"),
    ),
    "an axis over unequal grids": (
        lambda: joined(mr((3, 4, 4), EchoTime=4.6), mr((4, 4, 4), EchoTime=9.2)),
        lambda session: session.get_volume(dims="echo"),
    ),
    "a group without a b-value": (
        lambda: joined(
            mr(DiffusionBValue=0.0, ImageType=("ORIGINAL", "PRIMARY")),
            mr(DiffusionBValue=1000.0, ImageType=("ORIGINAL", "PRIMARY")),
            mr(ImageType=("DERIVED", "PRIMARY", "ADC")),
        ),
        lambda session: session.get_volume(dims="b"),
    ),
    "runs of one volume": (lambda: joined(positioned(0, 1, 3, 4)), lambda session: session.get_volume(gaps="split")),
    "positions that say nothing": (
        lambda: joined(without("ImagePositionPatient", positioned(0, 1, 2, InstanceNumber=None))),
        lambda session: session.get_image(),
    ),
    "directions that are none": (
        lambda: joined(mr(ImageOrientationPatient=(1.0, 0.0, 0.0, 1.0, 0.0, 0.0))),
        volume,
    ),
    "frames of one position": (lambda: session_of([make_enhanced(positions=[(0.0, 0.0, 0.0)] * 3)]), volume),
    "images of one position": (lambda: joined(mr(), mr((1, 4, 4), origin=(0.0, 0.0, 1.0))), volume),
    "images of many positions twice": (lambda: joined(mr((9, 4, 4)), mr((9, 4, 4))), volume),
    "frames that nothing spaces": (
        lambda: session_of([_without_spacing()]),
        volume,
    ),
    "a report alone": (lambda: session_of([report()]), volume),
    "SUV of a CT": (lambda: session_of(make_series()), lambda session: session.get_volume("SUVbw")),
    "real world values that are missing": (
        lambda: session_of(make_series()),
        lambda session: session.get_volume("real world"),
    ),
    "Philips's values that are missing": (lambda: joined(mr()), lambda session: session.get_volume("philips")),
    "two units": (
        lambda: joined(make_series(RescaleType="HU"), make_series(origin=(0.0, 0.0, 3.0), RescaleType="Z")),
        volume,
    ),
    "a slope that means nothing for colour": (
        lambda: session_of(make_series(array=np.zeros((2, 4, 4, 3), np.uint8), modality="US", slope=2.0)),
        volume,
    ),
    "a gantry tilt in an image": (lambda: joined(_tilted()), lambda session: session.get_image()),
    "pixels cut off": (cut_pixels, volume),
    **{f"a file that is {kind}": (lambda kind=kind: unreadable(kind), volume) for kind in DAMAGES},
}


def _without_spacing() -> Dataset:
    """Frames of an object that has one position, and no distance between them."""
    image = make_enhanced((3, 4, 4), ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    del image.PerFrameFunctionalGroupsSequence, image.SharedFunctionalGroupsSequence
    image.PixelSpacing = [1, 1]
    return image


def _tilted() -> list[Dataset]:
    return make_series((4, 4, 4), ImagePositionPatient=[(0.0, 0.3 * number, float(number)) for number in range(4)])


@pytest.mark.parametrize("name", CASES)
def test_the_calls_that_an_error_proposes_do_what_it_says(name: str) -> None:
    make, read = CASES[name]
    session = make()
    with pytest.raises(OrthancError) as caught:
        read(session)
    assert_next_calls_work(session, caught.value)


def test_the_spacing_that_an_error_asks_for_makes_a_volume() -> None:
    session = session_of([_without_spacing()])
    with pytest.raises(OrthancError, match=r"Give it in mm with get_volume\(spacing=\.\.\.\)"):
        session.get_volume()
    assert session.get_volume(spacing=2.5).spacing == (1.0, 1.0, 2.5)
    assert session.get_image(spacing=2.5).GetSpacing() == (1.0, 1.0, 2.5)
    ((_, read),) = session.get_volumes(spacing=2.5).items()
    assert read.spacing == (1.0, 1.0, 2.5)
    for spacing in (0, -1.0, float("nan")):
        with pytest.raises(VolumeError, match="spacing"):
            session.get_array(spacing=spacing)


def test_calls_are_extracted_from_a_message_verbatim() -> None:
    message = (
        'Use get_volume(dims="echo"), or select(SeriesDescription=\'a (b) "c"\', EchoTime=4.6) first, or '
        "select(...), or get_volumes() for each, or get_volumes(). Not forget_volumes()."
    )
    assert proposed_calls(message) == [
        'get_volume(dims="echo")',
        "select(SeriesDescription='a (b) \"c\"', EchoTime=4.6)",
        "get_volumes()",
    ]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("It is wrong.", "fewer than 1"),
        ("Use select(EchoTime=99.0).", "narrows nothing"),
        ("Use select(Modality='MR').", "narrows nothing"),
        ("Use exclude(Modality='MR').", "narrows nothing"),
    ],
)
@pytest.mark.filterwarnings("ignore:Nothing is selected any more")
def test_a_call_that_does_not_help_is_noticed(message: str, says: str) -> None:
    session = joined(mr(EchoTime=4.6), mr(EchoTime=9.2))
    with pytest.raises(AssertionError, match=says):
        assert_next_calls_work(session, OrthancError(message))


def test_a_call_that_fails_is_noticed() -> None:
    session = joined(mr(EchoTime=4.6), mr(EchoTime=9.2))
    for call in ("get_volume()", 'get_volume(dims="b")', "select(EchoTyme=1)", 'get_volumes(gaps="x")'):
        with pytest.raises(OrthancError):
            assert_next_calls_work(session, OrthancError(f"Use {call}."))
