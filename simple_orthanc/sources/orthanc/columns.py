"""Columns of tags that only the files hold, read in the cheapest way that gives the same values as the files.

What the server is trusted with, and why
----------------------------------------
- A tag that the server keeps in its database at another level is never taken from a find, which would answer with the
  first instance's value for all.
- Private tags, binary values, sequences, and what has more than one possible VR are read from the files' headers.
- Orthanc cannot decode every combination of character sets: a string that may be mangled is read again from the header.
  See `simple_orthanc.sources.charset_check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from simple_orthanc.concurrency.threads import WORKERS, ReusableBuffer, map_ordered, run_all
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import BINARY_VRS, TEXT_VRS, Tag, parse_tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import NotFoundError
from simple_orthanc.rest import Rest
from simple_orthanc.selection.source import Row, batches
from simple_orthanc.sources.charset_check import CHARACTER_SET, is_decodable, is_mangled
from simple_orthanc.sources.orthanc.answers import checked, is_tags
from simple_orthanc.sources.orthanc.find import Finder
from simple_orthanc.sources.orthanc.find_limit import MAX_UIDS
from simple_orthanc.transport import Transport

# What a find answers from what the server knows, or not at all, and never from the file: InstanceAvailability,
# ModalitiesInStudy, SOPClassesInStudy, and the numbers of related studies, series and instances.
_COMPUTED = frozenset(
    {
        *("0008,0056", "0008,0061", "0008,0062"),
        *("0020,1200", "0020,1202", "0020,1204", "0020,1206", "0020,1208", "0020,1209"),
    }
)
# Before 1.13.0 the 64-bit integers are null in every answer.
_VRS_FROM_HEADER = BINARY_VRS | {"SQ", "AT", "SV", "UV"}
_GROUPS_FROM_HEADER = (2, 0x7FE0)

# A header takes as long as about so many instances in an answer for a whole series.
_FEW = 4

# Bytes of the tags of a series of ten slices.
_TAGS_OF_SERIES = 1 << 15

_TOO_LONG = object()

_CHARACTER_SET = parse_tag(CHARACTER_SET)

Columns = dict[str, dict[str, Value]]
Way = Literal["find", "json", "header"]


class ColumnReader:
    """Reads tags of all instances of some series.

    Parameters
    ----------
    transport : Transport
        The connection.
    rest : Rest
        The REST API over it, for what the server can do.
    finder : Finder
        Finds instances with the tags that are requested.
    header : function
        Reads the header of one instance by its key.
    """

    def __init__(self, transport: Transport, rest: Rest, finder: Finder, header: Callable[[str], Dataset]) -> None:
        self._transport, self._rest, self._finder, self._header = transport, rest, finder, header
        self._buffer = ReusableBuffer()

    def read(self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None) -> Columns:
        """Read tags; see `simple_orthanc.selection.source.Source.columns`."""
        columns: Columns = {tag.name: {} for tag in tags}
        by_way: dict[Way, list[Tag]] = {"find": [], "json": [], "header": []}
        # Other requests answer for whole series: for a few instances, their own headers are the less work.
        is_sample = keys is not None and _FEW * len(keys) <= sum(len(row.children) for row in series)
        for tag in tags:
            by_way["header" if is_sample else self._way(tag)].append(tag)
        if by_way["find"]:
            self._fill_by_find(columns, by_way["find"], series)
        if by_way["json"]:
            self._fill_by_json(columns, by_way["json"], series)
        if by_way["header"]:
            wanted = [key for row in series for key in row.children if keys is None or key in keys]
            self._fill_by_header(columns, by_way["header"], wanted)
        return columns

    def _way(self, tag: Tag) -> Way:
        """Return the cheapest way that gives the same value as reading the file would."""
        outermost = tag.steps[0]
        has_several_vrs = not tag.is_private and " or " in _dictionary_vr(tag)
        if tag.is_private or has_several_vrs or tag.vr in _VRS_FROM_HEADER or outermost.group in _GROUPS_FROM_HEADER:
            return "header"
        capabilities = self._rest.capabilities
        # A tag that the server keeps at another level would be answered from the database, for one instance.
        is_answered_otherwise = _number(tag) in capabilities.main_tags or _number(tag) in _COMPUTED
        return "json" if is_answered_otherwise or not capabilities.extended_find else "find"

    def _fill_by_find(self, columns: Columns, tags: Sequence[Tag], series: Sequence[Row]) -> None:
        doubtful: dict[str, list[Tag]] = {}
        unread: dict[str, Tag] = {}
        for answer in self._find_with_tags(tags, series):
            values = answer.get("RequestedTags", {})
            for tag in tags:
                # What a file lacks is null here; what is absent was not looked for (StorageAccessOnFind). It is read
                # below, and not for the instances of another patient's series of the same UID.
                if _number(tag) not in values:
                    unread[tag.name] = tag
                    continue
                value, is_sure = _value_in_json(values, tag)
                columns[tag.name][answer["ID"]] = value
                if not is_sure:
                    doubtful.setdefault(answer["ID"], []).append(tag)
        self._reread_doubtful(columns, doubtful)
        if unread:
            self._fill_by_json(columns, list(unread.values()), series)

    def _find_with_tags(self, tags: Sequence[Tag], series: Sequence[Row]) -> Iterator[dict[str, Any]]:
        # Attachments are not used: asking for them makes the server read its database in one pass, ten times faster.
        numbers = sorted({CHARACTER_SET, *map(_number, tags)})
        options: dict[str, Any] = {
            "RequestedTags": numbers,
            "ResponseContent": ["RequestedTags", "Parent", "Attachments"],
        }
        counts = self._finder.count() if len(series) > MAX_UIDS else None
        if counts is not None and 2 * len(series) >= counts["series"]:
            expected = {key for row in series for key in row.children}
            yield from self._finder.find_expected("instance", {}, expected, counts["instance"], **options)
            return
        for batch in batches(series, MAX_UIDS):
            uids = dict.fromkeys(str((row.values.get("SeriesInstanceUID") or ("",))[0]) for row in batch)
            expected = {key for row in batch for key in row.children}
            query = {"SeriesInstanceUID": "\\".join(uids)}
            yield from self._finder.find_expected("instance", query, expected, **options)

    def _fill_by_json(self, columns: Columns, tags: Sequence[Tag], series: Sequence[Row]) -> None:
        doubtful: dict[str, list[Tag]] = {}

        def read_series(row: Row) -> None:
            path = f"/series/{row.key}/instances-tags?short"

            def ask_once() -> Any:
                answer = self._transport.json_in_a_row(path, self._buffer)
                return checked(self._transport, "GET", path, answer, is_tags)

            try:
                answer = self._transport.repeat(ask_once)
            except NotFoundError:
                # Deleted meanwhile: the index raises for the values that are missing.
                return
            for key, values in answer.items():
                for tag in tags:
                    # An element that is present, and null, is too long or binary.
                    columns[tag.name][key], is_sure = _value_in_json(values, tag, null=_TOO_LONG)
                    if not is_sure:
                        doubtful.setdefault(key, []).append(tag)

        # The server takes as long for these answers as reading them here: more at a time only wait for each other. The
        # long ones come first, since one that was left to the end would be waited for alone.
        longest_first = sorted(series, key=lambda row: len(row.children), reverse=True)
        run_all(read_series, longest_first, workers=self._transport.at_once(_TAGS_OF_SERIES), label="reading tags")
        self._reread_doubtful(columns, doubtful)

    def _reread_doubtful(self, columns: Columns, doubtful: Mapping[str, Iterable[Tag]]) -> None:
        tags = list({tag.name: tag for tags in doubtful.values() for tag in tags}.values())
        if tags:
            self._fill_by_header(columns, tags, list(doubtful))

    def _fill_by_header(self, columns: Columns, tags: Sequence[Tag], keys: Sequence[str]) -> None:
        def read(key: str) -> Dataset | None:
            try:
                return self._header(key)
            except NotFoundError:
                # Deleted meanwhile: the index raises for the values that are missing.
                return None

        workers = self._transport.at_once(nearby=WORKERS)
        headers = map_ordered(read, keys, workers=workers, total=len(keys), label="reading headers")
        with quiet():
            for key, header in zip(keys, headers, strict=True):
                if header is not None:
                    for tag in tags:
                        columns[tag.name][key] = read_value(header, tag)


def _dictionary_vr(tag: Tag) -> str:
    try:
        return dictionary_VR(tag.leaf.number)
    except KeyError:
        return ""


def _number(tag: Tag) -> str:
    return f"{tag.steps[0].group:04x},{tag.steps[0].element:04x}"


def _value_in_json(dataset: Mapping[str, Any], tag: Tag, null: object = None) -> tuple[Value, bool]:
    """Read a tag from Orthanc's short JSON, and whether its value is sure; else the file must be read.

    ``null`` is what a null in the JSON means.
    """
    parts: list[str | bytes] = []
    is_sure = True
    decodable = tag.vr not in TEXT_VRS or is_decodable(next(_walk_json(dataset, _CHARACTER_SET, 0)))
    for content in _walk_json(dataset, tag, 0, null):
        if content is _TOO_LONG or (isinstance(content, str) and (is_mangled(content) or not decodable)):
            is_sure = False
        elif isinstance(content, str):
            parts.extend(from_text(content, tag.vr) or ())
    return (tuple(parts) if parts else None), is_sure


def _walk_json(dataset: Mapping[str, Any], tag: Tag, step_index: int, null: object = None) -> Iterator[Any]:
    step = tag.steps[step_index]
    number = f"{step.group:04x},{step.element:04x}"
    content = dataset.get(number)
    if content is None and number in dataset:
        content = null
    if step_index == len(tag.steps) - 1 or content is _TOO_LONG:
        yield content
    elif isinstance(content, list):
        for item in content if step.item is None else content[step.item : step.item + 1]:
            yield from _walk_json(item, tag, step_index + 1, null)
