"""Whether the characters of a dataset can be written: pydicom replaces by ``?`` what its character set cannot hold.

Only strings that are encoded again are looked at. What was read from a file and not accessed since is written as the
bytes that it was, so it must keep its SpecificCharacterSet.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NoReturn

from pydicom.charset import convert_encodings, custom_encoders, decode_bytes, encode_string, python_encoding
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, DataElement_from_raw, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import CUSTOMIZABLE_CHARSET_VR, STR_VR, TEXT_VR_DELIMS, PersonName

from simple_orthanc.dicom.header import name_of
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import SelectionError, stacklevel

# Bytes of a SpecificCharacterSet that are looked at.
_LONGEST = 256
# The default repertoire (PS3.5, section 6.1.2.1), which pydicom takes for Latin-1.
_DEFAULT = ("", "ISO_IR 6", "ISO 2022 IR 6")


def check_characters(dataset: Dataset) -> None:
    """Check that all strings of a dataset can be written in its SpecificCharacterSet; nothing in it is changed.

    An item of a sequence without a SpecificCharacterSet has that of the dataset around it (PS3.3, section C.12.1.1.2).

    Raises
    ------
    SelectionError
        A string has a character that would be lost; the message names the tag, the character and the character set.
    """
    from_file = dataset.original_encoding != (None, None)
    pending: list[tuple[Dataset, Sequence[str], str]] = [(dataset, (), "")]
    while pending:
        part, inherited, path = pending.pop()
        declared = _declared(part, inherited)
        encodings = python_encodings(tuple(declared))
        for stored in list(part.values()):
            name = path + name_of(stored.tag)
            element = (
                _read_before(stored, part, encodings, declared, name) if isinstance(stored, RawDataElement) else stored
            )
            if element is None or element.value is None:
                continue
            if element.VR == "SQ":
                items = enumerate(element.value)
                pending.extend(
                    (item, declared, f"{path}{_plain_name(element.tag)}[{number}].") for number, item in items
                )
            elif element.VR in CUSTOMIZABLE_CHARSET_VR:
                _check_text(element, encodings, declared, name, from_file=from_file)
            elif element.VR in STR_VR:
                _check_plain(element, name)


@contextmanager
def quiet_about_character_set(beginning: bytes) -> Iterator[None]:
    """Keep pydicom from warning that it does not know the character set of a file, without the name of the file.

    Parameters
    ----------
    beginning : bytes
        Of the file. Of a deflated one nothing is found, and pydicom warns.
    """
    if _has_unknown_set(beginning):
        with quiet():
            yield
    else:
        yield


def warn_of_unknown_character_sets(datasets: Sequence[Dataset]) -> None:
    """Warn once of datasets whose SpecificCharacterSet is no value that DICOM defines.

    Warns
    -----
    UserWarning
        How many they are, with the value and the SOPInstanceUID of the first.
    """
    unknown = [dataset for dataset in datasets if not _is_known(_declared(dataset, ()))]
    if unknown:
        warnings.warn(
            f"SpecificCharacterSet {_shown(_declared(unknown[0], ()))} is no value that DICOM defines, in "
            f"{len(unknown)} of {len(datasets)} objects, SOPInstanceUID {unknown[0].get('SOPInstanceUID')} for one: "
            "their strings are read by a guess.",
            stacklevel=stacklevel(),
        )


def _is_known(declared: Sequence[str]) -> bool:
    return all(value in python_encoding for value in declared)


def _has_unknown_set(beginning: bytes) -> bool:
    """Check whether a file declares a character set that pydicom may warn about; a false alarm does no harm."""
    for element, order in ((b"\x08\x00\x05\x00", "little"), (b"\x00\x08\x00\x05", "big")):
        at = beginning.find(element)
        if at < 0:
            continue
        is_explicit = beginning[at + 4 : at + 6] == b"CS"
        length = beginning[at + 6 : at + 8] if is_explicit else beginning[at + 4 : at + 8]
        end = at + 8 + int.from_bytes(length, order)  # type: ignore[arg-type]
        values = beginning[at + 8 : min(end, at + 8 + _LONGEST)].decode("latin-1").split("\\")
        if not _is_known([value.strip(" \0") for value in values]) or len(values) > 1:
            return True
    return False


def _declared(dataset: Dataset, inherited: Sequence[str]) -> Sequence[str]:
    """Return the values of SpecificCharacterSet that hold for a dataset."""
    if "SpecificCharacterSet" not in dataset:
        return inherited
    given = dataset.SpecificCharacterSet
    return (str(given),) if isinstance(given, str) else tuple(str(value or "") for value in given or ())


@lru_cache(maxsize=64)
def python_encodings(declared: tuple[str, ...]) -> list[str]:
    """Return the encodings of Python for the values of SpecificCharacterSet, without pydicom's warnings.

    Examples
    --------
    >>> python_encodings(("ISO_IR 100",)), python_encodings(("", "ISO 2022 IR 87"))
    (['latin_1'], ['iso8859', 'iso2022_jp'])
    """
    with quiet():
        return convert_encodings(list(declared))


def _read_before(
    element: RawDataElement, dataset: Dataset, encodings: list[str], declared: Sequence[str], name: str
) -> DataElement | None:
    """Return a sequence that must be looked into; refuse a string with bytes of another character set than declared.

    None: the element is written as the bytes that were read, or holds ASCII characters only.
    """
    before = dataset.original_character_set
    read_as = [before] if isinstance(before, str) else list(before)
    content = element.value
    if read_as == encodings or not content or bytes(content).isascii():
        return None
    vr = element.VR or _dictionary_vr(element.tag)
    if vr == "SQ":
        with quiet():
            sequence: DataElement = DataElement_from_raw(element, read_as)
        return sequence
    if vr in CUSTOMIZABLE_CHARSET_VR:
        raise SelectionError(
            f"{name} still holds the bytes that were read from a file, and SpecificCharacterSet was changed since, to "
            f"{_shown(declared)}: read the file again, call dataset.decode(), and change it then"
        )
    return None


def _plain_name(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or name_of(tag)


def _dictionary_vr(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _strings(element: DataElement) -> Iterator[Any]:
    value = element.value
    yield from [value] if isinstance(value, (str, bytes, PersonName)) or not hasattr(value, "__iter__") else value


def _check_text(
    element: DataElement, encodings: list[str], declared: Sequence[str], name: str, *, from_file: bool
) -> None:
    """Check a string for which SpecificCharacterSet holds.

    Files that declare no character set often hold Latin-1 all the same: what was read as such is written as such.
    """
    plain = len(encodings) > 1 or not from_file
    usable = [
        "ascii" if plain and known in _DEFAULT else encoding
        for known, encoding in zip(declared or ("",), encodings, strict=False)
    ]
    for value in _strings(element):
        if not isinstance(value, (str, PersonName)):
            continue
        if isinstance(value, PersonName):
            _forget_other_bytes(value, encodings)
        string = str(value)
        if string.isascii():
            continue
        lost = next((letter for letter in string if not any(_holds(encoding, letter) for encoding in usable)), None)
        if lost is not None:
            _refuse(name, f"has the character {lost!r}, which", declared, from_file=from_file)
        if not _comes_back(string, encodings, is_name=element.VR == "PN"):
            _refuse(name, f"has characters ({string!r}) which together", declared, from_file=from_file)


def _forget_other_bytes(value: PersonName, encodings: list[str]) -> None:
    """Drop the bytes of a name that pydicom kept when it was last written, if these are in another character set."""
    kept = value.original_string
    if value.encodings is None and isinstance(kept, bytes):
        string = str(value)
        with quiet():
            if str(PersonName(kept, encodings)) != string:
                value.original_string = None  # type: ignore[assignment]


def _holds(encoding: str, letter: str) -> bool:
    try:
        custom_encoders[encoding](letter) if encoding in custom_encoders else letter.encode(encoding)
    except UnicodeError:
        return False
    return True


def _comes_back(string: str, encodings: list[str], *, is_name: bool) -> bool:
    """Check whether a string that is written can be read again; where several character sets alternate it may not."""
    with quiet():
        try:
            if is_name:
                return str(PersonName(PersonName(string).encode(encodings), encodings)) == string
            return decode_bytes(encode_string(string, encodings), encodings, TEXT_VR_DELIMS) == string
        except (UnicodeError, LookupError):
            return False


def _check_plain(element: DataElement, name: str) -> None:
    """Check a string of a value representation for which SpecificCharacterSet does not hold (PS3.5, section 6.2)."""
    for value in _strings(element):
        lost = next((letter for letter in value if ord(letter) > 255), None) if isinstance(value, str) else None
        if lost is not None:
            raise SelectionError(
                f"{name} has the character {lost!r}; its value representation, {element.VR}, holds ASCII characters "
                "alone, whatever SpecificCharacterSet is: write the value with these"
            )


def _refuse(name: str, what: str, declared: Sequence[str], *, from_file: bool) -> NoReturn:
    # pydicom decodes what was read by the character set that is declared when it is accessed.
    way_out = (
        'read the file again, call dataset.decode(), and set dataset.SpecificCharacterSet = "ISO_IR 192", which holds '
        "every character, before the value"
        if from_file
        else 'set dataset.SpecificCharacterSet = "ISO_IR 192", which holds every character'
    )
    raise SelectionError(f"{name} {what} SpecificCharacterSet {_shown(declared)} cannot hold: {way_out}")


def _shown(declared: Sequence[str]) -> str:
    return repr("\\".join(declared)) if any(declared) else "(missing, so ASCII)"
