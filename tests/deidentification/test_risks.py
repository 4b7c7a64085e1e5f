"""Objects that somebody has to look at."""

from __future__ import annotations

import pickle

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import JPEGLosslessSV1

from simple_orthanc.deidentification.profile import Profile
from simple_orthanc.deidentification.risks import Risk, RiskKind, risks_of

CLASS = "1.2.840.10008.5.1.4.1.1."
BASIC = Profile.of()


def image(sop_class: str = "2", **values: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.Rows = CLASS + sop_class, 1
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def found(dataset: Dataset, *options: str) -> list[tuple[RiskKind, bool]]:
    return [(risk.kind, risk.is_certain) for risk in risks_of(dataset, Profile.of(options))]


@pytest.mark.parametrize(
    ("dataset", "kind", "is_certain"),
    [
        (image(BurnedInAnnotation="YES"), RiskKind.BURNED_IN, True),
        (image(BurnedInAnnotation=["NO", "YES"]), RiskKind.BURNED_IN, True),
        (image("7"), RiskKind.BURNED_IN, False),
        (image("7.2"), RiskKind.BURNED_IN, False),
        (image("6.1"), RiskKind.BURNED_IN, False),
        (image("3.1"), RiskKind.BURNED_IN, False),
        (image(Modality="US"), RiskKind.BURNED_IN, False),
        (image(Modality="ES"), RiskKind.BURNED_IN, False),
        (image(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), RiskKind.BURNED_IN, False),
        (image(ConversionType="SI"), RiskKind.BURNED_IN, False),
        (image(Modality="CT", SamplesPerPixel=3), RiskKind.BURNED_IN, False),
        (image(Modality="MR", BodyPartExamined="HEAD"), RiskKind.FACE, False),
        (image(Modality="CT", StudyDescription="Neurocranium"), RiskKind.FACE, False),
        (image(RecognizableVisualFeatures="YES"), RiskKind.FACE, True),
        (image("77.1.4"), RiskKind.FACE, False),
        (image("77.1.4.1"), RiskKind.FACE, False),
        (image("88.33"), RiskKind.REPORT, True),
        (image("104.1"), RiskKind.DOCUMENT, True),
        (image("11.1"), RiskKind.GRAPHICS, False),
        (image("9.4.1"), RiskKind.VOICE, True),
    ],
)
def test_each_kind_is_found(dataset: Dataset, kind: RiskKind, is_certain: bool) -> None:
    assert found(dataset) == [(kind, is_certain)]


@pytest.mark.parametrize(
    "dataset",
    [
        image(Modality="CT"),
        image("7", BurnedInAnnotation="NO"),
        image(Modality="MR", BodyPartExamined="KNEE"),
        image(Modality="MR", BodyPartExamined="HEAD", RecognizableVisualFeatures="NO"),
        image("77.1.6"),
        image("77.1.5.1", SamplesPerPixel=3),
        image("66.4", Modality="SEG"),
        Dataset(),
    ],
)
def test_nothing_is_found_in_others(dataset: Dataset) -> None:
    assert found(dataset) == []


@pytest.mark.parametrize("sop_class", ["77.1.1", "77.1.1.1"])
def test_endoscopes_write_names_into_their_images(sop_class: str) -> None:
    assert (RiskKind.BURNED_IN, False) in found(image(sop_class))


def test_a_plan_without_pixels_has_nothing_burned_in() -> None:
    dataset = image("7")
    del dataset.Rows
    assert found(dataset) == []


def test_options_change_what_is_certain() -> None:
    report = image("88.33")
    assert found(report, "clean_structured_content") == [(RiskKind.REPORT, False)]
    described = image(StudyDescription="CT chest")
    assert found(described) == []
    assert found(described, "clean_descriptors") == [(RiskKind.DESCRIPTION, False)]


def test_an_overlay_in_compressed_pixels_cannot_be_cleared() -> None:
    dataset = image()
    dataset.add_new(0x60000100, "US", 16)
    assert found(dataset) == []
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    assert found(dataset) == [(RiskKind.OVERLAY, False)]


def test_a_message_holds_no_value_of_the_object() -> None:
    dataset = image("7", Modality="MR", StudyDescription="HEAD of Quidditch", ImageType=["SCREEN", "QUIDDITCH"])
    risks = risks_of(dataset, Profile.of(["clean_descriptors"]))
    assert len(risks) == 3
    assert "quidditch" not in repr(risks).lower()
    assert pickle.loads(pickle.dumps(risks)) == risks
    assert all(isinstance(risk, Risk) for risk in risks)
