"""What is to become of the tags of copies that the server makes: which it keeps, replaces and removes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import pydicom.config
from pydicom.valuerep import format_number_as_ds, validate_value

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.dicom.tags import BINARY_VRS, Tag, parse_tag
from simple_orthanc.dicom.times import parse_date
from simple_orthanc.errors import SelectionError, UnsupportedError

# How the values look that are most often written otherwise.
_FORMS = {
    "AS": "write an age as 045Y, 018M or 003D",
    "CS": "write capital letters, digits, spaces and underscores, at most 16",
    "DA": "write a day that there is, as in 20200131",
    "TM": "write a time as 143000 or 143000.5",
}
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_IDENTIFIERS = frozenset(IDENTIFIERS.values())
_INTEGER_VRS = ("SS", "US", "SL", "UL", "SV", "UV")
_FLOAT_VRS = ("FL", "FD")
# How the stored pixels are to be read (Image Pixel and Multi-frame Modules, PS3.3, C.7.6.3 and C.7.6.6).
_PIXEL_DESCRIPTION = frozenset(
    [
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
    ]
)
# In these a backslash is a character like any other.
_ONE_STRING_VRS = ("LT", "ST", "UR", "UT")


@dataclass(frozen=True)
class TagChanges:
    """Tags that are kept, replaced and removed, checked before anything is sent.

    Attributes
    ----------
    keep, remove : tuple of Tag
        Plain tags.
    replace : mapping
        Plain tag to its new value, as a DICOM string.
    """

    keep: tuple[Tag, ...]
    replace: Mapping[Tag, str]
    remove: tuple[Tag, ...]

    @classmethod
    def parse(cls, keep: Iterable[str], replace: Mapping[str, Any], remove: Iterable[str]) -> TagChanges:
        """Read the arguments of `anonymize` and `modify`.

        Raises
        ------
        UnknownTagError
            There is no such tag.
        SelectionError
            A value cannot be one of its tag, a tag is meant to be treated in two ways, or identifiers would be removed.
        UnsupportedError
            The server cannot change such a tag.

        Examples
        --------
        >>> changes = TagChanges.parse(["StudyDate"], {"PatientWeight": 70, "StudyTime": None}, ["0009,100D"])
        >>> changes.fields()
        {'Keep': ['0008,0020'], 'Replace': {'0010,1030': '70', '0008,0030': ''}, 'Remove': ['0009,100d']}
        """
        if not isinstance(replace, Mapping):
            raise SelectionError(
                f"replace is of type {type(replace).__name__}; give a dict, as in replace={{'PatientID': 'S042'}}."
            )
        changes = cls(
            tuple(map(plain_tag, _listed("keep", keep))),
            {tag: dicom_string(tag, value) for tag, value in ((_replaceable(name), replace[name]) for name in replace)},
            tuple(map(plain_tag, _listed("remove", remove))),
        )
        changes._check()
        return changes

    def _check(self) -> None:
        seen: dict[Tag, str] = {}
        for argument, tags in (("keep", self.keep), ("replace", self.replace), ("remove", self.remove)):
            for tag in tags:
                if seen.setdefault(tag, argument) != argument:
                    raise SelectionError(
                        f"{tag} is both in {seen[tag]} and in {argument}: leave it out of one of them."
                    )
        described = [tag for tag in self.changed if len(tag.steps) == 1 and tag.keyword in _PIXEL_DESCRIPTION]
        if described:
            raise SelectionError(
                f"{described[0]} was to be changed, and says how the stored pixels are to be read: with another value "
                "they would be read wrongly. To store other pixels, use upload_volume()."
            )
        emptied = [*self.remove, *(tag for tag, value in self.replace.items() if not value.strip())]
        identifiers = [tag.keyword for tag in emptied if tag.keyword in _IDENTIFIERS]
        if identifiers:
            raise SelectionError(
                f"{identifiers[0]} was to be removed, and without it there is no object: give it another value, as in "
                f"replace={{'{identifiers[0]}': ...}}, or leave it out to get a new one."
            )

    @property
    def kept(self) -> frozenset[str]:
        """Keywords of the tags to keep."""
        return frozenset(tag.keyword for tag in self.keep)

    @property
    def replaced(self) -> dict[str, str]:
        """Keyword, or else number, to new value."""
        return {tag.keyword or tag.number: value for tag, value in self.replace.items()}

    @property
    def changed(self) -> list[Tag]:
        """The tags that are replaced or removed."""
        return [*self.replace, *self.remove]

    @property
    def level(self) -> Level:
        """The highest level at which a tag is replaced or removed, by DICOM's information model."""
        return LEVELS[min((depth(tag.level) for tag in self.changed), default=depth("instance"))]

    def _creators(self) -> list[str]:
        """Return the numbers of the creators of private elements to keep, which mean nothing without (PS3.5, 7.8.1)."""
        kept = [tag.leaf for tag in self.keep if tag.is_private and tag.leaf.element >= 0x1000]
        return [f"{leaf.group:04x},{leaf.element >> 8:04x}" for leaf in kept]

    def fields(self) -> dict[str, Any]:
        """Return them as Orthanc takes them."""
        fields: dict[str, Any] = {
            "Keep": list(dict.fromkeys([tag.number for tag in self.keep] + self._creators())),
            "Replace": {tag.number: value for tag, value in self.replace.items()},
            "Remove": [tag.number for tag in self.remove],
        }
        if any(tag.keyword in _IDENTIFIERS for tag in (*self.keep, *self.replace)):
            # Orthanc keeps and sets identifiers only if it is told so twice.
            fields["Force"] = True
        return fields


def plain_tag(name: str) -> Tag:
    """Read a tag that a server can change: a keyword, or a number.

    Raises
    ------
    UnknownTagError
        There is no such tag.
    UnsupportedError
        It is private with its creator, a path into a sequence, pixel data or part of the file meta information.

    Examples
    --------
    >>> plain_tag("0010,0020").keyword, plain_tag("0009,100D").number
    ('PatientID', '0009,100d')
    """
    tag = parse_tag(name)
    if len(tag.steps) > 1 or tag.steps[0].creator is not None:
        raise UnsupportedError(
            f"{name} was to be changed by the server, which takes plain tags only: a keyword, or the number of a "
            "private tag as it is in the file, such as 0009,100D."
        )
    if tag.is_pixels or tag.leaf.group in (0, 2) or tag.keyword == "SpecificCharacterSet":
        raise UnsupportedError(
            f"{tag} tells how a file is encoded, which the server decides: leave it out, and change only what the "
            "file is about."
        )
    return tag


def dicom_string(tag: Tag, value: Any) -> str:
    r"""Write a new value of a tag as DICOM does.

    Parameters
    ----------
    tag : Tag
        The tag.
    value : str, number, date, time, datetime, None, or list or tuple of these
        None and "" are an empty value.

    Returns
    -------
    str
        Several values joined by a backslash (PS3.5, section 6.4).

    Raises
    ------
    SelectionError
        The value cannot be one of this tag: a date that is no date, a string that is too long, ...

    Examples
    --------
    >>> dicom_string(parse_tag("StudyDate"), date(2020, 1, 31)), dicom_string(parse_tag("PixelSpacing"), [0.5, 0.25])
    ('20200131', '0.5\\0.25')
    """
    values = [value]
    if isinstance(value, list | tuple):
        values = list(value)
    elif isinstance(value, str) and tag.vr not in _ONE_STRING_VRS:
        values = str(value).split("\\")
    strings = [_one_string(tag, part) for part in values]
    if len(strings) > 1 and not tag.is_list:
        raise SelectionError(f"{tag} was to become {value!r}, and holds one value only: give one.")
    return "\\".join(strings)


def _one_string(tag: Tag, value: Any) -> str:
    if value is None or value == "":
        return ""
    try:
        string = _written(tag, value)
    except OverflowError as error:
        raise _no_value(tag, value, error) from None
    if string is None:
        raise SelectionError(
            f"{tag} was to become {value!r}, which is of type {type(value).__name__}: give a string"
            + {"DA": " such as '20200131'", "TM": " such as '143000'"}.get(tag.vr, " or a number")
            + ". Nothing was sent."
        )
    _check_characters(tag, string)
    try:
        _validate(tag.vr, string)
    except (ValueError, OverflowError) as error:
        raise _no_value(tag, value, error) from None
    return string


def _no_value(tag: Tag, value: Any, error: Exception) -> SelectionError:
    reason = " ".join(str(error).split()).partition(" Please see")[0].rstrip(".")
    return SelectionError(
        f"{tag} was to become {value!r}, which is no value of it (VR {tag.vr}, PS3.5, section 6.2): "
        f"{_FORMS.get(tag.vr, reason)}. Nothing was sent."
    )


def _written(tag: Tag, value: Any) -> str | None:
    """Return a value as a string, None if its type says nothing of this tag."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return value.strftime("%Y%m%d%H%M%S.%f%z") if tag.vr == "DT" else None
    if isinstance(value, date):
        return value.strftime("%Y%m%d") if tag.vr in ("DA", "DT") else None
    if isinstance(value, time):
        return value.strftime("%H%M%S.%f") if tag.vr == "TM" else None
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    if tag.vr == "DS":
        return format_number_as_ds(float(value)) if len(str(value)) > 16 else str(value)
    return str(value)


def _check_characters(tag: Tag, string: str) -> None:
    """Refuse control characters, which no value of one line has (PS3.5, section 6.1.3), and halves of characters."""
    if any("\ud800" <= character <= "\udfff" for character in string):
        raise SelectionError(
            f"{tag} was to become {string!r}, which cannot be written: it holds half a character. Nothing was sent."
        )
    allowed = "\t\n\f\r\x1b" if tag.vr in ("LT", "ST", "UT") else ""
    bad = next((character for character in string if ord(character) < 32 and character not in allowed), None)
    if bad is not None:
        raise SelectionError(
            f"{tag} was to become {string!r}, which holds the control character {bad!r}: leave it out."
        )


def _validate(vr: str, string: str) -> None:
    if vr in _INTEGER_VRS:
        validate_value(vr, int(string), pydicom.config.RAISE)
    elif vr in _FLOAT_VRS:
        validate_value(vr, float(string), pydicom.config.RAISE)
    else:
        validate_value(vr, string, pydicom.config.RAISE)
    # The pattern allows 31 days in any month, and a range as in a query.
    if vr == "DA" and parse_date(string) is None:
        raise ValueError("there is no such day")


def _replaceable(name: str) -> Tag:
    tag = plain_tag(name)
    if tag.is_private:
        raise UnsupportedError(f"{tag} is private, and the server replaces only tags that it knows: keep or remove it.")
    if tag.is_sequence or tag.vr in BINARY_VRS:
        raise UnsupportedError(
            f"{tag} holds {'items' if tag.is_sequence else 'bytes'} (VR {tag.vr}), and the server replaces strings and "
            "numbers: remove it, or change the objects with pydicom and upload them."
        )
    return tag


def _listed(argument: str, names: Iterable[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise SelectionError(f"{argument} is {names!r}; give a list of tags, as in {argument}=['StudyDescription'].")
    return list(names)
