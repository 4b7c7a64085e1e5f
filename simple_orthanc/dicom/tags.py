"""DICOM tags in every spelling a user may have at hand.

A tag is a path of one or more steps. Each step is a group and an element, perhaps the creator of a private block, and
for every step but the last the item of the sequence that is meant::

    PatientName                                       a keyword
    0010,0010   (0010,0010)   00100010   0x00100010   the number
    0009,100D                                         a private element as it stands in the file
    (0009,"GEMS_PETD_01",0D)   0009,xx0D,GEMS_PETD_01 a private element by its creator, wherever its block lies
    RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose      into the first item of a sequence
    RequestAttributesSequence.ScheduledProcedureStepID                   into every item of it

Private blocks: PS3.5, section 7.8.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias, Union

import pydicom.datadict as dictionary
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from simple_orthanc.dicom.levels import INDEXED, Level, indexed_level, level_of_keyword
from simple_orthanc.dicom.usual import usual_in_files
from simple_orthanc.errors import UnknownTagError

TagLike: TypeAlias = Union[str, int, tuple[int, int], tuple[int, str, int], BaseTag, "Tag"]

NUMBER_VRS = frozenset({"DS", "FL", "FD", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
REAL_VRS = frozenset({"DS", "FL", "FD"})
DATE_VRS = frozenset({"DA", "TM", "DT"})
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

# What pads a value (PS3.5, section 6.2), and what writers pad it with besides.
PADDING = " \0\t\r\n"

_NUMBER = re.compile(r"\(?(?:0x)?([0-9A-Fa-f]{4}),?\s*([0-9A-Fa-f]{4})\)?\Z")
# A creator may hold quotes, brackets and dots itself; what follows says where it ends.
_PRIVATE_DCMTK = re.compile(r'\(?([0-9A-Fa-f]{4}),\s*"(.+?)",\s*([0-9A-Fa-f]{2})\)?(?=\[\d+\]\.|\.|\Z)', re.DOTALL)
_PRIVATE_XX = re.compile(r"\(?([0-9A-Fa-f]{4}),\s*[xX]{2}([0-9A-Fa-f]{2}),\s*(.+?)\)?\Z")
# What begins as a private tag does, however it goes on.
_PRIVATE_ATTEMPT = re.compile(
    r"""\(?\s*(?:0x)?([0-9A-Fa-f]{4})\s*,\s*["']?([^"',)]*)["']?\s*(?:,\s*(?:0x)?([0-9A-Fa-f]{1,4}))?"""
)
_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|[0-9]+")
_ITEM = re.compile(r"(.*)\[(\d+)\]\Z", re.DOTALL)
_AMBIGUOUS = {"US or SS": "SS", "US or SS or OW": "SS", "US or OW": "US", "OB or OW": "OW", "NONE": "UN"}


@dataclass(frozen=True)
class Step:
    """One step of a path: an element of a dataset, and for a sequence the item (None: every item)."""

    group: int
    element: int
    creator: str | None = None
    item: int | None = None

    @property
    def is_private(self) -> bool:
        """Whether the element is private: its group is odd (PS3.5, section 7.8)."""
        return self.group % 2 == 1

    @property
    def number(self) -> int:
        """The tag as one number; a private element with a creator has the block 0 in it."""
        return self.group << 16 | self.element

    @property
    def keyword(self) -> str:
        """The keyword in the standard dictionary, "" if there is none."""
        keyword = "" if self.is_private else dictionary.keyword_for_tag(self.number)
        # One keyword is that of a whole range of repeating groups (60xx,3000), and so names none of its members.
        return keyword if dictionary.tag_for_keyword(keyword) == self.number else ""

    @property
    def name(self) -> str:
        """The canonical spelling of the step."""
        if self.creator is not None:
            base = f'({self.group:04X},"{self.creator}",{self.element:02X})'
        else:
            base = self.keyword or f"{self.group:04X},{self.element:04X}"
        return base if self.item is None else f"{base}[{self.item}]"

    def number_in(self, dataset: Dataset) -> int | None:
        """Find the element in a dataset, through its private block if it has a creator; None if it is missing."""
        if self.creator is None:
            return self.number if self.number in dataset else None
        # Asking the dataset itself would make a tag object of each of the 240 numbers.
        present = dataset.keys()
        for block in range(0x10, 0x100):
            reserved = self.group << 16 | block
            if reserved in present and str(dataset[reserved].value).strip() == self.creator:
                number = self.group << 16 | block << 8 | self.element
                if number in present:
                    return number
        return None


@dataclass(frozen=True)
class Tag:
    """A DICOM tag: one element, or a path through sequences to one.

    Attributes
    ----------
    steps : tuple of Step
        From the outermost dataset inwards; the last is the element itself.
    """

    steps: tuple[Step, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name, which is a tenth as long as the steps and what was found out about them."""
        return parse_tag, (self.name,)

    @cached_property
    def name(self) -> str:
        """The canonical spelling: the keyword where there is one. Parsing it gives the tag again."""
        return ".".join(step.name for step in self.steps)

    @property
    def leaf(self) -> Step:
        """The last step: the element that holds the value."""
        return self.steps[-1]

    @cached_property
    def keyword(self) -> str:
        """The keyword of a tag that is no path, "" if it has none."""
        return self.leaf.keyword if len(self.steps) == 1 else ""

    @property
    def number(self) -> str:
        """The number of a plain tag as Orthanc writes it, ``"0008,103e"``."""
        return f"{self.steps[0].group:04x},{self.steps[0].element:04x}"

    @cached_property
    def vr(self) -> str:
        """The value representation of the leaf by the dictionary, "UN" if it is not known."""
        vr = _entry(self.leaf, dictionary.dictionary_VR, 0)
        return _AMBIGUOUS.get(vr, vr) if vr else "UN"

    @cached_property
    def is_multiple(self) -> bool:
        """Whether the dictionary allows more than one value, or the path meets several items."""
        return self.is_list or any(step.item is None for step in self.steps[:-1])

    @property
    def is_list(self) -> bool:
        """Whether one element may hold more than one value, by the dictionary."""
        return (_entry(self.leaf, dictionary.dictionary_VM, 1) or "1") not in ("1", "0-1")

    @property
    def is_pixels(self) -> bool:
        """Whether this is Pixel Data or one of its like (PS3.6, group 7FE0), which headers are read without."""
        return self.steps[0].group == 0x7FE0

    @property
    def is_sequence(self) -> bool:
        """Whether the leaf is a sequence."""
        return self.vr == "SQ"

    @property
    def is_private(self) -> bool:
        """Whether a step is private."""
        return any(step.is_private for step in self.steps)

    @property
    def level(self) -> Level:
        """The level at which DICOM puts the outermost element."""
        return level_of_keyword(self.steps[0].keyword)

    def __str__(self) -> str:
        """Return the canonical spelling."""
        return self.name

    def elements(self, dataset: Dataset) -> Iterator[tuple[Dataset, int]]:
        """Yield each dataset, outermost or item, that holds the leaf, with the leaf's number there."""
        yield from _walk(dataset, self.steps)


def _walk(dataset: Dataset, steps: tuple[Step, ...]) -> Iterator[tuple[Dataset, int]]:
    step, inner = steps[0], steps[1:]
    source = getattr(dataset, "file_meta", dataset) if step.group == 2 else dataset
    number = step.number_in(source)
    if number is None:
        return
    if not inner:
        yield source, number
        return
    element = source[number]
    if element.VR != "SQ" or element.value is None:
        return
    items = list(element.value)
    for item in items if step.item is None else items[step.item : step.item + 1]:
        yield from _walk(item, inner)


def _entry(step: Step, lookup: Callable[[int], str], position: int) -> str:
    """Look a step up in the standard dictionary or, for a private one, in pydicom's collection of private ones."""
    if step.creator is not None:
        try:
            entry = dictionary.get_private_entry((step.group, 0x1000 | step.element), step.creator)
        except KeyError:
            return ""
        return str(entry[position])
    try:
        return lookup(step.number)
    except KeyError:
        return ""


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Tag:
    return Tag(tuple(_parse_steps(text)))


def _parse_steps(text: str) -> Iterator[Step]:
    parts = _split_path(text)
    for place, part in enumerate(parts):
        item: int | None = None
        found = _ITEM.match(part)
        if found:
            part, item = found[1], int(found[2])
        step = _parse_step(part.strip(), text)
        if place < len(parts) - 1:
            if not step.is_private and _entry(step, dictionary.dictionary_VR, 0) not in ("SQ", ""):
                raise UnknownTagError(f"{step.name} in {text!r} is not a sequence, so nothing can lie inside it.")
        elif item is not None:
            raise UnknownTagError(
                f"{text!r} names an item of a sequence, not a tag in it: write {text}.Keyword for a tag of that item."
            )
        yield Step(step.group, step.element, step.creator, item)


def _split_path(text: str) -> list[str]:
    """Split at the dots that separate steps: not those inside the creator of a private block."""
    parts: list[str] = []
    start = 0
    while True:
        private = _PRIVATE_DCMTK.match(text, start)
        dot = -1 if _PRIVATE_XX.match(text, start) else text.find(".", private.end() if private else start)
        if dot < 0:
            return [*parts, text[start:]]
        parts.append(text[start:dot])
        start = dot + 1


def _parse_step(text: str, whole: str) -> Step:
    if found := _PRIVATE_DCMTK.fullmatch(text):
        return Step(int(found[1], 16), int(found[3], 16), found[2].strip())
    if found := _PRIVATE_XX.match(text):
        return Step(int(found[1], 16), int(found[2], 16), found[3].strip().strip('"'))
    if found := _NUMBER.match(text):
        return Step(int(found[1], 16), int(found[2], 16))
    number = _number_for(text)
    if number is None:
        raise _unknown(text, whole)
    return Step(number >> 16, number & 0xFFFF)


def _number_for(keyword: str) -> int | None:
    # The dictionary has retired elements whose keyword is empty.
    return dictionary.tag_for_keyword(keyword) if keyword else None


def _unknown(text: str, whole: str) -> UnknownTagError:
    place = "" if text == whole else f" (in {whole!r})"
    return UnknownTagError(f"{text!r} is no DICOM keyword{place}. {close_matches(text)}")


def close_matches(text: str) -> str:
    """Return a sentence with the keywords closest to a wrong one, or else with how a tag is written.

    Keywords of the index that only have more words come first: users shorten SeriesInstanceUID to SeriesUID.

    Examples
    --------
    >>> close_matches("PatientNme")
    'Did you mean PatientName, PatientSex, or PatientAge?'
    >>> close_matches("(0009,GEMS_PETD_01,0D)")
    'A private tag is written with its creator in quotes: (0009,"GEMS_PETD_01",0D).'
    """
    if private := _private_spelling(text):
        return f"A private tag is written with its creator in quotes: {private}."
    near = close_keywords(text)
    if not near:
        return 'A tag is a keyword such as PatientName, a number such as "0018,0050", or a path into sequences.'
    return did_you_mean(near)


def close_keywords(text: str) -> list[str]:
    """Return up to three DICOM keywords that are close to a wrong one, or the one that only differs in case.

    Examples
    --------
    >>> close_keywords("SeriesUID"), close_keywords("patientname")
    (['SeriesInstanceUID', 'SeriesTime', 'SeriesDate'], ['PatientName'])
    """
    lowered = {keyword.lower(): keyword for keyword in dictionary.keyword_dict if keyword}
    if text.lower() in lowered:
        return [lowered[text.lower()]]
    # Only a mistake needs it.
    import difflib

    near = [lowered[match] for match in difflib.get_close_matches(text.lower(), lowered, n=3, cutoff=0.7)]
    return list(dict.fromkeys([*_lengthened(text), *near]))[:3]


def did_you_mean(names: Sequence[str]) -> str:
    """Ask whether one of several names was meant.

    Examples
    --------
    >>> did_you_mean(["a"]), did_you_mean(["a", "b", "c"])
    ('Did you mean a?', 'Did you mean a, b, or c?')
    """
    return f"Did you mean {names[0] if len(names) == 1 else ', '.join(names[:-1]) + ', or ' + names[-1]}?"


def _lengthened(text: str) -> list[str]:
    """Return keywords whose words begin with those of a shortened one, in its order: of the index, then with one more.

    ``SeriesUID`` is SeriesInstanceUID without a word, ``Thickness`` is SliceThickness.
    """
    asked = re.sub("[^a-z0-9]", "", text.lower())
    if not asked:
        return []
    indexed = [keyword for keywords in INDEXED.values() for keyword in keywords if _words_left_out(asked, keyword)]
    others = [keyword for keyword in dictionary.keyword_dict if _words_left_out(asked, keyword) == 1]
    usual = [keyword for keyword in usual_in_files() if keyword in others]
    return [*indexed, *usual, *others]


def _words_left_out(asked: str, keyword: str) -> int:
    """Count the words of a keyword that a shortened one lacks; 0 if it is not a shortened form of the keyword."""
    left_out = 0
    for word in _WORDS.findall(keyword):
        if asked.startswith(word.lower()):
            asked = asked[len(word) :]
        else:
            left_out += 1
    return 0 if asked else left_out


def _private_spelling(text: str) -> str:
    """Return the right spelling of what was meant as a private tag, "" where it was not."""
    match = _PRIVATE_ATTEMPT.match(text)
    if match is None or (int(match[1], 16) % 2 == 0 and match[3] is None):
        return ""
    creator, element = match[2].strip(), match[3]
    if element is None and (number := re.fullmatch("(?i)(?:xx|[0-9a-f]{0,2})([0-9a-f]{1,2})", creator)):
        creator, element = "", number[1]
    return f'({match[1].upper()},"{creator or "CREATOR"}",{(element or "0D")[-2:].upper():>02})'


def parse_tag(tag: TagLike) -> Tag:
    """Read a tag in any spelling.

    Parameters
    ----------
    tag : str, int, tuple or Tag
        A keyword; a number (``"0018,0050"``, ``0x00180050``, ``(0x0018, 0x0050)``); a private element with its
        creator (``'(0009,"GEMS_PETD_01",0D)'``, ``(0x0009, "GEMS_PETD_01", 0x0D)``); or a path into sequences
        (``"RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose"``).

    Returns
    -------
    Tag

    Raises
    ------
    UnknownTagError
        No such keyword, with close matches in the message; or something that cannot be a tag.

    Examples
    --------
    >>> parse_tag("0018,0050").name, parse_tag(0x00180050).vr, parse_tag("ImageType").is_multiple
    ('SliceThickness', 'DS', True)
    """
    if isinstance(tag, Tag):
        return tag
    if isinstance(tag, str):
        return _parse_text(tag.strip())
    if isinstance(tag, int) and not isinstance(tag, bool) and 0 <= tag <= 0xFFFFFFFF:
        return Tag((Step(tag >> 16, tag & 0xFFFF),))
    given: Any = tag
    if isinstance(given, tuple) and len(given) > 1:
        *creator, element = given[1:]
        if all(isinstance(part, int) and 0 <= part <= 0xFFFF for part in (given[0], element)):
            if not creator:
                return Tag((Step(given[0], element),))
            if len(creator) == 1 and isinstance(creator[0], str) and creator[0].strip():
                return Tag((Step(given[0], element & 0xFF, creator[0].strip()),))
    attempt = ""
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[0], int):
        attempt = f"{given[0]:04X},{given[1]},{given[2]}"
    raise UnknownTagError(f"{tag!r} is not a DICOM tag. {close_matches(attempt)}")


def parse_attribute(name: str) -> Tag:
    """Read a keyword in the singular or the plural, as used for attributes: ``PatientNames``, ``Modalities``.

    Raises
    ------
    UnknownTagError
        Neither is a DICOM keyword.

    Examples
    --------
    >>> parse_attribute("SeriesDescriptions").name, parse_attribute("Modalities").name, parse_attribute("Rows").name
    ('SeriesDescription', 'Modality', 'Rows')
    """
    endings = (("", ""), ("s", ""), ("ies", "y"), ("es", ""))
    for ending, singular in endings:
        keyword = name[: len(name) - len(ending)] + singular
        if name.endswith(ending) and _number_for(keyword) is not None:
            return _parse_text(keyword)
    raise _unknown(name, name)


# By number as Orthanc writes it. Patients have no rows of their own.
INDEX_TAGS: dict[Level, dict[str, Tag]] = {
    level: {tag.number: tag for tag in map(parse_tag, keywords)}
    for level, keywords in INDEXED.items()
    if level != "patient"
}
"""The tags of the rows of the index (`simple_orthanc.dicom.levels.INDEXED`), by level and number."""


def is_searchable(tag: Tag) -> bool:
    """Check whether sources are asked for the rows with a value of this tag.

    The others are compared here: Orthanc refuses wildcards on UI, and would compare dates and numbers as strings.

    Examples
    --------
    >>> [is_searchable(parse_tag(name)) for name in ("PatientName", "StudyDate", "SOPInstanceUID", "KVP")]
    [True, False, True, False]
    """
    if tag.name == "SOPInstanceUID":
        return True
    return indexed_level(tag.name) in ("study", "series") and tag.vr in TEXT_VRS | {"CS", "UI"}
