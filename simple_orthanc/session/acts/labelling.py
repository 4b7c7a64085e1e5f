"""Labels and metadata of what is selected, read back after they were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.errors import NotFoundError, OrthancError, SelectionError, TransportError, UnknownNameError
from simple_orthanc.rest.objects.address import Address
from simple_orthanc.rest.objects.labels import Labels, check_label, check_labels_are_kept
from simple_orthanc.rest.objects.metadata import Metadata
from simple_orthanc.selection import tables
from simple_orthanc.selection.resolving import keys_at
from simple_orthanc.session.acts.reports import ActReport, Outcome, Target
from simple_orthanc.session.acts.targets import identifiers_of, whole_targets
from simple_orthanc.session.orthanc_state import OrthancState
from simple_orthanc.sources.orthanc.answers import ask, is_ids

if TYPE_CHECKING:
    import pandas as pd

LABELLED, UNLABELLED, ANNOTATED = "labelled", "unlabelled", "annotated"
ALREADY_THERE, NOT_THERE = "already there", "not there"


def level_of_selection(session: OrthancState, level: str | None) -> Level:
    """Return the level to act at: the one that is asked for, or else the one at which the selection was made.

    A selection by tags of the patient or the study is one of studies, a selection by tags of the series one of series,
    and so on; without any selection it is studies. What is acted on is then never more than what is selected.
    """
    if level is not None:
        return tables.check_level(level)
    return session._selection.level or "study"


# Labels


def plan_label(
    session: OrthancState, name: object, level: str | None, done: str, *, everything: bool, whole: bool
) -> ActReport:
    """Plan to add or to remove a label; those that have it, or do not have it, need nothing done.

    Raises
    ------
    SelectionError
        It cannot be a label; or as for `whole_targets`.
    UnsupportedError
        The server has no labels.
    """
    label = check_label(name)
    check_labels_are_kept(session.rest)
    targets = whole_targets(session, level_of_selection(session, level), done, everything=everything, whole=whole)
    report = ActReport(targets, done)
    bearers = _bearers(session, label)
    for target in report.pending:
        has_label = target.key in bearers[target.level]
        if has_label == (done == LABELLED):
            report.set(target, Outcome(ALREADY_THERE if has_label else NOT_THERE))
    return report


def change_label(session: OrthancState, label: str, report: ActReport) -> None:
    """Add or remove a label as it was planned, and look whether that was done.

    Raises
    ------
    TransportError
        The server is gone; ``.table`` reports on each object.
    """
    is_added = report.done == LABELLED

    def act(target: Target) -> Outcome:
        labels = Labels(Address(session.rest, target.level, target.key))
        try:
            (labels.add if is_added else labels.discard)(label)
        except NotFoundError:
            return _gone()
        return Outcome(report.done)

    if report.pending:
        report.walk(act, is_alive=session._is_alive, label="labelling")
        with report.attached():
            bearers = _bearers(session, label)
            for target in report.having(report.done):
                if (target.key in bearers[target.level]) != is_added:
                    report.set(target, _not_kept(f"it has {'no' if is_added else 'still the'} label {label}"))


def _bearers(session: OrthancState, label: str) -> dict[Level, set[str]]:
    found = session._orthanc.server_field("label", label)
    return {level: set(found[level]) for level in LEVELS}


def list_labels(session: OrthancState) -> pd.DataFrame:
    """Return one row for each label of each object that is selected, or that has something selected below it.

    Raises
    ------
    UnsupportedError
        The server has no labels.
    """
    import pandas as pd

    check_labels_are_kept(session.rest)
    index, selection = session._index, session._selection
    rows: list[tuple[Level, tuple[str | None, ...], str]] = []
    names = sorted(ask(session._orthanc.transport, "GET", "/tools/labels", is_ids))
    bearers = {name: _bearers(session, name) for name in names}
    for level in LEVELS:
        by_key: dict[str, list[str]] = {}
        for name in names:
            for key in bearers[name][level]:
                by_key.setdefault(key, []).append(name)
        if not by_key:
            continue
        selected = None if selection.level is None else set(keys_at(index, selection, level))
        keys = [key for key in by_key if selected is None or key in selected]
        for key, identifiers in identifiers_of(index, level, keys).items():
            rows += [(level, identifiers, name) for name in by_key[key]]
    content: dict[str, list[str | None]] = {"level": [level for level, _, _ in rows]}
    for above in LEVELS:
        place = depth(above)
        content[IDENTIFIERS[above]] = [
            identifiers[place] if place < len(identifiers) else None for _, identifiers, _ in rows
        ]
    content["label"] = [*(name for _, _, name in rows)]
    frame: pd.DataFrame = pd.DataFrame(content, columns=["level", *IDENTIFIERS.values(), "label"])
    return frame.astype("string")


# Metadata


def plan_metadata(
    session: OrthancState,
    name: str | int,
    value: str | bytes,
    level: str | None,
    *,
    everything: bool,
    whole: bool,
) -> ActReport:
    """Plan to write a metadata entry, once name and value are checked.

    Raises
    ------
    SelectionError
        The server has no such entry, or keeps it for itself; the value cannot be written; or as for `whole_targets`.
    """
    Metadata(Address(session.rest, "study", "")).check(name, value)
    _check_name(session, str(name))
    targets = whole_targets(session, level_of_selection(session, level), ANNOTATED, everything=everything, whole=whole)
    return ActReport(targets, ANNOTATED, ["previous_value"])


def write_metadata(session: OrthancState, name: str | int, value: str | bytes, report: ActReport) -> None:
    """Write a metadata entry as it was planned, and read it back.

    Raises
    ------
    TransportError
        The server is gone; ``.table`` reports on each object.
    """
    wanted = value.encode() if isinstance(value, str) else bytes(value)

    def act(target: Target) -> Outcome:
        address = Address(session.rest, target.level, target.key)
        try:
            return _written(Metadata(address), name, wanted)
        except NotFoundError as error:
            if address.is_meant_by(error):
                return _gone()
            raise SelectionError(_unknown_name(session, str(name))) from None

    report.walk(act, is_alive=session._is_alive, label="writing metadata")


def _written(metadata: Metadata, name: str | int, wanted: bytes) -> Outcome:
    previous = _read(metadata, name)
    values = {} if previous is None else {"previous_value": previous.decode("utf-8", "replace")}
    if previous == wanted:
        return Outcome(ALREADY_THERE, values=values)
    metadata[name] = wanted
    now = _read(metadata, name)
    if now != wanted:
        return _not_kept(f"it has {'no' if now is None else 'another'} value of the metadata {name}")
    return Outcome(ANNOTATED, values=values)


def _read(metadata: Metadata, name: str | int) -> bytes | None:
    try:
        return metadata.read(name).value
    except UnknownNameError:
        return None


def _check_name(session: OrthancState, name: str) -> None:
    """Refuse a name that the server does not know, if it lists those that it knows (Orthanc 1.12.0)."""
    capabilities = session.rest.capabilities
    is_number = name.isascii() and name.isdecimal()
    if not is_number and capabilities.version >= (1, 12, 0) and name not in capabilities.user_metadata:
        raise SelectionError(_unknown_name(session, name))


def _unknown_name(session: OrthancState, name: str) -> str:
    known = ", ".join(sorted(known for known in session.rest.capabilities.user_metadata if not known.isdecimal()))
    return (
        f"The server has no metadata {name!r} that can be written, and nothing was: its configuration names "
        f"{known or 'none'} under UserMetadata, and numbers from 1024 to 65535 need no name, as in "
        'set_metadata("1024", "reader A").'
    )


def _gone() -> Outcome:
    return Outcome("gone", "not there any more when its turn came")


def _not_kept(what: str) -> Outcome:
    error: OrthancError = TransportError(
        f"The server answered that this was done, and {what}: somebody may have changed it at the same time.",
        is_about_object=True,
    )
    return Outcome.failure(error)
