"""What may be believed of DICOM JSON: which values are those of the file, and which need the file itself.

JSON says less than the file: a server may have written a decimal string as a number, left out what it could not
convert, put away what it found too large, or decoded strings with the wrong character set. So each value comes with
whether it is sure to be what the file holds; if it is not, the file is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from simple_orthanc.dicom.tags import BINARY_VRS, TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.dicomweb.model import read_json_value, read_string
from simple_orthanc.errors import ServerError
from simple_orthanc.files.walker import PIXELS
from simple_orthanc.sources.charset_check import is_decodable, is_mangled
from simple_orthanc.transport import HttpResponse, Transport
from simple_orthanc.transport.json_reader import UnreadableJsonError, read_json

_CHARACTER_SET = parse_tag("SpecificCharacterSet")


def needs_file(tag: Tag) -> bool:
    """Check whether only the file says what a tag holds, whatever a server writes of it in JSON.

    These are private tags, tags of more than one VR, binary ones, whole sequences, those about the file itself,
    integers of 64 bits, for which Orthanc 1.13.0 writes others, and the character set, which changes on the way.

    Examples
    --------
    >>> needs_file(parse_tag("KVP")), needs_file(parse_tag("0009,1001")), needs_file(parse_tag("PixelPaddingValue"))
    (False, True, True)
    """
    if (
        tag.leaf == _CHARACTER_SET.leaf
        or tag.is_private
        or tag.vr in BINARY_VRS | {"SQ", "AT", "SV", "UV"}
        or tag.steps[0].group in (2, 0x7FE0)
    ):
        return True
    try:
        return " or " in dictionary_VR(tag.leaf.number)
    except KeyError:
        return True


def read_sure_value(item: Mapping[str, Any], tag: Tag) -> tuple[Value, bool]:
    """Read the value of a tag from DICOM JSON, and check whether it is sure to be what the file holds.

    Examples
    --------
    >>> read_sure_value({"0008103E": {"vr": "LO", "Value": ["T2"]}}, parse_tag("SeriesDescription"))
    (('T2',), True)
    >>> item = {"00080005": {"vr": "CS", "Value": ["UTF8"]}, "0008103E": {"vr": "LO", "Value": ["T2"]}}
    >>> read_sure_value(item, parse_tag("SeriesDescription"))
    (('T2',), False)
    """
    value, is_sure = read_json_value(item, tag)
    if is_sure and value:
        is_sure = not is_mangled(_joined(value))
        if is_sure and tag.vr in TEXT_VRS and tag is not _CHARACTER_SET:
            character_set, _ = read_json_value(item, _CHARACTER_SET)
            is_sure = is_decodable(_joined(character_set))
    return value, is_sure


def _joined(value: Value) -> str:
    return "\\".join(str(part) for part in value or ())


def is_whole(metadata: Mapping[str, Any], header: Dataset) -> bool:
    """Check whether metadata have every element of the file's header, pixels aside.

    A server may be told to keep less.
    """
    in_file = {f"{int(tag):08X}" for tag in header.keys() if tag.element and tag not in PIXELS}  # noqa: SIM118
    return in_file <= set(metadata)


class CharacterLoss:
    """Whether a server writes strings in a character set that may not hold all their characters.

    Orthanc's plugin 1.7 writes the strings of searches in the server's DefaultEncoding (Latin-1) and names that
    encoding; characters that it lacks are lost without a trace.

    Parameters
    ----------
    transport : Transport
        The connection.
    root : str
        Path of the service below the address of the connection.
    """

    def __init__(self, transport: Transport, root: str) -> None:
        self._transport = transport
        self._info = f"/{root}/info" if root else "/info"
        self._is_orthanc: bool | None = None

    def affects(self, item: Mapping[str, Any]) -> bool:
        """Check whether characters may be missing in a result of a search.

        Raises
        ------
        TransportError
            If it cannot be found out, since no complete response came.
        """
        if read_string(item, "SpecificCharacterSet") in ("", "ISO_IR 192"):
            return False
        if self._is_orthanc is None:
            # Other servers name the character set of the file, and write its strings as they are.
            try:
                self._is_orthanc = self._transport.read("GET", self._info, _is_of_orthanc)
            except ServerError:
                self._is_orthanc = False
        return self._is_orthanc


def _is_of_orthanc(response: HttpResponse) -> bool:
    """Check whether a response is what Orthanc's plugin says of itself; other servers may answer with a page."""
    try:
        info = read_json(response.content)
    except UnreadableJsonError:
        return False
    return isinstance(info, dict) and "DicomWebRoot" in info


def first_of_each(
    metadata: Sequence[dict[str, Any]], identifiers: Sequence[str], left_out: Sequence[str]
) -> list[dict[str, Any]]:
    """Select the metadata of one instance for each object that the identifiers name.

    Parameters
    ----------
    metadata : sequence of dict
        One dataset for each instance.
    identifiers : sequence of str
        Keywords that name the object together.
    left_out : sequence of str
        Keywords of numbers of other objects: what a file says of these is not a count by the server.
    """
    first: dict[tuple[str, ...], dict[str, Any]] = {}
    for item in metadata:
        first.setdefault(tuple(read_string(item, keyword) for keyword in identifiers), item)
    numbers = {f"{parse_tag(keyword).steps[0].number:08X}" for keyword in left_out}
    return [{number: element for number, element in item.items() if number not in numbers} for item in first.values()]
