"""Datasets in the DICOM JSON model (PS3.18 annex F) as pydicom datasets, and where their bulk data are."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from simple_orthanc.dicom.tags import BINARY_VRS
from simple_orthanc.dicomweb.model import value_string
from simple_orthanc.errors import TransportError


def to_dataset(item: Mapping[str, Any], bulk: Callable[[str], bytes] | None = None) -> Dataset:
    """Convert a dataset of the DICOM JSON model to a pydicom dataset.

    Parameters
    ----------
    item : mapping
        A dataset as searches and metadata return it.
    bulk : callable, optional
        Returns the bytes of a BulkDataURI, such as `Transactions.retrieve_bulkdata`. Without it, elements whose value
        is elsewhere are left out; `bulk_data_uris` lists them.

    Returns
    -------
    pydicom.Dataset
        With ``file_meta`` if the item has elements of group 2. Each value has the type of its VR, whether JSON had a
        number or a string; DS keeps the string that came.

    Raises
    ------
    TransportError
        If an element is not in that model, such as a number where a sequence belongs.

    Examples
    --------
    >>> item = {"00180050": {"vr": "DS", "Value": ["2.50"]}, "00280010": {"vr": "US", "Value": [4]}}
    >>> dataset = to_dataset(item)
    >>> dataset.SliceThickness, str(dataset.SliceThickness), dataset.Rows
    ('2.50', '2.50', 4)
    """
    dataset, meta = Dataset(), FileMetaDataset()
    for number, entry in item.items():
        try:
            element = _to_element(number, entry, bulk)
        except (ValueError, TypeError, OverflowError, AttributeError, KeyError) as error:
            raise TransportError(
                f"The element {number!r} is not in the DICOM JSON model: {error}. The server sent it in this form; "
                "read the files instead."
            ) from None
        if element is None or element.tag.element == 0:
            continue
        (meta if element.tag.group == 2 else dataset).add(element)
    if meta:
        dataset.file_meta = meta
    return dataset


def bulk_data_uris(item: Mapping[str, Any]) -> dict[str, str]:
    """List the values that a dataset does not hold itself, with the URLs where they are.

    Returns
    -------
    dict of str to str
        Tag, as a path if it is inside a sequence, to BulkDataURI.

    Examples
    --------
    >>> bulk_data_uris({"7FE00010": {"vr": "OW", "BulkDataURI": "http://127.0.0.1/bulk/1"}})
    {'7FE00010': 'http://127.0.0.1/bulk/1'}
    """
    uris: dict[str, str] = {}
    for number, entry in item.items():
        if isinstance(entry.get("BulkDataURI"), str):
            uris[number] = entry["BulkDataURI"]
        values = entry.get("Value")
        for index, inner in enumerate(values if entry.get("vr") == "SQ" and isinstance(values, list) else []):
            if isinstance(inner, Mapping):
                uris |= {f"{number}[{index}].{path}": uri for path, uri in bulk_data_uris(inner).items()}
    return uris


def _to_element(number: str, entry: Mapping[str, Any], bulk: Callable[[str], bytes] | None) -> DataElement | None:
    tag = Tag(int(number, 16))
    vr = str(entry.get("vr") or _dictionary_vr(tag))
    value: Any
    if "InlineBinary" in entry:
        inline = entry["InlineBinary"]
        # Some servers write a list of one string.
        value = base64.b64decode(inline[0] if isinstance(inline, list) else inline or "", validate=True)
    elif "BulkDataURI" in entry:
        if bulk is None:
            return None
        content = bulk(entry["BulkDataURI"])
        value = content if vr in BINARY_VRS else _from_bytes(vr, content)
    else:
        value = _to_value(vr, entry.get("Value"), bulk)
    try:
        return DataElement(tag, vr, value, validation_mode=config.IGNORE)
    except (ValueError, TypeError, OverflowError):
        if vr not in ("DS", "IS"):
            raise
        # A string that is not a number stays that string, as it is in the file.
        return DataElement(tag, vr, value, validation_mode=config.IGNORE, already_converted=True)


def _dictionary_vr(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)[:2]
    except KeyError:
        return "UN"


def _to_value(vr: str, json_value: Any, bulk: Callable[[str], bytes] | None) -> Any:
    values = json_value if isinstance(json_value, list) else [json_value]
    if vr == "SQ":
        return Sequence([] if json_value is None else [to_dataset(value or {}, bulk) for value in values])
    if not values or values == [None]:
        return empty_value_for_VR(vr)
    if vr in BINARY_VRS:
        return "\\".join(map(_checked_string, values)).encode()
    convert: Callable[[Any], Any] = _CONVERSIONS.get(vr, value_string)
    converted = [convert(value) for value in values]
    return converted[0] if len(converted) == 1 else converted


def _checked_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of bytes")
    return value


def _to_integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{value} is not an integer")
    return int(value)


def _to_tag(value: Any) -> BaseTag:
    return Tag(int(value, 16) if isinstance(value, str) else int(value))


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("SS", "US", "SL", "UL", "SV", "UV"), _to_integer),
    **dict.fromkeys(("FL", "FD"), float),
    "AT": _to_tag,
}

_FORMATS = {"FL": "f", "FD": "d", "SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q"}


def _from_bytes(vr: str, content: bytes) -> Any:
    """Read a value that was sent as bytes, in little endian (PS3.18 section 8.7.3.3.2)."""
    if vr in _FORMATS:
        numbers = [number for (number,) in struct.iter_unpack(f"<{_FORMATS[vr]}", content)]
        return numbers[0] if len(numbers) == 1 else numbers
    string = content.decode("utf-8").rstrip(" \0")
    is_single = vr in ("LT", "ST", "UT", "UR")
    return string if is_single or "\\" not in string else string.split("\\")
