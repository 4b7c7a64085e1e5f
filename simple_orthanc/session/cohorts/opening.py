"""Opens a session on the part of a cohort that an archive holds."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar

from simple_orthanc.errors import CohortError, SelectionError, stacklevel
from simple_orthanc.selection.source import archive_of
from simple_orthanc.session.cohorts.cohort_file import CohortData
from simple_orthanc.session.offline import is_offline
from simple_orthanc.session.options import OnMissing
from simple_orthanc.session.state import SessionState
from simple_orthanc.showing.text import agreeing
from simple_orthanc.sources.frozen.files import missing_text, named
from simple_orthanc.sources.frozen.source import FrozenSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simple_orthanc.selection.cohort import Chain

AnySession = TypeVar("AnySession", bound=SessionState)


def check_session(session: object, verb: str) -> None:
    """Check that what was given is a session."""
    if not isinstance(session, SessionState):
        raise SelectionError(
            f"Cohort.{verb}({session!r}): pass a session on an archive, as in Cohort.{verb}(Orthanc())."
        )


def open_cohort(data: CohortData, session: AnySession, missing: OnMissing) -> AnySession:
    """Open a cohort on the archive of a session; see `Cohort.open`."""
    check_session(session, "open")
    if missing not in ("raise", "warn"):
        raise SelectionError(f'missing={missing!r} is not valid; choose "raise" or "warn".')
    source = FrozenSource(archive_of(session._source), data.series, data.checksums, part_of(data), data.query)
    found = source.look()
    if found.missing:
        _tell_missing(found.missing, data, source, missing)
    changed = [each.chain for each in source.changed(is_thorough=False)]
    if changed:
        warnings.warn(
            f"{len(changed):,} of {data.counts()['instances']:,} instances of the {source.part} "
            f"{agreeing(len(changed), 'have')} changed in {source.description} ({named(changed)}): reading a changed "
            "instance raises a CohortError.",
            stacklevel=stacklevel(),
        )
    opened = session._on(source, None if data.query is None else data.query.order)
    # These are known already: once they are in the index, counts and tables send no request.
    opened._index.counts()
    opened._index.everything("study")
    opened._index.everything("series")
    return opened


def check_unchanged(session: SessionState) -> None:
    """Check the selected instances of an opened cohort, before the server delivers them in another form.

    Raises
    ------
    CohortError
        An instance has changed since it was frozen.
    """
    if isinstance(session._source, FrozenSource):
        session._source.check(session._instances())


def part_of(data: CohortData) -> str:
    """Return the name of a cohort in messages."""
    return f"cohort of {data.frozen:%Y-%m-%d}"


def _tell_missing(chains: Sequence[Chain], data: CohortData, source: FrozenSource, missing: OnMissing) -> None:
    what = missing_text(chains, data.series, source.part, source.description)
    is_all = len(chains) == data.counts()["instances"]
    if missing == "raise" or is_all:
        way_out = "" if is_all else ', or open the rest with missing="warn"'
        if is_offline(source):
            to_have = "Read or download() them with the same cache and without offline=True"
        else:
            to_have = "Store them there, or open the cohort on another archive"
        raise CohortError(f"{what}. {to_have}{way_out}.")
    source.leave_out_missing()
    warnings.warn(f"{what}, and {agreeing(len(chains), 'are')} left out.", stacklevel=stacklevel())
