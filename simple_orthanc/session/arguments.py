"""The arguments of `select` and `exclude`, read as criteria: conditions, values of tags, identifiers."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydicom.datadict import tag_for_keyword

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.errors import AmbiguousSelectionError, SelectionError, stacklevel
from simple_orthanc.session.containers import unshared

if TYPE_CHECKING:
    from simple_orthanc.selection.conditions import Condition
    from simple_orthanc.selection.index import Index
    from simple_orthanc.selection.selection import Criterion
    from simple_orthanc.selection.source import IdentifierMatch


def read_criteria(index: Index, conditions: Sequence[Condition | str], tags: Mapping[str, Any]) -> list[Criterion]:
    """Read the arguments of `select`; whatever is wrong with them raises before the first request.

    Parameters
    ----------
    index : Index
        What is known of the archive.
    conditions : sequence of Condition or str
        Positional arguments: conditions and identifiers.
    tags : mapping
        Keyword arguments: tag to value.

    Returns
    -------
    list of Criterion
        Those of identifiers first.

    Raises
    ------
    UnknownTagError, SelectionError, AmbiguousSelectionError
        As for `Session.select`.
    """
    from simple_orthanc.selection.conditions import Condition, no_condition
    from simple_orthanc.selection.criteria import condition_for
    from simple_orthanc.selection.resolving import exact_where_unreadable
    from simple_orthanc.selection.selection import Criterion

    parsed = {name: parse_tag(name) for name in tags}
    criteria = []
    for name, value in tags.items():
        tag = parsed[name]
        given = exact_where_unreadable(index, tag, value)
        criteria.append(Criterion(condition_for(tag, given), tag.name, unshared(given)))
    identifiers = []
    for condition in conditions:
        if isinstance(condition, str):
            identifiers.append(condition)
        elif isinstance(condition, Condition):
            fields = {
                str(comparison.field) for comparison in condition.comparisons() if isinstance(comparison.field, Tag)
            }
            own = all(isinstance(comparison.field, Tag) for comparison in condition.comparisons()) and len(fields) == 1
            criteria.append(Criterion(condition, fields.pop() if own else "", condition))
        else:
            raise SelectionError(
                f"{no_condition(condition)} is neither a condition nor an identifier: write select(Modality='CT') or "
                f'select(tag("Modality") == "CT").'
            )
    return [criterion for text in identifiers for criterion in _identifier_criteria(index, text)] + criteria


def _identifier_criteria(index: Index, text: str) -> list[Criterion]:
    """Find what an identifier names, and express it in DICOM tags."""
    matches = index.source.resolve(text.strip())
    if not matches:
        raise SelectionError(
            f"{text!r} is not a UID, AccessionNumber, PatientID or identifier of {index.source.description}. To "
            f'search by a tag, name it: select(PatientName="{text}").'
        )
    first = matches[0]
    if len({match.tag for match in matches}) > 1:
        meanings = tuple(f"{match.tag} of a {match.level}" for match in matches)
        raise AmbiguousSelectionError(
            f"{text!r} has {len({match.tag for match in matches})} meanings here: "
            f"{', '.join(dict.fromkeys(meanings))}. Choose one: "
            f'select({first.tag}="{text}").',
            candidates=meanings,
        )
    if first.tag in IDENTIFIERS.values() and len(matches) > 1:
        warnings.warn(
            f"{text} occurs {len(matches)} times in the archive, under different patients or studies: these are "
            f"{len(matches)} different {first.level} objects, and all are selected.",
            stacklevel=stacklevel(),
        )
    if tag_for_keyword(first.tag) is None:
        return _own_identifier_criteria(index, first)
    return [_exactly(parse_tag(first.tag), text.strip())]


def _own_identifier_criteria(index: Index, match: IdentifierMatch) -> list[Criterion]:
    """Express in DICOM tags which object the source's own identifier names."""
    if match.level != "patient":
        return object_criteria(index, match.level, match.level, match.key)
    studies = index.everything("study")
    own = next(key for key in studies if index.row("study", key).parent == match.key)
    return object_criteria(index, "patient", "study", own)


def object_criteria(index: Index, level: Level, row_level: Level, key: str) -> list[Criterion]:
    """Name an object by its identifier and those above it, since one UID can occur under two patients.

    Parameters
    ----------
    index : Index
        What is known of the archive.
    level : Level
        The object's level.
    row_level, key
        A row of the object, or of one below it.
    """
    from simple_orthanc.selection.criteria import condition_for
    from simple_orthanc.selection.selection import Criterion

    criteria = []
    for above in LEVELS[: LEVELS.index(level) + 1]:
        tag = parse_tag(IDENTIFIERS[above])
        value = index.column(tag, row_level, [key])[0]
        missing = Criterion(condition_for(tag, None), tag.name, None)
        criteria.append(_exactly(tag, str(value[0])) if value else missing)
    return criteria


def _exactly(tag: Tag, text: str) -> Criterion:
    from simple_orthanc.selection.conditions import Comparison
    from simple_orthanc.selection.predicates import StringIs
    from simple_orthanc.selection.selection import Criterion

    return Criterion(Comparison(tag, StringIs(text, "exact", True)), tag.name, text)


def whole_number(value: Any) -> int | None:
    """Return a whole number, also one of numpy's, as an int; None for everything else, True and False included."""
    return None if isinstance(value, bool) or not isinstance(value, numbers.Integral) else int(value)
