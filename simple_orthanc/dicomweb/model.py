"""The DICOM JSON model (PS3.18 annex F): its values as texts, and as pydicom datasets."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from simple_orthanc.dicom.tags import BINARY_VRS, TagLike, parse_tag
from simple_orthanc.errors import TransportError

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def texts(item: Mapping[str, Any], tag: TagLike) -> list[str]:
    """Give the values of an element as the texts that a DICOM file would hold; none where it is missing or empty.

    Parameters
    ----------
    item : mapping
        A dataset in the DICOM JSON model.
    tag : str, int or Tag
        A keyword or number, or a path into sequences.

    Examples
    --------
    >>> texts({"00080060": {"vr": "CS", "Value": ["MR"]}}, "Modality")
    ['MR']
    >>> texts({"00181030": {"vr": "DS", "Value": [1.5, "2.50", None]}}, "0018,1030")
    ['1.5', '2.50', '']
    """
    found: list[str] = []
    if isinstance(tag, str) and tag in item:
        return _element_texts(item[tag])
    steps = parse_tag(tag).steps
    entries = [item.get(f"{steps[0].number:08X}")]
    for before, step in pairwise(steps):
        items = [inner for entry in entries if entry for inner in entry.get("Value") or []]
        chosen = items if before.item is None else items[before.item : before.item + 1]
        entries = [inner.get(f"{step.number:08X}") for inner in chosen if inner]
    for entry in entries:
        found += _element_texts(entry) if entry else []
    return found


def text(item: Mapping[str, Any], tag: TagLike) -> str:
    """Give the first value of an element as text, "" where there is none.

    Examples
    --------
    >>> text({"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^J", "Phonetic": "d"}]}}, "PatientName")
    'Doe^J==d'
    """
    return next(iter(texts(item, tag)), "")


def _element_texts(entry: Mapping[str, Any]) -> list[str]:
    values = entry.get("Value")
    if values is None:
        return []
    found = [value_text(value) for value in (values if isinstance(values, list) else [values])]
    return found if any(found) else []


def value_text(value: Any) -> str:
    """Write one value as text: a name with its groups, a number in its shortest form, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "=".join(str(value.get(group) or "") for group in _GROUPS).rstrip("=")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def to_dataset(item: Mapping[str, Any], bulk: Callable[[str], bytes] | None = None) -> Dataset:
    """Make a pydicom dataset of a dataset in the DICOM JSON model.

    Parameters
    ----------
    item : mapping
        As metadata and searches give it.
    bulk : function, optional
        Gives the bytes of a BulkDataURI, such as `Transactions.retrieve_bulkdata`. Without it elements whose value is
        elsewhere are left out; `bulk_data_uris` names them.

    Returns
    -------
    pydicom.Dataset
        With ``file_meta`` where the item has elements of group 2. Numbers that came as text and texts that came as
        numbers become what their VR says; DS keeps the text that came.

    Raises
    ------
    TransportError
        If an element is not in that model, such as a number in the place of a sequence.

    Examples
    --------
    >>> item = {"00180050": {"vr": "DS", "Value": ["2.50"]}, "00280010": {"vr": "US", "Value": [4]}}
    >>> dataset = to_dataset(item)
    >>> dataset.SliceThickness, str(dataset.SliceThickness), dataset.Rows
    ('2.50', '2.50', 4)
    """
    dataset, meta = Dataset(), FileMetaDataset()
    for name, entry in item.items():
        try:
            element = _element(name, entry, bulk)
        except (ValueError, TypeError, OverflowError, AttributeError, KeyError) as error:
            raise TransportError(
                f"The element {name!r} is not in the DICOM JSON model: {error}. The server sent it so; read the files "
                "instead."
            ) from None
        if element is None or element.tag.element == 0:
            continue
        (meta if element.tag.group == 2 else dataset).add(element)
    if meta:
        dataset.file_meta = meta
    return dataset


def bulk_data_uris(item: Mapping[str, Any]) -> dict[str, str]:
    """Find where the values of a dataset are that are not in it.

    Returns
    -------
    dict of str to str
        Tag, as a path where it lies in a sequence, to BulkDataURI.

    Examples
    --------
    >>> bulk_data_uris({"7FE00010": {"vr": "OW", "BulkDataURI": "http://127.0.0.1/bulk/1"}})
    {'7FE00010': 'http://127.0.0.1/bulk/1'}
    """
    found: dict[str, str] = {}
    for name, entry in item.items():
        if isinstance(entry.get("BulkDataURI"), str):
            found[name] = entry["BulkDataURI"]
        values = entry.get("Value")
        for place, inner in enumerate(values if entry.get("vr") == "SQ" and isinstance(values, list) else []):
            if isinstance(inner, Mapping):
                found |= {f"{name}[{place}].{path}": uri for path, uri in bulk_data_uris(inner).items()}
    return found


def _element(name: str, entry: Mapping[str, Any], bulk: Callable[[str], bytes] | None) -> DataElement | None:
    tag = Tag(int(name, 16))
    vr = str(entry.get("vr") or _vr_of(tag))
    value: Any
    if "InlineBinary" in entry:
        inline = entry["InlineBinary"]
        # A list of one is what some servers write.
        value = base64.b64decode(inline[0] if isinstance(inline, list) else inline or "", validate=True)
    elif "BulkDataURI" in entry:
        if bulk is None:
            return None
        content = bulk(entry["BulkDataURI"])
        value = content if vr in BINARY_VRS else _from_bytes(vr, content)
    else:
        value = _value(vr, entry.get("Value"), bulk)
    try:
        return DataElement(tag, vr, value, validation_mode=config.IGNORE)
    except (ValueError, TypeError, OverflowError):
        if vr not in ("DS", "IS"):
            raise
        # A text that is no number stays that text, as it stands in the file.
        return DataElement(tag, vr, value, validation_mode=config.IGNORE, already_converted=True)


def _vr_of(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "UN"


def _value(vr: str, given: Any, bulk: Callable[[str], bytes] | None) -> Any:
    values = given if isinstance(given, list) else [given]
    if vr == "SQ":
        return Sequence([] if given is None else [to_dataset(value or {}, bulk) for value in values])
    if not values or values == [None]:
        return empty_value_for_VR(vr)
    if vr in BINARY_VRS:
        return "\\".join(map(_checked_text, values)).encode()
    convert: Callable[[Any], Any] = _CONVERSIONS.get(vr, value_text)
    converted = [convert(value) for value in values]
    return converted[0] if len(converted) == 1 else converted


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where bytes should be")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is no integer")
    return int(value)


def _attribute_tag(value: Any) -> BaseTag:
    return Tag(int(value, 16) if isinstance(value, str) else int(value))


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("SS", "US", "SL", "UL", "SV", "UV"), _integer),
    **dict.fromkeys(("FL", "FD"), float),
    "AT": _attribute_tag,
}

_FORMATS = {"FL": "f", "FD": "d", "SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q"}


def _from_bytes(vr: str, content: bytes) -> Any:
    """Read a value that was sent as bytes, in little endian (PS3.18 section 8.7.3.3.2)."""
    if vr in _FORMATS:
        numbers = [number for (number,) in struct.iter_unpack(f"<{_FORMATS[vr]}", content)]
        return numbers[0] if len(numbers) == 1 else numbers
    text = content.decode("utf-8").rstrip(" \0")
    single = vr in ("LT", "ST", "UT", "UR")
    return text if single or "\\" not in text else text.split("\\")
