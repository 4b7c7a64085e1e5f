"""A selection as small data: its criteria, and how to find its keys again.

Few keys are packed as they are. For more, the keys of the level above are packed, with one bit for each object in them.
For very many, only their digest is: the criteria are applied again where the selection is unpacked. In every case what
is found there is compared with what was selected, so the result is the same selection or an error.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import NamedTuple

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection import resolving
from simple_orthanc.selection.index import Index, NotKnownError
from simple_orthanc.selection.selection import Selection
from simple_orthanc.selection.source import Mark

# The most bytes that packed keys may take.
_MOST_BYTES = 1200
# More keys do not fit into that, however well they compress.
_MOST_KEYS = 4000
# Of up to this many instances the keys are compared; of more, only their number.
_MOST_COMPARED = 20_000

_NOUNS: dict[Level, str] = {"patient": "patients", "study": "studies", "series": "series", "instance": "instances"}


class Digest(NamedTuple):
    """A digest by which two sets of keys are compared.

    Attributes
    ----------
    total : int
        How many there are.
    hash : bytes
        A hash of the keys, whatever their order; empty if only their number is compared.
    """

    total: int
    hash: bytes = b""


class Mask(NamedTuple):
    """Which of the children of some objects are selected.

    Attributes
    ----------
    among : Digest
        All of the children.
    bits : bytes
        One bit for each child, in the order of their keys, compressed.
    """

    among: Digest
    bits: bytes


class PackedKeys(NamedTuple):
    """Keys of one level, and which of the objects in them are selected, level by level.

    Attributes
    ----------
    level : str
        The level of the keys.
    text : bytes
        The keys, compressed.
    masks : tuple of Mask
        One for each level below.
    """

    level: Level
    text: bytes
    masks: tuple[Mask, ...] = ()


@dataclass(frozen=True)
class PackedSelection:
    """A selection without its keys.

    Attributes
    ----------
    asked : Selection
        The selection, as it was but for its keys.
    keys : PackedKeys or None
        How its keys are found again; None: by its criteria.
    selected : Digest
        Its keys.
    series : Digest or None
        The series of selected studies; None if they were not known, or no studies are selected.
    instances : Digest or None
        The instances selected; None if they were not known.
    counts : mapping
        How many objects are selected at each level, as far as that was known.
    mark : Mark or None
        The state of the archive, if the source can find out later what was replaced since.
    """

    asked: Selection
    keys: PackedKeys | None
    selected: Digest
    series: Digest | None
    instances: Digest | None
    counts: Mapping[Level, int]
    mark: Mark | None

    def __reduce__(self) -> tuple[Callable[[bytes], PackedSelection], tuple[bytes]]:
        """Compress all of it: the strings of a criterion occur in what it means and in its step, too."""
        values = tuple(getattr(self, field.name) for field in fields(self))
        return _unpickled, (zlib.compress(pickle.dumps(values)),)


def _unpickled(content: bytes) -> PackedSelection:
    return PackedSelection(*pickle.loads(zlib.decompress(content)))


def digest_of(keys: Iterable[str]) -> Digest:
    """Return the digest of distinct keys.

    Examples
    --------
    >>> digest_of(["a", "b"]) == digest_of(["b", "a"]), digest_of(["a", "b"]) == digest_of(["a", "c"])
    (True, False)
    """
    ordered = sorted(keys)
    text = json.dumps(ordered).encode()
    return Digest(len(ordered), hashlib.blake2b(text, digest_size=12).digest())


def pack(index: Index, selection: Selection) -> PackedSelection:
    """Pack a selection that has criteria, without sending a request.

    Parameters
    ----------
    index : Index
        What has been read of the archive.
    selection : Selection
        What is selected; its level is not None.
    """
    level = selection.level
    assert level is not None
    known = resolving.known_keys(index, selection)
    counts = resolving.known_counts(index, selection, known)
    instances: list[str] | None = None
    with suppress(NotKnownError), index.offline():
        if counts.get("instance", _MOST_COMPARED) <= _MOST_COMPARED:
            instances = index.down(level, selection.keys, "instance")
    compared = digest_of(instances) if instances is not None else None
    if compared is None and "instance" in counts:
        compared = Digest(counts["instance"])
    return PackedSelection(
        replace(selection, keys=()),
        _pack_keys(index, level, selection.keys),
        digest_of(selection.keys),
        digest_of(known["series"]) if level == "study" and "series" in known else None,
        compared,
        counts,
        index.source.mark(index.revision, instances),
    )


def _pack_keys(index: Index, level: Level, keys: Sequence[str]) -> PackedKeys | None:
    masks: list[Mask] = []
    while True:
        if len(keys) <= _MOST_KEYS:
            text = zlib.compress(json.dumps(list(keys)).encode(), 9)
            if len(text) + sum(len(mask.bits) for mask in masks) <= _MOST_BYTES:
                return PackedKeys(level, text, tuple(reversed(masks)))
        if level == "study":
            return None
        above: Level = LEVELS[depth(level) - 1]
        try:
            with index.offline():
                parents = list(dict.fromkeys(index.up(level, keys, above)))
                among = sorted(index.down(above, parents, level))
        except NotKnownError:
            return None
        selected = set(keys)
        bits = "".join("1" if key in selected else "0" for key in among)
        packed = int(f"1{bits}", 2).to_bytes(len(bits) // 8 + 1, "big")
        masks.append(Mask(digest_of(among), zlib.compress(packed, 9)))
        level, keys = above, parents


def unpack(index: Index, packed: PackedSelection, landed: float | None = None) -> Selection:
    """Return the selection that was packed, on the archive as it is now.

    Parameters
    ----------
    index : Index
        What has been read from the archive, and how to read more.
    packed : PackedSelection
        What was selected.
    landed : float, optional
        When the pickle was loaded, by `time.monotonic`. Default: now.

    Raises
    ------
    SelectionError
        The archive no longer holds exactly what was selected: objects are gone, were added or were replaced.
    """
    level = packed.asked.level
    assert level is not None
    keys = _found_again(index, packed, level)
    _compare(level, packed.selected, digest_of(keys))
    if packed.series is not None:
        _compare("series", packed.series, digest_of(index.down(level, keys, "series")))
    instances: list[str] | None = None
    if packed.instances is not None and packed.instances.hash:
        instances = index.down(level, keys, "instance")
        _compare("instance", packed.instances, digest_of(instances))
    elif packed.instances is not None:
        with suppress(NotKnownError), index.offline():
            count = resolving.count(index, replace(packed.asked, keys=keys), "instance")
            _compare("instance", packed.instances, Digest(count))
    if packed.mark is not None and instances is not None:
        if index.is_offline:
            raise NotKnownError
        at = time.monotonic() if landed is None else landed
        series_of = partial(index.up, "instance", target="series")
        replaced = index.source.replaced_since(packed.mark, instances, at, series_of)
        if replaced:
            raise _has_changed(f"{replaced:,} of its {len(instances):,} instances were stored again since")
    return replace(packed.asked, keys=keys)


def _found_again(index: Index, packed: PackedSelection, level: Level) -> tuple[str, ...]:
    if packed.keys is None:
        selection = Selection(order=packed.asked.order)
        narrowed = resolving.narrow(index, selection, *packed.asked.criteria, with_hints=False)
        return narrowed.keys if narrowed.level == level else tuple(resolving.keys_at(index, narrowed, level))
    at = packed.keys.level
    keys = tuple(json.loads(zlib.decompress(packed.keys.text)))
    for mask in packed.keys.masks:
        below: Level = LEVELS[depth(at) + 1]
        among = sorted(index.down(at, keys, below))
        _compare(below, mask.among, digest_of(among), "the objects that it is a part of held")
        bits = f"{int.from_bytes(zlib.decompress(mask.bits), 'big'):b}"[1:]
        at, keys = below, tuple(key for key, bit in zip(among, bits, strict=True) if bit == "1")
    return keys


def _compare(level: Level, then: Digest, now: Digest, what: str = "it selected") -> None:
    if then == now:
        return
    others = "as many, but others" if then.total == now.total else f"{now.total:,}"
    raise _has_changed(f"{what} {then.total:,} {_NOUNS[level]} then, and {others} now")


def _has_changed(how: str) -> SelectionError:
    return SelectionError(
        f"The archive has changed since this session was pickled: {how}. refresh() applies the criteria to what is "
        "there now."
    )
