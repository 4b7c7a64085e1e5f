"""Makes a cohort from a selection, series by series, so that it takes little more memory than the cohort itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, get_args

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from simple_orthanc.concurrency.progress import progress_bar
from simple_orthanc.concurrency.threads import ReusableBuffer, map_ordered
from simple_orthanc.deidentification.profile import Action, Profile
from simple_orthanc.deidentification.table import row_of
from simple_orthanc.deidentification.unlisted import is_typed_by_people, unlisted_action
from simple_orthanc.dicom.levels import IDENTIFIERS, Level
from simple_orthanc.dicom.tags import Step, Tag, parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.files.checksums import dataset_sha256, md5_of
from simple_orthanc.selection import tables
from simple_orthanc.selection.cohort import (
    Checksums,
    FrozenCriterion,
    FrozenInstance,
    FrozenQuery,
    FrozenSeries,
    without_patients,
)
from simple_orthanc.selection.conditions import Condition, Field, SeriesField, ServerField, all_comparisons
from simple_orthanc.selection.index import Index
from simple_orthanc.selection.resolving import keys_at
from simple_orthanc.selection.selection import Criterion, Selection
from simple_orthanc.selection.source import Row, Source, batches
from simple_orthanc.session.cohorts.cohort_file import CohortData
from simple_orthanc.showing.text import agreeing
from simple_orthanc.sources.frozen.source import FrozenSource
from simple_orthanc.version import __version__

if TYPE_CHECKING:
    from simple_orthanc.session.cohorts.verb import Freezing

# The instances of this many series are listed at a time.
SERIES_AT_ONCE = 400
_NAMES = {level: parse_tag(keyword) for level, keyword in IDENTIFIERS.items()}
# UIDs that are always frozen.
_FROZEN = frozenset(keyword for level, keyword in IDENTIFIERS.items() if level != "patient")


def check_checksums(checksums: object) -> None:
    """Check the argument ``checksums``."""
    if checksums is not None and checksums not in get_args(Checksums):
        raise SelectionError(f'checksums={checksums!r} is not valid; choose "files", "datasets" or None.')


def check_identifiers(identifiers: object) -> None:
    """Check the argument ``identifiers``."""
    if not isinstance(identifiers, bool):
        raise SelectionError(
            f"identifiers={identifiers!r} is not valid; choose True, or False to leave out what may identify a patient."
        )


def freeze(session: Freezing, checksums: Checksums | None, identifiers: bool) -> CohortData:
    """Freeze what a session has selected; see `Session.freeze`."""
    check_checksums(checksums)
    check_identifiers(identifiers)
    if checksums is not None:
        session._check_has_files()
    frozen = datetime.now(timezone.utc).replace(microsecond=0)
    index, selection = session._index, session._selection
    members = members_of(index, selection)
    if not members:
        raise session._empty()
    series = frozen_series(index, members, checksums)
    query = frozen_query(session._source, selection)
    source = session._source.description
    versions = {"simple_orthanc": __version__, "pydicom": pydicom.__version__, **session._server_versions()}
    data = CohortData(frozen, source, versions, query, checksums, tuple(series))
    return with_or_without_identifiers(data, identifiers)


def members_of(index: Index, selection: Selection) -> dict[str, list[str]]:
    """Return the keys of the selected instances by the key of their series, with the series in the usual order."""
    if selection.level != "instance":
        # All at once, which takes fewer requests.
        index.down("series", keys_at(index, selection, "series"), "instance")
    return tables.instances_by_series(index, selection)


def frozen_series(index: Index, members: Mapping[str, list[str]], checksums: Checksums | None) -> list[FrozenSeries]:
    """Freeze instances, given as the key of each series and the keys of its instances."""
    series: list[FrozenSeries] = []
    with progress_bar(len(members), "freezing") as advance:
        for keys in batches(list(members), SERIES_AT_ONCE):
            for each in _frozen(index, {key: members[key] for key in keys}, checksums):
                series.append(each)
                advance(1)
    return series


def _frozen(index: Index, members: dict[str, list[str]], checksums: Checksums | None) -> Iterator[FrozenSeries]:
    """Freeze some series, given as their keys and the keys of the instances that are selected in each."""
    keys = list(members)
    index.load("series", keys)
    chains = [[_text(index, level, key) for level in ("patient", "study", "series")] for key in keys]
    # A separate index, so that the index of the session does not grow with what is frozen.
    listed = _listed_instances(index, keys, members)
    read = partial(frozen_instance, index.source, checksums=checksums, buffer=ReusableBuffer())
    for key, chain in zip(keys, chains, strict=True):
        ordered = listed.ordered("instance", members[key])
        uids = [_text(listed, "instance", each, "instance") for each in ordered]
        instances = map_ordered(lambda pair: read(*pair), list(zip(ordered, uids, strict=True)))
        yield FrozenSeries(chain[0], chain[1], chain[2], tuple(instances))


def _text(index: Index, level: Level, key: str, row_level: Level = "series") -> str:
    """Return the identifier at a level of a row, or "" if it is missing."""
    (value,) = index.column(_NAMES[level], row_level, [key])
    return "" if value is None else "\\".join(map(str, value))


def _listed_instances(index: Index, keys: Sequence[str], members: dict[str, list[str]]) -> Index:
    """List the instances of some series, as the archive has them now.

    Raises
    ------
    SelectionError
        A selected instance is not in the archive any more.
    """
    listed = Index(index.source)
    rows = [index.row("series", key) for key in keys]
    studies = list(dict.fromkeys(row.parent for row in rows))
    listed.add("study", [index.row("study", key) for key in studies])
    listed.add("series", [replace(row, has_unknown_children=False) for row in rows])
    wanted = {key for inside in members.values() for key in inside}
    found: dict[str, Row] = {row.key: row for row in index.source.below("instance", rows) if row.key in wanted}
    gone = len(wanted) - len(found)
    if gone:
        raise SelectionError(
            f"{gone} of {len(wanted)} instances {agreeing(gone, 'are')} not in the archive any more. refresh() brings "
            "the selection up to date; then freeze it."
        )
    listed.add("instance", found.values())
    return listed


def frozen_instance(
    source: Source, key: str, uid: str, *, checksums: Checksums | None, buffer: ReusableBuffer
) -> FrozenInstance:
    """Freeze an instance with the requested checksums.

    The file is read if the archive does not know them, or if it differs from what an opened cohort has frozen; reading
    it then raises.
    """
    if checksums is None:
        return FrozenInstance(uid)
    if checksums == "files":
        stored = source.stored_file(key)
        if stored.size is not None and stored.md5 is not None and not _is_doubtful(source, key, stored.md5):
            return FrozenInstance(uid, stored.size, stored.md5)
    content = source.read(key, buffer)
    return FrozenInstance(
        uid, len(content), md5_of(content), dataset_sha256(content) if checksums == "datasets" else None
    )


def _is_doubtful(source: Source, key: str, md5: str) -> bool:
    """Check whether the MD5 of a file differs from what an opened cohort has frozen."""
    return isinstance(source, FrozenSource) and not source.has_frozen(key, md5)


def frozen_query(source: Source, selection: Selection) -> FrozenQuery | None:
    """Return the query of a selection, with the meaning that its strings were found to have.

    Within an opened cohort the query of the cohort comes first; None if that is not known.
    """
    criteria = tuple(_criterion(criterion) for criterion in selection.criteria)
    if isinstance(source, FrozenSource):
        if source.query is None:
            return None
        criteria = source.query.criteria + criteria
    return FrozenQuery(criteria, selection.order)


def _criterion(criterion: Criterion) -> FrozenCriterion:
    return FrozenCriterion(str(criterion.condition), str(criterion.meaning), criterion.meaning)


def with_or_without_identifiers(data: CohortData, identifiers: bool) -> CohortData:
    """Return a cohort as it is, or without PatientIDs, criteria that may identify a patient, and the archive's address.

    Raises
    ------
    SelectionError
        ``identifiers`` is neither True nor False.
    """
    check_identifiers(identifiers)
    # A cohort without identifiers is returned as it is.
    if identifiers or (not data.source and all(each.is_anonymous for each in data.series)):
        return data
    query = data.query
    if query is not None:
        query = replace(query, criteria=tuple(map(_anonymous, query.criteria)))
    return replace(data, series=without_patients(data.series), query=query, source="")


def _anonymous(criterion: FrozenCriterion) -> FrozenCriterion:
    if criterion.condition is None:
        # Its tags are not known.
        text = "a criterion, which was left out"
        return FrozenCriterion(text, text, None)
    names = _identifying(criterion.condition)
    if not names:
        return criterion
    text = f"a criterion on {', '.join(names)}, which was left out"
    return FrozenCriterion(text, text, None)


def _identifying(condition: Condition) -> list[str]:
    """List the names of the fields in a condition that may identify a patient, without the values."""
    fields = (comparison.field for comparison in all_comparisons(condition))
    return list(dict.fromkeys(name for field in fields if (name := _left_out_as(field))))


def _left_out_as(field: Field) -> str:
    """Return the name of a field whose criteria are left out, or "" if they stay."""
    if isinstance(field, ServerField):
        # The name of a label is its value.
        return "a label" if field.kind == "label" else "metadata"
    stays = isinstance(field, SeriesField) or (isinstance(field, Tag) and not is_identifying(field))
    return "" if stays else str(field)


def is_identifying(tag: Tag) -> bool:
    """Check whether values of a tag may identify a patient: the basic profile of PS3.15, Annex E, does not keep them.

    Examples
    --------
    >>> is_identifying(parse_tag("PatientAddress")), is_identifying(parse_tag("Modality"))
    (True, False)
    """
    return tag.keyword not in _FROZEN and any(map(_is_removed, tag.steps))


def _is_removed(step: Step) -> bool:
    """Check whether the basic profile removes or replaces an attribute, or cleans an attribute that people type."""
    number = step.number
    if row_of(number) is not None:
        return True
    vr = dictionary_VR(number) if dictionary_has_tag(number) else "UN"
    action = unlisted_action(number, vr, Profile.of())
    if action is Action.CLEAN:
        return is_typed_by_people(step.keyword, vr)
    return action is not Action.KEEP
