"""Values of images: from the metadata of a series where these can be believed, else from the files.

Metadata are believed if those of the first instance have every element that its file has. What JSON cannot say with
certainty is read from the file: see `simple_orthanc.sources.dicomweb.trust`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from simple_orthanc.concurrency.threads import WORKERS, map_ordered
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import INDEX_TAGS, Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.dicomweb.model import read_string
from simple_orthanc.errors import ServerError, TransportError, UnsupportedError, stacklevel
from simple_orthanc.selection.source import Row
from simple_orthanc.showing.text import counted
from simple_orthanc.sources.dicomweb.instances import InstanceReader
from simple_orthanc.sources.dicomweb.queries import CANNOT_SEARCH, NEVER_SEARCHED, Queries
from simple_orthanc.sources.dicomweb.rows import RowBuilder
from simple_orthanc.sources.dicomweb.trust import is_whole, needs_file, read_sure_value
from simple_orthanc.sources.identity import KEYWORDS, Identity, another_object
from simple_orthanc.sources.keys import Key

_SAMPLE = 60
"""Of more rows with unresolved tags than this, so many are read, evenly spread, before all are."""


class _Reading(NamedTuple):
    """The value of one tag of one instance, and whether it is sure to be what the file holds."""

    key: str
    tag: Tag
    value: Value
    is_sure: bool


class MetadataReader:
    """Reads tags of images and whole rows.

    Parameters
    ----------
    rest : Transactions
        The transactions of the server.
    queries : Queries
        Its searches.
    rows : RowBuilder
        What its searches have shown so far.
    instances : InstanceReader
        Its files.
    """

    def __init__(self, rest: Transactions, queries: Queries, rows: RowBuilder, instances: InstanceReader) -> None:
        self._rest, self._queries, self._rows, self._instances = rest, queries, rows, instances
        # Whether the metadata of a series, and of an instance, have all that files have.
        self._are_whole: dict[Level, bool] = {}

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> dict[str, dict[str, Value]]:
        """Read tags of the instances of some series: name of tag, to key of instance, to value."""
        columns: dict[str, dict[str, Value]] = {tag.name: {} for tag in tags}
        from_files = [tag for tag in tags if needs_file(tag)]
        from_metadata = [tag for tag in tags if not needs_file(tag)]
        wanted = _instances_of(series, keys)
        unsure: dict[str, list[Tag]] = {}
        if from_metadata:
            read = partial(self._of_series, tags=from_metadata)
            names = [row.key for row in series]
            workers = self._queries.at_once(4)
            answers = map_ordered(read, names, workers=workers, total=len(names), label="reading metadata")
            for name, readings in zip(names, answers, strict=True):
                for reading in readings:
                    if keys is None or reading.key in keys:
                        columns[reading.tag.name][reading.key] = reading.value
                        if not reading.is_sure:
                            unsure.setdefault(reading.key, []).append(reading.tag)
                for key in wanted.get(name, ()):
                    if key not in columns[from_metadata[0].name]:
                        unsure[key] = list(from_metadata)
        if from_files:
            for key in (key for instances in wanted.values() for key in instances):
                unsure.setdefault(key, []).extend(from_files)
        self._fill_from_files(columns, unsure)
        return columns

    def _fill_from_files(self, columns: dict[str, dict[str, Value]], unsure: Mapping[str, Sequence[Tag]]) -> None:
        headers = map_ordered(
            self._header,
            list(unsure),
            workers=self._queries.at_once(WORKERS),
            total=len(unsure),
            label="reading headers",
        )
        with quiet():
            for (key, tags), header in zip(unsure.items(), headers, strict=True):
                for tag in tags:
                    columns[tag.name][key] = read_value(header, tag)

    def _header(self, key: str) -> Any:
        return self._instances.header(Key.parse(key))

    def _of_series(self, name: str, tags: Sequence[Tag]) -> list[_Reading]:
        """Read tags of all instances of a series from its metadata; empty if these cannot be believed."""
        series = Key.parse(name)
        try:
            metadata = self._rest.retrieve_series_metadata(series.study, series.series)
            self._check_identity(series, metadata)
            if not self._is_whole("series", series, metadata):
                return []
        except ServerError:
            # Servers refuse metadata for reasons of their own; the files are there all the same.
            return []
        readings: list[_Reading] = []
        for item in metadata:
            uid = read_string(item, "SOPInstanceUID")
            if uid and not self._rows.is_of_other_patient(series, read_string(item, "PatientID")):
                key = str(series._replace(instance=uid))
                readings += [_Reading(key, tag, *read_sure_value(item, tag)) for tag in tags]
        return readings

    def _check_identity(self, key: Key, metadata: Sequence[Mapping[str, Any]]) -> None:
        """Check that metadata are those of what was asked for, as far as they have its UIDs."""
        for item in metadata:
            arrived = Identity(*(read_string(item, keyword) for keyword in KEYWORDS))
            asked = Identity("", *(uid if came else "" for uid, came in zip(key[1:], arrived[1:], strict=True)))
            if asked.differences(arrived):
                raise another_object(self._queries.description, asked, arrived)

    def _is_whole(self, level: Level, series: Key, metadata: Sequence[Mapping[str, Any]]) -> bool:
        """Check whether metadata are whole; read once for those of series and once for those of instances."""
        if level not in self._are_whole and metadata:
            with quiet():
                uid = read_string(metadata[0], "SOPInstanceUID")
                header = self._instances.header(series._replace(instance=uid))
            self._are_whole[level] = is_whole(metadata[0], header)
        return self._are_whole.get(level, True)

    def reload_from_files(self, level: Level, rows: Sequence[Row]) -> Iterator[Row]:
        """Re-read rows with unresolved tags from metadata and files.

        If no file of a sample has any of the tags, they count as missing in all rows that are not unsure.
        """
        answered, unsure = self._rows.answered[level], self._rows.unsure[level]
        remaining = []
        for row in rows:
            if row.unresolved_tags and row.unresolved_tags <= answered and row.key not in unsure:
                yield replace(row, unresolved_tags=frozenset())
            else:
                remaining.append(row)
        # Rows of which nothing is unsure may lack tags that no file has.
        lacking = [row for row in remaining if row.key not in unsure and row.unresolved_tags.isdisjoint(NEVER_SEARCHED)]
        if len(lacking) > _SAMPLE:
            sample = [lacking[index * len(lacking) // _SAMPLE] for index in range(_SAMPLE)]
            read = self._read_rows(level, sample)
            if all(row.unresolved_tags.isdisjoint(now.values) for row, now in zip(sample, read, strict=True)):
                yield from (replace(row, unresolved_tags=frozenset()) for row in lacking)
                settled = {row.key for row in lacking}
                remaining = [row for row in remaining if row.key not in settled]
        yield from self._read_rows(level, remaining)

    def _read_rows(self, level: Level, rows: Sequence[Row]) -> list[Row]:
        """Re-read rows, each from one file; one that cannot be read is left as it is."""
        tags = list(INDEX_TAGS[level].values())
        problems: list[str] = []
        values_of: dict[str, dict[str, Value]] = {}
        if level == "instance":
            for series in dict.fromkeys(row.parent for row in rows):
                keys = frozenset(row.key for row in rows if row.parent == series)
                values_of.update(self._of_instances(Key.parse(series), keys, tags, problems))
        else:

            def read(row: Row) -> dict[str, dict[str, Value]]:
                first = self._first_instance(Key.parse(row.key))
                if first is None:
                    return {}
                key = str(first)
                values = self._of_instances(first.parent, frozenset([key]), tags, problems)
                return {row.key: values[key]} if key in values else {}

            workers = self._queries.at_once(WORKERS)
            for values in map_ordered(read, rows, workers=workers, total=len(rows), label="reading metadata"):
                values_of.update(values)
        if problems:
            warnings.warn(
                f"{counted(len(problems), 'file')} needed to make sure of what searches say could not be read, so that "
                f"some of it may be missing or misspelt. The first problem: {problems[0]}",
                stacklevel=stacklevel(),
            )
        return [_answered(row, values_of.get(row.key, {})) for row in rows]

    def _of_instances(
        self, series: Key, keys: frozenset[str], tags: Sequence[Tag], problems: list[str]
    ) -> dict[str, dict[str, Value]]:
        """Read tags of some instances of a series; those that cannot be read are left out, and `problems` says why."""
        if len(keys) == 1:
            readings = self._of_instance(series, next(iter(keys)), tags)
        else:
            readings = [reading for reading in self._of_series(str(series), tags) if reading.key in keys]
        values_of: dict[str, dict[str, Value]] = {}
        for reading in readings:
            values_of.setdefault(reading.key, {})[reading.tag.name] = reading.value
        unsure = set(keys - values_of.keys()) | {reading.key for reading in readings if not reading.is_sure}
        for name in unsure:
            try:
                header = self._header(name)
            except (ServerError, UnsupportedError) as error:
                problems.append(str(error))
            else:
                values_of[name] = {tag.name: read_value(header, tag) for tag in tags}
        return values_of

    def _of_instance(self, series: Key, name: str, tags: Sequence[Tag]) -> list[_Reading]:
        key = Key.parse(name)
        try:
            metadata = self._rest.retrieve_instance_metadata(key.study, key.series, key.instance)
        except ServerError:
            return []
        except TransportError:
            # A server may return those of both patients.
            if self._rows.is_shared(key):
                return []
            raise
        self._check_identity(key, [metadata])
        if self._rows.is_of_other_patient(key, read_string(metadata, "PatientID")):
            return []
        if not self._is_whole("instance", series, [metadata]):
            return []
        return [_Reading(name, tag, *read_sure_value(metadata, tag)) for tag in tags]

    def _first_instance(self, key: Key) -> Key | None:
        """Find an instance of a study or series."""
        first = self._instance_in(key, 1)
        return self._instance_in(key, None) if first is None and self._rows.is_shared(key) else first

    def _instance_in(self, key: Key, limit: int | None) -> Key | None:
        if key.series:
            answers, _ = self._queries.below("instance", key, limit)
        else:
            try:
                answers = self._queries.search("instance", {}, key, limit)
            except ServerError as error:
                if error.status not in CANNOT_SEARCH and error.status < 500:
                    raise
                answers = []
            if not all(read_string(answer, "SeriesInstanceUID") for answer in answers) or not answers:
                # The standard does not ask for searching the instances of a whole study.
                series = self._rows.keys("series", self._queries.below("series", key, 1)[0], key)
                return self._first_instance(series[0]) if series and series[0] else None
        keys = self._rows.keys("instance", answers, key)
        return next((instance for instance in keys if instance and instance.patient == key.patient), None)


def _instances_of(series: Sequence[Row], keys: frozenset[str] | None) -> dict[str, list[str]]:
    """List the instances to read, by the key of their series."""
    if keys is None:
        return {row.key: list(row.children) for row in series}
    wanted: dict[str, list[str]] = {row.key: [] for row in series}
    for key in keys:
        wanted.setdefault(str(Key.parse(key).parent), []).append(key)
    return wanted


def _answered(row: Row, values: Mapping[str, Value]) -> Row:
    present = {name: value for name, value in values.items() if value is not None}
    return replace(row, values={**row.values, **present}, unresolved_tags=frozenset())
