"""Units of volumes as codes of UCUM, and back (PS3.16 CID 82)."""

from __future__ import annotations

# What values are called that nothing is known of.
UNKNOWN = ("", "stored", "US")

# Units of volumes, for some of which DICOM has names of its own (RescaleType, Units, DoseUnits): code and meaning.
_KNOWN = {
    "HU": ("[hnsf'U]", "Hounsfield unit"),
    "BQML": ("Bq/ml", "Becquerels/milliliter"),
    "GY": ("Gy", "Gray"),
    "g/ml": ("g/ml", "gram per milliliter"),
    "cm2/ml": ("cm2/ml", "square centimeter per milliliter"),
    "s": ("s", "second"),
    "ms": ("ms", "millisecond"),
    "mm": ("mm", "millimeter"),
    "mm2/s": ("mm2/s", "square millimeter per second"),
    "%": ("%", "percent"),
}
_NO_UNITS = ("1", "no units")
_UNIT_OF = {code: unit for unit, (code, _) in _KNOWN.items()} | {_NO_UNITS[0]: ""}


def is_known(unit: str) -> bool:
    """Check whether UCUM's code of a unit is known here.

    Examples
    --------
    >>> is_known("HU"), is_known("Philips")
    (True, False)
    """
    return unit in _KNOWN


def unit_code(unit: str) -> tuple[str, str]:
    """Return the code and the meaning of a unit; one that is not known here is "no units".

    Examples
    --------
    >>> unit_code("HU"), unit_code("US")
    (("[hnsf'U]", 'Hounsfield unit'), ('1', 'no units'))
    """
    return _KNOWN.get(unit, _NO_UNITS)


def unit_of_code(code: str) -> str:
    """Return the unit of a volume for a code of UCUM; one that is not known here is its own name.

    Examples
    --------
    >>> unit_of_code("Bq/ml"), unit_of_code("1/min"), unit_of_code("1")
    ('BQML', '1/min', '')
    """
    return _UNIT_OF.get(code, code)
