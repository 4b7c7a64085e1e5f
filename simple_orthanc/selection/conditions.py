"""What a condition means: pure functions from a value to true or false.

A condition is a tree of ``&``, ``|`` and ``~`` over leaves; a leaf joins a field (a tag, or one of Orthanc's own labels
and metadata) to a test. A test holds for an element if any of its values satisfies it; a missing element satisfies
none, but ``IsMissing``; so ``~`` and ``!=`` are exact complements.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from simple_orthanc.dicom.tags import NUMBER_VRS, Tag
from simple_orthanc.dicom.values import Comparable, Value, comparable, typed
from simple_orthanc.errors import SelectionError

Operator: TypeAlias = Literal["==", "<", "<=", ">", ">="]
StringMode: TypeAlias = Literal["auto", "exact", "like"]
Mask: TypeAlias = "list[bool]"

# Identifiers are compared with regard to case; two patients may differ in nothing else.
_IDENTIFIERS = frozenset({"PatientID", "AccessionNumber", "StudyID"})

_AGE = re.compile(r"(\d{1,3})([DWMYdwmy])\Z", re.ASCII)


def is_identifier(tag: Tag) -> bool:
    """Say whether a tag is an identifier, whose values match exactly as to case."""
    return tag.vr == "UI" or tag.keyword in _IDENTIFIERS


def fold(text: str) -> str:
    """Bring a text into the form in which case does not matter (Unicode NFC, lower case)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def name_forms(name: str) -> tuple[str, ...]:
    """Give the texts by which a person name may be found: the whole, and each of its component groups.

    PS3.5, section 6.2.1: up to three groups, separated by ``=``; trailing ``^`` and ``=`` carry no meaning.

    Examples
    --------
    >>> name_forms("Yamada^Tarou^^=山田^太郎")
    ('Yamada^Tarou=山田^太郎', 'Yamada^Tarou', '山田^太郎')
    """
    groups = [group.strip().rstrip("^ ") for group in name.split("=")]
    whole = "=".join(groups).rstrip("=")
    return tuple(dict.fromkeys([whole, *(group for group in groups if group)]))


def age_form(text: str) -> str:
    """Write an age without leading zeros, which carry no meaning; any other text stays as it is.

    Examples
    --------
    >>> age_form("045Y"), age_form("000D"), age_form("unknown")
    ('45Y', '0D', 'unknown')
    """
    found = _AGE.match(text)
    return f"{int(found[1])}{found[2]}" if found else text


def has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text


def _wildcard(pattern: str) -> re.Pattern[str]:
    translated = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.compile(translated, re.DOTALL)


_OPERATORS: dict[Operator, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Predicate(Protocol):
    """A question about one element; frozen, comparable and picklable."""

    def holds(self, value: Value, vr: str) -> bool: ...

    def __str__(self) -> str: ...


@dataclass(frozen=True)
class IsMissing:
    """Holds for an element that is not there, or is empty; of a single number also if it is none, as in tables."""

    is_one_number: bool = False

    def holds(self, value: Value, vr: str) -> bool:
        return value is None or (self.is_one_number and len(value) == 1 and comparable(value[0], vr) is None)

    def __str__(self) -> str:
        return "is missing"


@dataclass(frozen=True)
class StringIs:
    """Holds if a value is this text.

    In mode "auto" and "like" ``*`` and ``?`` are wildcards, and case does not matter unless ``cased``; in mode "exact"
    a value must be this text letter by letter. "auto" becomes "exact" where the archive holds the text as it stands:
    see `settle`.
    """

    text: str
    mode: StringMode = "auto"
    cased: bool = False

    def holds(self, value: Value, vr: str) -> bool:
        return any(isinstance(part, str) and self._matches(part, vr) for part in value or ())

    def _matches(self, part: str, vr: str) -> bool:
        return part == self.text if self.mode == "exact" else self.finds(self.forms(part, vr), vr)

    def forms(self, part: str, vr: str) -> list[str]:
        """Give the texts by which a value may be found, in the form in which they are compared."""
        forms = name_forms(part) if vr == "PN" else (part,)
        if vr == "AS" and not has_wildcard(self.text):
            forms = (age_form(part),)
        return [unicodedata.normalize("NFC", form) if self.cased else fold(form) for form in forms]

    def finds(self, forms: Collection[str], vr: str) -> bool:
        """Say whether the text, with its wildcards, means one of the forms of values."""
        if not has_wildcard(self.text):
            return self.forms(self.text, vr)[0] in forms
        pattern = _wildcard(unicodedata.normalize("NFC", self.text) if self.cased else fold(self.text))
        return any(pattern.fullmatch(form) for form in forms)

    def __str__(self) -> str:
        return {"auto": "==", "exact": "== exact", "like": "== like"}[self.mode] + f" {self.text!r}"


@dataclass(frozen=True)
class Relation:
    """Holds if a value stands in this order to the operand: numbers, dates, times, ages."""

    operator: Operator
    operand: Comparable

    def holds(self, value: Value, vr: str) -> bool:
        return any(self.accepts(comparable(part, vr)) for part in value or ())

    def accepts(self, found: Comparable | None) -> bool:
        try:
            return found is not None and bool(_OPERATORS[self.operator](found, self.operand))
        except TypeError:  # a date and a moment have no order
            return False

    def __str__(self) -> str:
        return f"{self.operator} {_plain(self.operand)}"


def _plain(operand: Any) -> str:
    return repr(operand) if isinstance(operand, (int, float)) else repr(str(operand))


@dataclass(frozen=True)
class Between:
    """Holds if one value lies in the inclusive range; an end that is None is open."""

    low: Comparable | None
    high: Comparable | None

    def holds(self, value: Value, vr: str) -> bool:
        ends = [Relation(">=", self.low)] if self.low is not None else []
        ends += [Relation("<=", self.high)] if self.high is not None else []
        return any(
            all(end.holds((part,), vr) for end in ends) for part in value or () if comparable(part, vr) is not None
        )

    def __str__(self) -> str:
        low, high = (None if end is None else _plain(end) for end in (self.low, self.high))
        return f"between {low} and {high}"


@dataclass(frozen=True)
class RangeString:
    """A range in DICOM's own words, ``20200101-20200131``, unless the archive holds just this text: see `settle`."""

    text: str
    range: Between

    def holds(self, value: Value, vr: str) -> bool:
        return self.range.holds(value, vr)

    def __str__(self) -> str:
        return str(self.range)


@dataclass(frozen=True)
class WholeValue:
    """Holds if the element has exactly these values, in this order."""

    predicates: tuple[Predicate, ...]

    def holds(self, value: Value, vr: str) -> bool:
        parts = value or ()
        return len(parts) == len(self.predicates) and all(
            _is_gap(part, vr) if isinstance(test, IsMissing) else test.holds((part,), vr)
            for test, part in zip(self.predicates, parts, strict=True)
        )

    def __str__(self) -> str:
        return "== (" + ", ".join(str(test).removeprefix("== ") for test in self.predicates) + ")"


def _is_gap(part: str | bytes, vr: str) -> bool:
    """Say whether lists of values show None for this one of several values: it is empty, or a number that is none."""
    return not part or (vr in NUMBER_VRS and comparable(part, vr) is None)


@dataclass(frozen=True)
class AnyOf:
    """Holds if any of its tests holds; with none of them it holds for nothing."""

    predicates: tuple[Predicate, ...]

    def holds(self, value: Value, vr: str) -> bool:
        return any(test.holds(value, vr) for test in self.predicates)

    def __str__(self) -> str:
        return "in [" + ", ".join(str(test).removeprefix("== ") for test in self.predicates) + "]"


@dataclass(frozen=True)
class Matches:
    """Holds if the regular expression is found in a value."""

    pattern: re.Pattern[str]

    def holds(self, value: Value, vr: str) -> bool:
        return any(isinstance(part, str) and self.pattern.search(part) is not None for part in value or ())

    def __str__(self) -> str:
        return f"matches {self.pattern.pattern!r}"


@dataclass(frozen=True)
class Where:
    """Holds if a function of the user's is true for a value, typed: a number, date, time since midnight or text."""

    function: Callable[[Any], Any]

    def holds(self, value: Value, vr: str) -> bool:
        parts = (typed(part, vr) for part in value or ())
        return any(bool(self.function(part)) for part in parts if part is not None)

    def __str__(self) -> str:
        return f"where {getattr(self.function, '__name__', repr(self.function))}"


@dataclass(frozen=True)
class ServerField:
    """A field of Orthanc's own: a label, or a metadata entry by its name."""

    kind: Literal["label", "metadata"]
    name: str

    # Text that may be a number, as in a private element of which nothing else is known.
    vr = "UN"

    def __str__(self) -> str:
        return f"{self.kind}({self.name!r})"


Field: TypeAlias = "Tag | ServerField"


class Condition:
    """A condition on the objects of an archive: made by `tag`, `label` and `metadata`, joined by ``&``, ``|``, ``~``.

    A condition has no truth value of its own, since it is about many objects; ``and``, ``or`` and ``not`` are therefore
    refused.
    """

    def __and__(self, other: Condition) -> Condition:
        return And(self, _checked(other, "&"))

    def __or__(self, other: Condition) -> Condition:
        return Or(self, _checked(other, "|"))

    def __invert__(self) -> Condition:
        return Not(self)

    def __bool__(self) -> bool:
        raise SelectionError(
            "A condition is neither true nor false by itself. Join conditions with & | ~ and put each in brackets, as "
            'in select((tag("KVP") > 100) & ~(tag("Modality") == "PT")); for a range use tag("KVP").between(80, 120).'
        )

    def comparisons(self) -> Iterator[Comparison]:
        """Yield the leaves of the tree from left to right."""
        raise NotImplementedError

    def mask(self, leaf_mask: Callable[[Comparison], Mask]) -> Mask:
        """Evaluate the tree, given the mask of each leaf over the same rows."""
        raise NotImplementedError

    def map(self, change: Callable[[Comparison], Comparison]) -> Condition:
        """Give the same tree with every leaf changed."""
        raise NotImplementedError


def _checked(other: object, operator: str) -> Condition:
    if not isinstance(other, Condition):
        raise SelectionError(
            f"{operator} joins two conditions, and {other!r} is none. Comparisons need brackets: "
            f'(tag("KVP") > 100) {operator} (tag("Modality") == "CT").'
        )
    return other


@dataclass(frozen=True)
class Comparison(Condition):
    """One field and one test."""

    field: Field
    predicate: Predicate

    def comparisons(self) -> Iterator[Comparison]:
        yield self

    def mask(self, leaf_mask: Callable[[Comparison], Mask]) -> Mask:
        return leaf_mask(self)

    def map(self, change: Callable[[Comparison], Comparison]) -> Condition:
        return change(self)

    def holds(self, value: Value) -> bool:
        """Say whether the test holds for a value of the field."""
        return self.predicate.holds(value, self.field.vr)

    def __repr__(self) -> str:
        name = f'tag("{self.field}")' if isinstance(self.field, Tag) else str(self.field)
        return f"{name} {self.predicate}"

    def __str__(self) -> str:
        return f"{self.field} {self.predicate}"


@dataclass(frozen=True)
class And(Condition):
    left: Condition
    right: Condition

    def comparisons(self) -> Iterator[Comparison]:
        yield from self.left.comparisons()
        yield from self.right.comparisons()

    def mask(self, leaf_mask: Callable[[Comparison], Mask]) -> Mask:
        return [a and b for a, b in zip(self.left.mask(leaf_mask), self.right.mask(leaf_mask), strict=True)]

    def map(self, change: Callable[[Comparison], Comparison]) -> Condition:
        return And(self.left.map(change), self.right.map(change))

    def __repr__(self) -> str:
        return f"({self.left!r}) & ({self.right!r})"

    def __str__(self) -> str:
        return f"({self.left}) & ({self.right})"


@dataclass(frozen=True)
class Or(Condition):
    left: Condition
    right: Condition

    def comparisons(self) -> Iterator[Comparison]:
        yield from self.left.comparisons()
        yield from self.right.comparisons()

    def mask(self, leaf_mask: Callable[[Comparison], Mask]) -> Mask:
        return [a or b for a, b in zip(self.left.mask(leaf_mask), self.right.mask(leaf_mask), strict=True)]

    def map(self, change: Callable[[Comparison], Comparison]) -> Condition:
        return Or(self.left.map(change), self.right.map(change))

    def __repr__(self) -> str:
        return f"({self.left!r}) | ({self.right!r})"

    def __str__(self) -> str:
        return f"({self.left}) | ({self.right})"


@dataclass(frozen=True)
class Not(Condition):
    inner: Condition

    def comparisons(self) -> Iterator[Comparison]:
        yield from self.inner.comparisons()

    def mask(self, leaf_mask: Callable[[Comparison], Mask]) -> Mask:
        return [not held for held in self.inner.mask(leaf_mask)]

    def map(self, change: Callable[[Comparison], Comparison]) -> Condition:
        return Not(self.inner.map(change))

    def __repr__(self) -> str:
        return f"~({self.inner!r})"

    def __str__(self) -> str:
        return f"not ({self.inner})"


def parts_of(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions that a chain of ``&`` joins: each can be applied after the other."""
    if isinstance(condition, And):
        yield from parts_of(condition.left)
        yield from parts_of(condition.right)
    else:
        yield condition


def open_strings(test: Predicate) -> Iterator[StringIs | RangeString]:
    """Yield the parts of a test that mean their text alone if the archive holds it as it stands."""
    if isinstance(test, RangeString) or (isinstance(test, StringIs) and test.mode == "auto"):
        yield test
    elif isinstance(test, (AnyOf, WholeValue)):
        for inner in test.predicates:
            yield from open_strings(inner)


def literals(test: Predicate) -> Iterator[str]:
    """Yield the texts of a test that mean themselves alone if the archive holds them as they stand."""
    for each in open_strings(test):
        yield each.text


def settle(
    test: Predicate, present: Callable[[str], bool], means_more: Callable[[str], bool] = lambda text: False
) -> Predicate:
    """Turn each text that the archive holds as it stands into one that means itself alone.

    Of the others those for which ``means_more`` holds, because they find something by their wider meaning, keep this
    meaning for good; what finds nothing either way is still open.

    Examples
    --------
    >>> str(settle(StringIs("T2*_GRE"), {"T2*_GRE", "T2_x_GRE"}.__contains__))
    "== exact 'T2*_GRE'"
    """
    if isinstance(test, StringIs) and test.mode == "auto":
        mode: StringMode = "exact" if present(test.text) else "like" if means_more(test.text) else "auto"
        return replace(test, mode=mode)
    if isinstance(test, RangeString):
        return StringIs(test.text, "exact") if present(test.text) else test.range if means_more(test.text) else test
    if isinstance(test, (AnyOf, WholeValue)):
        return type(test)(tuple(settle(inner, present, means_more) for inner in test.predicates))
    return test


def taken_literally(given: Predicate, settled: Predicate) -> Iterator[str]:
    """Yield the texts that could have meant more than themselves, and were settled to mean themselves alone.

    Examples
    --------
    >>> list(taken_literally(StringIs("T2*_GRE"), StringIs("T2*_GRE", "exact")))
    ['T2*_GRE']
    """
    if isinstance(given, (AnyOf, WholeValue)) and isinstance(settled, (AnyOf, WholeValue)):
        for pair in zip(given.predicates, settled.predicates, strict=True):
            yield from taken_literally(*pair)
    elif given != settled and isinstance(settled, StringIs) and settled.mode == "exact":
        yield from [settled.text] if isinstance(given, RangeString) or has_wildcard(settled.text) else []


def _name_pattern(text: str) -> str:
    # Between the groups of a name what carries no meaning may stand: spaces, and trailing ^.
    return re.sub("[=?]+", "*", text if has_wildcard(text) else name_forms(text)[0])


def wildcard_patterns(test: Predicate, vr: str) -> tuple[str, ...] | None:
    """Give wildcard patterns, compared without regard to case, of which a value matches one wherever the test holds.

    A source that can search by wildcards uses them to bring fewer rows; each row is then decided by the test itself.
    ``None`` says that no such patterns exist. An element with several values is one text with backslashes here, and a
    person name may be meant by one of its groups, so each pattern is open at both ends, identifiers aside.
    """
    if isinstance(test, StringIs):
        text = test.text
        if test.mode != "exact":
            # A value may have leading zeros where the age that was asked for has none, and the other way round.
            text = {"PN": _name_pattern, "AS": age_form}.get(vr, str)(text)
        return (text if vr == "UI" and test.mode != "like" and not has_wildcard(text) else f"*{text}*",)
    if isinstance(test, AnyOf):
        inner = [wildcard_patterns(each, vr) for each in test.predicates]
        if any(each is None for each in inner):
            return None
        return tuple(dict.fromkeys(pattern for each in inner for pattern in each or ()))
    return None
