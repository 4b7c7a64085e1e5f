"""Traps of pixel values: bits, rescaling, colour, compression, units of PET, objects without pixels."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from simple_orthanc.phantom import as_bytes, make_series
from tests.live.trap_registry import Case, Trap, axes, case, trap
from tests.live.traps_in_space import stored

NO_PLACE: dict[str, Any] = {
    "ImagePositionPatient": None,
    "ImageOrientationPatient": None,
    "PixelSpacing": None,
    "SliceThickness": None,
    "slope": None,
    "intercept": None,
}


def words(values: list[int], bits: int, *, signed: bool = False) -> list[Dataset]:
    """Make slices of 16-bit words, `bits` of them stored."""
    series = make_series(array=stored(values, "uint16"), seed=1, slope=None, intercept=None)
    for header in series:
        header.BitsStored, header.HighBit, header.PixelRepresentation = bits, bits - 1, int(signed)
    return series


@trap(13, "a RescaleSlope for each slice: 0.5, 1, 1.5 on 100")
def slopes() -> Case:
    series = make_series(array=stored([100, 100, 100]), modality="PT", slope=[0.5, 1.0, 1.5], seed=1, Units="BQML")
    return case(series, [50, 100, 150], axes())


@trap(13, "the first RescaleSlope is whole, the second is not: 1, 0.5 on 101")
def slopes_first_whole() -> Case:
    series = make_series(array=stored([101, 101]), modality="PT", slope=[1.0, 0.5], seed=1, Units="BQML")
    return case(series, [101, 50.5], axes())


@trap(14, "a Modality LUT: 0 is 500, 1 is 600")
def modality_lut() -> Case:
    series = make_series(array=stored([1, 0, 9]), seed=1, slope=None, intercept=None)
    for header in series:
        table = Dataset()
        table.add_new("LUTDescriptor", "SS", [2, 0, 16])
        table.ModalityLUTType = "HU"
        table.add_new("LUTData", "US", [500, 600])
        header.ModalityLUTSequence = Sequence([table])
    return case(series, [600, 500, 600], axes())


@trap(14, "a real world value mapping beside the rescaling", units="real world")
def real_world() -> Case:
    series = make_series(array=stored([1, 2, 3]), seed=1, slope=2, intercept=1, modality="MR")
    for header in series:
        code, mapping = Dataset(), Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "mm2/s", "UCUM", "mm2/s"
        mapping.MeasurementUnitsCodeSequence = Sequence([code])
        mapping.LUTLabel, mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = "ADC", 10.0, 5.0
        mapping.add_new("RealWorldValueFirstValueMapped", "SS", 0)
        mapping.add_new("RealWorldValueLastValueMapped", "SS", 2)
        header.RealWorldValueMappingSequence = Sequence([mapping])
    return case(series, [15, 25, np.nan], axes())


@trap(14, "Philips MR with its private scaling", units="philips")
def philips_scaling() -> Case:
    series = make_series(array=stored([10, 20]), seed=1, slope=3, intercept=0, modality="MR", Manufacturer="Philips")
    for header in series:
        block = header.private_block(0x2005, "Philips Imaging DD 001", create=True)
        block.add_new(0x0D, "FL", 0.0)
        block.add_new(0x0E, "FL", 0.5)
    return case(series, [20, 40], axes())


@trap(15, "MONOCHROME1")
def monochrome1() -> Case:
    series = make_series(array=stored([100, 4000], "uint16"), bits_stored=12, seed=1, modality="CR",
                         PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")  # fmt: skip
    return case(series, [100, 4000], axes())


@trap(16, "padding -2000 to -1990 beside RescaleIntercept -1024")
def padding() -> Case:
    series = make_series(array=stored([-2000, -1995, 24]), intercept=-1024, seed=1)
    for header in series:
        header.add_new("PixelPaddingValue", "SS", -2000)
        header.add_new("PixelPaddingRangeLimit", "SS", -1990)
    return case(series, [-3024, -3019, -1000], axes())


@trap(17, "12 bits with sign: 0x0FFB")
def twelve_bits_signed() -> Case:
    return case(words([0x0FFB, 5], 12, signed=True), [-5, 5], axes())


@trap(17, "overlay in the bits above the 12 stored: 0x8000 + 100")
def overlay_bits() -> Case:
    series = words([0x8000 + 100, 100], 12)
    for header in series:
        header.add_new(0x60000010, "US", 4)
        header.add_new(0x60000011, "US", 4)
        header.add_new(0x60000040, "CS", "G")
        header.add_new(0x60000050, "SS", [1, 1])
        header.add_new(0x60000100, "US", 16)
        header.add_new(0x60000102, "US", 15)
    return case(series, [100, 100], axes())


@trap(17, "8 bits with sign")
def eight_bits_signed() -> Case:
    return case(make_series(array=stored([-5, 100], "int8"), seed=1), [-5, 100], axes())


@trap(17, "32-bit integers")
def thirty_two_bits() -> Case:
    series = make_series(array=stored([100_000, -7], "int32"), seed=1, slope=None, intercept=None)
    return case(series, [100_000, -7], axes())


@trap(17, "Float Pixel Data")
def floats() -> Case:
    series = make_series(array=stored([0.1, -2.5], "float32"), seed=1, modality="MR", slope=None, intercept=None)
    return case(series, np.float32([0.1, -2.5]).tolist(), axes())


@trap(17, "Double Float Pixel Data")
def doubles() -> Case:
    series = make_series(array=stored([0.1, -2.5], "float64"), seed=1, modality="MR", slope=None, intercept=None)
    return case(series, [0.1, -2.5], axes())


def colours() -> NDArray[np.uint8]:
    """Two slices of 32 x 40 pixels in many colours; JPEG 2000 encoders want that many pixels."""
    return (np.arange(2 * 32 * 40 * 3) * 5 % 251).astype("uint8").reshape(2, 32, 40, 3)


def colour_series(**changes: Any) -> list[Dataset]:
    series = make_series(array=colours(), modality="OT", seed=1, **NO_PLACE)
    for header in series:
        for name, value in changes.items():
            setattr(header, name, value)
    return series


@trap(18, "colour, pixel by pixel")
def interleaved() -> Case:
    return case(colour_series(), colours())


@trap(18, "colour, plane by plane (PlanarConfiguration 1)")
def planes() -> Case:
    series = colour_series(PlanarConfiguration=1)
    for header, pixels in zip(series, colours(), strict=True):
        header.PixelData = np.moveaxis(pixels, -1, 0).tobytes()
    return case(series, colours())


# Y, Cb, Cr and the red, green and blue they are (PS3.3 C.7.6.3.1.2).
YBR = ((76, 85, 255), (149, 43, 21), (29, 255, 107), (128, 128, 128))
YBR_AS_RGB = ((254, 0, 0), (0, 255, 0), (0, 0, 254), (128, 128, 128))


@trap(18, "YBR_FULL")
def ybr() -> Case:
    return ybr_case(np.asarray(YBR * 2, "uint8").reshape(2, 2, 2, 3), "YBR_FULL")


@trap(18, "YBR_FULL_422, two pixels share their colour")
def ybr_422() -> Case:
    # Y Y Cb Cr: grey pixels of which the first two differ in brightness.
    groups = np.asarray([[10, 20, 128, 128], [76, 76, 85, 255]], "uint8")
    series = make_series(array=np.zeros((1, 2, 2, 3), "uint8"), modality="OT", seed=1, **NO_PLACE)
    series[0].PhotometricInterpretation, series[0].PixelData = "YBR_FULL_422", groups.tobytes()
    red = YBR_AS_RGB[0]
    return case(series, np.asarray([[[[10] * 3, [20] * 3], [red, red]]]))


def ybr_case(array: NDArray[Any], photometric: str) -> Case:
    series = make_series(array=array, modality="OT", seed=1, **NO_PLACE)
    for header in series:
        header.PhotometricInterpretation = photometric
    return case(series, np.asarray(YBR_AS_RGB * 2).reshape(array.shape))


@trap(18, "palette of 16-bit entries, first entry for value 2")
def palette() -> Case:
    series = make_series(array=stored([2, 3, 9], "uint8"), modality="OT", seed=1, **NO_PLACE)
    entries = {"Red": (1000, 65535), "Green": (2000, 0), "Blue": (3000, 40)}
    for header in series:
        header.PhotometricInterpretation = "PALETTE COLOR"
        for name, values in entries.items():
            header.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [2, 2, 16])
            header.add_new(f"{name}PaletteColorLookupTableData", "OW", np.asarray(values, "<u2").tobytes())
    first, last = ([values[place] for values in entries.values()] for place in (0, 1))
    return case(series, np.asarray([first, last, last])[:, None, None, :])


def grey() -> NDArray[np.int16]:
    """Signed 12-bit values, rough enough to show a wrong predictor."""
    return np.random.default_rng(1).integers(-2048, 2048, (2, 32, 36)).astype("int16")


def grey_series() -> list[Dataset]:
    return make_series(array=grey(), bits_stored=12, seed=1, intercept=-24)


def grey_case(change: Callable[[Dataset], Dataset | None]) -> Case:
    series = [change(header) or header for header in grey_series()]
    return case(series, grey() - 24, axes())


def in_syntax(syntax: str) -> Callable[[], Case]:
    def build() -> Case:
        def change(header: Dataset) -> None:
            header.file_meta.TransferSyntaxUID = syntax
            if syntax == ExplicitVRBigEndian:
                header.PixelData = np.frombuffer(header.PixelData, "<i2").astype(">i2").tobytes()

        return grey_case(change)

    return build


def compressed(syntax: str) -> Callable[[], Case]:
    def build() -> Case:
        # The codecs write the sign into their streams; what is above the stored bits is theirs to clear.
        return grey_case(lambda header: header.compress(syntax, generate_instance_uid=False))

    return build


NATIVE: dict[str, Trap] = {
    name: trap(19, f"{name}, signed 12 bits")(in_syntax(syntax))
    for name, syntax in {
        "Implicit VR": ImplicitVRLittleEndian,
        "big endian": ExplicitVRBigEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
    }.items()
}
COMPRESSED: dict[str, Trap] = {
    name: trap(19, f"{name}, signed 12 bits")(compressed(syntax))
    for name, syntax in {"RLE": RLELossless, "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless}.items()
}


@trap(19, "JPEG lossless, signed 12 bits")
def jpeg_lossless() -> Case:
    return grey_case(as_jpeg_lossless)


def as_jpeg_lossless(header: Dataset) -> Dataset:
    """Encode with GDCM, since pydicom has no encoder for this. GDCM keeps its objects safely only from file to file."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        source, target = str(Path(folder, "source")), str(Path(folder, "target"))
        Path(source).write_bytes(as_bytes(header))
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(source)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(target)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return dcmread(BytesIO(Path(target).read_bytes()))


@trap(18, "colour, RLE from planes")
def rle_colour() -> Case:
    return encoded_colour(RLELossless)


@trap(18, "colour, JPEG 2000 with its reversible colour transformation (YBR_RCT)")
def jpeg_2000_colour() -> Case:
    return encoded_colour(JPEG2000Lossless)


@trap(18, "colour, JPEG-LS")
def jpeg_ls_colour() -> Case:
    return encoded_colour(JPEGLSLossless)


def encoded_colour(syntax: str) -> Case:
    series = colour_series()
    for header in series:
        if syntax == JPEG2000Lossless:
            header.PhotometricInterpretation = "YBR_RCT"
        header.compress(syntax, generate_instance_uid=False)
    return case(series, colours())


@trap(0, "unsigned 16 bits with RescaleIntercept -1024")
def negative_intercept() -> Case:
    return case(make_series(array=stored([0, 65535], "uint16"), intercept=-1024, seed=1), [-1024, 64511], axes())


@trap(0, "pixel data cut off")
def cut_off() -> Case:
    series = make_series((2, 4, 4), seed=1)
    series[1].PixelData = series[1].PixelData[:20]
    return case(series)


def without_pixels(sop_class: str, modality: str) -> Case:
    header = make_series((1, 4, 4), seed=1, modality=modality, SOPClassUID=sop_class)[0]
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
                    "SamplesPerPixel", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept",
                    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):  # fmt: skip
        delattr(header, keyword)
    header.file_meta.MediaStorageSOPClassUID = sop_class
    return case([header])


@trap(0, "a structured report")
def structured_report() -> Case:
    return without_pixels("1.2.840.10008.5.1.4.1.1.88.11", "SR")


@trap(0, "a radiotherapy plan")
def radiotherapy_plan() -> Case:
    return without_pixels("1.2.840.10008.5.1.4.1.1.481.5", "RTPLAN")


@trap(0, "a key object selection")
def key_object() -> Case:
    return without_pixels("1.2.840.10008.5.1.4.1.1.88.59", "KO")


F18 = 6586.2
DOSE = 350_000_000.0


def pet(changes: dict[str, Any] | None = None, **item: Any) -> list[Dataset]:
    """Make two PET slices of 70 kg, F-18, injected at 10:00, series and acquisition at 11:00; they hold 1000 and 2000.

    Parameters
    ----------
    changes : dict
        Keywords of the image; None leaves one out.
    **item
        Keywords of the radiopharmaceutical.
    """
    tags: dict[str, Any] = {
        "Units": "BQML",
        "DecayCorrection": "START",
        "CorrectedImage": ("DECY", "ATTN", "SCAT"),
        "PatientWeight": "70",
        "PatientSize": "1.75",
        "PatientSex": "F",
        "SeriesDate": "20250101",
        "SeriesTime": "110000",
        "AcquisitionDate": "20250101",
        "AcquisitionTime": "110000",
        "ActualFrameDuration": 300000,
        "FrameReferenceTime": "150000",
        **(changes or {}),
    }
    drug: dict[str, Any] = {
        "RadiopharmaceuticalStartDateTime": "20250101100000",
        "RadionuclideTotalDose": str(DOSE),
        "RadionuclideHalfLife": str(F18),
        **item,
    }
    series = make_series(array=stored([1000, 2000]), modality="PT", seed=1, **tags)
    for header in series:
        header.RadiopharmaceuticalInformationSequence = [Dataset()]
        for name, value in drug.items():
            if value is not None:
                setattr(header.RadiopharmaceuticalInformationSequence[0], name, value)
    return series


def left(seconds: float, half_life: float = F18) -> float:
    """Return the dose that is left after some seconds."""
    return float(DOSE * 2 ** (-seconds / half_life))


def suv_case(series: list[Dataset], factor: float | tuple[float, float]) -> Case:
    return case(series, [1000, 2000] * np.broadcast_to(factor, 2), axes())


@trap(20, "SUV of PET in BQML", units="SUVbw")
def suv_bqml() -> Case:
    return suv_case(pet(), 70_000 / left(3600))


@trap(20, "SUV of Philips PET in counts with its SUV factor", units="SUVbw")
def suv_counts() -> Case:
    series = pet({"Units": "CNTS", "Manufacturer": "Philips Medical Systems"})
    for header in series:
        header.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.0005")
    return suv_case(series, 0.0005)


@trap(20, "SUV of PET in counts, no factor", units="SUVbw")
def suv_counts_unknown() -> Case:
    return case(pet({"Units": "CNTS"}))


@trap(20, "SUV of PET in proportional counts", units="SUVbw")
def suv_proportional() -> Case:
    return case(pet({"Units": "PROPCNTS"}))


@trap(21, "SUV, series made after the acquisition (SeriesTime later)", units="SUVbw")
def suv_late_series() -> Case:
    series = pet({"SeriesTime": "113000", "FrameReferenceTime": "450000", "ActualFrameDuration": 603000})
    # The frame's mean is 299.91 s after its start, which FrameReferenceTime puts at 450 s.
    return suv_case(series, 70_000 / left(3600 + 299.9129 - 450))


@trap(21, "SUV, not decay corrected, slices acquired at different times", units="SUVbw")
def suv_uncorrected() -> Case:
    series = pet({"DecayCorrection": "NONE", "CorrectedImage": ("ATTN",), "AcquisitionTime": ["110000", "111000"],
                  "ActualFrameDuration": 603000})  # fmt: skip
    return suv_case(series, (70_000 / left(3600 + 299.9129), 70_000 / left(4200 + 299.9129)))


@trap(22, "SUV, dose in MBq", units="SUVbw")
def suv_megabecquerel() -> Case:
    return suv_case(pet(RadionuclideTotalDose=str(DOSE / 1e6)), 70_000 / left(3600))


@trap(22, "SUV, no weight", units="SUVbw")
def suv_weightless() -> Case:
    return case(pet({"PatientWeight": None}))


def files_of(series: list[Dataset]) -> list[bytes]:
    return [as_bytes(header) for header in series]
