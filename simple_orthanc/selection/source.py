"""What a source of images must be able to do: the seam between a session and the place where its images are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value


@dataclass(slots=True)
class Row:
    """One patient, study, series or instance.

    Attributes
    ----------
    key : str
        The source's own name for it, unique in its level; nothing but the source knows what it says.
    parent : str
        Key of the object one level up; "" for a patient.
    children : tuple of str
        Keys of the objects one level down.
    has_unknown_children : bool
        The source did not say with the row what lies below it; `Source.below` finds that out.
    values : dict
        Name of tag to value, for the tags that the source indexes at this level; a missing one has no entry.
    has_unreliable_strings : bool
        Of a study: texts in the rows of its series may be wrong, and `Source.reload_from_files` gives them right.
    unanswered : frozenset of str
        Names of indexed tags that have no value here, and of which it is not known whether the source has answered
        for them at all; `Source.reload_from_files` finds out.
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
    """One meaning of an identifier: the tag that holds it, and the object it names."""

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
    counts : mapping or None
        How much there was at each level, where the source found that out on its way.
    """

    token: object
    counts: Mapping[Level, int] | None = None


@dataclass(frozen=True)
class Changes:
    """What became of an archive since a revision.

    Attributes
    ----------
    revision : Revision
        The state now.
    added : frozenset of str or None
        Keys of the instances added or replaced since; None: nobody can say, so nothing that is known may be kept.
    removed : bool
        Whether something is gone, or was replaced, since.
    """

    revision: Revision
    added: frozenset[str] | None
    removed: bool


class Source(Protocol):
    """A place that holds DICOM objects.

    Contract:

    - rows are given for study, series and instance; a study's row also holds the patient tags of that study, and its
      parent is the patient, since one patient's name may be spelt differently in two studies;
    - `search` and `below` never leave out a row that belongs to the answer, but may give more;
    - values are canonical (see `simple_orthanc.dicom.values`), so that equal files give equal values from every source;
    - every method may be called from several threads at once.
    """

    @property
    def description(self) -> str:
        """A short name for people: never with a password in it."""

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""

    def counts(self) -> Mapping[Level, int]:
        """Count everything, at each level."""

    def indexed(self, tag: Tag) -> Level | None:
        """Say at which level rows carry this tag; None: only the files know it."""

    def searchable(self, tag: Tag) -> bool:
        """Say whether `search` can find rows by this tag."""

    def listing(self, level: Level) -> Iterable[Row]:
        """Give every row of a level."""

    def search(self, level: Level, tag: Tag, patterns: Sequence[str]) -> Iterable[Row]:
        """Give at least the rows of which a value matches one of the wildcard patterns, whatever the case."""

    def below(self, level: Level, parents: Sequence[Row]) -> Iterable[Row]:
        """Give at least the rows of a level whose parents are these rows of the level above."""

    def rows(self, level: Level, keys: Sequence[str]) -> Iterable[Row]:
        """Give the rows with these keys."""

    def reload_from_files(self, level: Level, rows: Sequence[Row]) -> Iterable[Row]:
        """Give rows anew, with all texts from a file of each.

        Asked of series of a study that casts doubt, and of rows with tags unanswered.
        """

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        """Read tags from the files of some series: name of tag, to key of instance, to value.

        ``keys`` narrows to these instances; a source that can only read whole series gives more.
        """

    def resolve(self, text: str) -> Sequence[IdentifierMatch]:
        """Find what an identifier names: a UID, AccessionNumber, PatientID or the source's own key."""

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        """Give the objects that carry a label, or the values of an entry of metadata."""

    def header(self, key: str) -> Dataset:
        """Read an instance's header: exact, from the DICOM bytes, without pixels."""

    def content(self, key: str) -> bytes:
        """Read an instance's DICOM file."""

    def read(self, key: str, allocate: Callable[[int], memoryview]) -> memoryview:
        """Read an instance's DICOM file into memory of so many bytes that `allocate` gives, or into other memory."""

    def check_identity(self, key: str, header: Dataset) -> None:
        """Check that a header, read from what `read` returned, is that of the instance.

        `header`, `content` and `save` check it themselves.

        Raises
        ------
        TransportError
            If it is that of another object.
        """

    def save(self, key: str, path: Path) -> None:
        """Write an instance's DICOM file; the path appears only when the file is complete."""

    def revision(self) -> Revision:
        """Say in which state the archive is."""

    def changes(self, since: Revision) -> Changes:
        """Find out what became of the archive since a revision."""

    def close(self) -> None:
        """Let go of connections."""


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Cut a sequence into pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
