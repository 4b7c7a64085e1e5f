"""What the header says about the meaning of stored values."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.conversion import apply_rescale, result_dtype
from simple_orthanc.pixels.rescale import Rescale, read_rescale
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
            ({"Modality": "PT", "Units": "GML"}, 1, 0, "GML"),
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
            read_rescale(header(), 0, "HU")

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

    def test_ends_that_are_no_finite_numbers(self) -> None:
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
    @pytest.mark.parametrize("creator", [True, False])
    @pytest.mark.parametrize("nested", [True, False])
    @pytest.mark.parametrize("unknown", [True, False])
    def test_private_scaling(self, creator: bool, nested: bool, unknown: bool) -> None:
        dataset = header(RescaleSlope="2", RescaleIntercept="-8", Manufacturer="Philips Healthcare")
        holder = dataset
        if nested:
            holder, group = Dataset(), Dataset()
            group.add_new(0x2005140F, "SQ", [holder])
            dataset.PerFrameFunctionalGroupsSequence = [group]
        for element, value in ((0x0D, 4.0), (0x0E, 0.125)):
            entry: tuple[str, Any] = ("UN", struct.pack("<f", value)) if unknown else ("FL", value)
            if creator:
                holder.private_block(0x2005, "Philips Imaging DD 001", create=True).add_new(element, *entry)
            else:
                holder.add_new(0x20051000 + element, *entry)
        found = read_rescale(dataset, 0, "philips")
        values = apply_rescale(np.array([4, 5], np.uint16), found, np.float32)
        # Floating point value = displayed value / (rescale slope * scale slope).
        displayed = np.array([4, 5]) * 2 - 8
        np.testing.assert_allclose(values, displayed / (2 * 0.125))

    def test_missing(self) -> None:
        with pytest.raises(VolumeError, match="2005,100E"):
            read_rescale(header(), 0, "philips")
