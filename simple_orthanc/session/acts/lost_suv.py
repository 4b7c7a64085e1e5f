"""What copies of PET images lack for standardized uptake values, where these could be computed from the originals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy

from pydicom.dataset import Dataset

from simple_orthanc.dicom.header import items, text
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import OrthancError
from simple_orthanc.files.parsing import parse_file, typed_errors
from simple_orthanc.files.walker import PIXELS
from simple_orthanc.pixels.suv import suv_scale
from simple_orthanc.rest import Rest
from simple_orthanc.rest.objects import Series
from simple_orthanc.selection.source import Source
from simple_orthanc.session.acts.copy_traces import Copies
from simple_orthanc.session.acts.reports import Target

# From what says least of a patient to what says most: not all of it is needed.
_NEEDED = (
    ("", ("PatientWeight",)),
    ("", ("SeriesTime", "AcquisitionTime")),
    ("RadiopharmaceuticalInformationSequence", ("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime")),
    ("", ("SeriesDate", "AcquisitionDate")),
)


def lost_for_suv(original: Dataset, copy: Dataset) -> list[str]:
    """Return the tags that a copy has not kept and that its SUV needs.

    Parameters
    ----------
    original, copy : pydicom.Dataset

    Returns
    -------
    list of str
        Empty if the SUV of the copy is that of the original, as it is where all dates are moved alike; if there was
        none; or if it needs other tags too.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> (original,) = Folder.example().select(Modality="PT", InstanceNumber=1).get_headers()
    >>> copy = Dataset()
    >>> copy.update({element.tag: element for element in original if element.keyword != "PatientWeight"})
    >>> lost_for_suv(original, copy)
    ['PatientWeight']
    """
    if text(original, "Modality") != "PT":
        return []
    factor = _factor(original)
    if factor is None or _is_close(_factor(copy), factor):
        return []
    tried, lost = deepcopy(_without_pixels(copy)), []
    for sequence, keywords in _NEEDED:
        from_item, to_item = (_item(header, sequence) for header in (original, tried))
        changed = [keyword for keyword in keywords if text(from_item, keyword) not in ("", text(to_item, keyword))]
        to_item.update({from_item[keyword].tag: from_item[keyword] for keyword in changed})
        lost += changed
        if _is_close(_factor(tried), factor):
            return lost
    return []


def _without_pixels(header: Dataset) -> Dataset:
    kept = Dataset()
    kept.update(header)
    for tag in PIXELS:
        kept.pop(tag, None)
    return kept


def _item(header: Dataset, sequence: str) -> Dataset:
    """Return the first item of a sequence, or the header itself for ""."""
    found = items(header, sequence) if sequence else [header]
    return found[0] if found else Dataset()


def _factor(header: Dataset) -> float | None:
    with suppress(OrthancError), quiet():
        return suv_scale([header])[0][0]
    return None


def suv_warnings(original: Dataset, copy: Dataset) -> list[str]:
    """Return a warning if the SUV cannot be computed from a copy that `deidentify` made.

    Examples
    --------
    >>> suv_warnings(Dataset(), Dataset())
    []
    """
    lost = lost_for_suv(original, copy)
    if not lost:
        return []
    options = ["retain_patient_characteristics"] if "PatientWeight" in lost else []
    options += ["retain_modified_dates"] if set(lost) != {"PatientWeight"} else []
    return [_message(lost, f"options={options}")]


def suv_message(rest: Rest, source: Source, target: Target, copies: Copies) -> str:
    """Return the message of a row of `anonymize` if the SUV cannot be computed from its copies; "" if it can.

    Parameters
    ----------
    rest, source : Rest, Source
        The server. One image of each new PET series is read, and its original.
    target : Target
        The row.
    copies : Copies
        What was made.
    """
    lost: list[str] = []
    seen: set[str] = set()
    for made in copies.of(target.instances):
        series = made.keys["series"]
        if series in seen:
            continue
        seen.add(series)
        # What cannot be read is copied all the same.
        with suppress(OrthancError):
            if Series(rest, series).main_dicom_tags.get("Modality") == "PT":
                lost += lost_for_suv(*(_parsed(source.content(key)) for key in (made.origin, made.keys["instance"])))
    if not lost:
        return ""
    named = list(dict.fromkeys(lost))
    return _message(named, f"keep={named}")


def _is_close(factor: float | None, wanted: float) -> bool:
    return factor is not None and math.isclose(factor, wanted, rel_tol=1e-6)


def _parsed(content: bytes) -> Dataset:
    with quiet(), typed_errors(content):
        return parse_file(content)


def _message(lost: Sequence[str], way_out: str) -> str:
    return f"no SUV can be computed from the copy, which did not keep {', '.join(lost)}: add {way_out}"
