"""Literal or wildcard: which strings of a predicate are undecided, and the predicate once they are decided.

`simple_orthanc.selection.resolving` finds out whether the archive holds a string as a value; nothing here asks it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from simple_orthanc.selection.predicates import (
    AnyOf,
    Predicate,
    RangeString,
    StringIs,
    StringMode,
    WholeValue,
    compared_forms,
    has_wildcard,
)


def undecided_strings(predicate: Predicate) -> Iterator[StringIs | RangeString]:
    """Yield the parts of a predicate that are literals if the archive holds their string, and otherwise match more."""
    if isinstance(predicate, RangeString) or (isinstance(predicate, StringIs) and predicate.mode == "auto"):
        yield predicate
    elif isinstance(predicate, (AnyOf, WholeValue)):
        for inner in predicate.predicates:
            yield from undecided_strings(inner)


def strings_with_matches(undecided: Iterable[StringIs | RangeString], values: Collection[str], vr: str) -> set[str]:
    """Return the undecided strings that match a value as a wildcard, as a range or in another case.

    Examples
    --------
    >>> undecided = [StringIs("T2*"), StringIs("flair"), StringIs("T1?")]
    >>> sorted(strings_with_matches(undecided, {"T2w", "FLAIR"}, "LO"))
    ['T2*', 'flair']
    """
    forms: dict[tuple[bool, bool], frozenset[str]] = {}
    matching: set[str] = set()
    for part in undecided:
        if isinstance(part, RangeString):
            matches = any(part.range.holds((value,), vr) for value in values)
        else:
            how = part.cased, has_wildcard(part.string)
            if how not in forms:
                compared = (compared_forms(value, vr, cased=how[0], has_wildcard=how[1]) for value in values)
                forms[how] = frozenset(form for value_forms in compared for form in value_forms)
            matches = part.matches_forms(forms[how], vr)
        if matches:
            matching.add(part.string)
    return matching


def decide(predicate: Predicate, literals: Collection[str], wildcards: Collection[str]) -> Predicate:
    """Return a predicate whose undecided strings are decided.

    Parameters
    ----------
    predicate : Predicate
        What was asked.
    literals : collection of str
        The strings that the archive holds: from now on each matches itself alone.
    wildcards : collection of str
        The strings that match something as wildcards or ranges: they keep this meaning. What is in neither collection
        stays undecided.

    Examples
    --------
    >>> str(decide(StringIs("T2*_GRE"), literals={"T2*_GRE"}, wildcards=()))
    "== exact 'T2*_GRE'"
    """
    if isinstance(predicate, StringIs) and predicate.mode == "auto":
        mode: StringMode = (
            "exact" if predicate.string in literals else "like" if predicate.string in wildcards else "auto"
        )
        return replace(predicate, mode=mode)
    if isinstance(predicate, RangeString):
        if predicate.string in literals:
            return StringIs(predicate.string, "exact")
        return predicate.range if predicate.string in wildcards else predicate
    if isinstance(predicate, (AnyOf, WholeValue)):
        return type(predicate)(tuple(decide(inner, literals, wildcards) for inner in predicate.predicates))
    return predicate


def taken_literally(given: Predicate, decided: Predicate) -> Iterator[str]:
    """Yield the strings that could have been wildcards or ranges, and were decided to be literals.

    Examples
    --------
    >>> list(taken_literally(StringIs("T2*_GRE"), StringIs("T2*_GRE", "exact")))
    ['T2*_GRE']
    """
    if isinstance(given, (AnyOf, WholeValue)) and isinstance(decided, (AnyOf, WholeValue)):
        for pair in zip(given.predicates, decided.predicates, strict=True):
            yield from taken_literally(*pair)
    elif given != decided and isinstance(decided, StringIs) and decided.mode == "exact":
        yield from [decided.string] if isinstance(given, RangeString) or has_wildcard(decided.string) else []
