"""The index of a folder: one item for each file that was read, and the archive that the items make together.

The archive is the one that Orthanc makes of the uploaded files. A patient, study, series or instance is identified by
the chain of its identifiers, so that one UID under two patients is two objects. The values of a study and of a series
are those of its first file by path, and of several files of one instance the first is used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, TypeAlias

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.selection.source import IdentifierMatch, Row

Status: TypeAlias = Literal[
    "indexed", "duplicate", "conflict", "not DICOM", "incomplete", "unreadable", "missing", "skipped"
]
Chain: TypeAlias = tuple[str, str, str, str]

TAGS: dict[Level, tuple[Tag, ...]] = {level: tuple(tags.values()) for level, tags in INDEX_TAGS.items()}
IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_LEVEL_OF_IDENTIFIER: dict[str, Level] = dict(zip(IDENTIFIERS, ("patient", "study", "series", "instance"), strict=True))


@dataclass(slots=True)
class Item:
    """One file, or member of a zip, by itself.

    Attributes
    ----------
    path : str
        From the top folder, "" for the top itself.
    member : str or None
        Name in a zip.
    member_index : int
        Index of the member in the zip, where names may occur twice.
    size : int
        Bytes of the file, unpacked.
    stamp : tuple of int
        Bytes, time of change and time of change of the entry (ns) of the file on disk.
    status : str
        "indexed" if it could be, whatever other files there are.
    uid, message : str
        SOPInstanceUID, and the reason of the status.
    chain : tuple of str or None
        The identifiers of patient, study, series and instance.
    serialized : tuple of str or None
        The values of the tags of study, series and instance in `TAGS`, as `serialize`.
    references : tuple of str
        The files that a DICOMDIR lists, from its folder, with slashes.
    is_settled : bool
        Whether the stamp would show a later change. False also where reading failed and may not fail again.
    digest : str
        Checksum of the file, "" until it is needed.
    """

    path: str
    member: str | None
    member_index: int
    size: int
    stamp: tuple[int, int, int]
    status: Status
    uid: str | None = None
    message: str = ""
    chain: Chain | None = None
    serialized: tuple[str, str, str] | None = None
    references: tuple[str, ...] = ()
    is_settled: bool = field(default=True, compare=False)
    digest: str = field(default="", compare=False)


@dataclass(frozen=True)
class Finding:
    """The outcome for one file: a row of the report."""

    path: str
    member: str | None
    status: Status
    uid: str | None
    message: str


def serialize(values: Mapping[str, Value], level: Level) -> str:
    """Write the values of a level's tags as one string, which takes less memory, and less of the cache.

    Examples
    --------
    >>> text = serialize({"SeriesNumber": ("3",), "Modality": ("CT",)}, "series")
    >>> text
    '[0,0,["CT"],0,0,0,0,0,0,0,["3"],0,0]'
    >>> deserialize(text, "series")
    {'Modality': ('CT',), 'SeriesNumber': ('3',)}
    """
    # Bytes, which JSON does not know, are in a list of their own.
    found = [
        [part if isinstance(part, str) else [part.decode("latin-1")] for part in value] if value else 0
        for value in (values.get(tag.name) for tag in TAGS[level])
    ]
    return json.dumps(found, separators=(",", ":"))


def deserialize(text: str, level: Level) -> dict[str, Value]:
    """Read what `serialize` wrote."""
    return {
        tag.name: tuple(part if isinstance(part, str) else part[0].encode("latin-1") for part in parts)
        for tag, parts in zip(TAGS[level], json.loads(text), strict=True)
        if parts
    }


def chain_of(values: Mapping[str, Value]) -> Chain:
    """Return the identifiers of an instance as strings, "" for one that is missing."""
    patient, study, series, instance = ("\\".join(map(str, values.get(name) or ())) for name in IDENTIFIERS)
    return patient, study, series, instance


def identifier(chain: Sequence[str]) -> str:
    """Return the Orthanc id of an object, from its identifiers and those above it.

    Examples
    --------
    >>> identifier(["p1", "1.2.3"])
    '2917e5dd-c705ca33-b4284906-1828e25a-d2bad663'
    """
    text = hashlib.sha1("|".join(chain).encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:16]}-{text[16:24]}-{text[24:32]}-{text[32:]}"


def instance_row(key: str, parent: str, serialized: tuple[str, str, str]) -> Row:
    """Return the row of an instance from what its item has of the file."""
    return Row(key, parent, (), deserialize(serialized[2], "instance"))


@dataclass(slots=True)
class _Group:
    """A patient, study or series; ``text`` has the values from its first file."""

    parent: str
    text: str
    children: list[str] = field(default_factory=list)


class FolderIndex:
    """The archive that some items make; immutable.

    Parameters
    ----------
    items : sequence of Item
        In the order of their paths.
    others : sequence of Finding
        Further rows of the report.
    differ : callable
        Checks whether the files of two items of the same size are different.

    Attributes
    ----------
    instances : dict
        Key to item.
    findings : list of Finding
        The outcome for each file, in the order of paths.
    """

    def __init__(self, items: Sequence[Item], others: Sequence[Finding], differ: Callable[[Item, Item], bool]) -> None:
        self.instances: dict[str, Item] = {}
        self.findings: list[Finding] = []
        self._groups: dict[Level, dict[str, _Group]] = {"patient": {}, "study": {}, "series": {}}
        self._parents: dict[str, str] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        for item in items:
            self.findings.append(self._added(item, differ))
        self.findings.extend(others)
        self.findings.extend(_missing(items, others))
        # Stable, so that the members of a zip keep their order.
        self.findings.sort(key=lambda finding: finding.path.replace("\\", "/").split("/"))

    def _added(self, item: Item, differ: Callable[[Item, Item], bool]) -> Finding:
        """Add an item to the archive, and return its row of the report."""
        if item.chain is None or item.serialized is None:
            return Finding(item.path, item.member, item.status, item.uid, item.message)
        key = identifier(item.chain)
        first = self.instances.get(key)
        if first is not None:
            name = first.path if first.member is None else f"{first.member} in {first.path}"
            if first.size == item.size and not differ(first, item):
                return Finding(item.path, item.member, "duplicate", item.uid, f"the same file as {name}")
            message = f"not used: {name} has the same SOPInstanceUID but different content"
            return Finding(item.path, item.member, "conflict", item.uid, message)
        self.instances[key] = item
        self._parents[key] = self._group(item.chain, item.serialized, key)
        return Finding(item.path, item.member, item.status, item.uid, item.message)

    def _group(self, chain: Chain, texts: tuple[str, str, str], child: str) -> str:
        """Add the groups above an instance where they are missing, and return the key of its series."""
        known = self._keys.get(chain[:3])
        if known is not None:
            self._groups["series"][known].children.append(child)
            return known
        levels: tuple[Level, ...] = ("series", "study", "patient")
        keys = [identifier(chain[:depth]) for depth in (3, 2, 1)]
        self._keys[chain[:3]] = keys[0]
        for level, key, parent, text in zip(levels, keys, [*keys[1:], ""], [texts[1], texts[0], ""], strict=True):
            group = self._groups[level].get(key)
            if group is not None:
                group.children.append(child)
                break
            self._groups[level][key] = _Group(parent, text, [child])
            child = key
        return keys[0]

    def counts(self) -> dict[Level, int]:
        """Count everything, at each level."""
        counts: dict[Level, int] = {level: len(groups) for level, groups in self._groups.items()}
        return {**counts, "instance": len(self.instances)}

    def keys(self, level: Level) -> Iterable[str]:
        """Return the keys of a level."""
        return self.instances.keys() if level == "instance" else self._groups[level].keys()

    def rows(self, level: Level, keys: Iterable[str]) -> Iterator[Row]:
        """Return the rows with these keys of a study, series or instance level; keys that are unknown have none."""
        if level == "instance":
            for key in keys:
                item = self.instances.get(key)
                if item is not None and item.serialized is not None:
                    yield instance_row(key, self._parents[key], item.serialized)
            return
        groups = self._groups[level]
        for key in keys:
            group = groups.get(key)
            if group is not None:
                yield Row(key, group.parent, tuple(group.children), deserialize(group.text, level))

    def resolve(self, text: str) -> list[IdentifierMatch]:
        """Find the objects that an identifier names."""
        levels: tuple[Level, ...] = ("patient", "study", "series", "instance")
        found = [IdentifierMatch("Orthanc id", level, text) for level in levels if text in self.keys(level)]
        for depth, (name, level) in enumerate(_LEVEL_OF_IDENTIFIER.items()):
            chains = {item.chain[: depth + 1] for item in self.instances.values() if item.chain}
            found.extend(
                IdentifierMatch(name, level, identifier(chain)) for chain in sorted(chains) if chain[depth] == text
            )
        for row in self.rows("study", self.keys("study")):
            if row.values.get("AccessionNumber") == (text,):
                found.append(IdentifierMatch("AccessionNumber", "study", row.key))
        return found


def as_reference(path: str) -> str:
    r"""Normalise a path for comparing it with what a DICOMDIR lists.

    Names on a medium are in upper case, and systems show them in lower case, or with the number of their version.

    Examples
    --------
    >>> as_reference("images/im1.;1"), as_reference("IMAGES\\IM1")
    ('images/im1', 'images/im1')
    """
    parts = path.replace("\\", "/").split("/")
    return "/".join(part.strip().split(";")[0].rstrip(".").casefold() for part in parts)


def references_of(item: Item) -> dict[str, str]:
    """Return what a DICOMDIR lists: normalised path to path, or to the name in the zip."""
    folder = (item.path if item.member is None else item.member).replace("\\", "/").rpartition("/")[0]
    listed = [f"{folder}/{reference}" if folder else reference for reference in item.references]
    return {as_reference(name): name for name in listed}


def _missing(items: Sequence[Item], others: Sequence[Finding]) -> Iterator[Finding]:
    """Find what a DICOMDIR lists and the folder does not hold."""
    listing = [item for item in items if item.references]
    if not listing:
        return
    # Of a folder that was not entered nobody knows what it holds.
    on_disk = {as_reference(path) for path in [*(item.path for item in items), *(other.path for other in others)]}
    in_zips = {(item.path, as_reference(item.member)) for item in items if item.member is not None}
    for item in listing:
        for compared, name in references_of(item).items():
            if item.member is None and on_disk.isdisjoint(accumulate(compared.split("/"), "{}/{}".format)):
                yield Finding(name, None, "missing", None, f"listed in {item.path}, and not there")
            elif item.member is not None and (item.path, compared) not in in_zips:
                yield Finding(item.path, name, "missing", None, f"listed in {item.member}, and not there")
