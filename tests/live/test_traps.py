"""Every trap through real servers: the one true volume of it, or the error that says what to do, and doing so works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import requests
from pydicom.dataset import Dataset

from simple_orthanc import (
    AmbiguousSelectionError,
    DuplicateSlicesError,
    InconsistentSlicesError,
    LocalOrthanc,
    MissingSlicesError,
    NoPixelDataError,
    Orthanc,
    PixelDecodeError,
    SuvError,
    VolumeError,
)
from simple_orthanc.errors import OrthancError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session.reading import volume_reader
from tests.live import traps_in_space as space
from tests.live import traps_in_values as values
from tests.live.trap_checks import assert_right, calls, follow, load
from tests.live.traps import TRAPS, Trap

pytestmark = [pytest.mark.one_version, pytest.mark.unmeasured]

TRUE = [trap for trap in TRAPS if trap.case.values is not None]


def named(trap: Trap) -> str:
    return f"{trap.number}-{trap.name}"


@pytest.mark.parametrize("trap", TRUE, ids=named)
def test_the_one_true_volume(orthanc: Orthanc, trap: Trap) -> None:
    session = load(orthanc, trap)
    volume = session.get_volume(units=trap.units)
    assert_right(volume, trap)
    assert np.array_equal(session.get_array(units=trap.units), volume.array, equal_nan=volume.array.dtype.kind == "f")
    table = session.volume_table()
    if trap.name.startswith("SEG, two"):
        assert table.label.tolist() == ["segment 1 liver", "segment 2 spleen"]
    else:
        assert table.slices.tolist() == [len(volume.array)]
    assert table.regular.tolist() == [trap.case.affine is not None] * len(table)


@dataclass(frozen=True)
class Refusal:
    """The error that a trap must get.

    Attributes
    ----------
    kind : type
    attributes : dict
        Of the error, by name.
    calls : dict
        Calls that the message must name, each to the shape of what it leads to, or to shapes by label.
    says : tuple of str
        What else the message must name.
    """

    kind: type[OrthancError]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    calls: Mapping[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()


def two_groups(one: str, other: str, *extra: str, second: str = "", size: int = 3) -> Refusal:
    """Two groups of 4 x 4 pixels; `extra` calls lead to the first, or to both in 4D, `second` to the other."""
    both = {one: (3, 4, 4), other: (size, 4, 4)}
    shapes: dict[str, tuple[int, ...]] = {call: (2, 3, 4, 4) if "dims" in call else (3, 4, 4) for call in extra}
    if second:
        shapes[second] = (size, 4, 4)
    return Refusal(InconsistentSlicesError, {"groups": {one: 3, other: size}}, {"get_volumes()": both, **shapes})


def last_of(trap: Trap) -> str:
    return str(trap.case.headers[-1].SOPInstanceUID)


REFUSALS: dict[Trap, Refusal] = {
    space.unnumbered_without_position: Refusal(
        InconsistentSlicesError, {"groups": {"OT 3x4x4": 3}}, {"get_instances()": 3}, ("1, 1, 1",)
    ),
    space.nothing_to_sort_by: Refusal(
        InconsistentSlicesError, {"groups": {"OT 3x4x4": 3}}, {"get_instances()": 3}, ("InstanceNumber",)
    ),
    space.missing_slice: Refusal(
        MissingSlicesError,
        {"gaps": ((2.0, 6.0, 1),)},
        {
            'get_volume(gaps="nan")': (4, 4, 4),
            'get_volumes(gaps="split")': {"axial 3x4x4 run 1": (2, 4, 4), "axial 3x4x4 run 2": (1, 4, 4)},
        },
    ),
    space.uneven_spacing: Refusal(
        InconsistentSlicesError, {"groups": {"axial 4x4x4": 4}}, {"get_instances()": 4}, ("0, 2, 4.1, 6.3", "2.2 mm")
    ),
    space.duplicate: Refusal(
        DuplicateSlicesError,
        {"positions": ((2.0, tuple(space.duplicate.case.headers[place].SOPInstanceUID for place in (1, 3))),)},
        {f"exclude(SOPInstanceUID={last_of(space.duplicate)!r})": (3, 4, 4), "get_instances()": 4},
    ),
    space.two_kernels: two_groups(
        "kernel B30f", "kernel B70f", "select(ConvolutionKernel='B30f')", second="select(ConvolutionKernel='B70f')"
    ),
    space.localizer: two_groups(
        "axial 3x4x4",
        "localizer sagittal 1x4x4",
        'exclude(ImageType="LOCALIZER")',
        "select(ImageType=('ORIGINAL', 'PRIMARY', 'AXIAL'))",
        second="select(ImageType=('ORIGINAL', 'PRIMARY', 'LOCALIZER'))",
        size=1,
    ),
    space.mixed_orientation: two_groups(
        "axial 3x4x4", "sagittal 1x4x4", "select(SliceThickness=2)", second="select(SliceThickness=1)", size=1
    ),
    space.two_sizes: Refusal(
        InconsistentSlicesError,
        {"groups": {"axial 3x4x4": 3, "axial 2x8x8": 2}},
        {
            "get_volumes()": {"axial 3x4x4": (3, 4, 4), "axial 2x8x8": (2, 8, 8)},
            "select(Rows=4, Columns=4)": (3, 4, 4),
            "select(Rows=8, Columns=8)": (2, 8, 8),
        },
    ),
    space.two_pixel_spacings: two_groups(
        "axial 3x4x4",
        "axial 2x4x4",
        "select(PixelSpacing=(1, 1))",
        second="select(PixelSpacing=(0.5, 0.5))",
        size=2,
    ),
    space.two_frames_of_reference: two_groups(
        "axial 3x4x4",
        "axial 2x4x4",
        "select(InstanceNumber=(1, 3))",
        second="select(InstanceNumber=(50, 51))",
        size=2,
    ),
    space.times: two_groups(
        "time 1",
        "time 2",
        'get_volume(dims="time")',
        "select(TemporalPositionIdentifier=1)",
        second="select(TemporalPositionIdentifier=2)",
    ),
    space.echoes: two_groups(
        "echo 1", "echo 2", 'get_volume(dims="echo")', "select(EchoNumbers=1)", second="select(EchoNumbers=2)"
    ),
    space.b_values: two_groups(
        "b 0", "b 1000", 'get_volume(dims="b")', "select(DiffusionBValue=0)", second="select(DiffusionBValue=1000)"
    ),
    space.private_b_values: two_groups(
        "b 0",
        "b 1000",
        'get_volume(dims="b")',
        "select(InstanceNumber=(1, 3))",
        second="select(InstanceNumber=(4, 6))",
    ),
    space.phases: two_groups(
        "phase 1", "phase 2", 'get_volume(dims="phase")', "select(TriggerTime=0)", second="select(TriggerTime=40)"
    ),
    space.dynamic_pet: two_groups(
        "frame time 1",
        "frame time 2",
        'get_volume(dims="time")',
        "select(FrameReferenceTime=1000)",
        second="select(FrameReferenceTime=61000)",
    ),
    space.enhanced_times: two_groups("time 1", "time 2", 'get_volume(dims="time")'),
    space.incomplete_time: two_groups(
        "time 1",
        "time 2",
        "select(TemporalPositionIdentifier=1)",
        second="select(TemporalPositionIdentifier=2)",
        size=2,
    ),
    space.overlapping_segments: Refusal(
        InconsistentSlicesError,
        calls={"get_volumes()": {"segment 1 liver": (3, 4, 4), "segment 2 spleen": (3, 4, 4)}},
        says=("1, 2 overlap in slice 0",),
    ),
    space.two_patients: Refusal(
        AmbiguousSelectionError,
        calls={
            "select(PatientID='A')": (3, 4, 4),
            "get_volumes()": {"CT A - axial 3x4x4": (3, 4, 4), "CT B - axial 3x4x4": (3, 4, 4)},
        },
    ),
    space.mosaic: Refusal(
        InconsistentSlicesError, {"groups": {"axial 2x8x8": 2}}, {"get_instances()": 2}, ("mosaic", "SliceNormalVector")
    ),
    space.cosines_not_unit: Refusal(
        InconsistentSlicesError,
        calls={"select(InstanceNumber=(1, 2))": (2, 4, 4)},
        says=("ImageOrientationPatient", "length 1"),
    ),
    space.cosines_not_perpendicular: Refusal(
        InconsistentSlicesError,
        calls={"select(InstanceNumber=(1, 2))": (2, 4, 4)},
        says=("ImageOrientationPatient", "perpendicular"),
    ),
    values.cut_off: Refusal(
        PixelDecodeError,
        calls={f"exclude(SOPInstanceUID={last_of(values.cut_off)!r})": (1, 4, 4)},
        says=(f"CT Image Storage {last_of(values.cut_off)}", "32 bytes", "20"),
    ),
    values.structured_report: Refusal(NoPixelDataError, calls={"get_headers()": 1}, says=("Basic Text SR",)),
    values.radiotherapy_plan: Refusal(NoPixelDataError, calls={"get_headers()": 1}, says=("RT Plan",)),
    values.key_object: Refusal(NoPixelDataError, calls={"get_headers()": 1}, says=("Key Object Selection",)),
    values.suv_counts_unknown: Refusal(
        SuvError, calls={'get_volume(units="modality")': (2, 4, 4)}, says=("CNTS", "(7053,1000)", "(7053,1009)")
    ),
    values.suv_proportional: Refusal(
        SuvError, calls={'get_volume(units="modality")': (2, 4, 4)}, says=("Units (0054,1001)", "PROPCNTS")
    ),
    values.suv_weightless: Refusal(
        SuvError, calls={'get_volume(units="modality")': (2, 4, 4)}, says=("PatientWeight (0010,1030)",)
    ),
}
# What is told when it is stored, not when it is read.
TOLD_AT_UPLOAD = {space.same_uid}


def shapes_of(found: Any) -> Any:
    if isinstance(found, Mapping):
        return {label: volume.array.shape for label, volume in found.items()}
    return len(found) if isinstance(found, list) else found.array.shape


@pytest.mark.parametrize("trap", REFUSALS, ids=named)
def test_refused_with_the_call_that_helps(orthanc: Orthanc, trap: Trap) -> None:
    session, expected = load(orthanc, trap), REFUSALS[trap]
    with pytest.raises(expected.kind) as caught:
        session.get_array(units=trap.units)
    error = caught.value
    assert type(error) is expected.kind
    assert {name: getattr(error, name) for name in expected.attributes} == expected.attributes
    for words in expected.says:
        assert words in error.message
    if expected.calls:
        found = {call: shapes_of(result) for call, result in follow(session, error, trap.units).items()}
        assert found == expected.calls


def test_every_trap_is_right_or_refused() -> None:
    assert {trap for trap in TRAPS if trap.case.values is None} == set(REFUSALS) | TOLD_AT_UPLOAD
    # 24 and 25 are about texts and tables.
    assert {trap.number for trap in TRAPS} == set(range(24))
    assert len({trap.name for trap in TRAPS}) == len(TRAPS)


def test_a_call_with_something_to_fill_in_is_not_followed() -> None:
    message = (
        "Use select(Rows=(1, 2), Modality='CT') first, select(...), or get_volumes(), then get_volume(gaps=\"nan\")."
    )
    assert calls(message) == ["select(Rows=(1, 2), Modality='CT')", "get_volumes()", 'get_volume(gaps="nan")']


class TestHoles:
    def test_nan_on_the_regular_grid(self, orthanc: Orthanc) -> None:
        volume = load(orthanc, space.missing_slice).get_volume(gaps="nan")
        assert volume.array.dtype == np.float32
        np.testing.assert_array_equal(volume.array[:, 0, 0], [0, 1, np.nan, 2])
        assert volume.spacing == (1, 1, 2)
        assert any("NaN" in note and "number 2" in note for note in volume.log)

    def test_unbroken_runs(self, orthanc: Orthanc) -> None:
        first, second = load(orthanc, space.missing_slice).get_volumes(gaps="split").values()
        assert (first.array[:, 0, 0].tolist(), second.array[:, 0, 0].tolist()) == ([0, 1], [2])
        assert (first.origin, second.origin) == ((0, 0, 0), (0, 0, 6))
        # A slice alone between holes lies on the grid of the others.
        assert first.spacing == second.spacing == (1, 1, 2)

    def test_a_missing_slice_is_in_the_report(self, orthanc: Orthanc) -> None:
        table = load(orthanc, space.missing_slice).volume_table()
        assert table.regular.tolist() == [False]
        assert "1 between 2 and 6" in table.reason[0]


class TestDuplicates:
    def test_excluding_one_duplicate_helps(self, orthanc: Orthanc) -> None:
        session = load(orthanc, space.duplicate)
        with pytest.raises(DuplicateSlicesError) as caught:
            session.get_volume()
        ((_, (kept, extra)),) = caught.value.positions
        volume = session.exclude(SOPInstanceUID=[extra]).get_volume()
        assert volume.array[:, 0, 0].tolist() == [0, 1, 2]
        assert kept in volume.slices.SOPInstanceUID.tolist()

    def test_the_same_uid_with_other_pixels_is_a_conflict(self, orthanc: Orthanc) -> None:
        for content, status in zip(space.same_uid.case.files, ("stored", "conflict"), strict=True):
            table = orthanc.upload_file(content)
            assert table.status.tolist() == [status]
        assert "not stored" in table.message[0]
        assert orthanc.get_array().tolist() == [[[1] * 4] * 4]


class TestFourDimensions:
    @pytest.mark.parametrize(
        ("trap", "dims", "coordinates"),
        [
            (space.times, "time", (1, 2)),
            (space.echoes, "echo", (4.6, 9.2)),
            (space.b_values, "b", (0, 1000)),
            (space.private_b_values, "b", (0, 1000)),
            (space.phases, "phase", (0, 0.04)),
            (space.dynamic_pet, "time", (0, 60)),
            (space.enhanced_times, "time", (1, 2)),
        ],
        ids=lambda value: value.name if isinstance(value, Trap) else "",
    )
    def test_stacked(self, orthanc: Orthanc, trap: Trap, dims: str, coordinates: tuple[float, float]) -> None:
        session = load(orthanc, trap)
        volume = session.get_volume(dims=dims)
        assert volume.dims == (dims, "slice", "row", "column")
        assert volume.coordinates[dims] == coordinates
        np.testing.assert_array_equal(volume.array, np.broadcast_to(space.FOUR_D, (2, 3, 4, 4)))
        np.testing.assert_array_equal(volume.affine, space.axes(step=(0, 0, 2)))
        assert session.get_array(dims=dims).shape == (2, 3, 4, 4)
        assert session.get_image(dims=dims).GetSize() == (4, 4, 3, 2)
        for number, part in enumerate(session.get_volumes().values()):
            np.testing.assert_array_equal(part.array, volume.array[number])

    def test_unequal_steps_are_not_stacked(self, orthanc: Orthanc) -> None:
        session = load(orthanc, space.incomplete_time)
        with pytest.raises(InconsistentSlicesError, match=r"not all of the 2 volumes have the grid.*get_volumes\(\)"):
            session.get_volume(dims="time")
        assert [volume.array.shape for volume in session.get_volumes().values()] == [(3, 4, 4), (2, 4, 4)]

    def test_an_axis_that_the_images_do_not_have(self, orthanc: Orthanc) -> None:
        with pytest.raises(InconsistentSlicesError, match=r'get_volume\(dims="echo"\)'):
            load(orthanc, space.echoes).get_volume(dims="time")


class TestGeometry:
    def test_gantry_tilt(self, orthanc: Orthanc) -> None:
        session = load(orthanc, space.gantry_tilt)
        volume = session.get_volume()
        assert volume.is_sheared
        with pytest.raises(VolumeError) as caught:
            session.get_image()
        resampled = follow_on(volume, caught.value)
        # Slice 2 begins 2 mm further in y, and the grid begins with slice 0.
        assert resampled.GetDirection() == pytest.approx((1, 0, 0, 0, 1, 0, 0, 0, 1))
        assert resampled.GetSpacing() == pytest.approx((1, 1, 2))
        for number in range(4):
            assert resampled[resampled.TransformPhysicalPointToIndex((0.0, number + 2.0, 2.0 * number))] == number

    def test_corner_voxels_in_mm(self, orthanc: Orthanc) -> None:
        volume = load(orthanc, space.oblique).get_volume()
        assert volume.spacing == pytest.approx((1.3, 0.7, 2))
        assert volume.geometry is not None
        # 5 columns of 1.3 mm along (0.6, 0.8, 0), 3 rows of 0.7 mm along (0, 0, -1),
        # 2 slices of 2 mm along (-0.8, 0.6, 0).
        by_hand = {(5, 0, 0): (13.9, 25.2, 30), (0, 3, 0): (10, 20, 27.9), (0, 0, 2): (6.8, 22.4, 30)}
        for index, place in by_hand.items():
            np.testing.assert_allclose(volume.geometry.to_patient(index, "xyz"), place, atol=1e-9)
            assert volume.to_sitk().TransformIndexToPhysicalPoint(index) == pytest.approx(place)

    def test_a_single_slice_has_an_assumed_spacing(self, orthanc: Orthanc) -> None:
        volume = load(orthanc, space.single_slice).get_volume()
        assert any("assumed, from SpacingBetweenSlices" in note for note in volume.log)

    @pytest.mark.parametrize("trap", [space.ultrasound, space.numbered_without_position], ids=named)
    def test_no_position_no_geometry(self, orthanc: Orthanc, trap: Trap) -> None:
        session = load(orthanc, trap)
        assert session.get_volume().geometry is None
        with pytest.raises(VolumeError, match="assume_geometry=True"):
            session.get_image()
        image = session.get_image(assume_geometry=True)
        assert (image.GetSize(), image.GetSpacing(), image.GetOrigin()) == ((4, 4, 3), (1, 1, 1), (0, 0, 0))
        assert session.get_volume().to_sitk(assume_geometry=True).GetSize() == (4, 4, 3)

    def test_differences_between_positions_are_logged(self, orthanc: Orthanc) -> None:
        assert any("AcquisitionNumber has 2 values" in note for note in load(orthanc, space.two_beds).get_volume().log)

    def test_segments_one_by_one(self, orthanc: Orthanc) -> None:
        volumes = load(orthanc, space.overlapping_segments).get_volumes()
        one, two = (volumes[label] for label in ("segment 1 liver", "segment 2 spleen"))
        assert one.array.any(axis=(1, 2)).tolist() == [True, False, True]
        assert two.array.any(axis=(1, 2)).tolist() == [True, True, False]
        assert one.geometry == two.geometry


def follow_on(volume: Any, error: VolumeError) -> Any:
    """Make the call on the volume that the message names."""
    (call,) = calls(error.message)
    return eval(f"volume.{call}", {"volume": volume})


class Watched(requests.Session):
    """Remembers the paths that were asked for, and how many bytes came."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.answers: list[requests.Response] = []

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        answer = super().send(request, **kwargs)
        self.answers.append(answer)
        return answer

    def files(self) -> set[str]:
        """The files that were asked for."""
        urls = [str(answer.request.path_url) for answer in self.answers]
        return {url.split("/")[2] for url in urls if url.startswith("/instances/") and "/tags" not in url}


@pytest.mark.parametrize("read", [Orthanc.get_volume, Orthanc.get_array, Orthanc.get_image])
def test_too_little_memory_is_an_error_before_the_download(
    empty_server: LocalOrthanc, monkeypatch: pytest.MonkeyPatch, read: Callable[[Orthanc], object]
) -> None:
    # What the headers promise counts; that the pixels are not there is found later, at the download.
    series = make_series((12, 4, 4), seed=1, Rows=4096, Columns=4096)
    http = Watched()
    with Orthanc(empty_server.url, http=http) as session:
        session.upload_dataset(series)
        assert session.select(PatientID="PHANTOM").instance_count == 12
        http.answers.clear()
        # 12 slices of 4096 x 4096 values of 2 bytes.
        monkeypatch.setattr(volume_reader, "free_memory", lambda: 402_653_183)
        with pytest.raises(VolumeError, match=r"12 instances .* need 0\.4 GB as.*get_volumes\(\)") as caught:
            read(session)
        assert type(caught.value) is VolumeError
        # The header of the first instance says what is needed; the last one was fetched beside it.
        assert len(http.files()) == 2
        monkeypatch.setattr(volume_reader, "free_memory", lambda: 402_653_184)
        with pytest.raises(PixelDecodeError, match="33554432 bytes"):
            read(session)


def test_too_little_memory_for_one_of_several_volumes(
    empty_server: LocalOrthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = Watched()
    with Orthanc(empty_server.url, http=http) as session:
        session.upload_dataset(make_series((12, 4, 4), seed=1, Rows=4096, Columns=4096))
        monkeypatch.setattr(volume_reader, "free_memory", lambda: 402_653_183)
        volumes = session.get_volumes()
        http.answers.clear()
        with pytest.raises(VolumeError, match=r"'axial 12x4096x4096' would need 0\.4 GB"):
            volumes["axial 12x4096x4096"]
        # The headers that were planned say what is needed.
        assert not http.files()


def test_objects_without_images_among_images(orthanc: Orthanc) -> None:
    images = make_series((3, 4, 4), seed=1)
    report = values.structured_report.case.headers[0]
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    assert {report.SeriesInstanceUID} == {image.SeriesInstanceUID for image in images}
    orthanc.upload_dataset([*images, report])
    (of_several,) = orthanc.get_volumes().values()
    for volume in (orthanc.get_volume(), of_several):
        assert volume.array[:, 0, 0].tolist() == [0, 1, 2]
        assert any("without pixels left out" in note for note in volume.log)
    assert orthanc.volume_table().regular.tolist() == [True]


def test_what_orthanc_refuses_to_store(orthanc: Orthanc) -> None:
    """None of the traps, but an object without a UID, and a file that ends in the middle of an element."""
    header = make_series((1, 4, 4), seed=1)[0]
    nameless = Dataset()
    nameless.update(header)
    nameless.file_meta = header.file_meta
    del nameless.StudyInstanceUID
    table = orthanc.upload_dataset(nameless)
    assert table.status.tolist() == ["failed"]
    assert "Inexistent tag" in table.message[0]
    table = orthanc.upload_file(as_bytes(header)[:-10])
    assert table.status.tolist() == ["failed"]
    assert "Bad file format" in table.message[0]
    assert len(orthanc) == 0
