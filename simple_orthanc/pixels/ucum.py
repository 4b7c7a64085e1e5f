"""Units of volumes as codes of UCUM, and back (PS3.16 CID 82)."""

from __future__ import annotations

SCHEME = "UCUM"
NO_UNIT = "1"

# The units that DICOM has names of its own for (RescaleType, Units, DoseUnits).
_CODES = {"HU": "[hnsf'U]", "BQML": "Bq/ml", "GY": "Gy", "": NO_UNIT}
_NAMES = {code: unit for unit, code in _CODES.items()}
# Units that say that there is none.
_UNSPECIFIED = ("US", "stored")
_MEANINGS = {
    NO_UNIT: "no units",
    "[hnsf'U]": "Hounsfield unit",
    "Bq/ml": "Becquerels/milliliter",
    "Gy": "Gray",
}


def unit_code(unit: str) -> tuple[str, str, str]:
    """Return the code of a unit: value, scheme, meaning; one that DICOM has no name of its own for is taken as UCUM.

    Examples
    --------
    >>> unit_code("HU"), unit_code("mm2/s")
    (("[hnsf'U]", 'UCUM', 'Hounsfield unit'), ('mm2/s', 'UCUM', 'mm2/s'))
    """
    code = NO_UNIT if unit in _UNSPECIFIED else _CODES.get(unit, unit)
    return code, SCHEME, _MEANINGS.get(code, code)


def unit_of_code(code: str) -> str:
    """Return the unit of a volume for a code of UCUM: by the name that DICOM has for it, else as it is.

    Examples
    --------
    >>> unit_of_code("Bq/ml"), unit_of_code("mm2/s"), unit_of_code("1")
    ('BQML', 'mm2/s', '')
    """
    return _NAMES.get(code, code)
