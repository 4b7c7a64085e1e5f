"""Predicates: what is asked of the value of one element, as pure functions from a value to true or false.

A predicate holds for an element if any of its values satisfies it. A missing element satisfies no predicate but
`IsMissing`, so that ``~`` and ``!=`` are exact complements.

A string is undecided at first, unless the user said which it is with `exact` or `like`: ``T2*`` is a literal if the
archive holds the value ``T2*``, else a wildcard. How it is decided is in `simple_orthanc.selection.literals`.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, Protocol, TypeAlias

from simple_orthanc.dicom.tags import NUMBER_VRS, Tag
from simple_orthanc.dicom.times import DAYS_IN_YEAR
from simple_orthanc.dicom.values import Comparable, Value, comparable, typed

Operator: TypeAlias = Literal["==", "<", "<=", ">", ">="]
StringMode: TypeAlias = Literal["auto", "exact", "like"]

# Identifiers are compared with regard to case: two patients may differ in nothing else.
_IDENTIFIERS = frozenset({"PatientID", "AccessionNumber", "StudyID"})

# Of more values than these, so few are shown.
_MOST_LISTED, _FEW_LISTED = 12, 3

_AGE = re.compile(r"(\d{1,3})([DWMYdwmy])\Z", re.ASCII)


def is_identifier(tag: Tag) -> bool:
    """Check whether a tag is an identifier, whose values match exactly as to case."""
    return tag.vr == "UI" or tag.keyword in _IDENTIFIERS


def fold(string: str) -> str:
    """Return a string in the form in which case does not matter (Unicode NFC, lower case)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", string).lower())


def name_forms(name: str) -> tuple[str, ...]:
    """Return the strings by which a person name can be found: the whole, and each of its component groups.

    PS3.5, section 6.2.1: up to three groups, separated by ``=``; trailing ``^`` and ``=`` carry no meaning.

    Examples
    --------
    >>> name_forms("Yamada^Tarou^^=山田^太郎")
    ('Yamada^Tarou=山田^太郎', 'Yamada^Tarou', '山田^太郎')
    """
    groups = [group.strip().rstrip("^ ") for group in name.split("=")]
    whole = "=".join(groups).rstrip("=")
    return tuple(dict.fromkeys([whole, *(group for group in groups if group)]))


def age_form(age: str) -> str:
    """Return an age without leading zeros, which carry no meaning; any other string is returned unchanged.

    Examples
    --------
    >>> age_form("045Y"), age_form("000D"), age_form("unknown")
    ('45Y', '0D', 'unknown')
    """
    match = _AGE.match(age)
    return f"{int(match[1])}{match[2]}" if match else age


def has_wildcard(string: str) -> bool:
    """Check whether a string contains ``*`` or ``?``."""
    return "*" in string or "?" in string


def compared_forms(value: str, vr: str, *, cased: bool, has_wildcard: bool) -> list[str]:
    """Return the forms in which a value is compared with a string.

    Parameters
    ----------
    value : str
        One value of an element.
    vr : str
        Its value representation.
    cased : bool
        Whether case matters.
    has_wildcard : bool
        Whether the string it is compared with has wildcards; an age keeps its leading zeros for these.
    """
    forms = name_forms(value) if vr == "PN" else (value,)
    if vr == "AS" and not has_wildcard:
        forms = (age_form(value),)
    return [unicodedata.normalize("NFC", form) if cased else fold(form) for form in forms]


# The same few strings are compared with very many values.
@lru_cache(maxsize=256)
def _compared_string(string: str, vr: str, cased: bool) -> str:
    return compared_forms(string, vr, cased=cased, has_wildcard=False)[0]


@lru_cache(maxsize=256)
def _compile_wildcards(string: str, cased: bool) -> re.Pattern[str]:
    pattern = unicodedata.normalize("NFC", string) if cased else fold(string)
    wildcards = {"*": ".*", "?": "."}
    translated = "".join(wildcards.get(character, re.escape(character)) for character in pattern)
    return re.compile(translated, re.DOTALL)


_OPERATORS: dict[Operator, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class FunctionError(Exception):
    """A function of the user's raised an error; never leaves the package.

    Attributes
    ----------
    value : object
        What it was called with.
    cause : Exception
        The error.
    """

    def __init__(self, value: object, cause: Exception) -> None:
        super().__init__(value, cause)
        self.value, self.cause = value, cause


class Predicate(Protocol):
    """A question about one element; frozen, comparable and picklable."""

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether the predicate holds for a value of this value representation."""
        ...

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        ...


@dataclass(frozen=True)
class IsMissing:
    """Holds for an element that is absent or empty; for a single number also if it cannot be read, as in tables."""

    is_one_number: bool = False

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether the value is missing."""
        return value is None or (self.is_one_number and len(value) == 1 and comparable(value[0], vr) is None)

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return "is missing"


@dataclass(frozen=True)
class IsSet:
    """Holds for an element that is present."""

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether there is a value."""
        return value is not None

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return "is set"


@dataclass(frozen=True)
class StringIs:
    """Holds if a value is this string.

    Attributes
    ----------
    string : str
        What a value is compared with.
    mode : {"auto", "exact", "like"}
        "exact": a value must be the string, character by character. "like": ``*`` and ``?`` are wildcards. "auto":
        not decided yet; until then it is evaluated as "like".
    cased : bool
        Whether case matters in the modes "auto" and "like".
    """

    string: str
    mode: StringMode = "auto"
    cased: bool = False

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether one of the values is the string."""
        return any(isinstance(part, str) and self._matches(part, vr) for part in value or ())

    def _matches(self, value: str, vr: str) -> bool:
        if self.mode == "exact":
            return value == self.string
        forms = compared_forms(value, vr, cased=self.cased, has_wildcard=has_wildcard(self.string))
        return self.matches_forms(forms, vr)

    def matches_forms(self, forms: Collection[str], vr: str) -> bool:
        """Check whether the string, with its wildcards, matches one of the forms that `compared_forms` returns."""
        if not has_wildcard(self.string):
            return _compared_string(self.string, vr, self.cased) in forms
        pattern = _compile_wildcards(self.string, self.cased)
        return any(pattern.fullmatch(form) for form in forms)

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return {"auto": "==", "exact": "== exact", "like": "== like"}[self.mode] + f" {self.string!r}"


@dataclass(frozen=True)
class Relation:
    """Holds if a value has this relation to the operand: for numbers, dates, times and ages."""

    operator: Operator
    operand: Comparable

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether one of the values has the relation to the operand."""
        return any(self.accepts(comparable(part, vr)) for part in value or ())

    def accepts(self, operand: Comparable | None) -> bool:
        """Check whether a typed value has the relation; None, for a value that cannot be read, never has."""
        try:
            return operand is not None and bool(_OPERATORS[self.operator](operand, self.operand))
        except TypeError:  # a date and a date with time have no order
            return False

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return f"{self.operator} {_operand_repr(self.operand)}"


class Age(float):
    """An age in days, which shows itself in years."""

    @property
    def years(self) -> int | float:
        """The age in years, a whole number as an int."""
        years = round(self / DAYS_IN_YEAR, 4)
        return int(years) if years.is_integer() else years

    def __repr__(self) -> str:
        """Return the age in years."""
        return f"{self.years:g} years"


def _operand_repr(operand: Any) -> str:
    return repr(operand) if isinstance(operand, (int, float)) else repr(str(operand))


@dataclass(frozen=True)
class Between:
    """Holds if one value lies in the inclusive range; an end that is None is open."""

    low: Comparable | None
    high: Comparable | None

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether one of the values lies in the range."""
        ends = [Relation(">=", self.low)] if self.low is not None else []
        ends += [Relation("<=", self.high)] if self.high is not None else []
        return any(
            all(end.holds((part,), vr) for end in ends) for part in value or () if comparable(part, vr) is not None
        )

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        low, high = (None if end is None else _operand_repr(end) for end in (self.low, self.high))
        return f"between {low} and {high}"


@dataclass(frozen=True)
class RangeString:
    """A range in DICOM's own notation, ``20200101-20200131``; undecided, since it can also be a literal.

    Attributes
    ----------
    string : str
        The range as it was written.
    range : Between
        What it means unless the archive holds the string itself.
    """

    string: str
    range: Between

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether one of the values lies in the range."""
        return self.range.holds(value, vr)

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return str(self.range)


@dataclass(frozen=True)
class WholeValue:
    """Holds if the element has exactly as many values as there are predicates, and each holds for its own."""

    predicates: tuple[Predicate, ...]

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether the values satisfy the predicates one by one, in this order."""
        parts = value or ()
        return len(parts) == len(self.predicates) and all(
            _is_gap(part, vr) if isinstance(predicate, IsMissing) else predicate.holds((part,), vr)
            for predicate, part in zip(self.predicates, parts, strict=True)
        )

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return f"== ({_listed(self.predicates)})"


def _is_gap(part: str | bytes, vr: str) -> bool:
    """Check whether lists of values show None for this one of several: it is empty, or not the number it should be."""
    return not part or (vr in NUMBER_VRS and comparable(part, vr) is None)


@dataclass(frozen=True)
class AnyOf:
    """Holds if any of its predicates holds; without predicates it holds for nothing.

    Ten thousand UIDs are looked up as quickly as one: see `Lookup`.
    """

    predicates: tuple[Predicate, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the predicates alone, without what was made of them to look values up."""
        return AnyOf, (self.predicates,)

    @cached_property
    def _lookups(self) -> dict[str, Lookup]:
        return {}

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether one of the predicates holds."""
        lookup = self._lookups.get(vr) or self._lookups.setdefault(vr, Lookup(self.predicates, vr))
        return lookup.holds(value)

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return f"in [{_listed(self.predicates)}]"


class Lookup:
    """Checks whether one of several predicates holds, with sets for those that compare for equality.

    Parameters
    ----------
    predicates : iterable of Predicate
        Any number of predicates.
    vr : str
        The value representation of the values that will be looked up.
    """

    def __init__(self, predicates: Iterable[Predicate], vr: str) -> None:
        self._vr = vr
        self._exact: set[str] = set()
        # By whether case matters.
        self._forms: dict[bool, set[str]] = {}
        self._operands: set[Comparable] = set()
        self._others: list[Predicate] = []
        for predicate in predicates:
            if isinstance(predicate, StringIs) and predicate.mode == "exact":
                self._exact.add(predicate.string)
            elif isinstance(predicate, StringIs) and not has_wildcard(predicate.string):
                form = _compared_string(predicate.string, vr, predicate.cased)
                self._forms.setdefault(predicate.cased, set()).add(form)
            elif isinstance(predicate, Relation) and predicate.operator == "==":
                self._operands.add(predicate.operand)
            else:
                self._others.append(predicate)

    def holds(self, value: Value) -> bool:
        """Check whether one of the predicates holds for a value."""
        return any(map(self._is_listed, value or ())) or any(other.holds(value, self._vr) for other in self._others)

    def _is_listed(self, part: str | bytes) -> bool:
        if not isinstance(part, str):
            return False
        return (
            part in self._exact
            or any(
                not forms.isdisjoint(compared_forms(part, self._vr, cased=cased, has_wildcard=False))
                for cased, forms in self._forms.items()
            )
            or (bool(self._operands) and comparable(part, self._vr) in self._operands)
        )


def _listed(predicates: Sequence[Predicate]) -> str:
    """Return what several predicates compare with; of many, the first few and the number of the others."""
    count = len(predicates) if len(predicates) <= _MOST_LISTED else _FEW_LISTED
    items = [str(predicate).removeprefix("== ") for predicate in predicates[:count]]
    return ", ".join(items) + (f" and {len(predicates) - count:,} more" if count < len(predicates) else "")


@dataclass(frozen=True)
class Matches:
    """Holds if the regular expression is found in a value."""

    pattern: re.Pattern[str]

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether the regular expression is found in one of the values."""
        return any(isinstance(part, str) and self.pattern.search(part) is not None for part in value or ())

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return f"matches {self.pattern.pattern!r}"


@dataclass(frozen=True)
class Where:
    """Holds if a function of the user's is true for a typed value: a number, date, time since midnight or string."""

    function: Callable[[Any], Any]

    def holds(self, value: Value, vr: str) -> bool:
        """Check whether the function is true for one of the values that can be read."""
        parts = (typed(part, vr) for part in value or ())
        return any(self._accepts(part) for part in parts if part is not None)

    def _accepts(self, part: Any) -> bool:
        try:
            return bool(self.function(part))
        except Exception as error:
            raise FunctionError(part, error) from error

    def __str__(self) -> str:
        """Return the predicate as it reads after the name of a field."""
        return f"where {getattr(self.function, '__name__', repr(self.function))}"


def _name_pattern(string: str) -> str:
    # Spaces and trailing ^, which carry no meaning, may occur between the groups of a name.
    return re.sub("[=?]+", "*", string if has_wildcard(string) else name_forms(string)[0])


def wildcard_patterns(predicate: Predicate, vr: str) -> tuple[str, ...] | None:
    """Return wildcard patterns, compared without regard to case; wherever the predicate holds, a value matches one.

    A source that can search by wildcards uses them to return fewer rows; each row is then decided by the predicate
    itself. None means that there are no such patterns. An element with several values is one string with backslashes
    here, and a person name may be given by one of its groups, so each pattern is open at both ends, identifiers aside.
    """
    if isinstance(predicate, StringIs):
        string = predicate.string
        if predicate.mode != "exact":
            # A value may have leading zeros where the age that was asked for has none, and the other way round.
            string = {"PN": _name_pattern, "AS": age_form}.get(vr, str)(string)
        is_whole = vr == "UI" and predicate.mode != "like" and not has_wildcard(string)
        return (string if is_whole else f"*{string}*",)
    if isinstance(predicate, AnyOf):
        inner = [wildcard_patterns(alternative, vr) for alternative in predicate.predicates]
        if any(patterns is None for patterns in inner):
            return None
        return tuple(dict.fromkeys(pattern for patterns in inner for pattern in patterns or ()))
    return None
