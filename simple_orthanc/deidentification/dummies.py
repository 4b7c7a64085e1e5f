"""Dummy values: valid values of each VR (DICOM PS3.5, section 6.2) that say nothing."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

TEXT = "REMOVED"
DATE = "19000101"

_VALUES: dict[str, Any] = {
    "AS": "000Y",
    "AT": BaseTag(0),
    "DA": DATE,
    "DS": "0",
    "DT": f"{DATE}000000",
    "FD": 0.0,
    "FL": 0.0,
    "IS": "0",
    "OB": b"\0\0",
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": b"\0\0",
    "TM": "000000",
    "UN": b"\0\0",
    # .invalid is reserved for names that nobody has (RFC 2606).
    "UR": "http://removed.invalid",
}
_INTEGERS = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})


def dummy_value(vr: str) -> Any:
    """Return the dummy value of a VR other than SQ and UI.

    Examples
    --------
    >>> dummy_value("LO"), dummy_value("DA"), dummy_value("US")
    ('REMOVED', '19000101', 0)
    """
    # An ambiguous VR such as "US or SS" is one of its first.
    vr = vr.partition(" ")[0]
    return 0 if vr in _INTEGERS else _VALUES.get(vr, TEXT)


def dummy_content_item() -> Dataset:
    """Return a content item that takes the place of the content of a structured report (PS3.3, section C.17.3.2)."""
    concept = Dataset()
    concept.CodeValue = "121106"
    concept.CodingSchemeDesignator = "DCM"
    concept.CodeMeaning = "Comment"
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = [concept]
    item.TextValue = TEXT
    return item
