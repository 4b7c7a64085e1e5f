"""What the strings of criteria were found to mean, literal or wildcard, kept for when they are applied again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simple_orthanc.selection.conditions import Comparison, Condition, SeriesField, all_comparisons
from simple_orthanc.selection.selection import Criterion, Selection


def with_known_meanings(selection: Selection, criteria: Sequence[Criterion]) -> list[Criterion]:
    """Return criteria whose strings have the meaning that they have in a selection, if they occur in it."""
    meanings = Meanings(selection.criteria)
    return [replace(criterion, settled=meanings.applied_to(criterion.meaning)) for criterion in criteria]


class Meanings:
    """What the strings of comparisons were found to mean: in one selection the same words mean the same everywhere."""

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        # A list, since a comparison may hold a function of the user's that cannot be a key.
        self._pairs: list[tuple[Comparison, Comparison]] = []
        for criterion in criteria:
            pairs = zip(all_comparisons(criterion.condition), all_comparisons(criterion.meaning), strict=True)
            for given, settled in pairs:
                self.add(given, settled)

    def of(self, comparison: Comparison) -> Comparison:
        """Return a comparison with the meaning that its strings have."""
        if isinstance(comparison.field, SeriesField):
            field = replace(comparison.field, condition=self.applied_to(comparison.field.condition))
            return replace(comparison, field=field)
        return next((settled for given, settled in self._pairs if given == comparison), comparison)

    def add(self, given: Comparison, settled: Comparison) -> None:
        """Remember what the strings of a comparison mean."""
        if settled != given:
            self._pairs = [(given, settled), *(pair for pair in self._pairs if pair[0] != given)]

    def applied_to(self, condition: Condition) -> Condition:
        """Return a condition with the meanings that its strings have."""
        return condition.with_comparisons(map(self.of, condition.comparisons()))
