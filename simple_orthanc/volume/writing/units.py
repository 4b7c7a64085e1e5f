"""Where a header holds the units of values, so that they are read as what they were.

A PET image has Units (0054,1001), every other grey image RescaleType (0028,1054) with its slope and intercept. An MR
image whose values are rescaled also gets a Real World Value Mapping (PS3.3 C.7.6.16.2.11): its module has no rescaling
(C.8.3.1), and some readers, GDCM among them, look for that alone.
"""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.errors import VolumeError
from simple_orthanc.pixels.suv import suv_type
from simple_orthanc.pixels.ucum import UNKNOWN, is_known, unit_code
from simple_orthanc.volume.writing.classes import CT, MR, PET, ImageClass, pet_units
from simple_orthanc.volume.writing.pixels import StoredPixels
from simple_orthanc.volume.writing.source import coded

# The longest value of a long string (LO).
_LONGEST = 64


def units_and_rescale(pixels: StoredPixels, units: str, kind: ImageClass, suv: Any = None) -> dict[str, Any]:
    """Return the attributes that turn stored values into values with units, by keyword.

    Parameters
    ----------
    pixels : StoredPixels
    units : str
        Of the volume.
    kind : ImageClass
        Of the objects.
    suv : SuvRecord, optional
        How standardized uptake values were computed.

    Raises
    ------
    VolumeError
        The units are no text that a header can hold.

    Examples
    --------
    >>> import numpy as np
    >>> from simple_orthanc.volume.writing.classes import SECONDARY_CAPTURE
    >>> from simple_orthanc.volume.writing.pixels import stored_pixels
    >>> units_and_rescale(stored_pixels(np.array([1, 2])), "ms", SECONDARY_CAPTURE)
    {'RescaleSlope': '1', 'RescaleIntercept': '0', 'RescaleType': 'ms'}
    """
    if len(units) > _LONGEST or "\\" in units or units != units.strip() or not units.isprintable():
        raise VolumeError(
            f"The units of the volume are {units!r}, and RescaleType (0028,1054) holds up to {_LONGEST} printable "
            'characters without backslashes: name them with volume.with_array(volume.array, units="...").'
        )
    line = {"RescaleSlope": pixels.slope, "RescaleIntercept": pixels.intercept}
    if kind is PET:
        named = {"Units": pet_units(units)}
        return {**line, **named, **({"SUVType": suv_type(suv.kind)} if suv is not None else {})}
    if kind is not CT and not pixels.is_rescaled and units in ("", "stored"):
        return {}
    result: dict[str, Any] = {**line, "RescaleType": "US" if units in UNKNOWN else units}
    if kind is MR:
        result["RealWorldValueMappingSequence"] = [_mapping(pixels, units)]
    return result


def _mapping(pixels: StoredPixels, units: str) -> Dataset:
    item = Dataset()
    vr = "SS" if pixels.array.dtype.kind == "i" else "US"
    item.add_new("RealWorldValueFirstValueMapped", vr, pixels.used[0])
    item.add_new("RealWorldValueLastValueMapped", vr, pixels.used[1])
    item.RealWorldValueIntercept, item.RealWorldValueSlope = float(pixels.intercept), float(pixels.slope)
    code, meaning = unit_code(units)
    item.LUTExplanation = meaning if units in UNKNOWN or is_known(units) else units
    # A short string (SH).
    item.LUTLabel = "values" if units in UNKNOWN else units[:16].strip()
    item.MeasurementUnitsCodeSequence = [coded(code, "UCUM", meaning)]
    return item
