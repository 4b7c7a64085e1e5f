"""What would have matched where a criterion left nothing.

Every proposal is tried on what is known of the archive before it is shown, so each is true: the call, made on the same
selection, leaves as many objects as the hint says. At most three requests are sent for it, of a kind that costs little:
the studies and series of a small archive are listed, and a large one is searched for the string as a part of longer
ones. An archive whose size is not known is sent none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import DATE_VRS, NUMBER_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, comparable, shown
from simple_orthanc.errors import OrthancError, SelectionError
from simple_orthanc.selection.ages import PATIENT_AGE, Age, ages
from simple_orthanc.selection.conditions import AgeField, Comparison, Condition, SeriesField
from simple_orthanc.selection.criteria import age, condition_for, tag
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
)
from simple_orthanc.selection.rewriting import as_list, as_relation
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

_UNITS: dict[Level, tuple[str, str]] = {
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
    def applied(self) -> tuple[Criterion, ...]:
        """What led to it."""
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
        return f"{self.call} matches {self.count:,} {_UNITS[self.level][self.count != 1]}"


def what_would_match(trial: Trial, condition: Condition) -> str:
    """Return sentences on what would have matched instead of a condition that left nothing; "" if nothing is known.

    Parameters
    ----------
    trial : Trial
        What was selected before.
    condition : Condition
        The condition.
    """
    if not isinstance(condition, Comparison):
        return _excluded_by(trial, condition)
    field = condition.field
    with suppress(OrthancError):
        if isinstance(field, Tag):
            _prepare(trial, field, condition.predicate)
    if isinstance(field, SeriesField):
        return _inside(trial, field)
    sentences = []
    hints = proposals(trial, condition)
    if hints:
        sentences.append(f"{'; '.join(map(str, hints))}.")
    sentences.append(_excluded_by(trial, condition))
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


def _unit(trial: Trial, condition: Comparison) -> Level:
    """Return what is counted: studies for what belongs to these, else series."""
    if isinstance(condition.field, Tag):
        return "study" if trial.index.home(condition.field) == "study" else "series"
    return "study"


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
    for string in _strings(predicate)[:1]:
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
    strings = [string.string for string in _strings(predicate)[:_MAX_ITEMS]]
    if strings:
        values = {part for value in column for part in value or () if isinstance(part, str)}
        known = sorted(value for value in values if 0 < len(value) <= _MAX_LENGTH)[:_MAX_COMPARED]
        alike = [value for string in strings for value in _alike(string, known, field.vr)]
        wider = [value for string in strings for value in _wildcard(string, field.vr)]
        # Beside a value that differs in case alone, others are no help.
        close = [] if alike else [value for string in strings for value in _close(string, known, field.vr)]
        yield from (_argument(field, value) for value in [*alike, *wider, *close])
        for string in strings:
            yield from _held_by_other_tags(trial, field, string)
    elif isinstance(predicate, (Relation, Between, RangeString)):
        yield from _nearest_by_value(field, predicate, column)
    if column and not any(column) and not isinstance(predicate, (IsMissing, Where)):
        yield _argument(field, None)


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
    if field.vr == "AS":
        if predicate.string.strip().isdecimal():
            yield _argument(field, int(predicate.string))
        relation = as_relation(predicate.string)
        if relation:
            yield from _relation(field, *relation)


def _relation(field: Tag, operator: str, operand: str) -> Iterator[Proposal]:
    compared = tag(field.name)
    methods = {"<": compared.__lt__, "<=": compared.__le__, ">": compared.__gt__, ">=": compared.__ge__}
    with suppress(SelectionError):
        condition = methods[operator](operand)
        number = operand if operand.replace(".", "", 1).isdecimal() else repr(operand)
        yield f"{compared!r} {operator} {number}", condition


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


def _excluded_by(trial: Trial, condition: Condition) -> str:
    """Return how much a condition matches by itself, and which earlier criteria exclude it; sends no request."""
    if not trial.applied:
        return ""
    with trial.index.offline(), suppress(NotKnownError, OrthancError):
        alone = trial.keys(trial.narrow(condition, everywhere=True), "series")
        if not alone:
            return ""
        excluding = [
            str(earlier.condition)
            for earlier in trial.applied
            if not trial.keys(trial.narrow(earlier.meaning, condition, everywhere=True), "series")
        ]
        found = f"By itself, it matches {len(alone):,} series"
        return f"{found}, none of them with {' or '.join(excluding)}." if excluding else f"{found}."
    return ""


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
                return f"In the whole archive, {studies:,} {have} such a series."
        found = what_would_match(trial.everywhere(), inner)
        return f"In the whole archive, {found}" if found else ""
    return ""


# What users should know although something matched


def note_on_ages(trial: Trial, condition: Condition) -> str:
    """Return a note on studies whose ages are contradictory or not known, or that lack PatientAge alone."""
    fields = [comparison.field for comparison in condition.comparisons()]
    is_on_age = any(isinstance(field, AgeField) for field in fields)
    is_on_tag = isinstance(condition, Comparison) and condition.field == PATIENT_AGE
    if not is_on_age and not (is_on_tag and not isinstance(condition.predicate, IsMissing)):  # type: ignore[attr-defined]
        return ""
    with suppress(NotKnownError, OrthancError):
        studies = trial.keys(trial.before, "study")
        trial.index.load("study", studies)
        with trial.index.offline():
            known = ages(trial.index, studies)
        total = f"{len(known):,} {_UNITS['study'][len(known) != 1]}"
        if is_on_age:
            return _note_on_age(condition, known.values(), total)
        lacking = sum(found.stated is None and found.from_dates is not None for found in known.values())
        if lacking:
            return (
                f"PatientAge is missing in {lacking:,} of {total}, so that these do not satisfy {condition}. age() "
                f"falls back on PatientBirthDate and StudyDate, as in select(age() >= 60)."
            )
    return ""


def _note_on_age(condition: Condition, known: Collection[Age], total: str) -> str:
    """Return a note on ages that contradict birth dates, and on studies of which no age is known."""
    notes = []
    contradictory = sum(found.is_contradictory for found in known)
    if contradictory:
        notes.append(
            f"In {contradictory:,} of {total}, PatientAge differs by more than a year from the age by "
            f"PatientBirthDate and StudyDate; age() uses PatientAge."
        )
    unknown = sum(found.years is None for found in known)
    compared = [each.predicate for each in condition.comparisons() if isinstance(each.field, AgeField)]
    if unknown and not any(isinstance(predicate, IsMissing) for predicate in compared):
        notes.append(
            f"In {unknown:,} of {total} the age is not known, neither from PatientAge nor from PatientBirthDate and "
            f"StudyDate: no comparison holds for these. age().is_missing() selects them."
        )
    return " ".join(notes)
