"""The age of a patient at a study, in years: PatientAge, or else what PatientBirthDate and StudyDate tell.

From the second birthday on an age is a whole number of completed years, as PatientAge counts them, so that a patient is
selected alike whichever of the two is there; before it is a fraction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.times import DAYS_IN_YEAR, parse_age, parse_date
from simple_orthanc.dicom.values import Value

PATIENT_AGE = parse_tag("PatientAge")
BIRTH_DATE, STUDY_DATE = parse_tag("PatientBirthDate"), parse_tag("StudyDate")

_FRACTIONS_BELOW = 2


class Rows(Protocol):
    """The rows of an archive; see `simple_orthanc.selection.index.Index`."""

    def down(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Return every key of a deeper level that is below the given ones."""
        ...

    def up(self, level: Level, keys: Sequence[str], target: Level) -> list[str]:
        """Return for each key the key of the object of a higher level that it is in, one for one."""
        ...

    def ordered(self, level: Level, keys: Sequence[str]) -> list[str]:
        """Return keys in the usual order."""
        ...

    def column(self, tag: Tag, level: Level, keys: Sequence[str]) -> list[Value]:
        """Return the value of a tag for each row of a level."""
        ...


@dataclass(frozen=True)
class Age:
    """An age in years, by both ways of knowing it; None where it is not known.

    Attributes
    ----------
    stated : float or None
        By PatientAge.
    from_dates : float or None
        By PatientBirthDate and StudyDate.
    """

    stated: float | None
    from_dates: float | None

    @property
    def years(self) -> float | None:
        """The age; PatientAge is preferred."""
        return self.from_dates if self.stated is None else self.stated

    @property
    def value(self) -> Value:
        """The age, as the value of a tag that holds a number."""
        return None if self.years is None else (f"{self.years:.10g}",)

    @property
    def is_contradictory(self) -> bool:
        """Whether the two differ by more than a year."""
        return self.stated is not None and self.from_dates is not None and abs(self.stated - self.from_dates) > 1


def stated_age(value: Value) -> float | None:
    """Return the age in years that a PatientAge states.

    Examples
    --------
    >>> stated_age(("063Y",)), stated_age(("006M",)), stated_age(("030M",)), stated_age(("63",))
    (63.0, 0.5, 2.0, None)
    """
    days = parse_age(value[0]) if value and isinstance(value[0], str) else None
    return None if days is None else _completed(days / DAYS_IN_YEAR)


def age_on(birth: date, day: date) -> float | None:
    """Return the age in years on a day; None before the birth.

    Examples
    --------
    >>> age_on(date(1960, 3, 1), date(2020, 2, 29)), age_on(date(1960, 3, 1), date(2020, 3, 1))
    (59.0, 60.0)
    >>> age_on(date(2019, 12, 1), date(2020, 3, 1))
    0.24915
    """
    if day < birth:
        return None
    completed = day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
    return float(completed) if completed >= _FRACTIONS_BELOW else _completed((day - birth).days / DAYS_IN_YEAR)


def _completed(years: float) -> float:
    # Rounded first: 60 years in days, divided by the days of a year, may be a little less than 60.
    years = round(years, 6)
    return float(math.floor(years)) if years >= _FRACTIONS_BELOW else years


def ages(rows: Rows, studies: Iterable[str]) -> dict[str, Age]:
    """Return the age of the patient at each study, by its key.

    Parameters
    ----------
    rows : Rows
        The rows of the archive.
    studies : iterable of str
        Keys of studies.
    """
    studies = list(dict.fromkeys(studies))
    stated = _stated_ages(rows, studies)
    births = rows.column(BIRTH_DATE, "study", studies)
    days = rows.column(STUDY_DATE, "study", studies)
    return {
        study: Age(stated.get(study), _age_from(birth, day))
        for study, birth, day in zip(studies, births, days, strict=True)
    }


def _age_from(birth: Value, day: Value) -> float | None:
    born, on = (parse_date(value[0]) if value and isinstance(value[0], str) else None for value in (birth, day))
    return None if born is None or on is None else age_on(born, on)


def _stated_ages(rows: Rows, studies: Sequence[str]) -> dict[str, float]:
    """Return the ages that PatientAge states, of the studies in which it can be read."""
    series = rows.ordered("series", rows.down("study", studies, "series"))
    by_study: dict[str, list[str]] = {}
    for key, study in zip(series, rows.up("series", series, "study"), strict=True):
        by_study.setdefault(study, []).append(key)
    stated = _from_first_instances(rows, [keys[0] for keys in by_study.values()])
    # Where it is missing there, which is rare, other series of the study may have it.
    others = [key for study, keys in by_study.items() if study not in stated for key in keys[1:]]
    return {**_from_first_instances(rows, others), **stated}


def _from_first_instances(rows: Rows, series: Sequence[str]) -> dict[str, float]:
    """Return the age that the first instance of the series states, by study; that of the first series which has it."""
    instances = rows.down("series", series, "instance")
    first: dict[str, str] = {}
    for key, owner in zip(instances, rows.up("instance", instances, "series"), strict=True):
        first.setdefault(owner, key)
    read = [key for key in series if key in first]
    column = rows.column(PATIENT_AGE, "instance", [first[key] for key in read])
    stated: dict[str, float] = {}
    for study, value in zip(rows.up("series", read, "study"), column, strict=True):
        age = stated_age(value)
        if age is not None:
            stated.setdefault(study, age)
    return stated
