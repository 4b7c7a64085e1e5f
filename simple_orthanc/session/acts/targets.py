"""What acting on a selection touches: exactly what is selected, and what else would go with whole objects.

The archive may have changed since the selection was made. What a verb acts on was selected and is still there: an
object that arrived later is not selected, even if it is below one that is, and one that is not there any more is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import EmptySelectionError, SelectionError
from simple_orthanc.selection import tables
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.resolving import keys_at
from simple_orthanc.selection.selection import Selection
from simple_orthanc.selection.source import part_name
from simple_orthanc.session.acts.reports import Target
from simple_orthanc.session.display import counted
from simple_orthanc.showing.text import agreeing
from simple_orthanc.sources.frozen.source import FrozenSource

if TYPE_CHECKING:
    # Verbs that every session has are carried out with this module too.
    from simple_orthanc.session.base import Session

_IDENTIFIERS = {level: parse_tag(keyword) for level, keyword in IDENTIFIERS.items()}
_MOST_NAMED = 3


def check_narrowed(session: Session, done: str, everything: bool) -> None:
    """Refuse to act on the whole archive unless that is allowed, and on nothing.

    Parameters
    ----------
    session : Session
        The session to act on.
    done : str
        The past participle for messages, such as ``"deleted"``.
    everything : bool
        Whether a selection that was never narrowed is allowed.

    Raises
    ------
    SelectionError
        Nothing was selected, so the whole archive would be meant.
    EmptySelectionError
        Nothing is left in the selection.
    """
    selection = session._selection
    if not selection.criteria and not everything and not part_name(session._source):
        raise SelectionError(
            f"Nothing was selected, so the whole archive would be {done}: narrow it with select(...), or allow it with "
            "everything=True."
        )
    is_empty = selection.is_empty if selection.level is not None else not session.series_count
    if is_empty:
        criteria = " & ".join(session._criteria_texts())
        by = f" by {criteria}" if criteria else ""
        raise EmptySelectionError(f"Nothing is selected{by}, so nothing was {done}.")


def selected_keys(session: Session, level: Level) -> list[str]:
    """Return the source's keys of the selected objects of a level, in the order of tables."""
    return tables.row_keys(session._index, session._selection, level)


def _instances_of(index: Index, selection: Selection) -> Selection:
    """Return the same selection as one of instances."""
    return replace(selection, level="instance", keys=tuple(keys_at(index, selection, "instance")))


def _whole_archive(source: FrozenSource, instances: Sequence[str]) -> Index:
    """Return an index of the archive that a cohort is in, where its objects may hold more than what was frozen.

    Raises
    ------
    CohortError
        Some of the instances have changed since they were frozen: what is there now is not what was selected.
    """
    source.check(instances)
    index = Index(source.archive)
    index.begin()
    for level, rows in source.archive_rows().items():
        index.add(level, rows)
    return index


class Present:
    """What a session has selected, as far as the archive still holds it.

    Parameters
    ----------
    session : Session
        The session; neither its selection nor what it knows is changed.

    Attributes
    ----------
    index : Index
        What is known of the archive as it is now.
    """

    def __init__(self, session: Session) -> None:
        self._known, self._made = session._index, session._selection
        if not self.is_everything or isinstance(session._source, FrozenSource):
            # A dry run is a look at everything that is selected, so that the act after it takes nothing else.
            with suppress(SelectionError):
                keys_at(self._known, self._made, "instance")
        if isinstance(session._source, FrozenSource):
            self._made = _instances_of(self._known, self._made)
            self.index = _whole_archive(session._source, self._made.keys)
        else:
            self.index = self._known.updated()
        self._selection = self._made
        if self._made.level is not None:
            held = self.index.held(self._made.level, self._made.keys)
            self._selection = replace(self._made, keys=tuple(held))

    @property
    def is_everything(self) -> bool:
        """Whether the whole archive is selected, so that no level of it need be listed to know what is."""
        return self._made.level is None

    def keys(self, level: Level) -> list[str]:
        """Return the keys of the selected objects of a level that are there, in the order of tables."""
        keys, known = tables.row_keys(self.index, self._selection, level), self._known_keys(level)
        selected = None if known is None else set(known)
        return [key for key in keys if selected is None or key in selected]

    def selected(self, level: Level) -> set[str]:
        """Return the keys of the selected objects of a level that are there."""
        held = set(keys_at(self.index, self._selection, level))
        known = self._known_keys(level)
        return held if known is None else held.intersection(known)

    def gone(self, level: Level) -> list[Target]:
        """List what was selected and is not there any more: at a level, or where the session has not looked so deep."""
        if self.is_everything:
            return []
        known = self._known_keys(level)
        gone = self._lost(level, known or ())
        if self._made.level is not None and (known is None or not all(target.identifiers[-1] for target in gone)):
            # The session knew at most that they were there.
            gone = self._lost(self._made.level, self._made.keys)
        return gone

    def _lost(self, level: Level, known: Sequence[str]) -> list[Target]:
        held = set(keys_at(self.index, self._selection, level))
        return [Target(level, key, self._known_identifiers(level, key), (), True) for key in known if key not in held]

    def _known_keys(self, level: Level) -> list[str] | None:
        """Return what the session knows of its selection at a level; None where it has not looked so deep."""
        if self._made.level is None:
            return None
        with self._known.offline(), suppress(NotKnownError):
            return keys_at(self._known, self._made, level)
        return None

    def _known_identifiers(self, level: Level, key: str) -> tuple[str | None, ...]:
        found: list[str | None] = []
        for above in LEVELS[: depth(level) + 1]:
            value: str | None = None
            with self._known.offline(), suppress(NotKnownError, SelectionError):
                if level == "patient":
                    # Patients have no rows.
                    studies = keys_at(self._known, self._made, "study")
                    owners = self._known.up("study", studies, "patient")
                    value = _texts(self._known, "patient", "study", [studies[owners.index(key)]])[0]
                else:
                    value = _texts(self._known, above, level, [key])[0]
            found.append(value)
        return tuple(found)

    def holdings(self, level: Level, keys: Sequence[str]) -> dict[str, dict[Level, list[str]]]:
        """Return for each object what it holds at its own level and each deeper one, selected or not."""
        if level == "patient":
            studies = self.index.everything("study")
            below: dict[str, list[str]] = {key: [] for key in keys}
            for study, owner in zip(studies, self.index.up("study", studies, "patient"), strict=True):
                if owner in below:
                    below[owner].append(study)
            inner = self.holdings("study", [study for found in below.values() for study in found])
            return {key: {"patient": [key], **_joined(inner[study] for study in below[key])} for key in keys}
        if level != "instance":
            # All at once, so that it takes few requests.
            self.index.down(level, keys, "instance")
        deeper = LEVELS[depth(level) :]
        return {key: {target: self.index.down(level, [key], target) for target in deeper} for key in keys}

    def targets(self, level: Level, holdings: Mapping[str, Mapping[Level, list[str]]]) -> list[Target]:
        """Make the targets of objects, with what they hold."""
        identifiers = identifiers_of(self.index, level, list(holdings))
        return [Target(level, key, identifiers[key], tuple(held["instance"])) for key, held in holdings.items()]

    def left_out(self, level: Level, holdings: Mapping[str, Mapping[Level, list[str]]]) -> str:
        """Return what objects hold that is not selected, such as "1 series that ... (1.2.3.4)"; "" for nothing.

        Only the highest level at which something is left out is mentioned.
        """
        if self.is_everything:
            return ""
        for deeper in LEVELS[depth(level) + 1 :]:
            selected = self.selected(deeper)
            more = [key for held in holdings.values() for key in held.get(deeper, ()) if key not in selected]
            if more:
                names = [uid or "without a UID" for uid in _texts(self.index, deeper, deeper, more[:_MOST_NAMED])]
                names += ["..."] * (len(more) > _MOST_NAMED)
                return f"{counted({deeper: len(more)})} that the selection left out ({', '.join(names)})"
        return ""


def identifiers_of(index: Index, level: Level, keys: Sequence[str]) -> dict[str, tuple[str | None, ...]]:
    """Return for each object, in the order of tables, its identifiers down to its own level, None where missing."""
    if level == "patient":
        # Patients have no rows.
        studies = index.everything("study")
        owners = index.up("study", studies, "patient")
        some = {owner: study for study, owner in zip(studies, owners, strict=True) if owner in set(keys)}
        return dict(zip(some, zip(_texts(index, "patient", "study", list(some.values()))), strict=True))
    ordered = index.ordered(level, keys)
    columns = [_texts(index, above, level, ordered) for above in LEVELS[: depth(level) + 1]]
    return dict(zip(ordered, zip(*columns, strict=True), strict=True))


def _texts(index: Index, tag_level: Level, level: Level, keys: Sequence[str]) -> list[str | None]:
    """Return the identifiers of the objects that some objects are in, or are."""
    values = index.column(_IDENTIFIERS[tag_level], level, keys)
    return [None if value is None else "\\".join(map(str, value)) for value in values]


def _joined(parts: Iterable[Mapping[Level, list[str]]]) -> dict[Level, list[str]]:
    joined: dict[Level, list[str]] = {level: [] for level in LEVELS[1:]}
    for part in parts:
        for level, keys in part.items():
            joined[level] += keys
    return joined


def whole_targets(session: Session, level: Level, done: str, *, everything: bool, whole: bool) -> list[Target]:
    """List the selected objects of a level, for a verb that acts on them as a whole.

    Parameters
    ----------
    session : Session
        The session on the archive.
    level : {"patient", "study", "series", "instance"}
        What is acted on.
    done : str
        The past participle for messages, such as ``"deleted"``.
    everything : bool
        Whether a selection that was never narrowed is allowed.
    whole : bool
        Whether the objects may hold more than is selected.

    Returns
    -------
    list of Target
        In the order of tables; those that are gone come last.

    Raises
    ------
    SelectionError
        There is no such level; or nothing was selected; or the objects hold more than is selected.
    EmptySelectionError
        Nothing is left in the selection.
    """
    level = tables.check_level(level)
    check_narrowed(session, done, everything)
    present = Present(session)
    holdings = present.holdings(level, present.keys(level))
    left_out = "" if whole else present.left_out(level, holdings)
    if left_out:
        objects, hold = (level, "holds") if len(holdings) == 1 else (counted({level: len(holdings)}), "hold")
        raise SelectionError(
            f"The {objects} to be {done} {hold} {left_out}, which "
            f"would be {done} too: act at a deeper level, or allow it with whole=True. Nothing was {done}. If it "
            "arrived after the selection was made, refresh() shows it."
        )
    return present.targets(level, holdings) + present.gone(level)


def exact_targets(session: Session, done: str, *, everything: bool) -> list[Target]:
    """List exactly what is selected, for a verb that takes any objects: whole series, and single instances of others.

    Parameters
    ----------
    session : Session
        The session on the archive.
    done : str
        The past participle for messages, such as ``"sent"``.
    everything : bool
        Whether a selection that was never narrowed is allowed.

    Returns
    -------
    list of Target
        In the order of tables; those that are gone come last.

    Raises
    ------
    SelectionError, EmptySelectionError
        As for `check_narrowed`.
    """
    check_narrowed(session, done, everything)
    present = Present(session)
    holdings = present.holdings("series", present.keys("series"))
    is_part: dict[str, bool] = {}
    if not present.is_everything:
        selected = present.selected("instance")
        is_part = {key: not selected.issuperset(held["instance"]) for key, held in holdings.items()}
    if not any(is_part.values()):
        return present.targets("series", holdings) + present.gone("series")
    members: dict[str, list[str]] = {key: [] for key in holdings}
    instances = present.keys("instance")
    for key, owner in zip(instances, present.index.up("instance", instances, "series"), strict=True):
        members[owner].append(key)
    found: list[Target] = []
    for series, held in holdings.items():
        if is_part[series]:
            found += present.targets("instance", {key: {"instance": [key]} for key in members[series]})
        else:
            found += present.targets("series", {series: held})
    return found + present.gone("instance")


def held_targets(session: Session, done: str, *, everything: bool) -> list[Target]:
    """List exactly what is selected, as `exact_targets` does, for an act that is done with all of it at once.

    Raises
    ------
    SelectionError
        A part of it is not in the archive any more; or as for `check_narrowed`.
    """
    targets = exact_targets(session, done, everything=everything)
    gone = sum(target.is_gone for target in targets)
    if gone:
        raise SelectionError(
            f"{gone} of {len(targets)} selected objects {agreeing(gone, 'are')} not in the archive any more, so "
            f"nothing was {done}: refresh() brings the selection up to date."
        )
    return targets


def selected_targets(session: Session, level: Level, done: str, *, everything: bool, whole: bool) -> list[Target]:
    """List the selected objects of a level, each with those of its instances that are selected.

    Parameters
    ----------
    session : Session
        The session on the archive.
    level : {"patient", "study", "series", "instance"}
        The level of the rows; it takes nothing that is not selected.
    done : str
        The past participle for messages, such as ``"anonymized"``.
    everything : bool
        Whether a selection that was never narrowed is allowed.
    whole : bool
        Whether the objects are taken whole, with what the selection leaves out of them.

    Returns
    -------
    list of Target
        In the order of tables; those that are gone come last.

    Raises
    ------
    SelectionError, EmptySelectionError
        As for `check_narrowed`; or there is no such level.
    """
    if whole:
        return whole_targets(session, level, done, everything=everything, whole=True)
    level = tables.check_level(level)
    check_narrowed(session, done, everything)
    present = Present(session)
    selected = present.selected("instance")
    holdings = {
        key: {**held, "instance": [instance for instance in held["instance"] if instance in selected]}
        for key, held in present.holdings(level, present.keys(level)).items()
    }
    return present.targets(level, holdings) + present.gone(level)
