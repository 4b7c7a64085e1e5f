"""What is new, gone or changed in an archive since a cohort was frozen."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.errors import CohortError, SelectionError, UnsupportedError
from simple_orthanc.selection.cohort import Chain, FrozenQuery, chains
from simple_orthanc.selection.selection import Criterion
from simple_orthanc.selection.source import archive_of
from simple_orthanc.session.cohorts.cohort_file import CohortData
from simple_orthanc.session.cohorts.freezing import frozen_series, members_of
from simple_orthanc.session.cohorts.opening import check_session, part_of
from simple_orthanc.session.state import SessionState
from simple_orthanc.showing.table import MOST_ROWS, Shown, Table
from simple_orthanc.showing.text import counted, safe
from simple_orthanc.sources.frozen.files import ChangedFile
from simple_orthanc.sources.frozen.source import FrozenSource

if TYPE_CHECKING:
    import pandas as pd

_Each = TypeVar("_Each")

_NAMES = tuple(IDENTIFIERS.values())


class Findings(NamedTuple):
    """What is new, gone or changed.

    Attributes
    ----------
    total : int
        Number of instances in the cohort.
    where : str
        The archive.
    new : list of Chain, or str
        Instances that the query finds and the cohort does not have; or why that is not known.
    gone : list of Chain
        Instances that the archive does not hold.
    changed : list of ChangedFile, or str
        Instances whose content has changed; or why that is not known.
    """

    total: int
    where: str
    new: list[Chain] | str
    gone: list[Chain]
    changed: list[ChangedFile] | str


class CohortDifference(Shown):
    """What is new, gone or changed in an archive since a cohort was frozen; returned by `Cohort.difference`.

    Its truth value is whether anything differs.

    Examples
    --------
    >>> cohort = archive.select(Modality="CT").freeze()
    >>> cohort.difference(orthanc)
    <CohortDifference in http://127.0.0.1:...: 0 new, 0 gone, 0 changed; 120 instances frozen>
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    @property
    def new(self) -> pd.DataFrame:
        """The instances that the query of the cohort finds now, and that were not frozen.

        Returns
        -------
        pandas.DataFrame
            One row per instance: PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID.

        Raises
        ------
        CohortError
            The query cannot be applied again: it holds a function, criteria were left out of the file, or the cohort
            was combined from others or frozen from an unpickled session on a cohort; or this archive cannot answer it.

        Examples
        --------
        >>> cohort = orthanc.select(Modality="CT", PatientID="EX-002").freeze()
        >>> cohort.difference(orthanc).new.empty
        True
        """
        return _table(self._known(self._findings.new, "new"))

    @property
    def gone(self) -> pd.DataFrame:
        """The instances that were frozen and that the archive does not hold.

        Returns
        -------
        pandas.DataFrame
            One row per instance, with the columns of `new`.

        Examples
        --------
        >>> cohort = archive.select(Modality=["CT", "MR"]).freeze()
        >>> cohort.difference(orthanc).gone.PatientID.unique().tolist()
        ['EX-001', 'EX-004', 'EX-005']
        """
        return _table(self._findings.gone)

    @property
    def changed(self) -> pd.DataFrame:
        """The instances that the archive holds with a different content.

        Returns
        -------
        pandas.DataFrame
            One row per instance: the columns of `new`, and size_frozen, size (in bytes), md5_frozen and md5; size and
            md5 are NA if they are not known.

        Raises
        ------
        CohortError
            The cohort was frozen without checksums. Or ``checksums=False`` was given, and the archive lists neither
            lengths nor MD5s; or it lists other files, and the cohort has checksums of datasets.

        Examples
        --------
        >>> series = orthanc.select(Modality="CT", PatientID="EX-002")
        >>> cohort, image = series.freeze(), series.get_instances()[0]
        >>> _ = series.select(SOPInstanceUID=image.SOPInstanceUID).delete("instance")
        >>> image.PatientComments = "corrected"
        >>> _ = orthanc.upload_dataset(image)
        >>> cohort.difference(orthanc).changed[["PatientID", "size_frozen", "size"]]
          PatientID  size_frozen   size
        0    EX-002        34142  34160
        """
        import pandas as pd

        changed = self._known(self._findings.changed, "changed")
        frame = _table(each.chain for each in changed)
        frame["size_frozen"] = pd.Series([each.frozen.size for each in changed], dtype="Int64")
        frame["size"] = pd.Series([each.size for each in changed], dtype="Int64")
        frame["md5_frozen"] = pd.Series([each.frozen.md5 for each in changed], dtype="string")
        frame["md5"] = pd.Series([each.md5 for each in changed], dtype="string")
        return frame

    def _known(self, found: list[_Each] | str, what: str) -> list[_Each]:
        if isinstance(found, str):
            raise CohortError(f"What is {what} in {self._findings.where} is not known: {found}.")
        return found

    def __bool__(self) -> bool:
        """Return whether anything differs.

        Raises
        ------
        CohortError
            No difference is known, but what is new or changed is not known either.
        """
        findings = self._findings
        known = [found for found in (findings.gone, findings.new, findings.changed) if not isinstance(found, str)]
        if any(known):
            return True
        return bool(self._known(findings.new, "new") or self._known(findings.changed, "changed"))

    def __repr__(self) -> str:
        """Show counts on one line."""
        return safe(f"<CohortDifference in {self._findings.where}: {self._counts()}>")

    def _counts(self) -> str:
        findings = self._findings
        counts = {"new": findings.new, "gone": findings.gone, "changed": findings.changed}
        words = [
            f"{what} not known" if isinstance(found, str) else f"{len(found):,} {what}"
            for what, found in counts.items()
        ]
        return f"{', '.join(words)}; {counted(findings.total, 'instance')} frozen"

    def _as_text(self) -> str:
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()

    def _shown(self) -> Table:
        findings = self._findings
        listed = [("gone", chain) for chain in findings.gone]
        listed += [("new", chain) for chain in findings.new if not isinstance(chain, str)]
        listed += [("changed", each.chain) for each in findings.changed if not isinstance(each, str)]
        rows = [(what, *chain) for what, chain in listed[:MOST_ROWS]]
        reasons = [
            f"What is {what} is not known: {found}."
            for what, found in (("new", findings.new), ("changed", findings.changed))
            if isinstance(found, str)
        ]
        title = f"Difference in {findings.where}: {self._counts()}"
        return Table(title, ("", *_NAMES), rows, len(listed) - len(rows), " ".join(reasons))


def _table(found: Iterable[Chain]) -> pd.DataFrame:
    import pandas as pd

    frame: pd.DataFrame = pd.DataFrame(list(found), columns=list(_NAMES))
    return frame.astype({name: "string" for name in _NAMES if frame[name].dtype == object})


def difference(data: CohortData, session: SessionState, checksums: bool) -> Findings:
    """Compare a cohort with an archive; see `Cohort.difference`."""
    check_session(session, "difference")
    if not isinstance(checksums, bool):
        raise SelectionError(f"checksums={checksums!r} is not valid; choose True or False.")
    archive = archive_of(session._source)
    source = FrozenSource(archive, data.series, data.checksums, part_of(data))
    found = source.look()
    changed: list[ChangedFile] | str = "the cohort was frozen without checksums"
    if data.checksums == "datasets" and not checksums and source.lists_others():
        changed = "files differ from those that were frozen, and datasets are compared only with checksums=True"
    elif data.checksums is not None and not checksums and source.lists_nothing():
        changed = "the archive lists neither lengths nor MD5s, and files are compared only with checksums=True"
    elif data.checksums is not None:
        changed = source.changed(is_thorough=checksums)
    new = _new(session._on(archive), data.query, frozenset(found.instances))
    return Findings(data.counts()["instances"], archive.description, new, found.missing, changed)


def _new(session: SessionState, query: FrozenQuery | None, known: frozenset[str]) -> list[Chain] | str:
    """Return what a query finds in an archive besides the known instances, or why that is not known."""
    if query is None:
        return "the cohort has no query, since it was combined from others or frozen within one without a known query"
    if query.unknown:
        return f"the query cannot be applied again ({'; '.join(query.unknown)})"
    conditions = [criterion.condition for criterion in query.criteria if criterion.condition is not None]
    criteria = [Criterion(condition, "", condition, condition) for condition in conditions]
    try:
        with warnings.catch_warnings():
            # An empty selection needs no warning here, where it is only compared with what was frozen.
            warnings.simplefilter("ignore", UserWarning)
            session._selection = session._resolve(session._selection, criteria)
    except (UnsupportedError, SelectionError) as error:
        return error.message.rstrip(".")
    members = members_of(session._index, session._selection)
    new = {series: [key for key in keys if key not in known] for series, keys in members.items()}
    found = frozen_series(session._index, {series: keys for series, keys in new.items() if keys}, None)
    return [chain for chain, _ in chains(found)]
