"""Free text without the identifiers of its own object (DICOM PS3.15, section E.3.5, Clean Descriptors Option).

The standard leaves open how text is cleaned. Here the names, identifiers, addresses and dates that the object holds in
attributes which the profile removes are searched for in the text, whatever case, accents and separators they are
written with. In descriptors, such as StudyDescription, so is what looks like a date, an age, a person with a title, a
long number or an address of electronic mail. The rest is kept. This finds no name that the object holds nowhere else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache
from itertools import pairwise, product

from simple_orthanc.deidentification.dummies import TEXT
from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.dicom.times import parse_date

# Shorter ones are found between other characters than letters alone; longer ones anywhere.
_ANYWHERE = 6
_SHORTEST = 3
_SHORTEST_NUMBER = 5
_DIGITS = 4
_SHORTEST_IN_DESCRIPTORS = 2
_CJK = 0x2E80
# In names, but no names.
_PARTICLES = ("al", "da", "de", "del", "den", "der", "di", "du", "el", "la", "le", "van", "von")
_TITLES = ("and", "dr", "jr", "md", "mme", "mr", "mrs", "ms", "of", "phd", "prof", "sr", "the")
_WORDS = frozenset({*_PARTICLES, *_TITLES, TEXT.casefold()})
_SEPARATORS = re.compile(r"[\^=\s,.;'’`\-_/]+")
_TRANSLITERATED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa", "æ": "ae", "ß": "ss"})
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_MONTH = rf"(?i:{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in _MONTHS)})\.?"
_DATE = re.compile(
    rf"(?<!\d)(?:0?[1-9]|[12]\d|3[01])(?:(?:[-. ]|\. ){_MONTH}[-. ](?:19|20)\d\d|-{_MONTH}-\d\d)(?!\d)"
    rf"|\b{_MONTH} (?:0?[1-9]|[12]\d|3[01]),? (?:19|20)\d\d(?!\d)"
    r"|(?<!\d)(?:(?:19|20)\d\d([-./ ]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])"
    r"|\d{1,2}([-./])\d{1,2}\2(?:\d{4}|\d\d))(?!\d)"
)
# Case matters: MR, DR and MS are modalities and a disease.
_PERSON = re.compile(
    r"\b(?:(?:Dr|dr|Prof|prof|PROF|Mr|Mrs|Ms|Mme|Herr|Frau|Doctor|doctor|Professor|professor)\b\.?|(?:DR|MRS)\.)"
    r"(?:\s+\w\.)*\s*\w+"
)
# One letter alone is an age or a sex in capitals, after two digits: 5 m, 3M and 1.5f are something else.
_AGE = re.compile(
    r"(?<![\w.])\d{1,3}"
    r"(?:\s?(?i:-?\s?(?:y/?o|yrs?|years?(?:[- ]old)?|months?(?:[- ]old)?|jahre?)\b)|(?<=\d\d)\s?[MFY]\b)"
)
# Written in groups, such as a telephone number is, it begins with a zero or a plus.
_NUMBER = re.compile(r"(?<!\d)(?:\d{6,}|(?:\+\d|0)(?:[ /-]?\d){6,})(?!\d)")
# The part before the @ has at most 64 characters (RFC 5321), and a long word must not take forever.
_MAIL = re.compile(r"[^\s@]{1,64}@\S+|\bhttps?://\S+|\bwww\.\S+", re.IGNORECASE)
_GAPS = re.compile(r"[ \t]{2,}")


def folded(text: str) -> tuple[str, list[int]]:
    """Return a text without case and accents, and for each character its position in the text.

    Examples
    --------
    >>> folded("Müß")
    ('muss', [0, 1, 2, 2])
    """
    if text.isascii():
        return text.lower(), list(range(len(text)))
    characters, positions = [], []
    for position, character in enumerate(text):
        for part in unicodedata.normalize("NFKD", character):
            if not unicodedata.combining(part):
                for folded_part in part.casefold():
                    characters.append(folded_part)
                    positions.append(position)
    return "".join(characters), positions


def name_parts(name: str) -> Iterator[str]:
    """Return the parts of a person's name in all its groups.

    Examples
    --------
    >>> sorted(set(name_parts("Doe-Smith^Jane")))
    ['Doe', 'Doe-Smith', 'Jane', 'Smith']
    """
    for components in _groups(name):
        yield from components
        for component in components:
            yield from (part for part in _SEPARATORS.split(component) if part)


def joined_names(name: str) -> Iterator[str]:
    """Return what neighbouring components of a person's name, or parts of them, look like written together.

    Examples
    --------
    >>> list(joined_names("Doe^Jane M."))
    ['DoeJane M.', 'Jane M.Doe', 'DoeJane', 'JaneDoe']
    """
    for components in _groups(name):
        for one, other in pairwise(components):
            for first, second in product(_with_parts(one), _with_parts(other)):
                yield first + second
                yield second + first


def _with_parts(component: str) -> list[str]:
    """Return a component of a name, and its parts if it has several; initials are left out."""
    parts = [part for part in _SEPARATORS.split(component) if len(part) > 1 and part.casefold() not in _WORDS]
    return [component, *(part for part in parts if part != component)]


def _groups(name: str) -> Iterator[list[str]]:
    """Return the components of each group of a name (PS3.5, section 6.2.1)."""
    for group in name.split("="):
        yield [part.strip() for part in group.split("^") if part.strip()]


@lru_cache(maxsize=1024)
def date_forms(value: str) -> tuple[str, ...]:
    """Return the forms in which people write a date (VR DA, or the beginning of a DT).

    Examples
    --------
    >>> date_forms("19630517")[:4]
    ('19630517', '1963-05-17', '17-05-1963', '05-17-1963')
    """
    day = parse_date(value[:8]) or parse_date(value[:10])
    return () if day is None else tuple(_written(day))


def _written(day: date) -> Iterator[str]:
    year, month, number = f"{day.year:04}", f"{day.month:02}", f"{day.day:02}"
    yield year + month + number
    for separator in "-/.":
        yield separator.join((year, month, number))
        yield separator.join((number, month, year))
        yield separator.join((month, number, year))
        yield separator.join((str(day.day), str(day.month), year))
        yield separator.join((str(day.month), str(day.day), year))
        yield separator.join((number, month, year[2:]))
        yield separator.join((month, number, year[2:]))
    for name in {_MONTHS[day.month - 1], _MONTHS[day.month - 1][:3]}:
        for separator in " -.":
            yield separator.join((str(day.day), name, year))
        yield f"{name} {day.day} {year}"
        yield f"{name} {day.day}, {year}"


@dataclass(frozen=True)
class Identifiers:
    """The identifiers of an object, as they are searched for.

    Attributes
    ----------
    words : frozenset of str
        All, without case and accents; what descriptors are cleaned of.
    personal : frozenset of str
        Those of people and orders, and not of devices and institutions; what other text is cleaned of.
    joined : frozenset of str
        Family and given names written together, without separators.
    spellings : frozenset of str
        Those of people as they are written.

    Examples
    --------
    >>> identifiers = Identifiers.of(["4711-0815"], names=["Doe^Jane"])
    >>> identifiers.removed_from("CT chest of JANE DOE, id 4711-0815")
    'CT chest of , id'
    """

    words: frozenset[str] = frozenset()
    personal: frozenset[str] = frozenset()
    joined: frozenset[str] = frozenset()
    spellings: frozenset[str] = frozenset()

    @classmethod
    def of(cls, texts: Iterable[str] = (), *, names: Iterable[str] = (), places: Iterable[str] = ()) -> Identifiers:
        """Collect identifiers; too short ones and particles of names are left out.

        Parameters
        ----------
        texts : iterable of str
            Identifiers and dates of people and orders.
        names : iterable of str
            Names of people (VR PN).
        places : iterable of str
            Identifiers of devices and institutions.
        """
        names = set(names)
        joined = {
            _SEPARATORS.sub("", word) for name in names for pair in joined_names(name) for word in _variants(pair)
        }
        spellings = {*texts, *(part for name in names for part in (*name_parts(name), *joined_names(name)))}
        personal = {word for text in spellings for word in _variants(text) if _is_identifier(word)}
        elsewhere = {word for text in set(places) for word in _variants(text) if _is_identifier(word)}
        return cls(
            frozenset(personal | elsewhere),
            frozenset(personal),
            frozenset(pair for pair in joined if len(pair) >= _ANYWHERE or (_is_ideographic(pair) and len(pair) > 2)),
            frozenset(spellings),
        )

    @cached_property
    def _in_text(self) -> re.Pattern[str] | None:
        return _pattern(
            word
            for word in self.personal
            if len(word) >= (_SHORTEST_NUMBER if word.isdigit() else _SHORTEST) or _is_ideographic(word)
        )

    @cached_property
    def _in_descriptors(self) -> re.Pattern[str] | None:
        return _pattern(self.words)

    @cached_property
    def _strong(self) -> re.Pattern[str] | None:
        return _pattern(word for word in self.personal if sum(map(str.isdigit, word)) >= _DIGITS)

    @cached_property
    def _full_names(self) -> re.Pattern[str] | None:
        return re.compile("|".join(map(re.escape, sorted(self.joined)))) if self.joined else None

    @cached_property
    def _encoded(self) -> tuple[bytes, ...]:
        found = set()
        for word in self.personal | self.spellings:
            if len(word) >= _ANYWHERE - 1 and _is_identifier(folded(word)[0].strip()):
                for variant in (word, word.casefold(), word.upper(), word.title()):
                    for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
                        with suppress(UnicodeEncodeError):
                            found.add(variant.encode(encoding).lower())
        return tuple(found)

    def removed_from(self, text: str, *, descriptor: bool = False) -> str:
        """Return a text without the identifiers; the text itself if there is none in it."""
        pattern = self._in_descriptors if descriptor else self._in_text
        if pattern is None or not text:
            return text
        plain, positions = folded(text)
        gone = {positions[index] for match in pattern.finditer(plain) for index in range(*match.span())}
        return _tidied("".join(c for index, c in enumerate(text) if index not in gone)) if gone else text

    def are_surely_in(self, text: str) -> bool:
        """Check whether a text holds a full name, or an identifier or a date with four digits or more.

        A family name alone may be the name of a maker, a method or a part of the body.

        Examples
        --------
        >>> identifiers = Identifiers.of(["HX-4711"], names=["Philips^Ann"])
        >>> [identifiers.are_surely_in(text) for text in ("Philips", "ANN_PHILIPS", "hx-4711")]
        [False, True, True]
        """
        plain = folded(text)[0]
        if self._strong is not None and self._strong.search(plain):
            return True
        return self._full_names is not None and bool(self._full_names.search(_SEPARATORS.sub("", plain)))

    def are_number(self, text: str) -> bool:
        """Check whether a number is an identifier of six or more digits, or a date."""
        return len(text) >= _ANYWHERE and text in self.personal

    def are_in(self, content: bytes) -> bool:
        """Check whether bytes hold one of the longer identifiers, in UTF-8, Latin-1 or UTF-16, in either case."""
        if len(content) < _ANYWHERE - 1:
            return False
        lowered = content.lower()
        return any(word in lowered for word in self._encoded)


def clean_descriptor(text: str, identifiers: Identifiers, *, keep_dates: bool, keep_ages: bool) -> str:
    """Return a descriptor without the identifiers of its object and what looks like one.

    Parameters
    ----------
    text : str
    identifiers : Identifiers
        Those of the object.
    keep_dates, keep_ages : bool
        Whether dates, and ages with a sex, may stay, since an option retains them.

    Examples
    --------
    >>> text = "CT chest abdomen pelvis - 55F Dr. Smith"
    >>> clean_descriptor(text, Identifiers.of(()), keep_dates=False, keep_ages=False)
    'CT chest abdomen pelvis -'
    """
    cleaned = _PERSON.sub("", _MAIL.sub("", identifiers.removed_from(text, descriptor=True)))
    if not keep_dates:
        cleaned = _DATE.sub("", cleaned)
    if not keep_ages:
        cleaned = _AGE.sub("", cleaned)
    cleaned = _without_numbers(cleaned)
    return text if cleaned == text else _tidied(cleaned)


def _without_numbers(text: str) -> str:
    """Remove long numbers that are not dates."""
    parts, end = [], 0
    for match in _DATE.finditer(text):
        parts += [_NUMBER.sub("", text[end : match.start()]), match[0]]
        end = match.end()
    return "".join(parts) + _NUMBER.sub("", text[end:])


def _tidied(text: str) -> str:
    return _GAPS.sub(" ", text).strip()


def _variants(text: str) -> Iterator[str]:
    """Return the forms of a text without case and accents: with umlauts left out, and written with two letters."""
    stripped = text.strip(PADDING)
    for variant in {stripped, stripped.casefold().translate(_TRANSLITERATED)}:
        yield folded(variant)[0].strip()


def _is_identifier(word: str) -> bool:
    if word in _WORDS or not any(character.isalnum() for character in word):
        return False
    if _is_ideographic(word):
        return len(word) >= 2
    if any(character.isdigit() for character in word):
        return len(word) >= _SHORTEST and bool(word.strip("0"))
    return len(word) >= _SHORTEST_IN_DESCRIPTORS


def _is_ideographic(word: str) -> bool:
    return all(ord(character) >= _CJK for character in word)


def _pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    alternatives = [_bounded(word) for word in sorted(words, key=lambda word: (-len(word), word))]
    return re.compile("|".join(alternatives)) if alternatives else None


def _bounded(word: str) -> str:
    """Return the expression of a word: a short one is not a part of a longer word or number."""
    escaped = re.escape(word)
    if len(word) >= _ANYWHERE or _is_ideographic(word):
        return escaped
    before, after = (r"\d" if character.isdigit() else r"[^\W\d_]" for character in (word[0], word[-1]))
    return f"(?<!{before}){escaped}(?!{after})"
