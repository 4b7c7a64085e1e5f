r"""The file of a cohort: JSON lines, one for each instance, so that two files can be compared line by line.

::

    {"format": "simple_orthanc cohort", "schema": 1}
    {"frozen": "2026-11-29T16:40:00+00:00"}
    {"source": "http://127.0.0.1:8042", "versions": {"simple_orthanc": "0.9", "pydicom": "3.0.1", "Orthanc": "1.12.7"}}
    {"criterion": "Modality == 'CT'", "meaning": "Modality == like 'CT'", "condition": {"Comparison": ...}}
    {"patients": 1, "studies": 1, "series": 1, "instances": 2, "checksums": "files"}
    {"patient": "EX-002"}
    {"study": "1.2.826.0.1"}
    {"series": "1.2.826.0.1.1"}
    ["1.2.826.0.1.1.1", 8962, "0cc175b9c0f1b6a831c399e269772661"]
    ["1.2.826.0.1.1.2", 8962, "92eb5ffee6ae2fec3ad71c777531578f"]
    {"sha256": "..."}

The line of an instance has its SOPInstanceUID, the length of its file, the MD5 of the file, and the SHA-256 of the
dataset, as far as they were frozen. There is a line for each criterion, none if the whole archive was frozen, and
``{"combined": true}`` instead if the query is not known, as in a cohort that was combined from others. The last line is
a checksum of all lines except the one with the date, by which a truncated or changed file is recognized.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, get_args

from simple_orthanc import limits
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import CohortError, SelectionError
from simple_orthanc.files.inflating import expansion_problem
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.paths import path_text, put_new
from simple_orthanc.selection.cohort import (
    Checksums,
    FrozenCriterion,
    FrozenInstance,
    FrozenQuery,
    FrozenSeries,
    Patient,
)
from simple_orthanc.selection.serialization import NotReadableError, NotWritableError, condition_from_json, to_json
from simple_orthanc.session.exports.staging import staging_folder

_FORMAT, _SCHEMA = "simple_orthanc cohort", 1
_COUNTS = ("patients", "studies", "series", "instances")
_GZIP = b"\x1f\x8b"
_MD5, _SHA256 = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{64}")
# No file is longer, and Int64 columns hold no larger numbers.
_MOST_BYTES = 1 << 63
# The lengths of a row, by the checksums in it.
_LENGTHS: dict[Checksums | None, int] = {None: 1, "files": 3, "datasets": 4}


@dataclass(frozen=True)
class CohortData:
    """What the file of a cohort holds.

    Attributes
    ----------
    frozen : datetime
        When the selection was frozen.
    source : str
        The archive, without a password; "" if it was left out.
    versions : dict
        Name of a program to its version.
    query : FrozenQuery or None
        What was asked; None if it is not known, as for a cohort that was combined from others.
    checksums : {"files", "datasets"} or None
        Which checksums the instances have.
    series : tuple of FrozenSeries
        The objects.
    """

    frozen: datetime
    source: str
    versions: dict[str, str]
    query: FrozenQuery | None
    checksums: Checksums | None
    series: tuple[FrozenSeries, ...]

    def counts(self) -> dict[str, int]:
        """Count patients, studies, series and instances."""
        return {
            "patients": len({each.patient for each in self.series}),
            "studies": len({each.chain[:2] for each in self.series}),
            "series": len(self.series),
            "instances": sum(len(each.instances) for each in self.series),
        }


# Writing


def lines(data: CohortData) -> Iterator[str]:
    """Yield all lines of the file except the last one, without line ends."""
    head: list[Any] = [
        {"format": _FORMAT, "schema": _SCHEMA},
        {"frozen": data.frozen.isoformat(timespec="seconds")},
        {"source": data.source, "versions": data.versions},
    ]
    if data.query is None:
        head.append({"combined": True})
    else:
        head += map(_written_criterion, data.query.criteria)
        if data.query.order is not None:
            tag, is_descending = data.query.order
            head.append({"order": tag.name, "descending": is_descending})
    head.append({**data.counts(), "checksums": data.checksums})
    yield from map(_json, head)
    length = _LENGTHS[data.checksums]
    patient: Patient | None = None
    study: str | None = None
    for series in data.series:
        if series.patient != patient:
            patient, study = series.patient, None
            yield _json({"patient": patient})
        if series.study != study:
            study = series.study
            yield _json({"study": study})
        yield _json({"series": series.series})
        for instance in series.instances:
            yield _json(instance[:length])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _written_criterion(criterion: FrozenCriterion) -> dict[str, Any]:
    condition = None
    with suppress(NotWritableError):
        condition = None if criterion.condition is None else to_json(criterion.condition)
    return {"criterion": criterion.text, "meaning": criterion.meaning, "condition": condition}


def _encoded(line: str) -> bytes:
    # An identifier may hold bytes that no character set decodes.
    return line.encode("utf-8", "surrogatepass") + b"\n"


def without_functions(data: CohortData) -> CohortData:
    """Return a cohort without the conditions that cannot be written, such as functions."""
    if data.query is None:
        return data
    criteria = tuple(
        replace(criterion, condition=None) if written["condition"] is None else criterion
        for criterion, written in zip(data.query.criteria, map(_written_criterion, data.query.criteria), strict=True)
    )
    return replace(data, query=replace(data.query, criteria=criteria))


def check_target(given: str | os.PathLike[str], overwrite: bool) -> Path:
    """Check where a file is to be written, before anything is read for it.

    Raises
    ------
    SelectionError
        No path was given; or the file exists, and `overwrite` is False.
    CohortError
        The folder does not exist, or the path is a folder.
    """
    path = Path(path_text(given, 'save("train.cohort")')).expanduser()
    with _writing(path):
        if "\0" in str(path):
            raise ValueError("it has a NUL character")
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if not path.parent.is_dir():
            raise FileNotFoundError(None, f"there is no folder {str(path.parent)!r}")
        if not overwrite and os.path.lexists(path):
            raise _exists(path)
    return path


def _exists(path: Path) -> SelectionError:
    return SelectionError(
        f"The file {path} exists and was left as it is: choose another name, or replace it with overwrite=True."
    )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL character
        if isinstance(error, SelectionError):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise CohortError(f"The cohort cannot be written to {str(path)!r}: {reason}. Choose another path.") from error


def write(data: CohortData, given: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a file, compressed if its name ends in ``.gz``; it appears when it is complete.

    Raises
    ------
    SelectionError
        No path was given; or the file exists, and `overwrite` is False.
    CohortError
        The file cannot be written; an existing one was left as it is.
    """
    path = check_target(given, overwrite)
    with _writing(path), staging_folder(path.parent) as folder:
        part = folder / "cohort"
        mode = 0o666 if all(each.is_anonymous for each in data.series) else 0o600
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as raw:
            if path.suffix.lower() == ".gz":
                # Without a modification time, so that equal cohorts make equal files.
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                    _write_lines(data, packed)
            else:
                _write_lines(data, raw)
            raw.flush()
            os.fsync(raw.fileno())
        if overwrite:
            os.replace(part, path)
        elif not put_new(part, path):
            raise _exists(path)
    return path


def _write_lines(data: CohortData, stream: Any) -> None:
    summed = hashlib.sha256()
    for number, line in enumerate(lines(data)):
        encoded = _encoded(line)
        stream.write(encoded)
        if number != 1:
            summed.update(encoded)
    stream.write(_encoded(_json({"sha256": summed.hexdigest()})))


# Reading


class _DamagedError(Exception):
    """A line is not valid."""


def read(given: str | os.PathLike[str]) -> CohortData:
    """Read a file.

    Raises
    ------
    SelectionError
        No path was given.
    CohortError
        There is no such file, it is not the file of a cohort, or it is damaged.
    """
    path = Path(path_text(given, 'Cohort.load("train.cohort")')).expanduser()
    if path.is_dir():
        raise CohortError(
            f"{path} is a folder: name the file that Session.freeze wrote, as in Cohort.load('train.cohort'). "
            "Folder(path) opens a folder of images."
        )
    try:
        if "\0" in str(path):
            # No file has such a name, and Python says so with another error.
            raise FileNotFoundError
        with open_regular(os.fspath(path)) as raw:
            is_packed = raw.read(2) == _GZIP
            size = raw.seek(0, os.SEEK_END)
            raw.seek(0)
            if not is_packed:
                return _Reader(raw, size, path).read()
            with gzip.GzipFile(fileobj=raw, mode="rb") as packed:
                return _Reader(packed, size, path).read()
    except FileNotFoundError:
        raise CohortError(f"There is no file {str(path)!r}. Session.freeze(path) writes one.") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CohortError(f"{path} cannot be read: {reason}.") from error
    except _DamagedError as error:
        raise CohortError(
            f"{path} is damaged, or was changed after it was written: {error}. Use another copy of it, or freeze again."
        ) from error


class _Reader:
    """Reads the lines of a file, and checks each."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, size: int, path: Path) -> None:
        self._stream, self._size, self._path = stream, size, path
        self._summed = hashlib.sha256()
        self._number = self._length = 0

    def read(self) -> CohortData:
        self._check_format()
        frozen = self._date(self._object("frozen"))
        source, versions = self._about(self._object("source", "versions"))
        query, totals, checksums = self._query()
        series = tuple(self._series(totals, checksums))
        data = CohortData(frozen, source, versions, query, checksums, series)
        if data.counts() != totals:
            raise _DamagedError(f"it holds {data.counts()}, and should hold {totals}")
        return data

    def _line(self) -> Any:
        """Read the next line as JSON."""
        line = self._stream.readline(limits.json_bytes)
        self._number += 1
        self._length += len(line)
        if not line:
            raise _DamagedError("it was cut off")
        problem = expansion_problem(self._length, self._size)
        if problem is not None:
            raise _DamagedError(problem.rstrip("."))
        if not line.endswith(b"\n"):
            raise _DamagedError(f"line {self._number} is cut off, or too long")
        # An editor on Windows may have replaced the line ends. A carriage return inside JSON is escaped as \r.
        self._last = line = line.removesuffix(b"\r\n") + b"\n" if line.endswith(b"\r\n") else line
        try:
            return json.loads(line.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            raise _DamagedError(f"line {self._number} is not JSON") from None

    def _keep(self) -> None:
        """Include the last line in the checksum."""
        self._summed.update(self._last)

    def _object(self, *names: str) -> dict[str, Any]:
        found = self._line()
        return self._checked(found, *names)

    def _checked(self, found: Any, *names: str) -> dict[str, Any]:
        if not isinstance(found, dict) or tuple(found) != names:
            raise _DamagedError(f"line {self._number} should have {', '.join(names)}")
        if names != ("frozen",):
            self._keep()
        return found

    def _check_format(self) -> None:
        try:
            found = self._line()
        except _DamagedError:
            found = None
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise CohortError(
                f"{self._path} is not the file of a cohort. Session.freeze and Cohort.save write such files."
            ) from None
        schema = found.get("schema")
        if type(schema) is int and schema > _SCHEMA:
            raise CohortError(
                f"{self._path} was written by a newer simple_orthanc: its schema is {schema}, and {_SCHEMA} is the "
                "newest that this version reads. Update simple_orthanc."
            )
        if self._checked(found, "format", "schema")["schema"] != _SCHEMA or type(schema) is not int:
            raise _DamagedError(f"there is no schema {schema!r}")

    def _string(self, value: Any, *, may_be_empty: bool = False) -> str:
        if not isinstance(value, str) or not (value or may_be_empty):
            raise _DamagedError(f"line {self._number} should have a string")
        return value

    def _date(self, found: dict[str, Any]) -> datetime:
        try:
            frozen = datetime.fromisoformat(self._string(found["frozen"]))
            if frozen.tzinfo is None:
                raise _DamagedError(f"line {self._number} has no time zone")
            return frozen.astimezone(timezone.utc)
        except (ValueError, OverflowError):
            raise _DamagedError(f"line {self._number} has no date") from None

    def _about(self, found: dict[str, Any]) -> tuple[str, dict[str, str]]:
        versions = found["versions"]
        if not isinstance(versions, dict):
            raise _DamagedError(f"line {self._number} has no versions")
        versions = {name: self._string(version, may_be_empty=True) for name, version in versions.items()}
        return self._string(found["source"], may_be_empty=True), versions

    def _query(self) -> tuple[FrozenQuery | None, dict[str, int], Checksums | None]:
        criteria: list[FrozenCriterion] = []
        order = None
        is_combined = False
        while True:
            found = self._line()
            if isinstance(found, dict) and "criterion" in found and not is_combined and order is None:
                criteria.append(self._criterion(self._checked(found, "criterion", "meaning", "condition")))
            elif isinstance(found, dict) and "order" in found and not is_combined and order is None:
                self._checked(found, "order", "descending")
                if type(found["descending"]) is not bool:
                    raise _DamagedError(f"line {self._number} has no order")
                order = self._tag(found["order"]), found["descending"]
            elif isinstance(found, dict) and "combined" in found and not (is_combined or criteria or order):
                is_combined = self._checked(found, "combined")["combined"] is True
            else:
                break
        self._checked(found, *_COUNTS, "checksums")
        checksums = found.pop("checksums")
        if any(type(count) is not int or count < 0 for count in found.values()):
            raise _DamagedError(f"line {self._number} has no counts")
        if checksums is not None and checksums not in get_args(Checksums):
            raise _DamagedError(f"there are no checksums of {checksums!r}")
        return None if is_combined else FrozenQuery(tuple(criteria), order), found, checksums

    def _tag(self, name: Any) -> Any:
        try:
            return parse_tag(self._string(name))
        except ValueError as error:
            raise _DamagedError(f"line {self._number}: {error}".rstrip(".")) from None

    def _criterion(self, found: dict[str, Any]) -> FrozenCriterion:
        condition = found["condition"]
        try:
            read = None if condition is None else condition_from_json(condition)
        except NotReadableError as error:
            raise _DamagedError(f"line {self._number} has a condition that cannot be read") from error
        return FrozenCriterion(self._string(found["criterion"]), self._string(found["meaning"]), read)

    def _series(self, totals: dict[str, int], checksums: Checksums | None) -> Iterator[FrozenSeries]:
        patient: Patient | None = None
        study: str | None = None
        series: str | None = None
        instances: dict[str, FrozenInstance] = {}
        seen: set[tuple[Patient, str, str]] = set()

        def ended() -> Iterator[FrozenSeries]:
            if series is None:
                return
            assert patient is not None
            assert study is not None
            chain = patient, study, series
            if chain in seen or not instances:
                raise _DamagedError(f"the series before line {self._number} is empty, or occurs twice")
            seen.add(chain)
            yield FrozenSeries(*chain, tuple(instances.values()))

        left = totals["instances"]
        while True:
            found = self._line()
            if isinstance(found, list):
                left -= 1
                if series is None or left < 0:
                    raise _DamagedError(f"line {self._number} is one instance too many")
                instance = self._instance(found, checksums)
                if instance.uid in instances:
                    raise _DamagedError(f"line {self._number} repeats an instance")
                instances[instance.uid] = instance
                self._keep()
                continue
            yield from ended()
            name = next(iter(found), "") if isinstance(found, dict) else ""
            if name == "patient":
                patient, study, series = self._patient(self._checked(found, "patient")["patient"]), None, None
            elif name == "study" and patient is not None:
                study, series = self._string(self._checked(found, "study")["study"]), None
            elif name == "series" and study is not None:
                series, instances = self._string(self._checked(found, "series")["series"]), {}
            elif name == "sha256":
                break
            else:
                raise _DamagedError(f"line {self._number} is out of place")
        self._check_end(found)

    def _check_end(self, found: dict[str, Any]) -> None:
        if found != {"sha256": self._summed.hexdigest()}:
            raise _DamagedError("its SHA-256 does not match")
        if self._stream.read(1):
            raise _DamagedError("something follows its end")

    def _patient(self, value: Any) -> Patient:
        if type(value) is int:
            return value
        return self._string(value, may_be_empty=True)

    def _instance(self, found: list[Any], checksums: Checksums | None) -> FrozenInstance:
        if len(found) != _LENGTHS[checksums]:
            raise _DamagedError(f"line {self._number} has {len(found)} values")
        uid, *rest = found
        self._string(uid)
        if rest:
            size, *sums = rest
            patterns = (_MD5, _SHA256)[: len(sums)]
            is_right = type(size) is int and 0 <= size < _MOST_BYTES
            for value, pattern in zip(sums, patterns, strict=True):
                is_right = is_right and isinstance(value, str) and pattern.fullmatch(value) is not None
            if not is_right:
                raise _DamagedError(f"line {self._number} has no length or checksum")
        return FrozenInstance(uid, *rest)
