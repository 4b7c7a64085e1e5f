"""Traps of order, position, grouping and multi-frame geometry. Slices hold their numbers by default."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from simple_orthanc.phantom import SECONDARY_CAPTURE, make_enhanced, make_series, put
from tests.live.trap_registry import Case, axes, case, trap

SHUFFLED = (1, 2, 0)


def at(heights: list[float], **keywords: Any) -> list[Dataset]:
    """Make axial slices at these positions in z, each with its number."""
    places = [(0.0, 0.0, height) for height in heights]
    return make_series((len(heights), 4, 4), seed=1, ImagePositionPatient=places, **keywords)


def unlike(first: Dataset, shape: tuple[int, int, int], value: int, **keywords: Any) -> list[Dataset]:
    """Make images of the same series, all pixels with one value."""
    keywords.setdefault("dtype", "int16")
    array = np.full(shape, value, keywords.pop("dtype"))
    keywords.setdefault("InstanceNumber", [50 + number for number in range(shape[0])])
    return make_series(array=array, seed=2, like=first, **keywords)


@trap(1, "InstanceNumber runs against the positions, files stored shuffled")
def slice_order() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), seed=1, InstanceNumber=[10, 9, 8])
    return case([series[place] for place in SHUFFLED], [0, 1, 2], axes(step=(0, 0, 2)))


@trap(1, "the normal points to the feet (ImageOrientationPatient 1, 0, 0, 0, -1, 0)")
def reversed_normal() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), orientation=(1, 0, 0, 0, -1, 0), seed=1)
    return case(series[::-1], [0, 1, 2], axes(row=(0, -1, 0), step=(0, 0, -2)))


@trap(2, "no positions, InstanceNumber 1 to 3")
def numbered_without_position() -> Case:
    return case(without_position([1, 2, 3]), [0, 1, 2])


@trap(2, "no positions, InstanceNumber always 1")
def unnumbered_without_position() -> Case:
    return case(without_position([1, 1, 1]))


@trap(2, "no positions, no InstanceNumber")
def nothing_to_sort_by() -> Case:
    return case(without_position(None))


def without_position(numbers: list[int] | None, modality: str = "OT") -> list[Dataset]:
    series = make_series(
        (3, 4, 4), seed=1, modality=modality, dtype="uint8", slope=None, intercept=None, InstanceNumber=numbers,
        ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, FrameOfReferenceUID=None,
    )  # fmt: skip
    return [series[place] for place in SHUFFLED]


@trap(3, "a slice is missing: z = 0, 2, 6")
def missing_slice() -> Case:
    return case(at([0, 2, 6]))


@trap(4, "uneven spacing: z = 0, 2, 4.1, 6.3")
def uneven_spacing() -> Case:
    return case(at([0, 2, 4.1, 6.3]))


@trap(4, "spacing uneven by less than it matters: z = 0, 2.0001, 4")
def nearly_even_spacing() -> Case:
    return case(at([0, 2.0001, 4]), [0, 1, 2], axes(step=(0, 0, 2)))


@trap(4, "0.625 mm slices whose positions are rounded to 0.01 mm")
def rounded_positions() -> Case:
    # As a scanner's software rounds: halves up.
    heights = [int(62.5 * number + 0.5) / 100 for number in range(9)]
    return case(at(heights), range(9), axes(step=(0, 0, heights[-1] / 8)))


@trap(5, "one position twice, nothing tells the two apart")
def duplicate() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), seed=1)
    return case([*series, *unlike(series[0], (1, 4, 4), 50, spacing=(2, 1, 1), origin=(0, 0, 2), InstanceNumber=[2])])


@trap(5, "two reconstruction kernels in one series")
def two_kernels() -> Case:
    soft = make_series((3, 4, 4), spacing=(2, 1, 1), seed=1, ConvolutionKernel="B30f")
    sharp = unlike(soft[0], (3, 4, 4), 50, spacing=(2, 1, 1), ConvolutionKernel="B70f")
    return case([*soft, *sharp])


@trap(6, "two files with the same SOPInstanceUID and different pixels")
def same_uid() -> Case:
    first = make_series(array=np.full((1, 4, 4), 1, "int16"), seed=1)
    second = make_series(array=np.full((1, 4, 4), 2, "int16"), seed=1)
    return case([*first, *second])


@trap(7, "a localizer in the series")
def localizer() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), seed=1, ImageType=("ORIGINAL", "PRIMARY", "AXIAL"))
    return case([*series, *unlike(series[0], (1, 4, 4), 99, orientation=(0, 1, 0, 0, 0, -1),
                                  ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"))])  # fmt: skip


@trap(7, "a sagittal slice among the axial ones")
def mixed_orientation() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), seed=1)
    return case([*series, *unlike(series[0], (1, 4, 4), 99, orientation=(0, 1, 0, 0, 0, -1))])


@trap(8, "two image sizes in one series")
def two_sizes() -> Case:
    series = make_series((3, 4, 4), seed=1)
    return case([*series, *unlike(series[0], (2, 8, 8), 50)])


@trap(8, "two pixel spacings in one series")
def two_pixel_spacings() -> Case:
    series = make_series((3, 4, 4), seed=1)
    return case([*series, *unlike(series[0], (2, 4, 4), 50, spacing=(1, 0.5, 0.5), origin=(0, 0, 3))])


@trap(8, "two frames of reference in one series")
def two_frames_of_reference() -> Case:
    series = make_series((3, 4, 4), seed=1)
    return case([*series, *unlike(series[0], (2, 4, 4), 50, origin=(0, 0, 3), FrameOfReferenceUID="1.2.3")])


@trap(8, "signed and unsigned slices of one volume")
def two_pixel_types() -> Case:
    signed = make_series(array=np.full((2, 4, 4), -5, "int16"), seed=1)
    return case([*signed, *unlike(signed[0], (1, 4, 4), 60000, dtype="uint16", origin=(0, 0, 2))],
                [-5, -5, 60000], axes())  # fmt: skip


@trap(9, "gantry tilt: each slice 1 mm further in y and 2 mm in z")
def gantry_tilt() -> Case:
    places = [(0.0, 1.0 * number, 2.0 * number) for number in range(4)]
    series = make_series((4, 6, 4), seed=1, ImagePositionPatient=places)
    return case(series, range(4), axes(step=(0, 1, 2)))


@trap(10, "oblique, pixels of 0.7 mm between rows and 1.3 mm between columns")
def oblique() -> Case:
    array = np.arange(3 * 4 * 6, dtype="int16").reshape(3, 4, 6)
    turned = (0.6, 0.8, 0.0, 0.0, 0.0, -1.0)
    series = make_series(array=array, spacing=(2, 0.7, 1.3), origin=(10, 20, 30), orientation=turned, seed=1)
    # The normal is (0.6, 0.8, 0) x (0, 0, -1) = (-0.8, 0.6, 0).
    true = axes(column=(0.78, 1.04, 0), row=(0, 0, -0.7), step=(-1.6, 1.2, 0), origin=(10, 20, 30))
    return case([series[place] for place in SHUFFLED], array, true)


@trap(11, "enhanced CT, rescaling in the shared functional groups")
def enhanced_shared_rescale() -> Case:
    image = make_enhanced((2, 4, 4), modality="CT", array=stored([5, 6]), slope=2, intercept=-1000, seed=1)
    return case([image], [-990, -988], axes())


@trap(11, "enhanced MR, frames stored at z = 4, 0, 2")
def enhanced_shuffled() -> Case:
    places = [(0.0, 0.0, height) for height in (4, 0, 2)]
    image = make_enhanced((3, 4, 4), positions=places, array=stored([2, 0, 1]), spacing=(2, 1, 1), seed=1)
    return case([image], [0, 1, 2], axes(step=(0, 0, 2)))


@trap(11, "enhanced PET, a slope for each frame, frames shuffled")
def enhanced_slopes() -> Case:
    places = [(0.0, 0.0, height) for height in (4, 0, 2)]
    image = make_enhanced(
        modality="PT", positions=places, array=stored([100, 100, 100]), slope=[1.5, 0.5, 1.0], intercept=0.0, seed=1
    )
    return case([image], [50, 100, 150], axes(step=(0, 0, 2)))


def stored(values: list[int], dtype: str = "int16") -> Any:
    return np.repeat(np.asarray(values, dtype), 16).reshape(-1, 4, 4)


def repeated(modality: str, *steps: dict[str, Any]) -> list[Dataset]:
    """Make three slices for each of the steps; slice n of step m holds 10 m + n."""
    first: Dataset | None = None
    result: list[Dataset] = []
    for number, keywords in enumerate(steps):
        array = stored([10 * number + place for place in range(3)])
        numbers = [3 * number + place + 1 for place in range(3)]
        made = make_series(
            array=array,
            spacing=(2, 1, 1),
            modality=modality,
            seed=number,
            like=first,
            InstanceNumber=numbers,
            **keywords,
        )
        first = first or made[0]
        result += made
    return result[::-1]


FOUR_D = (np.arange(3) + 10 * np.arange(2)[:, None])[..., None, None]


@trap(12, "two time points")
def times() -> Case:
    return case(repeated("MR", {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}))


@trap(12, "two echoes")
def echoes() -> Case:
    return case(repeated("MR", {"EchoNumbers": 1, "EchoTime": 4.6}, {"EchoNumbers": 2, "EchoTime": 9.2}))


@trap(12, "two b-values")
def b_values() -> Case:
    return case(repeated("MR", {"DiffusionBValue": 0.0}, {"DiffusionBValue": 1000.0}))


@trap(12, "two b-values, in Siemens' private tag only")
def private_b_values() -> Case:
    series = repeated("MR", {"Manufacturer": "SIEMENS"}, {"Manufacturer": "SIEMENS"})
    for number, header in enumerate(series):
        block = header.private_block(0x0019, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0C, "IS", 1000 if number < 3 else 0)
    return case(series)


@trap(12, "two cardiac phases")
def phases() -> Case:
    return case(repeated("MR", {"TriggerTime": 0.0}, {"TriggerTime": 40.0}))


@trap(12, "dynamic PET: two frame times")
def dynamic_pet() -> Case:
    return case(repeated("PT", {"FrameReferenceTime": 1000.0, "Units": "BQML"},
                         {"FrameReferenceTime": 61000.0, "Units": "BQML"}))  # fmt: skip


@trap(12, "enhanced MR, two time points in one object")
def enhanced_times() -> Case:
    steps = [(time, place) for place in range(3) for time in range(2)]
    image = make_enhanced(
        array=stored([10 * time + place for time, place in steps]),
        positions=[(0.0, 0.0, 2.0 * place) for _, place in steps],
        groups={"FrameContentSequence": {"TemporalPositionIndex": [time + 1 for time, _ in steps]}},
        seed=1,
    )
    return case([image])


@trap(12, "the second time point lacks a slice")
def incomplete_time() -> Case:
    return case(repeated("MR", {"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2})[1:])


@trap(23, "RTDOSE, frame offsets 0, 3 relative to the position")
def dose_relative() -> Case:
    return dose((0.0, 3.0))


@trap(23, "RTDOSE, frame offsets -100, -97 in patient coordinates")
def dose_absolute() -> Case:
    return dose((-100.0, -97.0))


def dose(offsets: tuple[float, float]) -> Case:
    image = make_series(array=stored([1_000_000], "uint32"), modality="RTDOSE", slope=None, intercept=None, seed=1,
                        origin=(0, 0, -100), DoseUnits="GY", DoseType="PHYSICAL", DoseSummationType="PLAN",
                        DoseGridScaling="1E-06")[0]  # fmt: skip
    image.NumberOfFrames = 2
    image.PixelData = stored([1_000_000, 2_000_000], "uint32").tobytes()
    image.FrameIncrementPointer = 0x3004000C
    image.GridFrameOffsetVector = list(offsets)
    return case([image], [1.0, 2.0], axes(step=(0, 0, 3), origin=(0, 0, -100)))


@trap(23, "SEG, two segments, empty slices left out")
def segmentation() -> Case:
    return case([segments()], label_map(), axes(step=(0, 0, 2)))


@trap(23, "SEG, two segments that overlap")
def overlapping_segments() -> Case:
    return case([segments(overlap=True)])


@trap(23, "SEG, fractional")
def fractional_segmentation() -> Case:
    image = segments(fractional=True)
    return case([image], fractions(), axes(step=(0, 0, 2)))


def label_map() -> Any:
    """Segment 1 is the left half of slices 0 and 2, segment 2 the right half of slice 1, slice by slice."""
    result = np.zeros((3, 4, 4), "uint8")
    result[[0, 2], :, :2] = 1
    result[1, :, 2:] = 2
    return result


def fractions() -> Any:
    result = np.zeros((3, 4, 4))
    result[0], result[2] = 0.5, 1.0
    return result


def segments(*, overlap: bool = False, fractional: bool = False) -> Dataset:
    """Make a segmentation with frames for (segment, slice) (2, 1), (1, 2), (1, 0), in this order."""
    frames = [(1, 2), (1, 0)] if fractional else [(2, 1), (1, 2), (1, 0)] + ([(2, 0)] if overlap else [])
    places = [(0.0, 0.0, 2.0 * place) for _, place in frames]
    array = np.zeros((len(frames), 4, 4), "uint8")
    for number, (segment, place) in enumerate(frames):
        array[number] = np.where(label_map()[place] > 0, 1, 0)
        if overlap and (segment, place) == (2, 0):
            array[number] = 1
        if fractional:
            array[number] = 200 if place else 100
    image = make_enhanced(
        array=array, positions=places, spacing=(2, 1, 1), modality="SEG", seed=1, SegmentationType="BINARY",
        groups={"SegmentIdentificationSequence": {"ReferencedSegmentNumber": [segment for segment, _ in frames]}},
    )  # fmt: skip
    del image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    put(image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], "SpacingBetweenSlices", 2)
    image.SegmentSequence = Sequence([Dataset() for _ in range(1 if fractional else 2)])
    for number, item in enumerate(image.SegmentSequence, 1):
        item.SegmentNumber, item.SegmentLabel = number, ("liver", "spleen")[number - 1]
    if fractional:
        image.SegmentationType, image.MaximumFractionalValue = "FRACTIONAL", 200
        image.SegmentationFractionalType = "PROBABILITY"
        return image
    image.BitsAllocated = image.BitsStored = 1
    image.HighBit = 0
    bits = np.packbits(array.ravel(), bitorder="little").tobytes()
    image.PixelData = bits + b"\0" * (len(bits) % 2)
    return image


@trap(0, "one SeriesInstanceUID under two patients")
def two_patients() -> Case:
    one = make_series((3, 4, 4), seed=1, PatientID="A")
    other = unlike(one[0], (3, 4, 4), 50, PatientID="B")
    return case([*one, *other])


@trap(0, "two beds with shifted tables, one frame of reference")
def two_beds() -> Case:
    one = make_series((2, 4, 4), spacing=(2, 1, 1), seed=1, AcquisitionNumber=1, TableHeight=100)
    other = unlike(one[0], (2, 4, 4), 50, spacing=(2, 1, 1), origin=(0, 0, 4), AcquisitionNumber=2, TableHeight=150)
    return case([*other, *one], [0, 1, 50, 50], axes(step=(0, 0, 2)))


@trap(0, "overlapping slices: 5 mm thick, 2 mm apart")
def overlapping_slices() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), seed=1, SliceThickness=5, SpacingBetweenSlices=5)
    return case(series, [0, 1, 2], axes(step=(0, 0, 2)))


@trap(0, "NM, negative SpacingBetweenSlices, orientation in the detector")
def nuclear_medicine() -> Case:
    return case([nm(-2.0)], [2, 1, 0], axes(step=(0, 0, 2), origin=(0, 0, -4)))


def nm(between: float) -> Dataset:
    image = make_series(array=stored([0]), modality="NM", slope=None, intercept=None, seed=1,
                        ImagePositionPatient=None, ImageOrientationPatient=None)[0]  # fmt: skip
    image.NumberOfFrames, image.PixelData = 3, stored([0, 1, 2]).tobytes()
    image.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    put(image, "SpacingBetweenSlices", between)
    image.SliceVector, image.NumberOfSlices = [1, 2, 3], 3
    image.FrameIncrementPointer = 0x00540080
    detector = Dataset()
    put(detector, "ImagePositionPatient", (0, 0, 0))
    put(detector, "ImageOrientationPatient", (1, 0, 0, 0, 1, 0))
    image.DetectorInformationSequence = Sequence([detector])
    return image


@trap(0, "Siemens mosaic: the slices side by side in one image")
def mosaic() -> Case:
    return case(make_series((2, 8, 8), spacing=(2, 100, 100), modality="MR", seed=1,
                            ImageType=("ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC")))  # fmt: skip


@trap(0, "positions that differ in the eighth digit of a number in the ten thousands")
def double_precision() -> Case:
    # The smallest step of a 32-bit float at 40000 is 0.004.
    heights = [40000.000 + 0.001 * number for number in SHUFFLED]
    series = at(heights, array=stored(list(SHUFFLED)), spacing=(0.001, 0.001, 0.001))
    return case(
        series, [0, 1, 2], axes(column=(0.001, 0, 0), row=(0, 0.001, 0), step=(0, 0, 0.001), origin=(0, 0, 40000))
    )


@trap(0, "direction cosines 0.04 % off unit length")
def cosines_nearly_unit() -> Case:
    series = make_series((3, 4, 4), seed=1, ImageOrientationPatient=(1.0004, 0, 0, 0, 0.9998, 0))
    return case(series, [0, 1, 2], axes())


@trap(0, "a slice whose direction cosines are 20 % off unit length")
def cosines_not_unit() -> Case:
    return case(
        make_series((3, 4, 4), seed=1, ImageOrientationPatient=[*[(1, 0, 0, 0, 1, 0)] * 2, (1.2, 0, 0, 0, 1, 0)])
    )


@trap(0, "a slice whose direction cosines are not perpendicular")
def cosines_not_perpendicular() -> Case:
    turned = [*[(1, 0, 0, 0, 1, 0)] * 2, (1, 0, 0, 0.6, 0.8, 0)]
    return case(make_series((3, 4, 4), seed=1, ImageOrientationPatient=turned))


@trap(0, "a single slice, SpacingBetweenSlices 3, SliceThickness 5")
def single_slice() -> Case:
    series = make_series((1, 4, 4), seed=1, modality="MR", SpacingBetweenSlices=3, SliceThickness=5)
    return case(series, [0], axes(step=(0, 0, 3)))


@trap(0, "ultrasound cine of one object, no position")
def ultrasound() -> Case:
    image = without_position([1, 2, 3], "US")[0]
    image.NumberOfFrames, image.PixelData = 3, stored([7, 8, 9], "uint8").tobytes()
    image.FrameIncrementPointer, image.FrameTime = 0x00181063, 40
    return case([image], [7, 8, 9])


@trap(0, "secondary captures with the position left in")
def secondary_capture() -> Case:
    series = make_series((3, 4, 4), spacing=(2, 1, 1), dtype="uint8", slope=None, intercept=None, seed=1,
                         SOPClassUID=SECONDARY_CAPTURE, Modality="OT")  # fmt: skip
    return case([series[place] for place in SHUFFLED], [0, 1, 2], axes(step=(0, 0, 2)))
