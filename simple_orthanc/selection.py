"""What is selected: an immutable set of keys, and the criteria that led to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from simple_orthanc.index import Index, NotKnownError
from simple_orthanc.levels import LEVELS, Level, deepest, depth
from simple_orthanc.query import (
    Attached,
    Condition,
    Leaf,
    Mask,
    Not,
    literals,
    parts_of,
    settle,
    wildcard_patterns,
)
from simple_orthanc.tags import Tag
from simple_orthanc.values import Value


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
    """

    condition: Condition
    tag: str
    given: Any


@dataclass(frozen=True)
class Step:
    """How one criterion was decided."""

    criterion: str
    decided: str
    requests: int
    counts: dict[Level, int]


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

    def narrowed(self, index: Index, criterion: Criterion) -> Selection:
        """Give the selection that is left once a criterion has been applied too."""
        before = index.source.requests
        selection, decided = self._all_of(index, criterion.condition)
        spent = index.source.requests - before
        step = Step(str(criterion.condition), decided, spent, selection.known_counts(index))
        return replace(selection, criteria=(*self.criteria, criterion), steps=(*self.steps, step))

    def known_counts(self, index: Index) -> dict[Level, int]:
        """Count what is selected at each level, where that needs no request."""
        known: dict[Level, int] = {}
        with index.offline():
            for level in LEVELS:
                with suppress(NotKnownError):
                    known[level] = self.count(index, level)
        return known

    def _all_of(self, index: Index, condition: Condition) -> tuple[Selection, str]:
        """Keep what satisfies each part of a condition, and say how that was decided."""
        selection, decided = self, []
        # A criterion on the study is decided first: less is left to look at for the others.
        for part in sorted(parts_of(condition), key=lambda part: depth(_level(index, part))):
            selection, how = selection._apply(index, part)
            decided.append(how)
        return selection, "; ".join(dict.fromkeys(decided))

    def _none_of(self, index: Index, condition: Condition) -> tuple[Selection, str]:
        """Keep exactly what a condition would leave out: by taking away what it keeps, whatever its texts mean here."""
        keys = self.at(index, deepest(_level(index, condition), self.level or "study"))
        dropped, how = self._all_of(index, condition)
        gone = set(dropped.keys)
        return replace(dropped, keys=tuple(key for key in keys if key not in gone)), how

    def _apply(self, index: Index, condition: Condition) -> tuple[Selection, str]:
        if isinstance(condition, Not):
            return self._none_of(index, condition.inner)
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
        if any(isinstance(leaf.field, Tag) and index.source.indexed(leaf.field) is None for leaf in condition.leaves()):
            how = f"here, in {len(keys):,} files"
        condition, literal = _settled(index, condition, level, keys, whole=self.level is None)
        mask = condition.mask(lambda leaf: _leaf_mask(index, leaf, level, keys))
        kept = tuple(key for key, held in zip(keys, mask, strict=True) if held)
        return replace(self, level=level, keys=kept), how + literal


def _level(index: Index, condition: Condition) -> Level:
    """Say at which level a condition is decided: the deepest that one of its fields needs."""
    levels: list[Level] = ["study"]
    for leaf in condition.leaves():
        if isinstance(leaf.field, Tag):
            levels.append(index.source.indexed(leaf.field) or "instance")
        else:
            found = index.attached(leaf.field.kind, leaf.field.name)
            levels.extend(level for level, column in found.items() if column)
    return deepest(*levels)


def _candidates(index: Index, condition: Condition, level: Level) -> list[str] | None:
    """Ask the source for rows that may satisfy a condition; None: it cannot know."""
    if not isinstance(condition, Leaf) or not isinstance(condition.field, Tag):
        return None
    if not index.source.searchable(condition.field):
        return None
    patterns = wildcard_patterns(condition.test, condition.field.vr)
    return None if patterns is None else index.search(level, condition.field, patterns)


def _leaf_mask(index: Index, leaf: Leaf, level: Level, keys: Sequence[str]) -> Mask:
    if isinstance(leaf.field, Attached):
        return _attached_mask(index, leaf, level, keys)
    return [leaf.holds(value) for value in index.column(leaf.field, level, keys)]


def _attached_mask(index: Index, leaf: Leaf, level: Level, keys: Sequence[str]) -> Mask:
    """Decide on labels and metadata: an object has what any of its parents has."""
    assert isinstance(leaf.field, Attached)
    found = index.attached(leaf.field.kind, leaf.field.name)
    values: list[Value] = [None] * len(keys)
    for above, column in found.items():
        if column:
            for place, owner in enumerate(index.up(level, keys, above)):
                values[place] = (values[place] or ()) + (column.get(owner) or ()) or None
    return [leaf.holds(value) for value in values]


def _settled(
    index: Index, condition: Condition, level: Level, keys: Sequence[str], *, whole: bool
) -> tuple[Condition, str]:
    """Let texts that the archive holds as they stand mean themselves alone, and say which did."""
    notes: list[str] = []

    def change(leaf: Leaf) -> Leaf:
        if not isinstance(leaf.field, Tag) or not any(literals(leaf.test)):
            return leaf
        present = _presence(index, leaf, level, keys, whole=whole)
        settled = Leaf(leaf.field, settle(leaf.test, present))
        notes.extend(repr(text) for text in literals(leaf.test) if present(text) and ("*" in text or "?" in text))
        return settled

    changed = condition.map(change)
    note = f"; {', '.join(dict.fromkeys(notes))} stands in the archive, so it alone is meant" if notes else ""
    return changed, note


def _presence(index: Index, leaf: Leaf, level: Level, keys: Sequence[str], *, whole: bool) -> Callable[[str], bool]:
    assert isinstance(leaf.field, Tag)
    tag = leaf.field
    column = index.column(tag, level, keys)
    here = {part for value in column for part in value or ()}
    # Where nothing is found by the wider meaning either, it does not matter which of the two is meant.
    matters = not whole and any(leaf.holds(value) for value in column)
    known: dict[str, bool] = {}

    def present(text: str) -> bool:
        if text not in known:
            known[text] = text in here or (matters and _elsewhere(index, tag, text))
        return known[text]

    return present


def _elsewhere(index: Index, tag: Tag, text: str) -> bool:
    """Look for a text in the rest of the archive, so that the order of criteria does not change what they mean.

    Only where the source can be asked for it: a tag that only the files know is looked at in what is selected.
    """
    home = index.source.indexed(tag)
    if home is None or not index.source.searchable(tag):
        return False
    found = index.search(home, tag, (f"*{text}*",) if tag.vr != "UI" else (text,))
    return any(text in (value or ()) for value in index.column(tag, home, found))
