"""What the header says about the meaning of stored values."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.phantom import make_series
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype
from simple_orthanc.pixels.rescale import UNITS, Rescale, check_units, read_rescale
from simple_orthanc.pixels.suv import SUV_KINDS
from tests.pixels.objects import header, item


class TestRescale:
    def test_stored_is_the_identity(self) -> None:
        found = read_rescale(header(RescaleSlope=2, RescaleIntercept=1), 0, "stored")
        assert found.is_identity
        assert found.unit == "stored"

    @pytest.mark.parametrize(
        ("values", "slope", "intercept", "unit"),
        [
            ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024"}, 1, -1024, "HU"),
            ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}, 1, -1024, "HU"),
            ({"Modality": "CT", "RescaleSlope": "1", "RescaleIntercept": "0", "RescaleType": "MGML"}, 1, 0, "MGML"),
            ({"Modality": "CT"}, 1, 0, "stored"),
            ({"Modality": "MR"}, 1, 0, "stored"),
            ({"Modality": "MR", "RescaleSlope": "2.5", "RescaleIntercept": "1"}, 2.5, 1, "US"),
            ({"Modality": "PT", "RescaleSlope": "0.5", "RescaleIntercept": "0", "Units": "BQML", "RescaleType": "SUV"},
             0.5, 0, "BQML"),
            ({"Modality": "PT", "Units": "GML"}, 1, 0, "g/ml"),
            ({"Modality": "PT", "Units": "CM2ML"}, 1, 0, "cm2/ml"),
            ({"Modality": "MR", "RescaleSlope": "2", "RescaleType": "um2/ms"}, 2, 0, "um2/ms"),
            ({"Modality": "MR", "RescaleSlope": "2", "RescaleType": "us"}, 2, 0, "US"),
            ({"Modality": "RTDOSE", "DoseGridScaling": "1e-6", "DoseUnits": "GY"}, 1e-6, 0, "GY"),
            ({"Modality": "CR", "RescaleIntercept": "-5"}, 1, -5, "US"),
            ({"Modality": "SEG", "SegmentationType": "FRACTIONAL", "SegmentationFractionalType": "PROBABILITY",
              "MaximumFractionalValue": 250}, 0.004, 0, "PROBABILITY"),
        ],
    )  # fmt: skip
    def test_linear(self, values: dict[str, Any], slope: float, intercept: float, unit: str) -> None:
        found = read_rescale(header(**values))
        assert (found.slope, found.intercept, found.unit, found.lut) == (slope, intercept, unit, None)

    def test_functional_groups(self) -> None:
        def group(intercept: str) -> Dataset:
            transformation = item(RescaleSlope="2", RescaleIntercept=intercept, RescaleType="HU")
            return item(PixelValueTransformationSequence=[transformation])

        shared = header(SharedFunctionalGroupsSequence=[group("-7")], PerFrameFunctionalGroupsSequence=[item(), item()])
        assert read_rescale(shared, 1).intercept == -7
        shared.PerFrameFunctionalGroupsSequence[1] = group("-9")
        assert [read_rescale(shared, frame).intercept for frame in (0, 1)] == [-7, -9]
        assert read_rescale(shared, 1).unit == "HU"

    def test_malformed_numbers_do_not_warn(self) -> None:
        dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
        raw = dataset.get_item("RescaleSlope")
        dataset._dict[raw.tag] = raw._replace(value=b"1.00000000000000000001 ", length=23)
        assert read_rescale(dataset).slope == 1
        dataset._dict[raw.tag] = raw._replace(value=b"one ", length=4)
        with pytest.raises(VolumeError, match="0028,1053"):
            read_rescale(dataset)

    def test_slope_of_zero(self) -> None:
        with pytest.raises(VolumeError, match="0028,1053"):
            read_rescale(header(RescaleSlope="0", RescaleIntercept="0"))

    def test_unknown_units(self) -> None:
        with pytest.raises(VolumeError, match="'real world'"):
            read_rescale(header(), 0, "other")

    def test_table(self) -> None:
        table = item(LUTDescriptor=[2, 0, 16], LUTData=[500, 600], ModalityLUTType="OD")
        dataset = header(ModalityLUTSequence=[table])
        found = read_rescale(dataset)
        assert found.unit == "OD"
        dtype = result_dtype([dataset], [found])
        assert dtype == np.int16
        assert apply_rescale(np.array([0, 1, 2, 65535], np.uint16), found, dtype).tolist() == [500, 600, 600, 600]

    def test_table_with_signed_first_value(self) -> None:
        table = item(ModalityLUTType="US")
        table.add_new("LUTDescriptor", "US", [3, 65534, 16])
        table.add_new("LUTData", "OW", struct.pack("<3H", 1, 2, 40000))
        dataset = header(ModalityLUTSequence=[table], PixelRepresentation=1)
        found = read_rescale(dataset)
        dtype = result_dtype([dataset], [found])
        assert dtype == np.int32
        assert apply_rescale(np.array([-9, -2, -1, 0, 9], np.int16), found, dtype).tolist() == [1, 1, 2, 40000, 40000]

    def test_short_table(self) -> None:
        table = item(LUTDescriptor=[3, 0, 16], LUTData=[500, 600], ModalityLUTType="OD")
        with pytest.raises(VolumeError, match="2 entries instead of 3"):
            read_rescale(header(ModalityLUTSequence=[table]))

    @pytest.mark.parametrize(
        ("vr", "content", "problem"),
        [
            ("OW", None, "0 entries instead of 3"),
            ("OW", b"", "0 entries instead of 3"),
            ("US", None, "0 entries instead of 3"),
            ("US", 7, "1 entries instead of 3"),
            ("OW", b"\7\0\7\0\7", "2 entries instead of 3"),
            ("LO", "none", "cannot be read"),
        ],
    )
    def test_table_without_entries(self, vr: str, content: Any, problem: str) -> None:
        table = item(LUTDescriptor=[3, 0, 16], ModalityLUTType="OD")
        table.add_new("LUTData", vr, content)
        with pytest.raises(VolumeError, match=problem):
            read_rescale(header(ModalityLUTSequence=[table]))

    def test_equality(self) -> None:
        def lut() -> tuple[NDArray[Any], NDArray[Any]]:
            return np.arange(3), np.arange(3) * 2

        assert Rescale(lut=lut()) == Rescale(lut=lut())
        assert hash(Rescale(lut=lut())) == hash(Rescale(lut=lut()))
        assert Rescale(lut=lut()) != Rescale()
        assert Rescale(slope=2.0) != Rescale()


class TestRealWorld:
    unit = item(CodeValue="Bq/ml", CodingSchemeDesignator="UCUM")

    def mapping(self, **values: Any) -> Dataset:
        first, last = values.pop("first", 0), values.pop("last", 65535)
        mapped = item(MeasurementUnitsCodeSequence=[self.unit], **values)
        mapped.add_new("RealWorldValueFirstValueMapped", "US", first)
        mapped.add_new("RealWorldValueLastValueMapped", "US", last)
        return mapped

    def test_linear(self) -> None:
        dataset = header(
            RealWorldValueMappingSequence=[self.mapping(RealWorldValueSlope=0.5, RealWorldValueIntercept=3.0)]
        )
        found = read_rescale(dataset, 0, "real world")
        assert (found.slope, found.intercept, found.unit, found.valid) == (0.5, 3, "Bq/ml", None)
        assert read_rescale(dataset).is_identity

    def test_values_outside_have_no_meaning(self) -> None:
        mapped = self.mapping(RealWorldValueSlope=1.0, RealWorldValueIntercept=0.0, first=10, last=20)
        dataset = header(RealWorldValueMappingSequence=[mapped])
        found = read_rescale(dataset, 0, "real world")
        dtype = result_dtype([dataset], [found], "real world")
        assert dtype == np.float32
        values = apply_rescale(np.array([9, 10, 20, 21], np.uint16), found, dtype)
        np.testing.assert_array_equal(values, [np.nan, 10, 20, np.nan])

    def test_ends_that_are_infinite_or_nan(self) -> None:
        def mapped(first: float, last: float, **values: Any) -> Dataset:
            ends = {f"DoubleFloatRealWorldValue{end}ValueMapped": v for end, v in (("First", first), ("Last", last))}
            dataset = header(BitsAllocated=32, RealWorldValueMappingSequence=[item(**ends, **values)])
            del dataset.BitsStored
            return dataset

        found = read_rescale(mapped(-np.inf, 2.0, RealWorldValueSlope=2.0), 0, "real world")
        values = apply_rescale(np.array([-1e30, 2, 3], np.float32), found, np.float32)
        np.testing.assert_array_equal(values, np.array([-2e30, 4, np.nan], np.float32))
        with pytest.raises(VolumeError, match="not a number"):
            read_rescale(mapped(np.nan, 2.0, RealWorldValueSlope=2.0), 0, "real world")
        with pytest.raises(VolumeError, match="incomplete"):
            read_rescale(mapped(0, np.inf, RealWorldValueLUTData=[1.0, 2.0]), 0, "real world")

    def test_table_in_a_functional_group(self) -> None:
        mapped = self.mapping(RealWorldValueLUTData=[0.5, 0.25, 8.0], first=65535, last=1)
        dataset = header(
            SharedFunctionalGroupsSequence=[item(RealWorldValueMappingSequence=[mapped])], PixelRepresentation=1
        )
        found = read_rescale(dataset, 0, "real world")
        dtype = result_dtype([dataset], [found], "real world")
        values = apply_rescale(np.array([-2, -1, 0, 1, 2], np.int16), found, dtype)
        np.testing.assert_array_equal(values, [np.nan, 0.5, 0.25, 8, np.nan])

    def test_none_and_several(self) -> None:
        with pytest.raises(VolumeError, match=r"0040,9096.*missing"):
            read_rescale(header(), 0, "real world")
        several = [self.mapping(RealWorldValueSlope=1.0), self.mapping(RealWorldValueSlope=2.0)]
        with pytest.raises(VolumeError, match=r"2 mappings \(Bq/ml, Bq/ml\)"):
            read_rescale(header(RealWorldValueMappingSequence=several), 0, "real world")


class TestPhilips:
    def check(self, dataset: Dataset, *, frame: int = 0) -> None:
        found = read_rescale(dataset, frame, "philips")
        values = apply_rescale(np.array([4, 5], np.uint16), found, np.float32)
        # Floating point value = displayed value / (rescale slope * scale slope).
        displayed = np.array([4, 5]) * 2 - 8
        np.testing.assert_allclose(values, displayed / (2 * 0.125))

    @staticmethod
    def scaling(holder: Dataset, creator: str, *, unknown: bool = False) -> None:
        for element, value in ((0x0D, 4.0), (0x0E, 0.125)):
            entry: tuple[str, Any] = ("UN", struct.pack("<f", value)) if unknown else ("FL", value)
            if creator:
                holder.private_block(0x2005, creator, create=True).add_new(element, *entry)
            else:
                holder.add_new(0x20051000 + element, *entry)

    @pytest.mark.parametrize(
        "creator", ["Philips MR Imaging DD 001", "PHILIPS MR IMAGING DD 001", "Philips Imaging DD 001", ""]
    )
    @pytest.mark.parametrize("nested", [None, 0x2005140F, 0x2005100F])
    @pytest.mark.parametrize("level", ["PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", ""])
    @pytest.mark.parametrize("unknown", [True, False])
    def test_private_scaling(self, creator: str, nested: int | None, level: str, unknown: bool) -> None:
        dataset = header(RescaleSlope="2", RescaleIntercept="-8", Manufacturer="Philips Healthcare")
        group = dataset
        if level:
            group = Dataset()
            setattr(dataset, level, [group])
        holder = group
        if nested is not None:
            holder = Dataset()
            group.add_new(nested, "SQ", [holder])
        self.scaling(holder, creator, unknown=unknown)
        self.check(dataset)

    def test_the_sixth_block_of_six(self) -> None:
        dataset = header(RescaleSlope="2", RescaleIntercept="-8")
        for number in range(6, 0, -1):
            block = dataset.private_block(0x2005, f"Philips MR Imaging DD 00{number}", create=True)
            block.add_new(0x7F, "FL", 9.0)
        dataset.private_block(0x2005, "Philips MR Imaging DD 005").add_new(0x0E, "SQ", [])
        self.scaling(dataset, "Philips MR Imaging DD 001")
        assert 0x2005150E in dataset
        self.check(dataset)

    def test_each_frame_has_its_own(self) -> None:
        frames = []
        for slope in (0.5, 0.125):
            inner, group = Dataset(), Dataset()
            block = inner.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0x0D, "FL", 4.0)
            block.add_new(0x0E, "FL", slope)
            group.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x0F, "SQ", [inner])
            frames.append(group)
        dataset = header(PerFrameFunctionalGroupsSequence=frames)
        assert [read_rescale(dataset, frame, "philips").slope for frame in (0, 1)] == [2, 8]

    def test_a_number_where_others_have_the_sequence(self) -> None:
        dataset = header(RescaleSlope="2", RescaleIntercept="-8")
        dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0F, "DS", "1024")
        self.scaling(dataset, "Philips MR Imaging DD 001")
        self.check(dataset)

    @pytest.mark.parametrize("manufacturer", ["SIEMENS", "GE MEDICAL SYSTEMS", "Canon"])
    def test_elements_of_another_maker_without_a_creator_are_not_believed(self, manufacturer: str) -> None:
        dataset = header(Manufacturer=manufacturer)
        self.scaling(dataset, "")
        with pytest.raises(VolumeError, match="2005,100E"):
            read_rescale(dataset, 0, "philips")

    def test_missing(self) -> None:
        with pytest.raises(VolumeError, match="2005,100E"):
            read_rescale(header(), 0, "philips")


class TestLevels:
    """Each number is looked for at the frame, the shared group and the top; an empty item hides nothing."""

    empty = item(PixelValueTransformationSequence=[item()])
    line = item(RescaleSlope="2", RescaleIntercept="-7", RescaleType="HU")

    def groups(self, *per_frame: Dataset, shared: Dataset | None = None, **top: Any) -> Dataset:
        dataset = header(PerFrameFunctionalGroupsSequence=list(per_frame), **top)
        if shared is not None:
            dataset.SharedFunctionalGroupsSequence = [shared]
        return dataset

    @pytest.mark.parametrize("own", [item(), empty, item(PixelValueTransformationSequence=[])])
    def test_an_empty_item_of_a_frame_hides_no_shared_transformation(self, own: Dataset) -> None:
        found = read_rescale(self.groups(own, shared=item(PixelValueTransformationSequence=[self.line])))
        assert (found.slope, found.intercept, found.unit) == (2, -7, "HU")

    @pytest.mark.parametrize("shared", [None, item(), empty])
    def test_empty_items_hide_no_transformation_at_the_top(self, shared: Dataset | None) -> None:
        top = {"RescaleSlope": "2", "RescaleIntercept": "-7", "RescaleType": "HU"}
        found = read_rescale(self.groups(self.empty, shared=shared, **top))
        assert (found.slope, found.intercept, found.unit) == (2, -7, "HU")
        found = read_rescale(self.groups(self.empty, shared=shared, PixelValueTransformationSequence=[self.line]))
        assert (found.slope, found.intercept, found.unit) == (2, -7, "HU")

    def test_an_empty_item_hides_no_table(self) -> None:
        table = item(LUTDescriptor=[2, 0, 16], LUTData=[500, 600], ModalityLUTType="OD")
        shared = item(PixelValueTransformationSequence=[item(ModalityLUTSequence=[table])])
        assert read_rescale(self.groups(self.empty, shared=shared)).unit == "OD"

    def test_the_nearest_of_a_table_and_a_line_counts(self) -> None:
        table = item(LUTDescriptor=[2, 0, 16], LUTData=[500, 600], ModalityLUTType="OD")
        own = item(PixelValueTransformationSequence=[self.line])
        assert read_rescale(self.groups(own, ModalityLUTSequence=[table])).slope == 2

    def test_a_number_that_the_frame_lacks_is_taken_from_the_next_level(self) -> None:
        own = item(PixelValueTransformationSequence=[item(RescaleSlope="3", RescaleIntercept="")])
        found = read_rescale(self.groups(own, shared=item(PixelValueTransformationSequence=[self.line])))
        assert (found.slope, found.intercept, found.unit) == (3, -7, "HU")

    def test_a_frame_beyond_the_groups_has_the_shared_one(self) -> None:
        dataset = self.groups(item(), shared=item(PixelValueTransformationSequence=[self.line]))
        assert read_rescale(dataset, 5).intercept == -7

    def test_an_empty_item_hides_no_real_world_mapping(self) -> None:
        mapping = item(RealWorldValueSlope=0.5, RealWorldValueIntercept=3.0, LUTLabel="ml")
        own = item(RealWorldValueMappingSequence=[item()])
        for dataset in (
            self.groups(own, shared=item(RealWorldValueMappingSequence=[mapping])),
            self.groups(own, RealWorldValueMappingSequence=[mapping]),
        ):
            found = read_rescale(dataset, 0, "real world")
            assert (found.slope, found.intercept, found.unit) == (0.5, 3, "ml")


class TestUnusableNumbers:
    @pytest.mark.parametrize(
        ("values", "units", "named"),
        [
            ({"RescaleSlope": "1e308"}, "modality", r"RescaleSlope \(0028,1053\)"),
            ({"RescaleSlope": "-1e300", "BitsAllocated": 8, "BitsStored": 8}, "modality", "0028,1053"),
            ({"RescaleIntercept": "1.7e308"}, "modality", r"RescaleIntercept \(0028,1052\)"),
            ({"DoseGridScaling": "1e308"}, "modality", r"DoseGridScaling \(3004,000E\)"),
            ({"DoseGridScaling": "0"}, "modality", r"DoseGridScaling \(3004,000E\)"),
            (
                {"RealWorldValueMappingSequence": [item(RealWorldValueSlope=1e308, RealWorldValueIntercept=0.0)]},
                "real world",
                "0040,9225",
            ),
        ],
    )
    def test_values_that_no_number_can_hold_are_refused(self, values: dict[str, Any], units: str, named: str) -> None:
        with pytest.raises(VolumeError, match=named + r".*units=\"stored\""):
            read_rescale(header(**values), 0, units)

    def test_a_private_slope_that_is_too_small_is_refused(self) -> None:
        dataset = header()
        dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x0E, "FD", 1e-308)
        with pytest.raises(VolumeError, match="2005,100E"):
            read_rescale(dataset, 0, "philips")

    @pytest.mark.parametrize("slope", ["1e38", "1e-44", "-1e40"])
    def test_values_beyond_float32_are_computed_in_float64(self, slope: str) -> None:
        dataset = header(RescaleSlope=slope, RescaleIntercept="0.5")
        found = read_rescale(dataset)
        dtype = result_dtype([dataset], [found])
        values = apply_rescale(np.array([1, 65535], np.uint16), found, dtype)
        assert np.isfinite(values).all()
        assert (values != 0).all()
        assert dtype == np.float64


def test_units_by_name_are_those_of_the_modality_or_an_error() -> None:
    ct, pet = make_series((1, 2, 2))[0], make_series((1, 2, 2), modality="PT", Units="BQML")[0]
    assert read_rescale(ct, units="HU") == read_rescale(ct)
    assert read_rescale(pet, units="BQML") == read_rescale(pet)
    with pytest.raises(
        VolumeError, match=r"units='HU' was requested for .* are in BQML: get_volume\(units=\"modality\"\)"
    ):
        read_rescale(pet, units="HU")


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({}, "whose values have no unit, as its header does not rescale them: get_volume"),
        ({"RescaleSlope": "2", "RescaleIntercept": "0"}, "whose values have no unit, as its header does not name one"),
        ({"SegmentationType": "LABELMAP"}, "whose values are numbers of segments"),
    ],
)
def test_values_without_a_unit_are_not_said_to_be_in_one(elements: dict[str, str], says: str) -> None:
    header = Dataset()
    header.Modality, header.SOPInstanceUID = "MR", "1.2.3"
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    with pytest.raises(VolumeError, match=says):
        read_rescale(header, units="HU")


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("SUV", "Did you mean 'SUVbw'?"),
        ("suv", "Did you mean 'SUVbw'?"),
        ("SUVBW", "Did you mean 'SUVbw'?"),
        ("suv-lbm", "Did you mean 'SUVlbm'?"),
        ("real_world", "Did you mean 'real world'?"),
        ("Modality", "Did you mean 'modality'?"),
        ("hu", "Did you mean 'HU'?"),
        ("Bq/ml", "Did you mean 'BQML'?"),
        ("Gy", "Did you mean 'GY'?"),
        ("", '"modality" gives'),
        (None, '"modality" gives'),
    ],
)
def test_units_that_are_not_known_are_answered_with_those_that_were_meant(asked: Any, advice: str) -> None:
    with pytest.raises(VolumeError, match=re.escape(f"units={asked!r} is not valid")) as caught:
        check_units(asked, SUV_KINDS)
    assert advice in str(caught.value)
    for name in (*UNITS, *SUV_KINDS):
        check_units(name, SUV_KINDS)
