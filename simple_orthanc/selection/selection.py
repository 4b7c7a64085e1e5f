"""What is selected: an immutable set of keys, and the criteria that led to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, deepest, depth
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.selection.conditions import (
    Comparison,
    Condition,
    Mask,
    Not,
    RangeString,
    ServerField,
    StringIs,
    has_wildcard,
    is_identifier,
    literals,
    open_strings,
    parts_of,
    settle,
    taken_literally,
    wildcard_patterns,
)
from simple_orthanc.selection.index import Index, NotKnownError


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked for.

    Attributes
    ----------
    condition : Condition
        What it means.
    tag : str
        The one tag that it is about, "" if it spans several.
    given : object
        The value as the user gave it, or the condition itself.
    meant : Condition, optional
        The condition with its texts settled: each is known to mean itself alone, or to have wildcards, as far as that
        has been decided. So a criterion that is applied again means what it meant at first. None: never applied.
    """

    condition: Condition
    tag: str
    given: Any
    meant: Condition | None = None

    @property
    def settled(self) -> Condition:
        """The condition as far as it has been settled."""
        return self.condition if self.meant is None else self.meant


@dataclass(frozen=True)
class Step:
    """How one criterion was decided."""

    criterion: str
    decided: str
    requests: int
    counts: dict[Level, int]
    emptied: bool = False


@dataclass(frozen=True)
class Selection:
    """The objects selected.

    Attributes
    ----------
    level : str or None
        The deepest level at which a criterion has decided; whatever lies below its keys is selected too. None: the
        whole archive, of which nothing has been listed yet.
    keys : tuple of str
        Keys of rows of that level.
    criteria, steps : tuple
        What was asked, and how each was decided.
    order : (Tag, bool), optional
        What instances are sorted by, and whether in descending order; None: the order that holds everywhere.
    """

    level: Level | None = None
    keys: tuple[str, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    steps: tuple[Step, ...] = field(default=(), compare=False)
    order: tuple[Tag, bool] | None = None

    def at(self, index: Index, level: Level) -> list[str]:
        """Give the keys selected at a level: those with a selected instance below or above them."""
        if self.level is None:
            if level == "patient":
                return list(dict.fromkeys(index.up("study", index.everything("study"), "patient")))
            return index.everything(level)
        if depth(level) > depth(self.level):
            return index.down(self.level, self.keys, level)
        return list(dict.fromkeys(index.up(self.level, self.keys, level)))

    def count(self, index: Index, level: Level) -> int:
        """Count what is selected at a level."""
        if self.level is None and not index.is_listed(level):
            return index.counts()[level]
        return len(self.at(index, level))

    def narrowed(self, index: Index, *criteria: Criterion) -> Selection:
        """Give the selection that is left once criteria have been applied too.

        The parts of all criteria are applied in one order, whichever criterion they belong to: what a text means may
        depend on what is left to look at, and so `Session.exclude`, which makes one criterion of all that it is given,
        takes away what `Session.select` keeps.
        """
        meanings, works = self._meanings(), [_Work(index, criterion) for criterion in criteria]
        selection = self
        parts = [each for work in works for each in work.parts]
        for _, part, owner in sorted(parts, key=lambda each: each[0]):
            selection = owner.apply(selection, part, meanings)
        # A criterion is done with its deepest part.
        for work in sorted(works, key=lambda work: work.parts[-1][0]):
            criterion = replace(work.criterion, meant=meanings.applied_to(work.criterion.settled))
            selection = replace(
                selection, criteria=(*selection.criteria, criterion), steps=(*selection.steps, work.step(criterion))
            )
        return selection

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left, as far as anything was looked for."""
        return self.level is not None and not self.keys

    def remembered(self, criteria: Sequence[Criterion]) -> list[Criterion]:
        """Give criteria with the meaning that their texts have in this selection, where they stand in it too."""
        meanings = self._meanings()
        return [replace(each, meant=meanings.applied_to(each.settled)) for each in criteria]

    def _meanings(self) -> _Meanings:
        meanings = _Meanings()
        for criterion in self.criteria:
            for given, settled in zip(criterion.condition.comparisons(), criterion.settled.comparisons(), strict=True):
                meanings.add(given, settled)
        return meanings

    def known_counts(self, index: Index) -> dict[Level, int]:
        """Count what is selected at each level, where that needs no request."""
        known: dict[Level, int] = {}
        with index.offline():
            for level in LEVELS:
                with suppress(NotKnownError):
                    known[level] = self.count(index, level)
        return known

    def _all_of(self, index: Index, condition: Condition, meanings: _Meanings) -> tuple[Selection, str]:
        """Keep what satisfies each part of a condition, and say how that was decided."""
        selection, decided = self, []
        for _, part in _ordered_parts(index, condition):
            selection, how = selection._apply(index, part, meanings)
            decided.append(how)
        return selection, "; ".join(dict.fromkeys(decided))

    def _none_of(self, index: Index, condition: Condition, meanings: _Meanings) -> tuple[Selection, str]:
        """Keep exactly what a condition would leave out: by taking away what it keeps, whatever its texts mean here."""
        keys = self.at(index, deepest(_level(index, condition), self.level or "study"))
        dropped, how = self._all_of(index, condition, meanings)
        gone = set(dropped.keys)
        return replace(dropped, keys=tuple(key for key in keys if key not in gone)), how

    def _apply(self, index: Index, condition: Condition, meanings: _Meanings) -> tuple[Selection, str]:
        if isinstance(condition, Not):
            return self._none_of(index, condition.inner, meanings)
        level = _level(index, condition)
        before = index.source.requests
        searched = self.level is None and _candidates(index, condition, level)
        if isinstance(searched, list):
            keys, how = searched, "here, from the index"
            if index.source.requests > before:
                how = "server, checked here"
        else:
            if self.level is not None and depth(self.level) > depth(level):
                level = self.level
            keys = self.at(index, level)
            how = "here, from the index"
        if any(
            isinstance(leaf.field, Tag) and index.source.indexed(leaf.field) is None for leaf in condition.comparisons()
        ):
            how = f"here, in {len(keys):,} files"
        condition = _settled(index, condition, level, keys, meanings, whole=self.level is None)
        mask = condition.mask(lambda leaf: _leaf_mask(index, leaf, level, keys))
        kept = tuple(key for key, held in zip(keys, mask, strict=True) if held)
        return replace(self, level=level, keys=kept), how


class _Meanings:
    """What the texts of leaves were found to mean: in one selection the same words mean the same everywhere."""

    def __init__(self) -> None:
        # A list, since a leaf may hold a function of the user's that cannot be a key.
        self._found: list[tuple[Comparison, Comparison]] = []

    def of(self, leaf: Comparison) -> Comparison:
        return next((settled for given, settled in self._found if given == leaf), leaf)

    def add(self, leaf: Comparison, settled: Comparison) -> None:
        if settled != leaf:
            self._found = [(leaf, settled), *(pair for pair in self._found if pair[0] != leaf)]

    def applied_to(self, condition: Condition) -> Condition:
        return condition.map(self.of)


class _Work:
    """One criterion while its parts are applied: each in its turn, with those of other criteria in between."""

    def __init__(self, index: Index, criterion: Criterion) -> None:
        self._index, self.criterion = index, criterion
        before = index.source.requests
        self.parts = [(deep, part, self) for deep, part in _ordered_parts(index, criterion.settled)]
        self._requests = index.source.requests - before
        self._decided: list[str] = []
        self._counts: dict[Level, int] = {}
        self._emptied = False

    def apply(self, selection: Selection, part: Condition, meanings: _Meanings) -> Selection:
        before = self._index.source.requests
        narrowed, how = selection._apply(self._index, part, meanings)
        self._requests += self._index.source.requests - before
        self._decided.append(how)
        self._emptied = self._emptied or (narrowed.is_empty and not selection.is_empty)
        if part is self.parts[-1][1]:
            self._counts = narrowed.known_counts(self._index)
        return narrowed

    def step(self, criterion: Criterion) -> Step:
        pairs = zip(criterion.condition.comparisons(), criterion.settled.comparisons(), strict=True)
        texts = [repr(text) for given, settled in pairs for text in taken_literally(given.predicate, settled.predicate)]
        decided = list(dict.fromkeys(self._decided))
        if texts:
            decided.append(f"{', '.join(dict.fromkeys(texts))} stands in the archive, so it alone is meant")
        return Step(str(criterion.condition), "; ".join(decided), self._requests, self._counts, self._emptied)


def _ordered_parts(index: Index, condition: Condition) -> list[tuple[int, Condition]]:
    """Give the parts of a condition with their depths, a criterion on the study first: less is left for the others."""
    parts = [(depth(_level(index, part)), part) for part in parts_of(condition)]
    return sorted(parts, key=lambda each: each[0])


def _level(index: Index, condition: Condition) -> Level:
    """Say at which level a condition is decided: the deepest that one of its fields needs."""
    levels: list[Level] = ["study"]
    for leaf in condition.comparisons():
        if isinstance(leaf.field, Tag):
            levels.append(index.source.indexed(leaf.field) or "instance")
        else:
            found = index.server_field(leaf.field.kind, leaf.field.name)
            levels.extend(level for level, column in found.items() if column)
    return deepest(*levels)


def _candidates(index: Index, condition: Condition, level: Level) -> list[str] | None:
    """Ask the source for rows that may satisfy a condition; None: it cannot know."""
    if not isinstance(condition, Comparison) or not isinstance(condition.field, Tag):
        return None
    if not index.source.searchable(condition.field):
        return None
    patterns = wildcard_patterns(condition.predicate, condition.field.vr)
    return None if patterns is None else index.search(level, condition.field, patterns)


def _leaf_mask(index: Index, leaf: Comparison, level: Level, keys: Sequence[str]) -> Mask:
    if isinstance(leaf.field, ServerField):
        return _attached_mask(index, leaf, level, keys)
    return [leaf.holds(value) for value in index.column(leaf.field, level, keys)]


def _attached_mask(index: Index, leaf: Comparison, level: Level, keys: Sequence[str]) -> Mask:
    """Decide on labels and metadata: an object has what any of its parents has."""
    assert isinstance(leaf.field, ServerField)
    found = index.server_field(leaf.field.kind, leaf.field.name)
    values: list[Value] = [None] * len(keys)
    for above, column in found.items():
        if column:
            for place, owner in enumerate(index.up(level, keys, above)):
                values[place] = (values[place] or ()) + (column.get(owner) or ()) or None
    return [leaf.holds(value) for value in values]


def _settled(
    index: Index, condition: Condition, level: Level, keys: Sequence[str], meanings: _Meanings, *, whole: bool
) -> Condition:
    """Let texts that the archive holds as they stand mean themselves alone."""

    def change(leaf: Comparison) -> Comparison:
        known = meanings.of(leaf)
        if not isinstance(known.field, Tag) or not any(literals(known.predicate)):
            return known
        settled = Comparison(known.field, settle(known.predicate, *_presence(index, known, level, keys, whole=whole)))
        meanings.add(leaf, settled)
        return settled

    return condition.map(change)


def _presence(
    index: Index, leaf: Comparison, level: Level, keys: Sequence[str], *, whole: bool
) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """Give two questions about a text: does it stand in the archive as it is, and does it find more than itself?"""
    assert isinstance(leaf.field, Tag)
    tag, cased = leaf.field, is_identifier(leaf.field)
    asked = {each.text: each for each in open_strings(leaf.predicate)}
    here = {part for value in index.column(tag, level, keys) for part in value or () if isinstance(part, str)}

    @cache
    def forms(wild: bool) -> frozenset[str]:
        test = StringIs("*" if wild else "", "like", cased)
        return frozenset(form for part in here for form in test.forms(part, tag.vr))

    @cache
    def means_more(text: str) -> bool:
        test = asked[text]
        if isinstance(test, RangeString):
            return any(test.range.holds((part,), tag.vr) for part in here)
        return test.finds(forms(has_wildcard(text)), tag.vr)

    @cache
    def present(text: str) -> bool:
        # Where nothing is found by the wider meaning either, it does not matter yet which of the two is meant.
        return text in here or (not whole and means_more(text) and _elsewhere(index, tag, text))

    return present, means_more


def _elsewhere(index: Index, tag: Tag, text: str) -> bool:
    """Look for a text in the rest of the archive, so that the order of criteria does not change what they mean.

    Only where the source can be asked for it: a tag that only the files know is looked at in what is selected.
    """
    home = index.source.indexed(tag)
    if home is None or not index.source.searchable(tag):
        return False
    found = index.search(home, tag, (f"*{text}*",) if tag.vr != "UI" else (text,))
    return any(text in (value or ()) for value in index.column(tag, home, found))
