"""Values that tell images at one position apart are read from every place that holds them."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import (
    InconsistentSlicesError,
)
from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.volume import discriminators
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.discriminators import DiscriminatorValue, read_discriminators
from simple_orthanc.volume.planes import read_planes
from tests.volume.helpers import (
    labels,
)


class TestDiscriminators:
    @pytest.mark.parametrize(
        ("keyword", "values", "expected"),
        [
            ("TemporalPositionIdentifier", (1, 2), ["time 1", "time 2"]),
            ("EchoNumbers", (1, 2), ["echo 1", "echo 2"]),
            ("EchoTime", (4.6, 9.2), ["echo time 4.6", "echo time 9.2"]),
            ("DiffusionBValue", (0, 1000), ["b 0", "b 1000"]),
            ("TriggerTime", (10, 60.5), ["phase 1", "phase 2"]),
            ("FrameReferenceTime", (1000, 9000), ["frame time 1", "frame time 2"]),
            ("AcquisitionNumber", (3, 7), ["acquisition 3", "acquisition 7"]),
            (
                "ImageType",
                (("ORIGINAL", "PRIMARY", "M"), ("ORIGINAL", "PRIMARY", "P")),
                ["image type M", "image type P"],
            ),
            ("ConvolutionKernel", ("B30f", "B60f"), ["kernel B30f", "kernel B60f"]),
            ("InversionTime", (100, 2000), ["inversion time 100", "inversion time 2000"]),
            ("AcquisitionTime", ("115959", "120000.5"), ["acquisition time 1", "acquisition time 2"]),
        ],
    )
    def test_discriminators_split_repeated_positions(
        self, keyword: str, values: tuple[Any, Any], expected: list[str]
    ) -> None:
        second = make_series(modality="MR", **{keyword: values[1]})
        first = make_series(modality="MR", like=second[0], **{keyword: values[0]})
        found = plan_stacks(second + first)
        assert [stack.label for stack in found] == expected
        assert [stack.slices for stack in found] == [3, 3]
        assert all(stack.geometry for stack in found)
        with pytest.raises(InconsistentSlicesError, match=r"get_volumes\(\)") as caught:
            choose_volume(found)
        assert caught.value.groups == dict.fromkeys(expected, 3)

    def test_two_discriminators_cross(self) -> None:
        base = make_series(modality="MR", EchoNumbers=1, ImageType=("ORIGINAL", "PRIMARY", "M"))
        series = list(base)
        for echo, kind in ((1, "P"), (2, "M"), (2, "P")):
            image_type = ("ORIGINAL", "PRIMARY", kind)
            series += make_series(modality="MR", EchoNumbers=echo, ImageType=image_type, like=base[0])
        assert labels(series) == [f"echo {echo} image type {kind}" for echo in (1, 2) for kind in "MP"]
        with pytest.raises(InconsistentSlicesError, match=r"select\(EchoNumbers=1, ImageType="):
            choose_volume(plan_stacks(series), dims="echo")

    def test_trigger_times_that_differ_between_slices_order_each_position(self) -> None:
        base = make_series(modality="MR", TriggerTime=[10.0, 12.0, 11.0])
        later = make_series(modality="MR", TriggerTime=[55.0, 51.0, 53.0], like=base[0])
        steps = choose_volume(plan_stacks(later + base), dims="phase")
        assert [stack.step for stack in steps] == [("phase", 11.0), ("phase", 53.0)]
        assert {plane.uid for plane in steps[0].planes} == {header.SOPInstanceUID for header in base}

    @pytest.mark.parametrize("kind", ["Acquisition", "Content"])
    def test_times_on_both_sides_of_midnight(self, kind: str) -> None:
        times = [["235930", "235945", "000000"], ["000015", "000030", "000045"]]
        dates = [["20200101", "20200101", "20200102"], ["20200102"] * 3]
        base = make_series(modality="MR", **{f"{kind}Time": times[0], f"{kind}Date": dates[0]})
        later = make_series(modality="MR", **{f"{kind}Time": times[1], f"{kind}Date": dates[1]}, like=base[0])
        steps = choose_volume(plan_stacks(later + base), dims="time")
        assert [[plane.uid for plane in stack.planes] for stack in steps] == [
            [header.SOPInstanceUID for header in series] for series in (base, later)
        ]
        assert [stack.step for stack in steps] == [("time", 86385.0), ("time", 86430.0)]

    @pytest.mark.parametrize("moment", ["AcquisitionDateTime", "AcquisitionTime"])
    def test_coordinates_count_from_midnight(self, moment: str) -> None:
        day = "20200101" if moment == "AcquisitionDateTime" else ""
        base = make_series(modality="MR", AcquisitionDate="20200101", **{moment: f"{day}115959.123456"})
        later = make_series(modality="MR", AcquisitionDate="20200101", **{moment: f"{day}120000"}, like=base[0])
        assert [stack.step for stack in choose_volume(plan_stacks(later + base), dims="time")] == [
            ("time", 43199.123456),
            ("time", 43200.0),
        ]

    @pytest.mark.parametrize("day", [b"", b"never", b"20201301"])
    def test_a_date_that_some_images_lack_does_not_order_them(self, day: bytes) -> None:
        base = make_series(modality="MR", AcquisitionDate="20200101", AcquisitionTime="115959")
        later = make_series(modality="MR", AcquisitionTime="120000", like=base[0])
        tag = elements.tag_of("AcquisitionDate")
        for header in later:
            header._dict[tag] = RawDataElement(tag, "DA", len(day), day, 0, False, True)
        steps = choose_volume(plan_stacks(later + base), dims="time")
        assert [stack.step for stack in steps] == [("time", 43199.0), ("time", 43200.0)]
        assert steps[0].planes[0].uid == base[0].SOPInstanceUID

    def test_b_values_of_the_vendors(self) -> None:
        for group, element, creator, vr, values in (
            (0x0019, 0x0C, "SIEMENS MR HEADER", "IS", ("0", "1000")),
            (0x2001, 0x03, "Philips Imaging DD 001", "FL", (0.0, 1000.0)),
            (0x0043, 0x39, "GEMS_PARM_01", "IS", (["0", "1", "0", "0"], ["1000001000", "1", "0", "0"])),
        ):
            base = make_series(modality="MR")
            series = [*base, *make_series(modality="MR", like=base[0])]
            for number, header in enumerate(series):
                header.private_block(group, creator, create=True).add_new(element, vr, values[number // 3])
            assert labels(series) == ["b 0", "b 1000"], creator

    def test_gradients_of_one_b_value(self) -> None:
        base = make_series(modality="MR", DiffusionBValue=0.0)
        series = list(base)
        for gradient in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
            series += make_series(
                modality="MR", DiffusionBValue=800.0, DiffusionGradientOrientation=gradient, like=base[0]
            )
        assert labels(series) == ["b 0", "b 800 gradient 1", "b 800 gradient 2"]
        assert [stack.step for stack in choose_volume(plan_stacks(series), dims="b")] == [
            ("b", 0.0),
            ("b", 800.0),
            ("b", 800.0),
        ]


class TestLevels:
    @pytest.mark.parametrize(
        ("sequence", "keyword", "value", "name"),
        [
            ("MREchoSequence", "EffectiveEchoTime", 7.5, "echo time"),
            ("MRDiffusionSequence", "DiffusionBValue", 900.0, "b"),
            ("MRImageFrameTypeSequence", "ComplexImageComponent", "PHASE", "component"),
            ("CTReconstructionSequence", "ConvolutionKernel", "B30f", "kernel"),
            ("CTXRayDetailsSequence", "KVP", 80.0, "kV"),
        ],
    )
    @pytest.mark.parametrize("hidden_by", ["nothing", "an empty item", "an empty value"])
    def test_an_empty_item_hides_no_shared_value(
        self, sequence: str, keyword: str, value: Any, name: str, hidden_by: str
    ) -> None:
        image = make_enhanced((2, 4, 4), groups={sequence: {keyword: value}})
        for frame in image.PerFrameFunctionalGroupsSequence:
            if hidden_by != "nothing":
                setattr(frame, sequence, [Dataset()])
            if hidden_by == "an empty value":
                setattr(getattr(frame, sequence)[0], keyword, None)
        assert [plane.discriminators[name] for plane in read_planes([image])] == [value, value]

    def test_the_frame_counts_before_the_object(self) -> None:
        image = make_enhanced((2, 4, 4), groups={"MREchoSequence": {"EffectiveEchoTime": [5.0, 2.5]}}, EchoTime=9)
        assert [plane.discriminators["echo time"] for plane in read_planes([image])] == [5.0, 2.5]

    @pytest.mark.parametrize("element", [0x0F])
    @pytest.mark.parametrize("creator", ["Philips MR Imaging DD 005", "Philips MR Imaging DD 001"])
    def test_private_elements_of_a_frame(self, element: int, creator: str) -> None:
        image = make_enhanced((2, 4, 4), positions=[(0, 0, 0)] * 2, Manufacturer="Philips Medical Systems")
        for frame, label in zip(image.PerFrameFunctionalGroupsSequence, ("LABEL", "CONTROL"), strict=True):
            item = Dataset()
            item.private_block(0x2005, "Philips MR Imaging DD 005", create=True).add_new(0x29, "CS", label)
            frame.private_block(0x2005, creator, create=True).add_new(element, "SQ", [item])
        assert labels([image]) == ["label CONTROL", "label LABEL"]


def test_only_the_values_of_tags_that_a_header_holds_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    (header,) = make_series((1, 4, 4), modality="MR", EchoTime=4.6, FlipAngle=90)
    view = Dataset()
    view.CodeMeaning = "axial"
    header.ViewCodeSequence = [view]
    read: list[str] = []
    value_of = discriminators._value

    def counted(owner: Dataset, keyword: str) -> DiscriminatorValue | None:
        read.append(keyword)
        return value_of(owner, keyword)

    monkeypatch.setattr(discriminators, "_value", counted)
    (values,) = read_discriminators(header, [], 1)
    assert (values["echo time"], values["flip angle"], values["view"]) == (4.6, 90.0, "axial")
    assert {"EchoTime", "FlipAngle", "CodeMeaning"} <= set(read)
    assert all(keyword == "CodeMeaning" or keyword in header for keyword in read)


@pytest.mark.parametrize("value", [b"NaN", b"inf", b"1e999"])
def test_what_is_no_finite_number_is_equal_to_itself(value: bytes) -> None:
    series = make_series((3, 4, 4))
    for dataset in series:
        dataset[0x00180060] = RawDataElement(Tag(0x00180060), "DS", len(value), value, 0, False, True)
    assert read_planes(series) == read_planes(series)
