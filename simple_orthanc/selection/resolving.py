"""What a selection asks of an archive: criteria are settled, then applied, and what is left is listed or counted.

Where ``T2*`` is decided: literal or wildcard
---------------------------------------------
In `settle`, once per comparison, before it is applied. A string that a user gives is undecided at first; so is a range
written as one string, ``20200101-20200131``. `settle` looks at the values of the tag in the rows that are left:

1. one of the values is the string itself: a literal, it alone is meant, and `explain` says so;
2. else, if the string matches nothing as a wildcard either, it stays undecided, since both meanings select nothing;
3. else, if the rest of the archive holds the string itself: a literal too, so that the order of criteria does not
   change their meaning. Only where the source can be searched by the tag: a tag that only the files hold is looked at
   in what is selected;
4. else a wildcard.

What was decided is kept in `Criterion.settled`: in one selection the same words always mean the same. How a decided
string compares is in `simple_orthanc.selection.predicates`. `exact("T2*")` and `like("T2*")` are never undecided.

A string that is not the date, time or number that its tag holds is an error, unless the archive is known to hold it:
see `exact_where_unreadable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, deepest, depth
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.selection.ages import ages
from simple_orthanc.selection.computed import computed_level
from simple_orthanc.selection.conditions import (
    AgeField,
    Comparison,
    Condition,
    Mask,
    Not,
    SeriesField,
    ServerField,
    all_comparisons,
    conjuncts,
)
from simple_orthanc.selection.hints import what_would_match
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.literals import decide, strings_with_matches, taken_literally, undecided_strings
from simple_orthanc.selection.meanings import Meanings
from simple_orthanc.selection.notes import note_on_ages
from simple_orthanc.selection.parsing import unreadable_strings, with_exact
from simple_orthanc.selection.predicates import StringIs, has_wildcard
from simple_orthanc.selection.selection import Criterion, Selection, Step

# Identifiers, those that name the fewest objects first.
_MOST_SELECTIVE = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "AccessionNumber", "StudyID", "PatientID")

# Of so few studies the series are listed, even where they could be searched for.
_FEW_STUDIES = 50


def keys_at(index: Index, selection: Selection, level: Level) -> list[str]:
    """Return the keys selected at a level: those with a selected object below or above them."""
    if selection.level is None:
        if level == "patient":
            return list(dict.fromkeys(index.up("study", index.everything("study"), "patient")))
        return index.everything(level)
    if depth(level) > depth(selection.level):
        return index.down(selection.level, selection.keys, level)
    keys, deeper = list(dict.fromkeys(selection.keys)), selection.level
    while deeper != level:
        # Level by level: there are fewer keys at each.
        above: Level = LEVELS[depth(deeper) - 1]
        keys, deeper = list(dict.fromkeys(index.up(deeper, keys, above))), above
    return keys


def count(index: Index, selection: Selection, level: Level) -> int:
    """Count what is selected at a level."""
    if selection.level is None and not index.is_listed(level):
        return index.counts()[level]
    if selection.level is not None and depth(level) > depth(selection.level):
        above: Level = LEVELS[depth(level) - 1]
        return index.child_count(above, keys_at(index, selection, above))
    return len(keys_at(index, selection, level))


def known_keys(index: Index, selection: Selection) -> dict[Level, list[str]]:
    """Return what is selected of patients, studies and series where that needs no request."""
    known: dict[Level, list[str]] = {}
    with index.offline():
        for level in reversed(LEVELS[:-1]):
            below = LEVELS[depth(level) + 1]
            is_listed = index.is_listed(level) if selection.level is None else level == selection.level
            with suppress(NotKnownError):
                if below in known and not is_listed:
                    known[level] = list(dict.fromkeys(index.up(below, known[below], level)))
                else:
                    known[level] = keys_at(index, selection, level)
    return known


def known_counts(
    index: Index, selection: Selection, known: Mapping[Level, Sequence[str]] | None = None
) -> dict[Level, int]:
    """Count what is selected at each level where that needs no request.

    Parameters
    ----------
    index : Index
        What has been read.
    selection : Selection
        What is selected.
    known : mapping, optional
        What `known_keys` returns, if it was called already.
    """
    keys = known_keys(index, selection) if known is None else known
    counts = {level: len(keys[level]) for level in LEVELS if level in keys}
    with index.offline():
        for level in LEVELS:
            with suppress(NotKnownError):
                if level not in counts:
                    counts[level] = count(index, selection, level)
    return {level: counts[level] for level in LEVELS if level in counts}


def exact_where_unreadable(index: Index, tag: Tag, value: Any) -> Any:
    """Return a value in which the unreadable strings that the archive is known to hold are marked with `exact`.

    A list of dates shows ``00000000`` as it is, and whatever was listed can be selected. No request is sent: only what
    has been read from the archive counts.

    Parameters
    ----------
    index : Index
        What has been read.
    tag : Tag
        What the value is given for.
    value : object
        The value as the user gave it.
    """
    seen = {string for string in unreadable_strings(tag, value) if index.has_seen(tag, string)}
    return with_exact(tag, value, seen) if seen else value


def narrow(index: Index, selection: Selection, *criteria: Criterion, with_hints: bool = True) -> Selection:
    """Return the selection that is left once criteria have been applied too.

    The parts of all criteria are applied in one order, whichever criterion they belong to, since the meaning of a
    string may depend on the rows that are left. `Session.exclude` makes one criterion of all its arguments, and thereby
    takes away exactly what `Session.select` keeps.

    Parameters
    ----------
    index : Index
        What is known of the archive, and how to ask for more.
    selection : Selection
        What was selected before.
    *criteria : Criterion
        What is asked.
    with_hints : bool
        Whether the steps tell what would have matched where nothing is left.
    """
    meanings, runs = Meanings(selection.criteria), [_CriterionRun(index, criterion) for criterion in criteria]
    parts = [(level_depth, part, run) for run in runs for level_depth, part in run.parts]
    earlier, applied = selection.criteria, list[Criterion]()
    for _, part, run in sorted(parts, key=lambda part: (_selectivity(index, selection, part[1]), part[0])):
        before, selection = selection, run.apply(selection, part, meanings)
        if with_hints and not index.is_offline:
            run.explain(Trial(index, before, earlier, tuple(applied)), selection, part)
        applied.append(Criterion(part, "", part))
    # A criterion is done with its deepest part.
    for run in sorted(runs, key=lambda run: run.parts[-1][0]):
        criterion = replace(run.criterion, settled=meanings.applied_to(run.criterion.meaning))
        selection = replace(
            selection, criteria=(*selection.criteria, criterion), steps=(*selection.steps, run.step(criterion))
        )
    return selection


def _selectivity(index: Index, selection: Selection, condition: Condition) -> int:
    """Return how early a condition is applied: first what leaves few rows of a source that can search for them."""
    if selection.level is not None or not isinstance(condition, Comparison) or not isinstance(condition.field, Tag):
        return len(_MOST_SELECTIVE)
    tag, predicate = condition.field, condition.predicate
    # Several UIDs may take more requests than the rows of their study.
    is_whole = isinstance(predicate, StringIs) and not has_wildcard(predicate.string)
    if not is_whole or tag.name not in _MOST_SELECTIVE or not index.source.searchable(tag, predicate):
        return len(_MOST_SELECTIVE)
    return _MOST_SELECTIVE.index(tag.name)


class _CriterionRun:
    """One criterion while its parts are applied, each in its turn, with those of other criteria in between."""

    def __init__(self, index: Index, criterion: Criterion) -> None:
        self._index, self.criterion = index, criterion
        before = index.source.requests
        self.parts = _ordered_parts(index, criterion.meaning)
        self._requests = index.source.requests - before
        self._decided: list[str] = []
        self._counts: dict[Level, int] = {}
        self._emptied = False
        self._hint = self._note = ""

    def apply(self, selection: Selection, part: Condition, meanings: Meanings) -> Selection:
        before = self._index.source.requests
        narrowed, decided = _apply(self._index, selection, part, meanings)
        self._requests += self._index.source.requests - before
        self._decided.append(decided)
        self._emptied = self._emptied or (narrowed.is_empty and not selection.is_empty)
        if part is self.parts[-1][1]:
            self._counts = known_counts(self._index, narrowed)
        return narrowed

    def explain(self, trial: Trial, narrowed: Selection, part: Condition) -> None:
        """Note what users should know of how a part was decided, and of what would have matched."""
        before = self._index.source.requests
        self._note = self._note or note_on_ages(trial, part)
        if narrowed.is_empty and not trial.before.is_empty:
            self._hint = what_would_match(trial, part)
        self._requests += self._index.source.requests - before

    def step(self, criterion: Criterion) -> Step:
        pairs = zip(all_comparisons(criterion.condition), all_comparisons(criterion.meaning), strict=True)
        literals = [
            repr(string) for given, settled in pairs for string in taken_literally(given.predicate, settled.predicate)
        ]
        decided = list(dict.fromkeys(self._decided))
        if literals:
            decided.append(f"{', '.join(dict.fromkeys(literals))} is a value in the archive, so it alone is meant")
        return Step(
            *(str(criterion.condition), "; ".join(decided), self._requests, self._counts),
            *(self._emptied, self._hint, self._note),
        )


@dataclass(frozen=True)
class Trial:
    """A selection on which criteria are tried for hints.

    Attributes
    ----------
    index : Index
        What is known of the archive.
    before : Selection
        What was selected before a criterion was applied.
    earlier : tuple of Criterion
        Those of earlier calls that led to it.
    applied : tuple of Criterion
        Those of the same call that led to it.
    """

    index: Index
    before: Selection
    earlier: tuple[Criterion, ...] = ()
    applied: tuple[Criterion, ...] = ()

    def everywhere(self) -> Trial:
        """Return a trial on the whole archive."""
        return Trial(self.index, Selection())

    def narrow(self, *conditions: Condition, everywhere: bool = False) -> Selection:
        """Return what conditions leave of this selection, or of the whole archive."""
        criteria = [Criterion(condition, "", condition) for condition in conditions]
        return narrow(self.index, Selection() if everywhere else self.before, *criteria, with_hints=False)

    def keys(self, selection: Selection, level: Level) -> list[str]:
        """Return the keys selected at a level."""
        return keys_at(self.index, selection, level)


@dataclass(frozen=True)
class Rows:
    """The rows on which a condition is decided.

    Attributes
    ----------
    level : str
        Their level.
    keys : sequence of str
        Their keys.
    from_whole_archive : bool
        Whether nothing was selected before, so that no row outside them can hold a string that is asked for.
    decided : str
        How that is told to users.
    """

    level: Level
    keys: Sequence[str]
    from_whole_archive: bool
    decided: str


def _apply(index: Index, selection: Selection, condition: Condition, meanings: Meanings) -> tuple[Selection, str]:
    """Return what is left of a selection where a condition holds, and how that was decided."""
    if isinstance(condition, Not):
        return _apply_complement(index, selection, condition.inner, meanings)
    rows = _rows_for(index, selection, condition)
    settled = settle(index, condition, rows, meanings)
    mask = settled.evaluate([_mask(index, comparison, rows, meanings) for comparison in settled.comparisons()])
    kept = tuple(key for key, holds in zip(rows.keys, mask, strict=True) if holds)
    return replace(selection, level=rows.level, keys=kept), rows.decided


def _apply_complement(
    index: Index, selection: Selection, condition: Condition, meanings: Meanings
) -> tuple[Selection, str]:
    """Return what a condition leaves out: everything selected, less what the condition keeps."""
    keys = keys_at(index, selection, deepest(_level(index, condition), selection.level or "study"))
    kept, decided = selection, []
    for _, part in _ordered_parts(index, condition):
        kept, how = _apply(index, kept, part, meanings)
        decided.append(how)
    taken = set(kept.keys)
    left = tuple(key for key in keys if key not in taken)
    return replace(kept, keys=left), "; ".join(dict.fromkeys(decided))


def _ordered_parts(index: Index, condition: Condition) -> list[tuple[int, Condition]]:
    """Return the parts of a condition with their depths, those on the study first: they leave less for the others."""
    parts = [(_cost(index, part), part) for part in conjuncts(condition)]
    return sorted(parts, key=lambda part: part[0])


def _cost(index: Index, condition: Condition) -> int:
    """Return how late a part is applied: by its depth; what reads files last, since the others leave fewer of them."""
    return depth("instance" if _reads_files(index, condition) else _level(index, condition))


def _reads_files(index: Index, condition: Condition) -> bool:
    """Check whether a condition is decided by what only the files hold, also inside a question about series."""
    fields = (comparison.field for comparison in all_comparisons(condition))
    return any(field == AgeField() or (isinstance(field, Tag) and index.home(field) is None) for field in fields)


def _level(index: Index, condition: Condition) -> Level:
    """Return the level at which a condition is decided: the deepest that one of its fields needs."""
    levels: list[Level] = ["study"]
    for comparison in condition.comparisons():
        field = comparison.field
        if isinstance(field, Tag):
            levels.append(index.home(field) or "instance")
        elif isinstance(field, ServerField):
            values = index.server_field(field.kind, field.name)
            levels.extend(level for level, column in values.items() if column)
    return deepest(*levels)


def _rows_for(index: Index, selection: Selection, condition: Condition) -> Rows:
    """Return the selected rows on which a condition is decided, as few as the source can tell apart."""
    level = _level(index, condition)
    before = index.source.requests
    keys = _candidates(index, condition, level) if selection.level is None else None
    decided = "here, from the index"
    if keys is None:
        level = deepest(level, selection.level or level)
        keys = keys_at(index, selection, level)
    elif index.source.requests > before:
        decided = "server, checked here"
    fields = [comparison.field for comparison in condition.comparisons()]
    if any(isinstance(field, Tag) and index.home(field) is None for field in fields):
        decided = f"here, in {len(keys):,} files"
    elif any(isinstance(field, AgeField) for field in fields):
        decided = "here, by one file of each study"
    elif _reads_files(index, condition):
        decided = "here, in the files of these studies"
    return Rows(level, keys, selection.level is None, decided)


def _candidates(index: Index, condition: Condition, level: Level) -> list[str] | None:
    """Ask the source for rows on which a condition may hold; None: it cannot search for them."""
    if isinstance(condition, Comparison) and isinstance(condition.field, SeriesField):
        studies, owners = _owners_of_series(index, condition.field, Selection(), Meanings(()))
        return studies if condition.field.of == "study" else _studies_of_patients(index, owners)
    if not (isinstance(condition, Comparison) and isinstance(condition.field, Tag) and _is_searched(index, condition)):
        return None
    return index.search(level, condition.field, condition.predicate)


def _is_searched(index: Index, condition: Condition) -> bool:
    """Check whether the source searches for the rows on which a condition may hold."""
    if not isinstance(condition, Comparison) or not isinstance(condition.field, Tag):
        return False
    is_computed = computed_level(condition.field) is not None
    return not is_computed and index.source.searchable(condition.field, condition.predicate)


def settle(index: Index, condition: Condition, rows: Rows, meanings: Meanings) -> Condition:
    """Return a condition whose strings are decided, literal or wildcard, as far as the archive tells.

    Parameters
    ----------
    index : Index
        What is known of the archive, and how to ask for more.
    condition : Condition
        What was asked.
    rows : Rows
        The rows on which it will be decided.
    meanings : Meanings
        What was decided before, which holds here too; what is decided here is added.
    """
    settled = []
    for given in condition.comparisons():
        comparison = _decided(index, meanings.of(given), rows)
        meanings.add(given, comparison)
        settled.append(comparison)
    return condition.with_comparisons(settled)


def _decided(index: Index, comparison: Comparison, rows: Rows) -> Comparison:
    undecided = list(undecided_strings(comparison.predicate))
    tag = comparison.field
    if not undecided or not isinstance(tag, Tag):
        return comparison
    column = index.column(tag, rows.level, rows.keys)
    values = {part for value in column for part in value or () if isinstance(part, str)}
    literals = {part.string for part in undecided if part.string in values}
    wildcards = strings_with_matches((part for part in undecided if part.string not in literals), values, tag.vr)
    if not rows.from_whole_archive:
        literals |= {part.string for part in undecided if part.string in wildcards and _holds(index, tag, part.string)}
    return Comparison(tag, decide(comparison.predicate, literals, wildcards - literals))


def _holds(index: Index, tag: Tag, string: str) -> bool:
    """Check whether the archive holds a string as the value of a tag, where the source can be searched by the tag."""
    home = index.source.indexed(tag)
    literal = StringIs(string, "exact")
    if home is None or not index.source.searchable(tag, literal):
        return False
    keys = index.search(home, tag, literal)
    return any(string in (value or ()) for value in index.column(tag, home, keys))


def _mask(index: Index, comparison: Comparison, rows: Rows, meanings: Meanings) -> Mask:
    field = comparison.field
    if isinstance(field, SeriesField):
        return _series_mask(index, field, rows, meanings)
    if isinstance(field, Tag):
        column = index.column(field, rows.level, rows.keys)
    elif isinstance(field, AgeField):
        studies = index.up(rows.level, rows.keys, "study")
        by_study = ages(index, studies)
        column = [by_study[study].value for study in studies]
    else:
        column = _server_column(index, field, rows)
    return [comparison.holds(value) for value in column]


def _series_mask(index: Index, field: SeriesField, rows: Rows, meanings: Meanings) -> Mask:
    """Check for each row whether its study, or its patient, has a series that is asked for.

    The question is about the archive, and not about what is selected. It is put to the studies of the rows, or to the
    whole archive where that takes fewer requests and reads no files; both give the same answer.
    """
    owners = index.up(rows.level, rows.keys, field.of)
    base = Selection()
    if not rows.from_whole_archive:
        studies = owners if field.of == "study" else _studies_of_patients(index, owners)
        distinct = tuple(dict.fromkeys(studies))
        searched = any(_is_searched(index, part) for part in conjuncts(field.condition))
        if not searched or _reads_files(index, field.condition) or len(distinct) <= _FEW_STUDIES:
            base = Selection("study", distinct)
    holding = set(_owners_of_series(index, field, base, meanings)[1])
    return [owner in holding for owner in owners]


def _owners_of_series(
    index: Index, field: SeriesField, base: Selection, meanings: Meanings
) -> tuple[list[str], list[str]]:
    """Return the studies that have a series which is asked for, and whose they are: these studies or their patients."""
    condition = field.condition
    asked = Criterion(condition, "", condition, settled=meanings.applied_to(condition))
    narrowed = narrow(index, base, asked, with_hints=False)
    for given, settled in zip(condition.comparisons(), narrowed.criteria[-1].meaning.comparisons(), strict=True):
        meanings.add(given, settled)
    studies = keys_at(index, narrowed, "study")
    return studies, index.up("study", studies, field.of)


def _studies_of_patients(index: Index, patients: Sequence[str]) -> list[str]:
    """Return all studies of patients, which are found in the list of all studies."""
    studies, wanted = index.everything("study"), set(patients)
    owners = index.up("study", studies, "patient")
    return [study for study, owner in zip(studies, owners, strict=True) if owner in wanted]


def _server_column(index: Index, field: ServerField, rows: Rows) -> list[Value]:
    """Return the labels or metadata of rows: an object has those of its parents too."""
    values: list[Value] = [None] * len(rows.keys)
    for level, column in index.server_field(field.kind, field.name).items():
        if column:
            for position, owner in enumerate(index.up(rows.level, rows.keys, level)):
                values[position] = (values[position] or ()) + (column.get(owner) or ()) or None
    return values
