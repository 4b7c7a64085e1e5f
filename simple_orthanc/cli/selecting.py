"""The selection on the command line: ``--where``, ``--exclude``, ``--has-series`` and an identifier."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

from simple_orthanc.dicom.tags import DATE_VRS, NUMBER_VRS, parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.conditions import Condition
from simple_orthanc.selection.criteria import age, exact, has_series, label, metadata, tag
from simple_orthanc.session import Session

WHERE_HELP = """\
A criterion is a tag, an operator and a value, in quotes where the shell would read it otherwise:

  PatientName=Doe*         strings: * and ? are wildcards, and case does not matter (except in identifiers)
  SliceThickness=3         numbers, dates and times compare by value
  StudyDate=2020-01-01..2020-12-31    from .. to, both included; either end may be missing
  Modality=CT|PT           any of several
  SeriesDescription==T2*   exactly this string, without wildcards, ranges or alternatives
  Modality!=CT             everything else, including what lacks the tag
  SliceThickness<=3        also <, > and >=, for numbers, dates and times
  SeriesDescription~^ax    the value contains a match of a regular expression
  KVP=   and   KVP!=       it is missing or empty, or it is not
  age>60   age=18..65      years at the study, by PatientAge, or else by PatientBirthDate and StudyDate
  label=reviewed   metadata:RemoteAET=SCANNER    Orthanc's own labels and metadata

A tag is a keyword, a number (0018,0050), private with its creator ((0009,"GEMS_PETD_01",0D)), or a path into
sequences (RequestAttributesSequence.ScheduledProcedureStepID). Several --where must all hold.
"""

# The first operator ends the tag, unless it is inside the quoted name of a private creator; the rest is the value.
_CRITERION = re.compile(r'((?:"[^"]*"|[^"=<>!~])+?)\s*(==|!=|<=|>=|=|<|>|~)\s*(.*)\Z', re.DOTALL)
_ORDERED: dict[str, Callable[[Any, str], Condition]] = {
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
    ">": lambda field, value: field > value,
    ">=": lambda field, value: field >= value,
}


def add_selection(parser: ArgumentParser) -> None:
    """Add the options of commands that work on a selection."""
    group = parser.add_argument_group("selection")
    group.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CRITERION",
        help="keep what satisfies it, as in Modality=CT (more below); may be given several times",
    )
    group.add_argument(
        "--exclude", action="append", default=[], metavar="CRITERION", help="leave out exactly what --where would keep"
    )
    group.add_argument(
        "--has-series",
        action="append",
        default=[],
        metavar="CRITERION",
        help="keep the studies that have a series which satisfies it, with all their series, as in Modality=SEG; "
        "may be given several times",
    )
    group.add_argument(
        "--cohort", metavar="FILE", help="only what was frozen in this file, by freeze; what has changed is refused"
    )
    parser.add_argument(
        "identifier",
        nargs="?",
        metavar="ID",
        help="a UID, PatientID, AccessionNumber or Orthanc id: only what it names",
    )


def criteria(args: Namespace) -> Callable[[Session], Session]:
    """Read the criteria, before any request, and return the function that applies them."""
    wanted = [criterion(text) for text in args.where]
    wanted += [has_series(criterion(text)) for text in args.has_series]
    unwanted = [criterion(text) for text in args.exclude]
    identifier: str | None = args.identifier
    cohort = None
    if args.cohort is not None:
        from simple_orthanc.session.cohorts.cohort import Cohort

        cohort = Cohort.load(args.cohort)

    def narrow(session: Session) -> Session:
        if cohort is not None:
            session = cohort.open(session)
        session.select(*([identifier] if identifier is not None else []), *wanted)
        for condition in unwanted:
            session.exclude(condition)
        return session

    return narrow


def criterion(text: str) -> Condition:
    """Read one criterion.

    Raises
    ------
    SelectionError
        It is not written as a criterion, or its value is not possible for its tag.
    UnknownTagError
        There is no such tag.

    Examples
    --------
    >>> criterion("SliceThickness<=3"), criterion("Modality=CT|PT")
    (tag("SliceThickness") <= 3.0, tag("Modality") in ['CT', 'PT'])
    """
    match = _CRITERION.match(text.strip())
    if match is None:
        raise SelectionError(
            f"{text!r} is not a criterion: write a tag, an operator and a value, as in --where Modality=CT or --where "
            f"'SliceThickness<=3'."
        )
    name, operator, value = match[1].strip(), match[2], match[3].strip()
    if name == "label":
        if operator in ("=", "=="):
            return label(value)
        if operator == "!=":
            return ~label(value)
        raise SelectionError(f"{text!r}: an object has a label or not: label=NAME or label!=NAME.")
    if name.startswith("metadata:"):
        return _compared(metadata(name.removeprefix("metadata:")), None, operator, value)
    if name == "age":
        return _compared(age(), "DS", operator, value)
    parsed = parse_tag(name)
    return _compared(tag(parsed), parsed.vr, operator, value)


def _compared(field: Any, vr: str | None, operator: str, value: str) -> Condition:
    if operator in _ORDERED:
        return _ORDERED[operator](field, value)
    if operator == "~":
        result: Condition = field.matches(value)
        return result
    if operator == "==":
        # Numbers, dates and times are equal by value only.
        plain = vr in NUMBER_VRS | DATE_VRS
        meant: Condition = field == (value if plain or not value else exact(value))
        return meant
    meant = _meant(field, vr, value)
    return ~meant if operator == "!=" else meant


def _meant(field: Any, vr: str | None, value: str) -> Condition:
    parts = [part.strip() for part in value.split("|")]
    if len(parts) > 1 and not all(parts):
        raise SelectionError(
            f"{value!r} lists several values, and one of them is empty: write Tag= for what is missing, or "
            f"Tag=={value} for this very string."
        )
    ranges = [part.split("..") for part in parts if vr in NUMBER_VRS | DATE_VRS | {"AS"} and part.count("..") == 1]
    if not ranges:
        result: Condition = field == (parts[0] if len(parts) == 1 else parts)
        return result
    plain = [part for part in parts if part.count("..") != 1]
    conditions: list[Condition] = [field.between(low.strip() or None, high.strip() or None) for low, high in ranges]
    if plain:
        conditions.append(field == plain)
    joined: Condition = reduce(or_, conditions)
    return joined
