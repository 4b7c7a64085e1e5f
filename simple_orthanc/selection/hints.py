"""What would have matched where a criterion left nothing.

Every proposal is tried on what is known of the archive before it is shown, so each is true: the call, made on the same
selection, leaves as many objects as the hint says. At most three requests are sent for it, of a kind that costs little:
the studies and series of a small archive are listed, and a large one is searched for the string as a part of longer
ones. An archive whose size is not known is sent none.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import DATE_VRS, NUMBER_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, comparable, shown
from simple_orthanc.errors import OrthancError
from simple_orthanc.selection.ages import ages
from simple_orthanc.selection.conditions import AgeField, Comparison, Condition, Not, SeriesField
from simple_orthanc.selection.criteria import age, condition_for
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.predicates import (
    AnyOf,
    Between,
    IsMissing,
    Predicate,
    RangeString,
    Relation,
    StringIs,
    StringMode,
    Where,
    WholeValue,
    fold,
    has_wildcard,
    is_identifier,
)
from simple_orthanc.selection.rewriting import as_list
from simple_orthanc.selection.selection import Criterion, Selection

_MAX_HINTS = 3
# An archive of so few rows in a level is listed for a hint.
_LISTED = 1000
_LISTED_LEVELS: tuple[Level, ...] = ("study", "series")
# A longer value is not shown: cut off, it would not be true.
_MAX_LENGTH = 64
_MAX_COMPARED = 2000
_MAX_ITEMS = 5
# Of more rows one proposal is told, since each is tried on all of them.
_MANY_ROWS = 50_000

_WILDCARDS = {"*": ".*", "?": "."}
_WAY_OUT = "Start over with reset().select(...), or call copy() before each select() to keep selections independent."

UNITS: dict[Level, tuple[str, str]] = {
    "patient": ("patient", "patients"),
    "study": ("study", "studies"),
    "series": ("series", "series"),
    "instance": ("instance", "instances"),
}

Proposal: TypeAlias = "tuple[str, Condition]"
"""A call as users write it, and the condition that it means."""


class Trial(Protocol):
    """A selection on which conditions are tried; see `simple_orthanc.selection.resolving.Trial`."""

    @property
    def index(self) -> Index:
        """What is known of the archive."""
        ...

    @property
    def before(self) -> Selection:
        """What was selected before a criterion was applied."""
        ...

    @property
    def earlier(self) -> tuple[Criterion, ...]:
        """The criteria of earlier calls that led to it."""
        ...

    @property
    def applied(self) -> tuple[Criterion, ...]:
        """The criteria of the same call that led to it."""
        ...

    def everywhere(self) -> Trial:
        """Return a trial on the whole archive."""
        ...

    def narrow(self, *conditions: Condition, everywhere: bool = False) -> Selection:
        """Return what conditions leave of the selection, or of the whole archive."""
        ...

    def keys(self, selection: Selection, level: Level) -> list[str]:
        """Return the keys selected at a level."""
        ...


@dataclass(frozen=True)
class Hint:
    """A call that would have matched.

    Attributes
    ----------
    call : str
        The call, or the argument of `select`, as users write it.
    count : int
        How many objects it leaves.
    level : str
        What these are.
    """

    call: str
    count: int
    level: Level

    def __str__(self) -> str:
        """Return the hint in words."""
        return f"{self.call} matches {self.count:,} {UNITS[self.level][self.count != 1]}"


def what_would_match(trial: Trial, condition: Condition) -> str:
    """Return sentences on what would have matched instead of a condition that left nothing; "" if nothing is known.

    Parameters
    ----------
    trial : Trial
        What was selected before.
    condition : Condition
        The condition.
    """
    field = condition.field if isinstance(condition, Comparison) else None
    with suppress(NotKnownError, OrthancError):
        if isinstance(condition, Comparison) and isinstance(field, Tag):
            _prepare(trial, field, condition.predicate)
    if isinstance(field, SeriesField):
        return _inside(trial, field)
    way_out = "" if isinstance(condition, Not) else _WAY_OUT
    reason = _excluded_by(trial, condition, trial.earlier) if trial.earlier else ""
    if reason:
        return f"{reason} {way_out}".rstrip()
    sentences = []
    # One patient is no answer to a question about another.
    is_identified = bool(trial.earlier) and isinstance(field, Tag) and is_identifier(field)
    if isinstance(condition, Comparison) and not is_identified:
        hints = proposals(trial, condition)
        sentences += [f"{'; '.join(map(str, hints))}." if hints else "", _note_on_case(condition, hints)]
    if trial.applied:
        sentences.append(_excluded_by(trial, condition, (*trial.earlier, *trial.applied)) or "")
    if reason is None and way_out:
        sentences.append(f"Only what {_joined(trial.earlier)} left was searched. {way_out}")
    if trial.earlier and not any(sentences):
        with trial.index.offline():
            found = what_would_match(trial.everywhere(), condition)
        sentences = [f"In the whole archive, {found} {way_out}".rstrip() if found else ""]
    return " ".join(filter(None, sentences))


def proposals(trial: Trial, condition: Comparison) -> list[Hint]:
    """Return the first few of the proposals for a comparison that match something; sends no request."""
    hints: list[Hint] = []
    level = _unit(trial, condition)
    seen: list[tuple[str, list[str]]] = []
    with trial.index.offline(), suppress(NotKnownError, OrthancError):
        most = 1 if len(trial.before.keys) > _MANY_ROWS else _MAX_HINTS
        for call, proposed in _proposed(trial, condition):
            with suppress(NotKnownError, OrthancError):
                keys = trial.keys(trial.narrow(proposed), level)
                found = call.partition("=")[0], sorted(keys)
                if keys and found not in seen:
                    seen.append(found)
                    hints.append(Hint(call, len(keys), level))
            if len(hints) == most:
                break
    return hints


def _unit(trial: Trial, condition: Condition) -> Level:
    """Return what is counted: studies for what belongs to these, else series."""
    tags = [comparison.field for comparison in condition.comparisons() if isinstance(comparison.field, Tag)]
    return "study" if all(trial.index.home(tag) == "study" for tag in tags) else "series"


def _note_on_case(condition: Comparison, hints: Sequence[Hint]) -> str:
    """Return a note on identifiers if one of the hints differs from what was asked in case alone."""
    field = condition.field
    if not isinstance(field, Tag) or not is_identifier(field):
        return ""
    asked = {fold(_argument(field, string.string)[0]) for string in _strings(condition.predicate)}
    differs = any(fold(hint.call) in asked for hint in hints)
    return f"Identifiers such as {field} are case-sensitive." if differs else ""


# What is asked of the source


def _prepare(trial: Trial, tag: Tag, predicate: Predicate) -> None:
    """Send the few requests without which nothing could be proposed."""
    index, home = trial.index, trial.index.home(tag)
    if home is None or home == "instance":
        return
    counts = [count for level in _LISTED_LEVELS if (count := index.known_count(level)) is not None]
    if len(counts) < len(_LISTED_LEVELS):
        # Such sources may answer a search for a part of a string by listing everything.
        return
    if max(counts) <= _LISTED:
        for level in _LISTED_LEVELS:
            index.everything(level)
        return
    strings = _strings(predicate)
    if trial.earlier and is_identifier(tag):
        # Of a few objects it is worth knowing whether an earlier criterion excludes them.
        is_few = 0 < len(strings) <= _MAX_ITEMS and not any(has_wildcard(string.string) for string in strings)
        if is_few and index.source.searchable(tag, predicate):
            index.search(home, tag, predicate)
        return
    for string in strings[:1]:
        wider = f"*{string.string.strip('*')}*"
        # In a selection its rows are known, but not whether the archive holds this string itself.
        modes: tuple[StringMode, ...] = ("exact", "auto") if trial.before.level is None else ("exact",)
        for searched in (StringIs(wider, mode, string.cased) for mode in modes):
            if index.source.searchable(tag, searched):
                found = index.search(home, tag, searched)
                index.column(tag, home, found)


# What is proposed


def _proposed(trial: Trial, condition: Comparison) -> Iterator[Proposal]:
    field, predicate = condition.field, condition.predicate
    if isinstance(field, AgeField):
        yield from _range_of_ages(trial)
    if not isinstance(field, Tag):
        return
    yield from _rewritten(field, predicate)
    column: list[Value] = []
    with suppress(NotKnownError):
        column = _column(trial, field)
    strings = _strings(predicate)[:_MAX_ITEMS]
    if strings:
        yield from _for_strings(field, strings, column)
        for string in strings:
            yield from _held_by_other_tags(trial, field, string.string)
    elif isinstance(predicate, (Relation, Between, RangeString)):
        yield from _nearest_by_value(field, predicate, column)
    if column and not any(column) and not isinstance(predicate, (IsMissing, Where)):
        yield _argument(field, None)


def _for_strings(field: Tag, strings: Sequence[StringIs], column: Sequence[Value]) -> Iterator[Proposal]:
    """Propose what strings may mean: the same in another case or order, parts of longer values, the nearest values."""
    values = {part for value in column for part in value or () if isinstance(part, str)}
    known = sorted(value for value in values if 0 < len(value) <= _MAX_LENGTH)[:_MAX_COMPARED]
    alike = [value for string in strings for value in _in_other_case(string, known)]
    alike += [value for string in strings for value in _alike(string.string, known, field.vr)]
    wider = [value for string in strings for value in _wildcard(string.string, field.vr)]
    # Beside a value that differs in case alone, others are no help.
    close = [] if alike else [value for string in strings for value in _close(string.string, known, field.vr)]
    yield from (_argument(field, value) for value in [*alike, *wider, *close])


def _strings(predicate: Predicate) -> list[StringIs]:
    """Return the strings that a predicate compares values with."""
    if isinstance(predicate, StringIs):
        return [predicate]
    if isinstance(predicate, AnyOf):
        return [string for inner in predicate.predicates for string in _strings(inner)]
    return []


def _column(trial: Trial, tag: Tag) -> list[Value]:
    """Return the values of a tag in what was selected before."""
    index = trial.index
    level = index.home(tag) or "instance"
    return index.column(tag, level, trial.keys(trial.before, level))


def _argument(tag: Tag, value: Any) -> Proposal:
    """Return an argument of `select`, as users write it, with what it means.

    Examples
    --------
    >>> from simple_orthanc.dicom.tags import parse_tag
    >>> _argument(parse_tag("Modality"), ["CT", "MR"])[0], _argument(parse_tag("0009,0010"), "x")[0]
    ("Modality=['CT', 'MR']", "**{'0009,0010': 'x'}")
    """
    name = tag.name
    call = f"{name}={value!r}" if name.isidentifier() else f"**{{{name!r}: {value!r}}}"
    return call, condition_for(tag, value)


def _rewritten(field: Tag, predicate: Predicate) -> Iterator[Proposal]:
    """Propose what a string means in the notations of other tools."""
    if isinstance(predicate, WholeValue):
        strings = [part.string for part in predicate.predicates if isinstance(part, StringIs)]
        if strings and not field.is_multiple:
            yield _argument(field, strings)
    if not isinstance(predicate, StringIs):
        return
    listed = as_list(predicate.string)
    if listed:
        yield _argument(field, listed)
    if field.vr == "AS" and predicate.string.strip().isdecimal() and len(predicate.string) <= _MAX_LENGTH:
        yield _argument(field, int(predicate.string))


def _in_other_case(string: StringIs, known: Sequence[str]) -> list[str]:
    """Return a string with wildcards in the case of the values that it would match if case did not matter.

    Examples
    --------
    >>> _in_other_case(StringIs("cohort-?*", cased=True), ["COHORT-01", "COHORT-02", "EX-001"])
    ['COHORT-?*']
    """
    if not string.cased or not has_wildcard(string.string):
        return []
    parts = [part for part in re.split(r"([*?])", string.string) if part]
    expression = "".join(_WILDCARDS.get(part, f"({re.escape(part)})") for part in parts)
    variants: Counter[str] = Counter()
    for match in (re.fullmatch(expression, value, re.IGNORECASE | re.DOTALL) for value in known):
        if match:
            literals = iter(match.groups())
            variants["".join(part if part in _WILDCARDS else next(literals) for part in parts)] += 1
    return [variant for variant, _ in variants.most_common(_MAX_HINTS) if variant != string.string]


def _alike(string: str, known: Sequence[str], vr: str) -> list[str]:
    """Return the values that differ from a string in case, spaces, order or leading zeros only.

    Examples
    --------
    >>> _alike("jane doe", ["Doe^Jane", "Roe^Rick"], "PN"), _alike("p1", ["P001", "P2"], "LO")
    (['Doe^Jane'], ['P001'])
    """
    wanted = _normal(string.strip("* "), vr)
    return [value for value in known if value != string and _normal(value, vr) == wanted]


def _wildcard(string: str, vr: str) -> list[str]:
    """Return the string as a part of longer ones."""
    core = string.strip("*")
    return [f"*{core}*"] if core and len(core) <= _MAX_LENGTH and vr not in NUMBER_VRS | DATE_VRS | {"AS"} else []


def _close(string: str, known: Sequence[str], vr: str) -> list[str]:
    """Return the values nearest to a string by what they have in common.

    Examples
    --------
    >>> _close("t1 axail", ["T1 axial", "T2 axial", "localizer"], "LO")
    ['T1 axial', 'T2 axial']
    """
    if vr == "UI":  # those of one archive are all alike
        return []
    by_form = {fold(value): value for value in reversed(known)}
    return [by_form[form] for form in difflib.get_close_matches(fold(string.strip("* ")), by_form, _MAX_HINTS)]


def _normal(value: str, vr: str) -> tuple[str, ...]:
    """Return what is left of a string without case, separators and zeros at the beginning of a number."""
    value = re.sub(r"(?<!\d)0+(?=\d)", "", value)
    parts = [part for part in re.split(r"[\s^=,._\-]+", fold(value)) if part]
    return tuple(sorted(parts)) if vr == "PN" else tuple(["".join(parts)] if parts else [])


def _held_by_other_tags(trial: Trial, field: Tag, string: str) -> Iterator[Proposal]:
    """Propose the tags of studies and series that hold a string."""
    wanted = fold(string)
    names: dict[str, Any] = {}
    index = trial.index
    for level in _LISTED_LEVELS:
        with suppress(NotKnownError):
            keys = trial.keys(trial.before, level)
            index.load(level, keys)
            for name, value in (pair for key in keys for pair in index.row(level, key).values.items()):
                if name != field.name and name not in names:
                    names.update((name, part) for part in value or () if fold(str(part)) == wanted)
    for other, held in ((parse_tag(name), held) for name, held in names.items()):
        if other.vr not in NUMBER_VRS | DATE_VRS:
            yield _argument(other, held)


def _nearest_by_value(field: Tag, predicate: Predicate, column: Sequence[Value]) -> Iterator[Proposal]:
    """Propose the nearest values below and above a number, date or time, and the range of all."""
    if field.is_multiple:
        return
    known: dict[Any, str] = {}
    for value in column:
        for part in value or ():
            found = comparable(part, field.vr)
            if found is not None and isinstance(part, str) and len(part) <= _MAX_LENGTH:
                known.setdefault(found, part)
    order = sorted(known)
    if not order:
        return
    if isinstance(predicate, Relation) and predicate.operator == "==":
        below = [each for each in order if Relation("<", predicate.operand).accepts(each)][-1:]
        above = [each for each in order if Relation(">", predicate.operand).accepts(each)][:1]
        yield from (_argument(field, shown((known[each],), field)) for each in [*below, *above])
    low, high = (shown((known[each],), field) for each in (order[0], order[-1]))
    yield _argument(field, (low, high)) if low != high else _argument(field, low)


def _range_of_ages(trial: Trial) -> Iterator[Proposal]:
    studies = trial.keys(trial.before, "study")
    known = [found.years for found in ages(trial.index, studies).values() if found.years is not None]
    if known:
        low, high = (int(years) if years.is_integer() else years for years in (min(known), max(known)))
        yield f"age().between({low}, {high})", age().between(low, high)


# What excludes what


def _excluded_by(trial: Trial, condition: Condition, criteria: Sequence[Criterion]) -> str | None:
    """Return how much a condition matches in the whole archive, and which criteria exclude that; sends no request.

    An empty string: these criteria do not exclude it. None: it is not known what it matches.
    """
    level = _unit(trial, condition)
    with trial.index.offline():
        count = _count(trial, level, condition)
        if not count:
            return None if count is None else ""
        # That all criteria together exclude it is why a hint is looked for.
        is_all = len(criteria) == len(trial.earlier) + len(trial.applied)
        if not is_all and _count(trial, level, condition, *criteria) != 0:
            return ""
        excluding = [criterion for criterion in criteria if _count(trial, level, condition, criterion) == 0]
    earlier = "earlier " if criteria is trial.earlier else ""
    them = "it" if count == 1 else "them"
    if len(criteria) == 1 or len(excluding) == 1:
        reason = f"the {earlier}criterion {_joined(excluding or criteria)} excludes {them}"
    elif excluding:
        reason = f"each of the {earlier}criteria {_joined(excluding)} excludes {them}"
    else:
        reason = f"the {earlier}criteria {_joined(criteria)} together exclude {them}"
    return f"{condition} matches {count:,} {UNITS[level][count != 1]} of the whole archive, but {reason}."


def _count(trial: Trial, level: Level, condition: Condition, *criteria: Criterion) -> int | None:
    """Count what a condition and some criteria match in the whole archive; None if that is not known."""
    with suppress(NotKnownError, OrthancError):
        meanings = [criterion.meaning for criterion in criteria]
        return len(trial.keys(trial.narrow(*meanings, condition, everywhere=True), level))
    return None


def _joined(criteria: Sequence[Criterion]) -> str:
    *others, last = (str(criterion.condition) for criterion in criteria)
    return f"{', '.join(others)} and {last}" if others else last


def _inside(trial: Trial, field: SeriesField) -> str:
    """Return how many other studies have the series that are asked for, or what would match inside the question."""
    inner = field.condition
    with suppress(OrthancError):
        if isinstance(inner, Comparison) and isinstance(inner.field, Tag):
            _prepare(trial.everywhere(), inner.field, inner.predicate)
        with trial.index.offline(), suppress(NotKnownError):
            studies = len(trial.keys(trial.narrow(inner, everywhere=True), "study"))
            if studies:
                have = "study has" if studies == 1 else "studies have"
                found = f"In the whole archive, {studies:,} {have} such a series."
                return f"{found} {_WAY_OUT}" if trial.earlier else found
        found = what_would_match(trial.everywhere(), inner)
        return f"In the whole archive, {found}" if found else ""
    return ""
