"""Verification of an index: whether its values of studies and series are those of all their files.

An index keeps one value of a tag for a whole study or series, that of the first instance stored, and Orthanc's leaves
out values of more than 256 characters. Reading every header finds where that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydicom.datadict import keyword_dict

from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import NUMBER_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, comparable, shown

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.selection.index import Index
    from simple_orthanc.selection.source import Source

COLUMNS = ("tag", "level", "problem", "indexed", "found", "files")
_IDENTIFIERS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}


@lru_cache(maxsize=1)
def _named_tags() -> tuple[Tag, ...]:
    return tuple(parse_tag(keyword) for keyword in keyword_dict if keyword)


def verify_index(source: Source, index: Index, keys: Sequence[str]) -> pd.DataFrame:
    """Compare what the index holds with the headers of some instances.

    Parameters
    ----------
    source, index
        Where to read, and what to compare.
    keys : sequence of str
        Keys of the instances, in the order of the table.

    Returns
    -------
    pandas.DataFrame
        One row for each tag of a study, series or instance with a wrong value in the index; see
        `Session.verify_index`.
    """
    homes = {tag: home for tag in _named_tags() if (home := source.indexed(tag)) is not None}
    owners = {level: index.up("instance", keys, level) for level in ("study", "series", "instance")}
    # For each tag and each object of the tag's level: distinct value to number of files.
    tallies: dict[tuple[Tag, str], dict[Value, int]] = {}
    workers = source.at_once(keys, headers=True)
    headers = map_ordered(source.header, keys, workers=workers, total=len(keys), label="reading headers")
    for position, header in enumerate(headers):
        for tag, home in homes.items():
            tally = tallies.setdefault((tag, owners[home][position]), {})
            value = read_value(header, tag)
            tally[value] = tally.get(value, 0) + 1
    held = {tag: _held(index, tag, home, owners[home]) for tag, home in homes.items()}
    wrong = [
        (tag, owner, held[tag][owner], tally)
        for (tag, owner), tally in tallies.items()
        if len(tally) > 1 or not any(_same(held[tag][owner], value, tag) for value in tally)
    ]
    return _report(index, homes, wrong)


def _held(index: Index, tag: Tag, home: Level, owners: Iterable[str]) -> dict[str, Value]:
    unique = list(dict.fromkeys(owners))
    return dict(zip(unique, index.column(tag, home, unique), strict=True))


def _same(one: Value, other: Value, tag: Tag) -> bool:
    """Check whether two values are equal; numbers by value, since a source may not have the spelling of the file."""
    if one == other or one is None or other is None or tag.vr not in NUMBER_VRS:
        return one == other
    numbers = [[comparable(part, tag.vr) for part in value] for value in (one, other)]
    return None not in numbers[0] and numbers[0] == numbers[1]


def _report(
    index: Index, homes: Mapping[Tag, Level], wrong: Sequence[tuple[Tag, str, Value, Mapping[Value, int]]]
) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for tag, owner, value, tally in wrong:
        home = homes[tag]
        row: dict[str, Any] = {
            "tag": tag.name,
            "level": home,
            "problem": f"differs inside the {home}" if len(tally) > 1 else "not what the files say",
            "indexed": _spelling(value, tag),
            "found": tuple(_spelling(other, tag) for other in tally),
            "files": sum(tally.values()),
        }
        for level in LEVELS[: depth(home) + 1]:
            identifier = parse_tag(_IDENTIFIERS[level])
            row[identifier.name] = _spelling(index.column(identifier, home, [owner])[0], identifier)
        rows.append(row)
    frame = pd.DataFrame(rows, columns=[*_IDENTIFIERS.values(), *COLUMNS])
    types = {name: "Int64" if name == "files" else "string" for name in frame.columns if name != "found"}
    typed: pd.DataFrame = frame.astype(types)
    return typed


def _spelling(value: Value, tag: Tag) -> str | None:
    """Return a value as it is spelt: it is shown beside others that may be spelt differently."""
    if value is None:
        return None
    content = shown(value, tag)
    return content if isinstance(content, str) else "\\".join(str(part) for part in value)
