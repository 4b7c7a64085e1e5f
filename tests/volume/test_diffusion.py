"""b-values and gradient directions are found where each vendor writes them, in patient coordinates."""

from __future__ import annotations

import doctest
import math
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.volume import diffusion
from simple_orthanc.volume.diffusion import Diffusion, derived_kind, read_diffusion
from tests.dicom.csa_writer import add_csa

HALF = math.sqrt(0.5)
# Rows run along (0.8, 0.6, 0), columns along (-0.6, 0.8, 0).
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def test_examples() -> None:
    assert doctest.testmod(diffusion).failed == 0


def image_of(
    manufacturer: str, elements: dict[tuple[int, str], dict[int, tuple[str, Any]]], **keywords: Any
) -> Dataset:
    """Make an MR image with private elements: (group, creator) to element to VR and value."""
    (image,) = make_series((1, 4, 4), modality="MR", Manufacturer=manufacturer, **keywords)
    for (group, creator), values in elements.items():
        block = image.private_block(group, creator, create=True)
        for element, (vr, value) in values.items():
            block.add_new(element, vr, value)
    return image


def ge(b: int, vector: Sequence[float], **keywords: Any) -> Dataset:
    values = {0xBB + index: ("DS", f"{part:.6g}") for index, part in enumerate(vector)}
    private = {(0x0019, "GEMS_ACQU_01"): values, (0x0043, "GEMS_PARM_01"): {0x39: ("IS", [b, 8, 0, 0])}}
    keywords = {"InPlanePhaseEncodingDirection": "COL", "PatientPosition": "HFS", **keywords}
    return image_of("GE MEDICAL SYSTEMS", private, **keywords)


def siemens(b: int, kind: str, vector: Sequence[float] | None, **keywords: Any) -> Dataset:
    values: dict[int, tuple[str, Any]] = {0x0C: ("IS", str(b)), 0x0D: ("CS", kind)}
    if vector is not None:
        values[0x0E] = ("FD", list(vector))
    return image_of("SIEMENS", {(0x0019, "SIEMENS MR HEADER"): values}, **keywords)


def philips(b: float, vector: Sequence[float]) -> Dataset:
    parts = {0xB0 + index: ("FL", part) for index, part in enumerate(vector)}
    private = {
        (0x2001, "Philips Imaging DD 001"): {0x03: ("FL", b)},
        (0x2005, "Philips MR Imaging DD 001"): parts,
    }
    return image_of("Philips Medical Systems", private)


def uih(b: float, vector: Sequence[float], **keywords: Any) -> Dataset:
    values = {0x09: ("FD", b), 0x37: ("FD", list(vector))}
    return image_of("UIH", {(0x0065, "Image Private Header"): values}, **keywords)


def canon(comment: str, phase: str = "COL", **keywords: Any) -> Dataset:
    return image_of(
        "CANON_MEC", {}, DiffusionBValue=1500.0, ImageComments=comment, InPlanePhaseEncodingDirection=phase, **keywords
    )


def same(found: Diffusion, b: float, direction: Sequence[float] | None) -> bool:
    assert found.b == pytest.approx(b)
    if direction is None or found.direction is None:
        return found.direction is direction
    return found.direction == pytest.approx(tuple(direction), abs=1e-6)


class TestStandard:
    def test_direction_is_a_unit_vector(self) -> None:
        (image,) = make_series((1, 4, 4), modality="MR", DiffusionBValue=700.0)
        image.DiffusionGradientOrientation = [0.0, 3.0, -4.0]
        assert same(read_diffusion(image), 700, (0, 0.6, -0.8))

    @pytest.mark.parametrize("b", [0.0, 0.004])
    def test_a_vector_without_weighting_is_no_direction(self, b: float) -> None:
        (image,) = make_series((1, 4, 4), modality="MR", DiffusionBValue=b)
        image.DiffusionGradientOrientation = [0.577, 0.577, 0.577]
        assert same(read_diffusion(image), b, (0, 0, 0))
        assert not read_diffusion(image).is_trace

    def test_a_missing_b_value_is_not_invented(self) -> None:
        (image,) = make_series((1, 4, 4), modality="MR", Manufacturer="TOSHIBA_MEC")
        assert read_diffusion(image) == Diffusion()

    def test_a_b_value_without_a_vector_has_no_known_direction(self) -> None:
        (image,) = make_series((1, 4, 4), modality="MR", DiffusionBValue=1000.0)
        found = read_diffusion(image)
        assert (found.b, found.direction, found.is_trace) == (1000, None, False)

    def test_a_zero_vector_is_a_trace(self) -> None:
        (image,) = make_series((1, 4, 4), modality="MR", DiffusionBValue=1000.0)
        image.DiffusionGradientOrientation = [0.0, 0.0, 0.0]
        assert same(read_diffusion(image), 1000, (0, 0, 0))
        assert read_diffusion(image).is_trace

    def test_other_modalities_have_none(self) -> None:
        (image,) = make_series((1, 4, 4), modality="CT", DiffusionBValue=1000.0)
        assert read_diffusion(image) == Diffusion()

    def test_a_value_that_is_not_a_number_is_missing(self) -> None:
        image = image_of("GE MEDICAL SYSTEMS", {(0x0043, "GEMS_PARM_01"): {0x39: ("LO", "high")}})
        assert read_diffusion(image) == Diffusion()


def frame_of(image: Dataset, index: int) -> Diffusion:
    return read_diffusion(image, elements.functional_groups(image, 2)[index])


class TestEnhanced:
    def enhanced(self, *, kind: str = "DIRECTIONAL", vector: bool = True) -> Dataset:
        image = make_enhanced((2, 4, 4), modality="MR")
        for index, group in enumerate(image.PerFrameFunctionalGroupsSequence):
            item, direction = Dataset(), Dataset()
            item.DiffusionBValue, item.DiffusionDirectionality = 1000.0 * index, kind if index else "NONE"
            direction.DiffusionGradientOrientation = [0.0, HALF, HALF]
            if index and vector:
                item.DiffusionGradientDirectionSequence = [direction]
            group.MRDiffusionSequence = [item]
        return image

    @pytest.mark.parametrize("kind", ["DIRECTIONAL", "BMATRIX"])
    def test_each_frame_has_its_own(self, kind: str) -> None:
        image = self.enhanced(kind=kind)
        assert same(frame_of(image, 0), 0, (0, 0, 0))
        assert same(frame_of(image, 1), 1000, (0, HALF, HALF))

    def test_isotropic_frames_are_traces(self) -> None:
        found = frame_of(self.enhanced(kind="ISOTROPIC", vector=False), 1)
        assert (found.b, found.direction, found.is_trace) == (1000, (0, 0, 0), True)

    def test_the_b_matrix_gives_the_direction_that_is_missing(self) -> None:
        image = self.enhanced(kind="BMATRIX", vector=False)
        matrix = Dataset()
        for name, value in zip(("XX", "XY", "XZ", "YY", "YZ", "ZZ"), (0, 0, 0, 500, 500, 500), strict=True):
            setattr(matrix, f"DiffusionBValue{name}", float(value))
        image.PerFrameFunctionalGroupsSequence[1].MRDiffusionSequence[0].DiffusionBMatrixSequence = [matrix]
        found = frame_of(image, 1).direction
        assert found is not None
        assert np.abs(found) == pytest.approx((0, HALF, HALF))

    @pytest.mark.parametrize("level", ["shared", "top"])
    def test_an_empty_item_hides_nothing(self, level: str) -> None:
        image = self.enhanced()
        own = image.PerFrameFunctionalGroupsSequence[1]
        if level == "shared":
            image.SharedFunctionalGroupsSequence[0].MRDiffusionSequence = own.MRDiffusionSequence
        else:
            image.DiffusionBValue, image.DiffusionGradientOrientation = 1000.0, [0.0, HALF, HALF]
        own.MRDiffusionSequence = [Dataset()]
        assert same(frame_of(image, 1), 1000, (0, HALF, HALF))

    def test_philips_keeps_classic_elements_in_each_frame(self) -> None:
        image = make_enhanced((2, 4, 4), modality="MR", Manufacturer="Philips")
        for group, b in zip(image.PerFrameFunctionalGroupsSequence, (0.0, 800.0), strict=True):
            block = group.private_block(0x2005, "Philips MR Imaging DD 005", create=True)
            block.add_new(0x0F, "SQ", [philips(b, (0, HALF, HALF))])
        assert same(frame_of(image, 0), 0, (0, 0, 0))
        assert frame_of(image, 1).b == 800
        assert frame_of(image, 1).direction == pytest.approx((0, HALF, HALF), abs=1e-6)


class TestSiemens:
    @pytest.mark.parametrize("kind", ["DIRECTIONAL", "BMATRIX"])
    @pytest.mark.parametrize("orientation", [OBLIQUE, SAGITTAL])
    def test_directions_are_those_of_the_patient(self, kind: str, orientation: Sequence[float]) -> None:
        image = siemens(2000, kind, (0, -0.6, 0.8), orientation=orientation)
        assert same(read_diffusion(image), 2000, (0, -0.6, 0.8))

    def test_without_a_private_creator_the_manufacturer_decides(self) -> None:
        image = siemens(2000, "DIRECTIONAL", (0, 0, 1))
        del image[0x0019, 0x0010]
        assert same(read_diffusion(image), 2000, (0, 0, 1))
        image.Manufacturer = "GE MEDICAL SYSTEMS"
        assert read_diffusion(image) == Diffusion()

    @pytest.mark.parametrize("version", [1, 2])
    def test_the_csa_header_is_read_if_the_elements_are_missing(self, version: int) -> None:
        image = image_of("SIEMENS", {})
        add_csa(image, {"B_value": [1000], "DiffusionGradientDirection": [0.0, 1.0, 0.0]}, version=version)
        assert same(read_diffusion(image), 1000, (0, 1, 0))

    def test_b0_and_traces(self) -> None:
        assert same(read_diffusion(siemens(0, "NONE", None)), 0, (0, 0, 0))
        trace = read_diffusion(siemens(1000, "ISOTROPIC", None))
        assert (trace.b, trace.direction, trace.is_trace) == (1000, (0, 0, 0), True)

    def test_the_b_matrix_alone(self) -> None:
        matrix = {0x27: ("FD", [0.0, 0.0, 0.0, 640.0, 480.0, 360.0])}
        found = read_diffusion(image_of("SIEMENS", {(0x0019, "SIEMENS MR HEADER"): matrix}))
        assert found.b == 1000
        assert found.direction is not None
        assert np.abs(found.direction) == pytest.approx((0, 0.8, 0.6))

    def test_ordinary_images_have_none(self) -> None:
        image = image_of("SIEMENS", {(0x0019, "SIEMENS MR HEADER"): {0x0B: ("DS", "100")}})
        add_csa(image, {"B_value": [], "EchoLinePosition": [32]})
        assert read_diffusion(image) == Diffusion()


class TestPhilips:
    def test_directions_are_those_of_the_patient(self) -> None:
        assert same(read_diffusion(philips(1000, (0.6, 0, -0.8))), 1000, (0.6, 0, -0.8))

    def test_a_zero_vector_is_a_trace(self) -> None:
        assert read_diffusion(philips(1000, (0, 0, 0))).is_trace
        assert not read_diffusion(philips(0, (0, 0, 0))).is_trace

    def test_unknown_vr(self) -> None:
        image = image_of("Philips", {(0x2001, "Philips Imaging DD 001"): {0x03: ("UN", b"\x00\x00\x7a\x44")}})
        assert read_diffusion(image).b == 1000


class TestGe:
    X, Y, Z = 0.36, 0.48, 0.8

    @pytest.mark.parametrize(
        ("orientation", "phase", "parts"),
        [
            (OBLIQUE, "COL", (X, Y, -Z)),
            (OBLIQUE, "ROW", (Y, -X, -Z)),
            (SAGITTAL, "COL", (X, Y, -Z)),
            (SAGITTAL, "ROW", (Y, -X, -Z)),
            (CORONAL, "COL", (X, -Y, -Z)),
            (CORONAL, "ROW", (Y, X, Z)),
        ],
    )
    def test_directions_turn_with_the_image(self, orientation: Sequence[float], phase: str, parts: Any) -> None:
        image = ge(1000, (self.X, self.Y, self.Z), orientation=orientation, InPlanePhaseEncodingDirection=phase)
        row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
        expected = parts[0] * row + parts[1] * column + parts[2] * np.cross(row, column)
        found = read_diffusion(image)
        assert same(found, 1000, expected)
        assert ("certain only for axial" in found.doubt) == ((orientation, phase) != (OBLIQUE, "COL"))

    @pytest.mark.parametrize(("position", "is_certain"), [("HFS", True), ("FFS", False), ("HFP", False)])
    def test_other_positions_of_the_patient_are_doubtful(self, position: str, is_certain: bool) -> None:
        assert (read_diffusion(ge(1000, (1, 0, 0), PatientPosition=position)).doubt == "") is is_certain

    def test_without_the_phase_encoding_the_direction_is_unknown(self) -> None:
        found = read_diffusion(ge(1000, (1, 0, 0), InPlanePhaseEncodingDirection=None))
        assert (found.b, found.direction) == (1000, None)
        assert "unknown" in found.doubt

    @pytest.mark.parametrize(("written", "b"), [(1000001000, 1000), (1000000000, 0), (1000, 1000)])
    def test_the_flag_in_the_b_value(self, written: int, b: float) -> None:
        assert read_diffusion(ge(written, (1, 0, 0))).b == b

    def test_shorter_vectors_scale_the_b_value(self) -> None:
        found = read_diffusion(ge(1000, (HALF, 0, 0)))
        assert same(found, 500, (1, 0, 0))
        assert "scaled by the squared length" in found.doubt

    def test_the_private_b_value_of_ge_is_preferred(self) -> None:
        assert read_diffusion(ge(1000, (1, 0, 0), DiffusionBValue=999.0)).b == 1000

    def test_an_apparent_diffusion_coefficient_has_no_b_value(self) -> None:
        assert read_diffusion(ge(500, (0, 0, 0), ImageType=("DERIVED", "SECONDARY", "PROCESSED"))) == Diffusion()


class TestUih:
    def test_directions_turn_with_the_image(self) -> None:
        found = read_diffusion(uih(929.75, (0.6, 0.0, 0.8), orientation=OBLIQUE))
        assert same(found, 929.75, (0.48, 0.36, 0.8))
        assert found.doubt == ""

    def test_other_planes_are_doubtful(self) -> None:
        found = read_diffusion(uih(929.75, (0.6, 0.0, 0.8), orientation=SAGITTAL))
        assert same(found, 929.75, (-0.8, 0.6, 0.0))
        assert "axial" in found.doubt

    def test_b0(self) -> None:
        assert same(read_diffusion(uih(1.25126, (0, 0, 0))), 1.25126, (0, 0, 0))


class TestCanon:
    @pytest.mark.parametrize(
        ("phase", "expected"), [("COL", (0.8 * 0.8, 0.8 * 0.6, -0.6)), ("ROW", (-0.8 * 0.6, 0.8 * 0.8, 0.6))]
    )
    def test_directions_in_the_comment(self, phase: str, expected: Sequence[float]) -> None:
        found = read_diffusion(canon("b=1500(0.000,0.800,0.600)", phase, orientation=OBLIQUE))
        assert same(found, 1500, expected)
        assert "polarity" in found.doubt

    def test_other_comments_and_vendors(self) -> None:
        assert read_diffusion(canon("b=1500")).direction is None
        image = canon("b=1500(0.000,0.800,0.600)")
        image.Manufacturer = "Hitachi"
        assert read_diffusion(image).direction is None

    def test_standard_directions_are_preferred(self) -> None:
        image = canon("b=1500(0.000,0.800,0.600)")
        image.DiffusionGradientOrientation = [0.0, 0.0, 1.0]
        assert same(read_diffusion(image), 1500, (0, 0, 1))


class TestDerived:
    @pytest.mark.parametrize(
        ("image_type", "kind"),
        [
            (("ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND"), ""),
            (("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"), ""),
            (("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND", "NORM"), "ADC"),
            (("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"), "TRACEW"),
            (("DERIVED", "PRIMARY", "MPR", "NONE"), "MPR"),
            (("DERIVED", "SECONDARY"), "DERIVED"),
            ((), ""),
        ],
    )
    def test_kinds(self, image_type: tuple[str, ...], kind: str) -> None:
        (image,) = make_series((1, 4, 4), modality="MR", ImageType=image_type)
        assert derived_kind(image) == kind

    def test_frame_type_is_preferred_to_image_type(self) -> None:
        image = make_enhanced((2, 4, 4), modality="MR", ImageType=("DERIVED", "PRIMARY", "DIFFUSION", "NONE"))
        item = Dataset()
        item.FrameType = ["DERIVED", "PRIMARY", "DIFFUSION", "FA"]
        image.PerFrameFunctionalGroupsSequence[1].MRImageFrameTypeSequence = [item]
        groups = elements.functional_groups(image, 2)
        assert [derived_kind(image, group) for group in groups] == ["DIFFUSION", "FA"]

    @pytest.mark.parametrize("kind", ["ADC", "FA"])
    def test_maps_have_no_b_value(self, kind: str) -> None:
        image = siemens(1000, "ISOTROPIC", None, ImageType=("DERIVED", "PRIMARY", "DIFFUSION", kind))
        assert read_diffusion(image) == Diffusion()

    def test_trace_images_keep_theirs(self) -> None:
        image = siemens(1000, "ISOTROPIC", None, ImageType=("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"))
        assert read_diffusion(image).b == 1000
        assert read_diffusion(image).is_trace


NONE = (0.0, 0.0, 0.0)
# InstanceNumber (of enhanced objects the first frame of each volume) to b and direction, up to its sign.
REAL: dict[str, dict[int, tuple[float | None, tuple[float, float, float] | None]]] = {
    "canon_v60_comments": {
        20: (0, NONE), 60: (1500, (-0.086742, 0.977201, 0.193787)), 100: (1500, (-0.933806, 0.281196, 0.221215)),
        140: (1500, (-0.135911, 0.203616, 0.969571)),
    },
    "canon_v61_classic": {
        20: (0, NONE), 60: (1500, (0.086751, -0.977201, -0.193784)), 100: (1500, (0.933804, -0.281192, -0.221224)),
        140: (1500, (0.135906, -0.203625, -0.96957)),
    },
    "ge_mr29": {
        5: (0, NONE), 14: (1000, (0.894089, 0.413018, 0.173265)), 23: (1000, (0.157523, 0.351795, 0.922728)),
        32: (1000, (-0.630562, 0.520052, -0.57614)),
    },
    "philips_classic_trace": {
        656: (0, NONE), 657: (2000, (-0.999935, 0.011413, 6.3e-05)), 658: (2000, (-0.011245, -0.984223, -0.176577)),
        672: (2000, NONE),
    },
    "siemens_e11_mosaic": {
        1: (0, NONE), 2: (2000, (1, 0, 0)), 3: (2000, (0.001, -1, 0)), 4: (2000, (-0.031116, -0.7997, -0.599593)),
    },
    "siemens_e11_slices": {
        24: (0, NONE), 72: (2000, (1, 0, 0)), 120: (2000, (0.001, -1, 0)),
        168: (2000, (-0.031116, -0.7997, -0.599593)),
    },
    "siemens_xa30_classic": {
        20: (0, NONE), 59: (2500, (0.999999, 0.0004, 0.0016)), 98: (2500, (0, -0.999999, 0.001601)),
        137: (2500, (-0.032098, -0.800155, -0.598934)),
    },
    "siemens_xa30_enhanced": {
        1: (0, NONE), 2: (2500, (0.999999, 0, 0.0016)), 3: (2500, (0, -0.999999, 0.0016)),
        4: (2500, (-0.032082, -0.800318, -0.598717)),
    },
    "toshiba_v50": {
        21: (None, None), 61: (1500, (0.447298, -0.775695, 0.44522)), 101: (1500, (0.385691, 0.222405, 0.895421)),
        141: (1500, (0.998101, 0.061608, 0)),
    },
    "uih_grid": {
        1: (1.25126, NONE), 2: (929.75, (0.584079, -0.22462, -0.779999)), 3: (929.75, (0.780002, -0.281431, -0.558922)),
    },
    "philips_enhanced_asl": {1: (None, None)},
}  # fmt: skip


def real_images(folder: Path, name: str) -> list[Dataset]:
    with zipfile.ZipFile(folder / "diffusion" / f"{name}.zip") as archive:
        members = [member for member in archive.namelist() if member.endswith(".dcm")]
        return [pydicom.dcmread(BytesIO(archive.read(member)), stop_before_pixels=True) for member in members]


@pytest.mark.parametrize("name", REAL)
def test_real_series(shared_data: Path, name: str) -> None:
    images = {int(image.InstanceNumber): image for image in real_images(shared_data, name)}
    for number, (b, direction) in REAL[name].items():
        image = images[number]
        groups = elements.functional_groups(image, elements.frame_count(image))
        found = read_diffusion(image, groups[0])
        assert found.b == pytest.approx(b, abs=2e-4)
        if direction is None or found.direction is None:
            assert found.direction is direction
        else:
            assert found.direction == pytest.approx(direction, abs=2e-6)
        assert found.is_trace == (number == 672)


def test_a_real_enhanced_object_holds_all_volumes(shared_data: Path) -> None:
    (image,) = real_images(shared_data, "canon_v61_enhanced")
    found = [read_diffusion(image, groups) for groups in elements.functional_groups(image, 12)]
    expected = [
        NONE, (0.293875, -0.953651, -0.064701), (0.797308, -0.210711, 0.565598), (0.841096, -0.123112, -0.526689),
    ]  # fmt: skip
    for index, direction in enumerate(expected):
        for frame in found[3 * index : 3 * index + 3]:
            assert frame.b == (1500 if index else 0)
            assert frame.direction == pytest.approx(direction, abs=1e-6)
