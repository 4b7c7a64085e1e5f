"""What users should know of how a criterion was decided although it left something."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from simple_orthanc.errors import OrthancError
from simple_orthanc.selection.ages import PATIENT_AGE, Age, ages
from simple_orthanc.selection.conditions import AgeField, Comparison, Condition, Not, conjuncts
from simple_orthanc.selection.hints import UNITS, Trial
from simple_orthanc.selection.index import NotKnownError
from simple_orthanc.selection.predicates import Age as AgeOperand
from simple_orthanc.selection.predicates import Between, IsMissing, Relation


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
        total = f"{len(known):,} {UNITS['study'][len(known) != 1]}"
        if is_on_age:
            return _note_on_age(condition, known.values(), total)
        lacking = sum(found.stated is None and found.from_dates is not None for found in known.values())
        if lacking:
            others = "it does" if lacking == 1 else "these do"
            return (
                f"PatientAge is missing in {lacking:,} of {total}, so that {others} not satisfy {condition}. age() "
                f"falls back on PatientBirthDate and StudyDate{_as_age(condition)}."
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
        way_out = "age().is_missing() selects them."
        if isinstance(condition, Not) and all(isinstance(part, Comparison) for part in conjuncts(condition.inner)):
            way_out = "So they stay selected; exclude(age().is_missing()) leaves them out."
        notes.append(
            f"In {unknown:,} of {total} the age is not known, neither from PatientAge nor from PatientBirthDate and "
            f"StudyDate: no comparison holds for these. {way_out}"
        )
    return " ".join(notes)


def _as_age(condition: Condition) -> str:
    """Return how a criterion on PatientAge is written with `age`; "" if it is about strings."""
    predicate = condition.predicate if isinstance(condition, Comparison) else None
    if isinstance(predicate, Relation) and isinstance(predicate.operand, AgeOperand):
        return f", as in select(age() {predicate.operator} {predicate.operand.years})"
    if isinstance(predicate, Between):
        low, high = (end.years if isinstance(end, AgeOperand) else None for end in (predicate.low, predicate.high))
        return f", as in select(age().between({low}, {high}))"
    return ""
