"""What a volume is in BIDS, by rules from its headers: an anatomical T1-weighted image, a BOLD time series, ...

The rules are those of BIDS 1.10 (bids-specification, ``schema/rules/files/raw``). DICOM has few attributes for the
contrast of an image, so words of its description count too; where an attribute contradicts them, where they name two
contrasts or none, and where BIDS needs what the headers lack, the answer is the reason, and never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.session.exports.sidecars import read_number, read_text
from simple_orthanc.volume.diffusion import derived_kind
from simple_orthanc.volume.discriminators import discriminator_of
from simple_orthanc.volume.stacking import Stack

# What scanners derive from diffusion images, and its suffix.
_DIFFUSION_MAPS = {"ADC": "ADC", "EADC": "expADC", "FA": "FA", "COLFA": "colFA", "TRACE": "trace", "TRACEW": "trace"}
# AcquisitionContrast (PS3.3 C.8.13.3.1.3) and its suffix.
_CONTRASTS = {"T1": "T1w", "T2": "T2w", "T2_STAR": "T2starw", "PROTON_DENSITY": "PDw", "FLUID_ATTENUATED": "FLAIR"}
_COMPONENTS = {"PHASE": "phase", "P": "phase", "REAL": "real", "R": "real", "IMAGINARY": "imag", "I": "imag"}
# Suffix to the words of a description that name it.
_WORDS = {
    "FLAIR": r"(?<!t1 )(?<!t1)flair",
    "T2starw": r"(?<![a-z])t2 ?(\*|star)",
    "T2w": r"(?<![a-z])t2(?![0-9]| ?\*| ?star)",
    "T1w": r"(?<![a-z])t1(?![0-9])|mp ?rage|bravo",
    "PDw": r"\bpdw?\b",
    "angio": r"\btof\b",
}
# Words of what the others are taken for, and are not.
_OTHER = r"map\b|mapping|mp2rage|\binv ?\d|\buni\b|\bmpr\b|\bmip\b|\bminip\b|\bswi\b|\bqsm\b|subtract|\bsub\b|\bcine\b"
_LOCALIZER = r"localizer|localiser|\bscout|\bsurvey\b|3 ?plane|\bloc\b"
_PERFUSION = r"\basl\b|p?casl|\bpasl\b|perf|\bdsc\b|\bdce\b"
_BOLD = r"bold|f ?mri|\bfunc|\brest|\btask"
_FIELD_MAP = r"field ?map|b0 ?map"
# The echo times in ms that a contrast can have; outside of them the words are doubted.
_ECHO_TIMES = {"T1w": (0.0, 40.0), "PDw": (0.0, 60.0), "T2w": (40.0, 2000.0), "FLAIR": (40.0, 2000.0)}
_ECHO_TIMES |= {"T2starw": (4.0, 100.0), "angio": (0.0, 20.0)}


@dataclass(frozen=True)
class Kind:
    """What a volume is.

    Attributes
    ----------
    datatype, suffix : str
        As in BIDS: "anat" and "T1w".
    entities : mapping
        Those of its name that its own headers decide.
    entries : mapping
        What its sidecar has beside what every sidecar has.
    """

    datatype: str
    suffix: str
    entities: Mapping[str, str] = field(default_factory=dict)
    entries: Mapping[str, Any] = field(default_factory=dict)


def label_of(text: str, longest: int = 40) -> str:
    """Return the letters and digits of a string, of which labels consist.

    Examples
    --------
    >>> label_of("T1 MPRAGE (sag)"), label_of("***")
    ('T1MPRAGEsag', '')
    """
    return re.sub("[^A-Za-z0-9]", "", text)[:longest]


def classify(header: Dataset, stacks: Sequence[Stack]) -> Kind | str:
    """Return what a volume is, or the reason why that is not known or has no name.

    Parameters
    ----------
    header : Dataset
        Of its first image.
    stacks : sequence of Stack
        Its steps; one for a 3D volume.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Modality, header.SeriesDescription, header.EchoTime = "MR", "T1 sag", 3.0
    >>> classify(header, [])
    Kind(datatype='anat', suffix='T1w', entities={'acq': 'T1sag'}, entries={})
    >>> header.EchoTime = 90
    >>> classify(header, [])
    'its description says T1w, and its EchoTime of 90 ms does not'
    """
    modality = elements.text(header, "Modality")
    if modality == "PT":
        return _pet(header)
    if modality != "MR":
        return f"BIDS has no name for images of modality {modality or '(missing)'}"
    return _Image(header, stacks).kind()


def _pet(header: Dataset) -> Kind | str:
    if "DERIVED" in elements.texts(header, "ImageType")[:1]:
        return "it is derived from other images"
    tracer = next(iter(elements.items(header, "RadiopharmaceuticalInformationSequence")), Dataset())
    entities = {
        "trc": label_of(elements.text(tracer, "Radiopharmaceutical")),
        "rec": label_of(elements.text(header, "SeriesDescription")),
    }
    return Kind("pet", "pet", entities)


class _Image:
    """An MR volume."""

    def __init__(self, header: Dataset, stacks: Sequence[Stack]) -> None:
        self.header, self.stacks = header, stacks
        self.types = [value.upper() for value in elements.texts(header, "ImageType")]
        self.description = elements.text(header, "SeriesDescription")
        joined = f"{self.description} {elements.text(header, 'ProtocolName')}".lower()
        self.words = re.sub(r"[^a-z0-9*]+", " ", joined).strip()
        self.axis = stacks[0].step[0] if stacks and stacks[0].step else ""
        self.sequence = set(elements.texts(header, "ScanningSequence"))
        is_named = read_text(header, "EchoPlanarPulseSequence") == "YES" or self.says(r"\bepi\b")
        self.is_echo_planar = is_named or "EP" in self.sequence

    def says(self, words: str) -> bool:
        return re.search(words, self.words) is not None

    def kind(self) -> Kind | str:
        derived = derived_kind(self.header, elements.groups_of_frame(self.header, 0))
        if derived in _DIFFUSION_MAPS:
            return Kind("dwi", _DIFFUSION_MAPS[derived], self.described)
        if derived:
            return f"it is derived from other images (ImageType {derived})"
        if "LOCALIZER" in self.types or self.says(_LOCALIZER):
            return "BIDS has no name for localizers"
        if self.component is None:
            return "it has magnitude and phase in one (ComplexImageComponent MIXED)"
        for rule in (self.diffusion, self.perfusion, self.field_map, self.functional):
            if (found := rule()) is not None:
                return found
        return self.anatomical()

    @property
    def told_apart(self) -> set[str]:
        """The axes along which it is one of several volumes of its series."""
        names = {name for stack in self.stacks for name in stack.discriminators}
        return {discriminator_of(name).axis for name in names}

    @property
    def component(self) -> str | None:
        """Phase, real or imag; "" for the magnitude, None for a mixture."""
        named = read_text(self.header, "ComplexImageComponent").upper()
        if named == "MIXED":
            return None
        values = [named] if named else self.types[2:]
        return next((_COMPONENTS[value] for value in values if value in _COMPONENTS), "")

    @property
    def described(self) -> dict[str, str]:
        """The entity that every name can have: its description."""
        label = label_of(self.description)
        return {"acq": label} if label else {}

    def entities(self, **more: str) -> dict[str, str]:
        """Return what most names can have: the description, the contrast agent and the component."""
        agent = read_text(self.header, "ContrastBolusAgent")
        agent = "" if agent.upper() in ("NO", "NONE", "N") else label_of(agent)
        found = {**self.described, "ce": agent, "part": self.component or "", **more}
        return {name: value for name, value in found.items() if value}

    def made(self, datatype: str, suffix: str, entities: Mapping[str, str], entries: Mapping[str, Any]) -> Kind:
        # The sidecar of a phase image must have its unit (BIDS, "part"), which DICOM does not state.
        units = {"Units": "arbitrary"} if self.component == "phase" else {}
        return Kind(datatype, suffix, entities, {**entries, **units})

    def diffusion(self) -> Kind | str | None:
        weightings = [stack.planes[0].diffusion for stack in self.stacks]
        is_weighted = any(weighting.b for weighting in weightings) or "b" in self.told_apart
        if not is_weighted and "DIFFUSION" not in self.types:
            return None
        if self.axis != "b":
            return "it is one diffusion image alone, and BIDS needs a gradient table for the series"
        if any(weighting.b and weighting.direction is None for weighting in weightings):
            return "its gradient directions are not known"
        return self.made("dwi", "dwi", self.without_agent(self.entities()), {})

    @staticmethod
    def without_agent(entities: Mapping[str, str]) -> dict[str, str]:
        """Return entities without the contrast agent, which some names cannot have."""
        return {name: value for name, value in entities.items() if name != "ce"}

    def perfusion(self) -> str | None:
        is_named = "PERFUSION" in read_text(self.header, "AcquisitionContrast") or "ASL" in self.types
        if is_named or read_text(self.header, "ArterialSpinLabelingContrast") or self.says(_PERFUSION):
            return "it is a perfusion image, for which BIDS needs what DICOM headers do not state"
        return None

    def field_map(self) -> Kind | str | None:
        is_siemens = "fm2d" in read_text(self.header, "SequenceName")
        if not is_siemens and not self.says(_FIELD_MAP):
            return None
        entities = self.described
        echo = elements.text(self.header, "EchoNumbers")
        if not self.component and echo in ("1", "2") and not self.axis:
            return Kind("fmap", f"magnitude{echo}", entities)
        # Of its two echoes the scanner stores the difference of their phases.
        if self.component == "phase" and is_siemens and not self.axis:
            return self.made("fmap", "phasediff", entities, {})
        return "it is a field map of a kind that its headers do not state"

    def functional(self) -> Kind | str | None:
        if not self.is_echo_planar:
            return None
        is_reference = self.says(r"\bsb ?ref\b") and not self.axis
        if self.axis != "time" and not is_reference:
            return None
        if not self.says(_BOLD) and "FMRI" not in self.types:
            return "it is an echo-planar image that its description does not name as BOLD"
        if read_number(self.header, "RepetitionTime") is None:
            return "it has no RepetitionTime, which BIDS needs"
        found = re.search(r"\btask ?([a-z0-9]+)", self.words)
        task = found[1] if found else "rest" if self.says(r"\brest") else label_of(self.description).lower()
        if not task:
            return "it has no description to name its task by"
        entities = {"task": task, **self.entities()}
        return self.made("func", "sbref" if is_reference else "bold", entities, {"TaskName": task})

    def anatomical(self) -> Kind | str:
        if self.axis and self.axis != "echo":
            return f"BIDS has no name for anatomical images along an axis of {self.axis}"
        if self.is_echo_planar:
            return "it is an echo-planar image without a time series"
        if self.axis == "echo":
            return "its echoes are in one file, and BIDS needs one for each"
        suffix = self.contrast()
        if suffix is None:
            return "its headers do not state its contrast"
        if suffix not in _ECHO_TIMES:
            return suffix
        low, high = _ECHO_TIMES[suffix]
        echo_time = read_number(self.header, "EchoTime")
        if echo_time is not None and not low <= echo_time <= high:
            return f"its description says {suffix}, and its EchoTime of {echo_time:g} ms does not"
        if "echo" in self.told_apart:
            return self.one_of_several_echoes()
        return self.made("anat", suffix, self.entities(), {})

    def contrast(self) -> str | None:
        """Return the suffix of the contrast, a reason, or None if nothing names it."""
        named = read_text(self.header, "AcquisitionContrast")
        if named in _CONTRASTS:
            return _CONTRASTS[named]
        if self.says(_OTHER):
            return "its description names it as computed, or of another kind than BIDS has"
        found = [suffix for suffix, words in _WORDS.items() if self.says(words)]
        if "FLAIR" in found and "T2w" in found:
            # Which it is.
            found.remove("T2w")
        if len(found) > 1:
            return f"its description names {' and '.join(found)}"
        return found[0] if found else None

    def one_of_several_echoes(self) -> Kind | str:
        echo = elements.text(self.header, "EchoNumbers")
        suffix = "MEGRE" if "GR" in self.sequence else "MESE" if "SE" in self.sequence else ""
        if not suffix or not echo.isdecimal():
            return "it is one of several echoes, whose headers lack its number or its sequence"
        return self.made("anat", suffix, self.entities(echo=echo), {})
