"""The worklist of a modality (PS3.4, annex K) as a table: one row for each scheduled procedure step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.tags import Tag, TagLike, parse_tag
from simple_orthanc.dicom.values import from_text
from simple_orthanc.errors import TransportError
from simple_orthanc.rest.remote.finding import Row, as_frame, askable, read_conditions, satisfying, sort_key
from simple_orthanc.rest.remote.matching import keys_for, queries_for

if TYPE_CHECKING:
    import pandas as pd

Ask = Callable[[Mapping[str, Any]], Any]
"""Sends one query, and returns the list of answers."""

_SEQUENCE = "ScheduledProcedureStepSequence"
_OF_STEP = """
    ScheduledStationAETitle ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality
    ScheduledPerformingPhysicianName ScheduledProcedureStepDescription ScheduledStationName
    ScheduledProcedureStepLocation PreMedication ScheduledProcedureStepID RequestedContrastAgent
    ScheduledProcedureStepStatus ScheduledProcedureStepEndDate ScheduledProcedureStepEndTime
    CommentsOnTheScheduledProcedureStep
"""
_COLUMNS = """
    ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime Modality ScheduledStationAETitle PatientID
    PatientName PatientBirthDate PatientSex AccessionNumber RequestedProcedureID RequestedProcedureDescription
    ScheduledProcedureStepID ScheduledProcedureStepDescription StudyInstanceUID
"""
_ORDER = "ScheduledProcedureStepStartDate ScheduledProcedureStepStartTime PatientID ScheduledProcedureStepID"
_STEP_KEYWORDS = frozenset(_OF_STEP.split())


def find_worklist(
    ask: Ask, columns: Sequence[TagLike], tags: Mapping[str, Any], as_written: bool, label: str
) -> pd.DataFrame:
    """Return the worklist of a modality; parameters and errors as for `Modality.find_worklist`.

    Parameters
    ----------
    ask : callable
        Sends one query.
    columns, tags, as_written
        As for `Modality.find_worklist`.
    label : str
        What is asked, for messages.
    """
    conditions = read_conditions(tags)
    pairs, is_default = read_columns(columns)
    wanted = [*(tag for tag, _ in conditions), *(tag for _, tag in pairs), *map(parse_tag, _ORDER.split())]
    alternatives = {tag.name: keys_for(tag, predicate, as_written=as_written) for tag, predicate in conditions}
    rows: dict[tuple[Any, ...], Row] = {}
    for keys in queries_for(alternatives):
        answers = ask(_query(dict.fromkeys((tag.name for tag in wanted), "") | keys))
        if not isinstance(answers, list):
            raise TransportError(f"The answer about the worklist of the {label} is not a list. Check what is between.")
        for answer in answers:
            for texts in flattened(answer):
                row = _row(texts, wanted)
                rows[tuple(sorted(row.items(), key=str))] = row
    kept = satisfying(list(rows.values()), conditions, label, "in its worklist")
    order = [parse_tag(name) for name in _ORDER.split()]
    kept.sort(key=lambda row: [sort_key(row.get(tag.name), tag) for tag in order])
    return as_frame(kept, pairs, label, "in its worklist", is_default)


def read_columns(columns: Sequence[TagLike]) -> tuple[list[tuple[str, Tag]], bool]:
    """Return the columns that are asked for, and whether they are the default ones."""
    names: Sequence[TagLike] = list(columns) or _COLUMNS.split()
    pairs = [(name if isinstance(name, str) else str(askable(name)), askable(name)) for name in names]
    return pairs, not columns


def _query(keys: Mapping[str, str]) -> dict[str, Any]:
    """Return keys with those of the procedure step in its sequence."""
    step = {name: key for name, key in keys.items() if name in _STEP_KEYWORDS}
    outer = {name: key for name, key in keys.items() if name not in _STEP_KEYWORDS}
    return {"SpecificCharacterSet": "ISO_IR 192", **outer, _SEQUENCE: [step]}


def flattened(entry: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield for each procedure step of an entry its strings, and those of the entry; one row if there is no step."""
    steps = entry.get(_SEQUENCE)
    own = _strings(entry)
    for step in steps if isinstance(steps, list) and steps else [{}]:
        yield {**own, **_strings(step)}


def _strings(fields: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _row(texts: Mapping[str, str], wanted: Sequence[Tag]) -> Row:
    return {tag.name: from_text(texts[tag.name], tag.vr) for tag in wanted if tag.name in texts}
