"""What a volume is in BIDS: never guessed, and the reason where it is not known."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.session.exports.bids_rules import Kind, classify, label_of
from simple_orthanc.volume.choosing import choose_volume, plan_stacks
from simple_orthanc.volume.stacking import Stack
from tests.session.exports.series import dwi, one_series

PHASE = ["ORIGINAL", "PRIMARY", "P", "ND"]


def kind_of(description: str = "", stacks: list[Stack] | None = None, **tags: Any) -> Kind | str:
    header = Dataset()
    for keyword, value in {"Modality": "MR", "SeriesDescription": description, **tags}.items():
        setattr(header, keyword, value)
    return classify(header, stacks or [])


def along_time(**tags: Any) -> list[Stack]:
    images = []
    for step in (1, 2, 3):
        uids = [f"1.2.{step}.{number}" for number in range(3)]
        images += one_series(1, TemporalPositionIdentifier=step, SOPInstanceUID=uids, **tags)
    return choose_volume(plan_stacks(images), dims="time")


@pytest.mark.parametrize(
    ("description", "suffix", "tags"),
    [
        ("t1_mprage_sag_p2_iso", "T1w", {"EchoTime": 2.9}),
        ("3D BRAVO", "T1w", {"EchoTime": 3}),
        ("AX T2 TSE", "T2w", {"EchoTime": 98}),
        ("t2_space", "T2w", {"EchoTime": 408}),
        ("T2 FLAIR", "FLAIR", {"EchoTime": 120}),
        ("sT2W/FLAIR", "FLAIR", {"EchoTime": 120}),
        ("AX T2* GRE", "T2starw", {"EchoTime": 20}),
        ("t2star", "T2starw", {}),
        ("PDw", "PDw", {"EchoTime": 15}),
        ("TOF 3D", "angio", {"EchoTime": 3.4}),
        ("anything", "T2w", {"AcquisitionContrast": "T2", "EchoTime": 90}),
        ("t1 vibe post", "T1w", {"ContrastBolusAgent": "Gadovist 1.0"}),
    ],
)
def test_anatomical_images(description: str, suffix: str, tags: dict[str, Any]) -> None:
    kind = kind_of(description, **tags)
    assert isinstance(kind, Kind)
    assert (kind.datatype, kind.suffix) == ("anat", suffix)
    assert kind.entities["acq"] == label_of(description)
    assert kind.entities.get("ce") == ("Gadovist10" if "ContrastBolusAgent" in tags else None)


@pytest.mark.parametrize(
    ("description", "reason", "tags"),
    [
        ("", "its headers do not state its contrast", {}),
        ("ax brain", "its headers do not state its contrast", {}),
        ("part1 mt2x", "its headers do not state its contrast", {}),
        ("T1 FLAIR sag flair", "its description names FLAIR and T1w", {}),
        ("T1 and PD", "its description names T1w and PDw", {}),
        ("T1 sag", "its EchoTime of 90 ms does not", {"EchoTime": 90}),
        ("T2 ax", "its EchoTime of 10 ms does not", {"EchoTime": 10}),
        ("T1 map", "computed, or of another kind", {}),
        ("t1_mp2rage_inv2", "computed, or of another kind", {}),
        ("T1 MPR", "derived", {"ImageType": ["DERIVED", "SECONDARY", "MPR"]}),
        ("T1 scout", "localizers", {}),
        ("T1", "localizers", {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
        ("T1", "magnitude and phase in one", {"ComplexImageComponent": "MIXED"}),
        ("T2W FE-EPI", "an echo-planar image without a time series", {}),
        ("tgse_pcasl", "it is a perfusion image", {}),
        ("T1", "BIDS has no name for images of modality CT", {"Modality": "CT"}),
        ("T1", "BIDS has no name for images of modality (missing)", {"Modality": ""}),
        ("field_mapping", "a field map of a kind that its headers do not state", {}),
        ("dti", "one diffusion image alone", {"ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION"]}),
    ],
)
def test_what_is_not_known_has_a_reason(description: str, reason: str, tags: dict[str, Any]) -> None:
    kind = kind_of(description, **tags)
    assert isinstance(kind, str)
    assert reason in kind


def test_phase_images() -> None:
    kind = kind_of("t2star", ImageType=PHASE)
    assert isinstance(kind, Kind)
    assert (kind.entities["part"], kind.entries) == ("phase", {"Units": "arbitrary"})
    for component, part in [("REAL", "real"), ("IMAGINARY", "imag"), ("MAGNITUDE", None)]:
        kind = kind_of("t2star", ComplexImageComponent=component)
        assert isinstance(kind, Kind)
        assert kind.entities.get("part") == part
        assert kind.entries == {}


def test_several_echoes() -> None:
    images = [*one_series(1, EchoTime=4), *one_series(1, EchoTime=9, SOPInstanceUID=["7", "8", "9"])]
    stacks = plan_stacks(images)
    kind = kind_of("t2star gre", stacks[:1], ScanningSequence="GR", EchoNumbers=1)
    assert isinstance(kind, Kind)
    assert (kind.suffix, kind.entities["echo"]) == ("MEGRE", "1")
    kind = kind_of("t2 tse", stacks[:1], ScanningSequence="SE", EchoNumbers=2)
    assert isinstance(kind, Kind)
    assert (kind.suffix, kind.entities["echo"]) == ("MESE", "2")
    assert "lack its number" in str(kind_of("t2 tse", stacks[:1], ScanningSequence="SE"))
    assert "needs one for each" in str(kind_of("t2star", choose_volume(stacks, dims="echo")))


def test_diffusion() -> None:
    stacks = choose_volume(plan_stacks(dwi()), dims="b")
    kind = kind_of("dti 30 dir", stacks)
    assert kind == Kind("dwi", "dwi", {"acq": "dti30dir"})
    assert "one diffusion image alone" in str(kind_of("dti", plan_stacks(dwi())[:1]))
    unknown = choose_volume(plan_stacks(dwi(DiffusionGradientOrientation=None)), dims="b")
    assert kind_of("dti", unknown) == "its gradient directions are not known"
    for name, suffix in [("ADC", "ADC"), ("FA", "FA"), ("TRACEW", "trace")]:
        kind = kind_of("dti", ImageType=["DERIVED", "PRIMARY", "DIFFUSION", name])
        assert isinstance(kind, Kind)
        assert (kind.datatype, kind.suffix) == ("dwi", suffix)


def test_time_series() -> None:
    stacks = along_time()
    tags = {"ScanningSequence": "EP", "RepetitionTime": 2000}
    for description, task in [
        ("ep2d_bold_task-motor_run", "motor"),
        ("rest fMRI", "rest"),
        ("func Faces", "funcfaces"),
    ]:
        kind = kind_of(description, stacks, **tags)
        assert isinstance(kind, Kind)
        assert (kind.datatype, kind.suffix, kind.entities["task"]) == ("func", "bold", task)
        assert kind.entries == {"TaskName": task}
    kind = kind_of("bold_rest_SBRef", **tags)
    assert isinstance(kind, Kind)
    assert (kind.suffix, kind.entities["task"]) == ("sbref", "rest")
    assert "does not name as BOLD" in str(kind_of("ep2d", stacks, **tags))
    assert "no RepetitionTime" in str(kind_of("bold rest", stacks, ScanningSequence="EP"))
    assert "perfusion" in str(kind_of("ep2d_perf bold", stacks, **tags))
    assert "along an axis of time" in str(kind_of("T1 dynamic", stacks))


def test_field_maps() -> None:
    for echo in ("1", "2"):
        kind = kind_of("gre_field_mapping", EchoNumbers=echo)
        assert kind == Kind("fmap", f"magnitude{echo}", {"acq": "grefieldmapping"})
    kind = kind_of("gre_field_mapping", ImageType=PHASE, SequenceName="*fm2d2r", EchoNumbers="2")
    assert kind == Kind("fmap", "phasediff", {"acq": "grefieldmapping"}, {"Units": "arbitrary"})
    # Of another vendor it may be the phase of one echo.
    assert "do not state" in str(kind_of("field map", ImageType=PHASE))


def test_pet() -> None:
    tracer = Dataset()
    tracer.Radiopharmaceutical = "18F-FDG"
    kind = kind_of("PET WB", Modality="PT", RadiopharmaceuticalInformationSequence=[tracer])
    assert kind == Kind("pet", "pet", {"trc": "18FFDG", "rec": "PETWB"})
    assert kind_of("PET MIP", Modality="PT", ImageType=["DERIVED", "SECONDARY"]) == "it is derived from other images"
