"""The type of an attribute in the IOD of its object (DICOM PS3.3), where Table E.1-1 of PS3.15 asks for it.

X/Z/D in that table means: remove, unless the IOD requires an empty value (type 2) or a value (type 1). Conditional
types count as required. Only the 49 attributes with such an action are in the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from simple_orthanc.deidentification.table import read_lines


@lru_cache(maxsize=1)
def _types() -> Mapping[str, tuple[tuple[str, frozenset[str]], ...]]:
    found: dict[str, tuple[tuple[str, frozenset[str]], ...]] = {}
    for line in read_lines("iod_types.tsv"):
        entry = (line["type"], frozenset(line["iods"].split()))
        found[line["path"]] = (*found.get(line["path"], ()), entry)
    return found


@lru_cache(maxsize=1)
def _iods() -> Mapping[str, str]:
    return {line["sop_class"]: line["iod"] for line in read_lines("sop_class_iods.tsv")}


def type_of(sop_class: str, path: Sequence[str]) -> int | None:
    """Return the type, 1 to 3, of an attribute with a compound action; None if the SOP class is unknown.

    Parameters
    ----------
    sop_class : str
        The SOPClassUID of the object.
    path : sequence of str
        The keywords of the sequences around the attribute, and its own.

    Returns
    -------
    int or None
        3 also for an attribute that the IOD does not have there.

    Examples
    --------
    >>> from pydicom.uid import CTImageStorage, PositronEmissionTomographyImageStorage
    >>> path = ["AcquisitionDate"]
    >>> type_of(CTImageStorage, path), type_of(PositronEmissionTomographyImageStorage, path)
    (3, 2)
    >>> type_of("1.2.3", path) is None
    True
    """
    iod = _iods().get(sop_class)
    if iod is None:
        return None
    for type_, iods in _types().get(".".join(path), ()):
        if "*" in iods or iod in iods:
            return int(type_)
    return 3
