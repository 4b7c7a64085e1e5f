"""A session on a PACS that an Orthanc server knows, by C-FIND, C-MOVE and C-GET."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from pydicom.charset import python_encoding

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import TEXT_VRS, Tag, TagLike, parse_tag
from simple_orthanc.dicom.usual import in_order
from simple_orthanc.errors import JobError, SelectionError, UnsupportedError, stacklevel
from simple_orthanc.rest.remote.dimse import check_timeout
from simple_orthanc.selection import resolving, tables
from simple_orthanc.selection.conditions import AgeField, Comparison, all_comparisons
from simple_orthanc.selection.index import Index
from simple_orthanc.selection.selection import Criterion, Selection
from simple_orthanc.selection.source import archive_of
from simple_orthanc.session.base import Session
from simple_orthanc.sources.keys import UID_TAGS, Key
from simple_orthanc.sources.pacs.queries import ASKED, keys_for
from simple_orthanc.sources.pacs.retrieval import Method, choose_method, retrieve
from simple_orthanc.sources.pacs.source import PacsSource
from simple_orthanc.sources.pacs.unknown import collecting_unknown, deciding, needs_retrieval

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.selection.tables import Varying
    from simple_orthanc.session.describing import Summary
    from simple_orthanc.session.orthanc import Orthanc
    from simple_orthanc.volume.volume import Volume

_NAMED_IN_ERRORS = 3
# By C-MOVE a PACS sends to the address that it has for an AE title, and reports success wherever that is.
_ELSEWHERE = ", or sent elsewhere, if the PACS has another host or port for the AE title of this Orthanc"


class Pacs(Session):
    """A session on a PACS: the same selection, tables and counts, by C-FIND; `retrieve` brings what is selected.

    It is opened by `Orthanc.modality`. A PACS knows little of its images: the usual tags of patients, studies, series
    and images can be selected and shown, as far as it answers with them. Whatever needs a file raises, and names
    `retrieve`.

    Parameters
    ----------
    server : Orthanc
        A session on the server that speaks to the PACS.
    modality : str
        The name of the PACS in the configuration of the server.
    timeout : int, optional
        Seconds that the server waits for each answer of the PACS.

    Notes
    -----
    Identifiers and days are searched for by the PACS. Names, descriptions and the like are decided here, since one PACS
    compares them with regard to case and another without. So select by PatientID, AccessionNumber, StudyDate or
    StudyInstanceUID first: anything else lists the studies of the whole PACS, and tags of series are asked for study by
    study. Where it shows that a PACS answers with a limited number of studies, there is a warning.

    A tag that the PACS has never sent is unknown, and not missing: a condition on it raises UnsupportedError, and
    tables show NA with a warning. ``ModalitiesInStudy`` and numbers of related objects are counted here, since some
    PACS ignore them. Images are in the order of their InstanceNumbers, since no PACS answers with their positions.

    Orthanc writes the strings of answers in its ``DefaultEncoding``, and leaves out the characters that it lacks.
    Unless that is UTF-8, conditions with other characters raise UnsupportedError.

    Examples
    --------
    >>> pacs = orthanc.modality("PACS").select(PatientID="EX-001", StudyDate=("20220901", None))
    >>> pacs.table("StudyDate", "SeriesDescription", "instance_count")
       StudyDate SeriesDescription  instance_count
    0 2022-09-06         T1 MPRAGE              64
    1 2022-09-06            T2 TSE              24
    >>> pacs.select(SeriesDescription="T2*").retrieve().get_volume()
    <Volume 24 x 96 x 96 (slice, row, column) int16 stored, voxels of 5 x 1.8 x 1.8 mm>
    """

    def __init__(self, server: Orthanc, modality: str, timeout: int | None = None) -> None:
        check_timeout(timeout)
        super().__init__(PacsSource(server._orthanc.transport, modality, timeout))
        self._server = _forgetful(server)

    @property
    def _pacs(self) -> PacsSource:
        source = archive_of(self._source)
        assert isinstance(source, PacsSource)
        return source

    def _check_has_files(self) -> None:
        raise needs_retrieval("What is selected", self._pacs.description)

    def retrieve(
        self,
        how: Method | None = None,
        level: Level | None = None,
        *,
        timeout: float | None = None,
        everything: bool = False,
    ) -> Orthanc:
        """Bring what is selected to the Orthanc server, and check that all of it arrived.

        Parameters
        ----------
        how : {"move", "get"}, optional
            By C-MOVE, for which the PACS must know this Orthanc, or by C-GET. Default: as the configuration of the
            modality says, or else C-MOVE.
        level : {"study", "series", "instance"}, optional
            What is asked for at once. Default: the level at which the selection was decided, so that exactly what is
            selected comes. ``"study"`` brings the whole studies, of which a part may be selected.
        timeout : float, optional
            Seconds that one study, one series, or up to 100 single images may take.
        everything : bool, default False
            Allow to retrieve a whole PACS, where nothing was selected.

        Returns
        -------
        Orthanc
            A session on the server, narrowed to what was retrieved, with what the server held of it before.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        SelectionError
            Nothing was ever selected, so that the whole PACS would be meant.
        JobError
            A step failed, or not every image that the PACS lists is in the Orthanc afterwards. What arrived stays
            there.
        UnsupportedError
            C-GET needs Orthanc 1.12.6.

        Notes
        -----
        Each step is a job of the server, shown by a progress bar; Ctrl-C cancels the one that runs. What a PACS answers
        with success may not have arrived: the images that it lists are compared, UID by UID, with those that the server
        holds at the end. Where it refuses to list images, their numbers are compared, if it tells these.

        Examples
        --------
        >>> session = orthanc.modality("PACS").select(PatientID="EX-001", SeriesDescription="T1*").retrieve()
        >>> session.table("StudyDate", "SeriesDescription", "instance_count")
           StudyDate SeriesDescription  instance_count
        0 2022-03-01         T1 MPRAGE              64
        1 2022-09-06         T1 MPRAGE              64
        >>> len(session.get_volumes())
        2
        """
        selection = self._selection
        if selection.level is None and not everything:
            raise SelectionError(
                "Nothing was selected, so the whole PACS would be retrieved: narrow it with select(...), or allow it "
                "with everything=True."
            )
        wanted = _checked_level(level) or selection.level or "study"
        names = resolving.keys_at(self._index, selection, wanted)
        if not names:
            raise self._empty()
        keys = [Key.parse(name) for name in names]
        images = self._images(wanted, names)
        rest, modality = self._pacs.rest, self._pacs.modality
        method = choose_method(rest, modality, how)
        retrieve(rest, modality, method, wanted, keys, timeout=timeout, network_timeout=self._pacs.timeout)
        session = self._on_server(_uids(wanted, keys))
        uids = [session.get_dicom_tag(UID_TAGS[upper], unique=False, level="instance") for upper in LEVELS[1:]]
        held = list(zip(*uids, strict=True))
        self._check(wanted, keys, images, held)
        self._check_each(wanted, keys, {chain[: depth(wanted)] for chain in held})
        return session

    def _images(self, level: Level, names: Sequence[str]) -> set[str] | None:
        """Return the SOPInstanceUIDs of what is retrieved; None if the PACS refuses to list images."""
        try:
            return {Key.parse(name).instance for name in self._index.down(level, names, "instance")}
        except UnsupportedError:
            return None

    def _on_server(self, uids: Mapping[str, list[str]]) -> Orthanc:
        """Open a session on the server as it is now, narrowed to the objects with these UIDs."""
        session = _forgetful(self._server)
        with warnings.catch_warnings():
            # Whether all of them are there is checked afterwards.
            warnings.simplefilter("ignore", UserWarning)
            return session.select(**uids)

    def _check(
        self, level: Level, keys: Sequence[Key], images: set[str] | None, held: Sequence[tuple[str, ...]]
    ) -> None:
        """Raise unless what was retrieved is held by the server."""
        where, told = self._server._source.description, self._pacs.image_counts
        arrived = {chain[-1] for chain in held}
        if images is not None:
            # Where a PACS says that there are more images than it lists, that was warned of.
            expected, absent = len(images), sorted(images - arrived)
            missing = len(absent)
        elif all(str(key) in told for key in keys):
            counts: Counter[tuple[str, ...]] = Counter()
            for key in keys:
                counts[key[1 : depth(level) + 1]] += told[str(key)]
            # One by one, since the server may have held more of another object before.
            lacking = counts - Counter(chain[: depth(level)] for chain in held)
            expected, missing, absent = counts.total(), lacking.total(), [chain[-1] for chain in lacking]
        else:
            if not held:
                raise JobError(f"{self._pacs.description} reported success, and {where} holds nothing of it.")
            warnings.warn(
                f"{self._pacs.description} neither lists its images nor tells how many there are, so that nobody knows "
                f"whether all of them are among the {len(arrived)} that {where} holds.",
                stacklevel=stacklevel(),
            )
            return
        if not missing:
            return
        raise JobError(
            f"{missing} of {expected} images did not arrive from {self._pacs.description}, although it reported "
            f"success: {', '.join(absent[:_NAMED_IN_ERRORS])}{', ...' if len(absent) > _NAMED_IN_ERRORS else ''}. "
            f"{where} holds {len(arrived)} of the selection. They may have been deleted, which refresh() shows, or "
            f"refused by this Orthanc, as its log shows{_ELSEWHERE}; retrieve() again asks for them again."
        )

    def _check_each(self, level: Level, keys: Sequence[Key], held: set[tuple[str, ...]]) -> None:
        """Raise unless the server holds something of each object: a PACS may list no image of one that is gone."""
        absent = [key[depth(level)] for key in keys if key[1 : depth(level) + 1] not in held]
        if absent:
            named = ", ".join(absent[:_NAMED_IN_ERRORS]) + (", ..." if len(absent) > _NAMED_IN_ERRORS else "")
            raise JobError(
                f"Nothing arrived of {len(absent)} of {len(keys)} objects of level {level} from "
                f"{self._pacs.description}, although it reported success: {named}. "
                "They may have been deleted, which refresh() shows, or refused by this Orthanc, as its log "
                f"shows{_ELSEWHERE}."
            )

    def _resolve(self, selection: Selection, criteria: Sequence[Criterion]) -> Selection:
        comparisons = [comparison for criterion in criteria for comparison in all_comparisons(criterion.condition)]
        fields = [comparison.field for comparison in comparisons]
        in_files = [str(field) for field in fields if isinstance(field, Tag) and self._index.home(field) is None]
        in_files += ["PatientAge (of age())" for field in fields if isinstance(field, AgeField)]
        if in_files:
            raise needs_retrieval(", ".join(dict.fromkeys(in_files)), self._pacs.description)
        if selection.level is None:
            # What the PACS searches for comes first, so that not all of it is listed.
            criteria = sorted(criteria, key=lambda criterion: not self._is_searched(criterion))
        with deciding():
            narrowed = super()._resolve(selection, criteria)
        for comparison in comparisons:
            self._check_characters(comparison)
        return narrowed

    def _is_searched(self, criterion: Criterion) -> bool:
        condition = criterion.meaning
        if not isinstance(condition, Comparison) or not isinstance(condition.field, Tag):
            return False
        return keys_for(condition.field, condition.predicate) is not None

    def _check_characters(self, comparison: Comparison) -> None:
        """Raise if a condition is about characters that Orthanc leaves out of the answers."""
        if not isinstance(comparison.field, Tag) or comparison.field.vr not in TEXT_VRS:
            return
        condition = str(comparison)
        for character_set in sorted(self._pacs.lossy_character_sets):
            encoding = python_encoding.get(character_set, "ascii")
            lost = sorted({character for character in condition if not _can_encode(character, encoding)})
            if lost:
                raise UnsupportedError(
                    f"{condition}: {self._server._source.description} writes answers in {character_set}, and leaves "
                    f"out characters that it lacks, such as {''.join(lost[:_NAMED_IN_ERRORS])!r}. Set "
                    '"DefaultEncoding": "Utf8" in its configuration, or '
                    'orthanc.rest.put("/tools/default-encoding", "Utf8") until it is restarted, which applies to all '
                    "that it does; then refresh() this session."
                )

    def _nonempty(self) -> NoReturn:
        # All verbs that read ask for the selected instances in this way.
        raise needs_retrieval("Reading", self._pacs.description)

    def table(
        self, *tags: TagLike | Sequence[TagLike], level: Level = "series", varying: Varying = "na"
    ) -> pd.DataFrame:
        """Return a table of tags with one row per selected object of a level, as `Session.table` does.

        Parameters
        ----------
        *tags, level, varying
            As for `Session.table`. The default columns lack the positions of images, which no PACS answers with.

        Returns
        -------
        pandas.DataFrame
            What the PACS does not answer with is NA.

        Warns
        -----
        UserWarning
            The PACS does not answer with some of the tags.

        Examples
        --------
        >>> orthanc.modality("PACS").table("PatientID", "StudyDate", level="study")
          PatientID  StudyDate
        0    EX-001 2022-03-01
        1    EX-001 2022-09-06
        2    EX-002 2023-01-16
        """
        names: Sequence[TagLike] = tables.unpacked(tags) or [
            name
            for name in tables.default_columns(tables.check_level(level))
            if name in tables.COUNTS or self._index.home(parse_tag(name)) is not None
        ]
        with collecting_unknown(self._pacs.description):
            return super().table(*names, level=level, varying=varying)

    def describe(self, *tags: TagLike | Sequence[TagLike], files: bool = False) -> pd.DataFrame:
        """Show what can be filtered on, as `Session.describe` does.

        Parameters
        ----------
        *tags
            As for `Session.describe`. Default: what a PACS answers with; where nothing is selected that of studies
            only, since it is asked for tags of series study by study.
        files : bool
            Not possible here.

        Returns
        -------
        pandas.DataFrame
            What the PACS does not answer with is missing.

        Raises
        ------
        UnsupportedError
            Only files could answer; the message names `retrieve`.

        Warns
        -----
        UserWarning
            The PACS does not answer with some of the tags.

        Examples
        --------
        >>> pacs = orthanc.modality("PACS").select(PatientID="EX-001")
        >>> pacs.describe("Modality", "StudyDate")
                 tag   level  distinct  missing                        examples
        0   Modality  series         1        0                       {'MR': 4}
        1  StudyDate   study         2        0  {'20220301': 1, '20220906': 1}
        """
        if files:
            self._check_has_files()
        names: Sequence[TagLike] = tables.unpacked(tags)
        if not names and self._selection.level is None:
            names = in_order(ASKED["study"])
        with collecting_unknown(self._pacs.description):
            return super().describe(*names)

    def _usual(self, known: Sequence[Summary]) -> list[Summary]:
        return []

    def get_masks(self, like: Volume | None = None, *, allow_other_frame: bool = False) -> NoReturn:
        """Raise UnsupportedError, since masks need files.

        Raises
        ------
        UnsupportedError
            Always; the message names `retrieve`.

        Examples
        --------
        >>> orthanc.modality("PACS").select(Modality="SEG").get_masks()
        Traceback (most recent call last):
            ...
        simple_orthanc.errors.UnsupportedError: Reading: 'PACS' through ... hands over no files, ...
        """
        self._nonempty()

    def get_all_dicom_tags(self, include_private: bool = True) -> list[str]:
        """List the tags that a PACS is asked for; it may leave out some of them.

        Parameters
        ----------
        include_private : bool
            Without effect, since C-FIND has no private tags.

        Returns
        -------
        list of str
            Keywords.

        Examples
        --------
        >>> orthanc.modality("PACS").get_all_dicom_tags()[:3]
        ['PatientName', 'PatientID', 'PatientBirthDate']
        """
        return [name for tags in ASKED.values() for name in tags]


def _forgetful(session: Orthanc) -> Orthanc:
    """Return a session on the same server without anything selected, or known of what it holds."""
    twin = session.copy()
    twin._index, twin._selection = Index(twin._source), Selection()
    return twin


def _checked_level(level: Level | None) -> Level | None:
    if level is not None and level not in LEVELS[1:]:
        raise SelectionError(f'level={level!r} is none of "study", "series" and "instance".')
    return level


def _uids(level: Level, keys: Sequence[Key]) -> dict[str, list[str]]:
    """Return the tags, with their values, that select objects of a level on the server."""
    tags = {upper: UID_TAGS[upper] for upper in LEVELS[1 : depth(level) + 1]}
    return {name: list(dict.fromkeys(key[depth(upper)] for key in keys)) for upper, name in tags.items()}


def _can_encode(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
