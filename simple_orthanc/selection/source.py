"""The port: what a source of DICOM objects must be able to do, for a session to select, list and read on it.

`simple_orthanc.sources` holds the adapters: Orthanc, DICOMweb, folders and PACS. A fifth source is a class with the
members of `Source`; its tests subclass `tests.sources.contract.SourceTests`, which checks each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.selection.file_reading import FileReading, StoredFile
from simple_orthanc.selection.predicates import Predicate


@dataclass(slots=True)
class Row:
    """One study, series or instance.

    Attributes
    ----------
    key : str
        The source's own name for the object, unique in its level; only the source interprets it.
    parent : str
        Key of the object one level up; of a study, the key of its patient, who has no row.
    children : tuple of str
        Keys of the objects one level down.
    values : dict
        Name of tag to value, for the tags that the source indexes at this level; a missing one has no entry.
    has_unreliable_strings : bool
        Of a study: strings in the rows of its series may be wrong; `Source.reload_from_files` corrects them.
    has_unknown_children : bool
        The source did not report the children with the row; `Source.below` finds them.
    unresolved_tags : frozenset of str
        Names of indexed tags that have no value here, although the file may have one; `Source.reload_from_files` finds
        out.
    """

    key: str
    parent: str
    children: tuple[str, ...] = ()
    values: dict[str, Value] = field(default_factory=dict)
    has_unreliable_strings: bool = False
    has_unknown_children: bool = False
    unresolved_tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class IdentifierMatch:
    """One object that an identifier names.

    Attributes
    ----------
    tag : str
        Name of the tag that holds the identifier; for a source's own identifier a name that is not a keyword, such as
        "Orthanc id".
    level : str
        Level of the object.
    key : str
        Its key.
    """

    tag: str
    level: Level
    key: str


@dataclass(frozen=True)
class Revision:
    """A state of an archive.

    Attributes
    ----------
    token : object
        What the source needs to find out later what has changed since.
    counts : mapping, optional
        How much there was at each level, if the source found that out on the way.
    """

    token: object
    counts: Mapping[Level, int] | None = None


class Mark(NamedTuple):
    """A state of an archive in a pickle, by which it shows later what was replaced.

    Attributes
    ----------
    revision : Revision
        The state, small enough for a pickle.
    made_at : float
        When it was marked, by `time.time`.
    """

    revision: Revision
    made_at: float


SeriesOf: TypeAlias = Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Changes:
    """What has changed in an archive since a revision.

    Attributes
    ----------
    revision : Revision
        The state now.
    added : frozenset of str, optional
        Keys of the instances added or replaced since. None: the source cannot tell, so nothing that is known may be
        kept.
    removed : bool
        Whether something may have been deleted or replaced since.
    """

    revision: Revision
    added: frozenset[str] | None
    removed: bool


class Source(FileReading, Protocol):
    """A place that holds DICOM objects.

    What holds for all members:

    - There are rows of studies, series and instances. A study's row also holds the patient tags of that study, since
      the name of one patient may be spelt differently in two studies.
    - Values are canonical (see `simple_orthanc.dicom.values`): equal files give equal values from every source. A
      source that only has the value of a number may spell it differently.
    - Every member may be called from several threads at once.
    - A source can be pickled, without its connections, and used again after `close`.
    - Errors are those of `simple_orthanc.errors`.
    """

    @property
    def description(self) -> str:
        """A short name for people, such as a URL or path; never with a password in it."""
        ...

    @property
    def requests(self) -> int:
        """How many requests have been sent so far; reading the property sends none."""
        ...

    def counts(self) -> Mapping[Level, int]:
        """Count the patients, studies, series and instances of the whole archive."""
        ...

    def indexed(self, tag: Tag) -> Level | None:
        """Return the level whose rows hold a tag, or None if only the files hold it; sends no request."""
        ...

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        """Check whether `search` finds rows by this predicate of a tag, which must be indexed; sends no request."""
        ...

    def listing(self, level: Level) -> Iterable[Row]:
        """Return every row of a level, each once; the order is free."""
        ...

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterable[Row]:
        """Return at least the rows of a level for which a predicate holds; others may be among them.

        Parameters
        ----------
        level : str
            Level of the rows: the one at which the tag is indexed.
        tag : Tag
            The tag that the predicate is about.
        predicate : Predicate
            One for which `searchable` is true.
        """
        ...

    def below(self, level: Level, parents: Sequence[Row]) -> Iterable[Row]:
        """Return at least the rows of a level whose parents are the given rows of the level above."""
        ...

    def rows(self, level: Level, keys: Sequence[str]) -> Iterable[Row]:
        """Return the rows with these keys; an object that is not there any more has none, which is no error."""
        ...

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterable[Row]:
        """Return the same rows with their values read from a file of each, and no unresolved tags.

        Called for series of a study with unreliable strings, and for rows with unresolved tags.

        Parameters
        ----------
        level : str
            Level of the rows.
        rows : sequence of Row
            The rows.
        tag : Tag, optional
            The unresolved tag whose values are wanted; None: all values. A source that cannot read files warns of this
            tag, and returns the rows as they are; or it raises an UnsupportedError.
        """
        ...

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Read tags from the files of some series.

        Parameters
        ----------
        tags : sequence of Tag
            Any tags.
        series : sequence of Row
            The rows of the series, with their children.
        keys : frozenset of str, optional
            The instances that are wanted; values of others of these series may be returned too. None: all of them.

        Returns
        -------
        mapping
            Name of tag, to key of instance, to value: None if the file lacks the tag. A file that could not be read,
            since it is not there any more, has no entry.
        """
        ...

    def resolve(self, text: str) -> Sequence[IdentifierMatch]:
        """Find what an identifier names: a UID, AccessionNumber, PatientID or the source's own identifier.

        The comparison is exact, with regard to case. Nothing found: an empty sequence.
        """
        ...

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Return the objects that have a label, or the values of a metadata entry: level, to key, to value.

        Parameters
        ----------
        kind : {"label", "metadata"}
            What is asked for.
        name : str
            Its name.

        Raises
        ------
        UnsupportedError
            The source has no labels or metadata.
        """
        ...

    def listed_file(self, key: str) -> StoredFile:
        """Return the length and the MD5 of an instance's file as far as they came with its row; sends no request."""
        ...

    def stored_md5(self, key: str) -> str | None:
        """Return the MD5 of an instance's file as the source has it now; None if it can only be read from the file."""
        ...

    def compared_md5(self, key: str) -> str | None:
        """Return the MD5 with which every file is compared that is read of an instance; None if it is not.

        After a file was read, it is that of this file.
        """
        ...

    def read_together(self, series: Sequence[Row]) -> Mapping[str, bytes | memoryview]:
        """Read the files of some series, which are small, all at once, where the source gains by that.

        Parameters
        ----------
        series : sequence of Row
            The rows of the series, with their children, whose own rows were read before.

        Returns
        -------
        mapping
            Key of instance to its whole file, which was compared with what the source knows of it. What is missing
            is read by `read`, one by one; nothing is there where that is as good.
        """
        ...

    def content(self, key: str) -> bytes:
        """Read an instance's DICOM file."""
        ...

    def save(self, key: str, path: Path) -> None:
        """Write an instance's DICOM file; the path appears only when the file is complete."""
        ...

    def is_copy(self, key: str, path: Path) -> bool:
        """Check whether a file on disk is that of an instance, whole and unchanged, without fetching the instance.

        Compared is what the source has or knows of it: the bytes, or length and checksum, or else the identifiers and
        whether the file is whole.
        """
        ...

    def revision(self) -> Revision:
        """Return the state of the archive, before anything is read from it."""
        ...

    def changes(self, since: Revision) -> Changes:
        """Find out what has changed in the archive since a revision that this source has returned."""
        ...

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> Mark | None:
        """Return a small state that can be pickled, with which `replaced_since` works; sends no request.

        Parameters
        ----------
        revision : Revision, optional
            The state of the archive before something was read from it.
        instances : sequence of str, optional
            Keys of the instances that are asked about later; None: too many to be listed.

        Returns
        -------
        Mark or None
            None if the source cannot tell what was replaced.
        """
        ...

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        """Count those of some instances whose files were replaced since a state that `mark` has returned.

        Parameters
        ----------
        mark : Mark
            The state.
        instances : sequence of str
            Keys of the instances for which it was made.
        at : float
            The time, by `time.monotonic`, from which on the source must have looked for what was replaced.
        series_of : function, optional
            Called with keys of instances; returns the keys of the series that they are in, one for one. With it what
            came with a whole series, between the state and its mark, does not count as replaced.
        """
        ...

    def close(self) -> None:
        """Close the connections and files; the source opens them again if it is used again."""
        ...


def archive_of(source: Source) -> Source:
    """Return the whole archive behind a source that shows a part of it, and any other source as it is."""
    archive: Source = getattr(source, "archive", source)
    return archive


def part_name(source: Source) -> str:
    """Return what the part of an archive is called that a source shows, "" if it shows the whole of it."""
    return str(getattr(source, "part", ""))


def known_files(source: Source, keys: Sequence[str]) -> object | None:
    """Return what another process need not find out about the files of some instances; sends no request.

    It can be pickled, and `learn_files` takes it. None: nothing, or the source finds it out as quickly there.
    """
    known: Callable[[Sequence[str]], object | None] | None = getattr(source, "known_files", None)
    return None if known is None else known(keys)


def learn_files(source: Source, known: object) -> None:
    """Take what `known_files` has returned in another process, for the same source."""
    learning: Any = source
    learning.learn_files(known)


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield a sequence in pieces of at most ``size``.

    Examples
    --------
    >>> list(batches([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
