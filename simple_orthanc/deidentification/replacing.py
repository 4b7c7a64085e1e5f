"""Values that users give for attributes, in place of what the profile would do."""

from __future__ import annotations

from typing import Any

from pydicom import config
from pydicom.valuerep import DSfloat, validate_value

from simple_orthanc.dicom.header import name_of
from simple_orthanc.dicom.tags import BINARY_VRS
from simple_orthanc.errors import SelectionError

_REAL = frozenset({"FD", "FL"})
_WHOLE = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
# In these a backslash is a character like others (PS3.5, section 6.2).
_SINGLE = frozenset({"LT", "ST", "UR", "UT"})


def replaced_value(tag: int, vr: str, value: str) -> Any:
    r"""Return a value as pydicom holds it, for an element with a VR.

    Parameters
    ----------
    tag : int
    vr : str
        Of an ambiguous one, such as "US or SS", the first counts.
    value : str
        A backslash separates values, except in text of one value.

    Raises
    ------
    SelectionError
        The value is not valid in the VR (DICOM PS3.5, section 6.2), or the attribute is a sequence or binary.

    Examples
    --------
    >>> replaced_value(0x00180060, "DS", "120"), replaced_value(0x00280010, "US", "512")
    ('120', 512)
    >>> replaced_value(0x00080008, "CS", "DERIVED\\SECONDARY")
    ['DERIVED', 'SECONDARY']
    """
    vr = vr.partition(" ")[0]
    if vr == "SQ" or vr in BINARY_VRS or vr == "AT":
        kind = "a sequence" if vr == "SQ" else f"of value representation {vr}"
        raise SelectionError(
            f"{name_of(tag)} is {kind}, which no string can replace: remove it, or keep it, and change it afterwards"
        )
    parts = [value] if vr in _SINGLE else value.split("\\")
    try:
        converted = [_converted(vr, part) for part in parts]
    except (ValueError, OverflowError) as error:
        raise SelectionError(
            f"replace holds {value!r} for {name_of(tag)}, which is not valid in its value representation {vr} "
            f"(DICOM PS3.5, section 6.2): {_first_sentence(error)}"
        ) from None
    return converted if len(converted) > 1 else converted[0]


def _converted(vr: str, part: str) -> Any:
    if vr in _WHOLE:
        return int(part)
    if vr in _REAL:
        return float(part)
    validate_value(vr, part, config.RAISE)
    if vr == "DS" and part.strip():
        DSfloat(part)
    return part


def _first_sentence(error: Exception) -> str:
    """Return what pydicom or Python says, without the address of the standard."""
    return str(error).partition(". Please see")[0].rstrip(".")
