"""A file of finished rows, from which a run that ended early is resumed.

The format is JSON lines: the first line states what the rows are results of, and each other line is one row. A row is
written with one system call when its object is finished. So however the process ends, finished rows are in the file,
and only the last line can be cut off, which is dropped. A Parquet file (``.parquet``) cannot be appended to: its rows
are written as JSON lines beside it, and become the Parquet table at the end of the run, also after an error or Ctrl-C.
"""

from __future__ import annotations

import datetime
import json
import os
import stat
import threading
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simple_orthanc.errors import SelectionError, stacklevel
from simple_orthanc.extras import import_extra
from simple_orthanc.files.locking import lock_file
from simple_orthanc.files.opening import open_regular
from simple_orthanc.files.paths import make_folders
from simple_orthanc.session.mapping.calls import Row
from simple_orthanc.session.mapping.results import Value
from simple_orthanc.showing.text import agreeing
from simple_orthanc.version import __version__

if TYPE_CHECKING:
    import pandas as pd

JSON_LINES, PARQUET = ".jsonl", ".parquet"
_FORMAT = "simple_orthanc map 1"
# The last column of a table in Parquet.
_STORED = "checkpoint"
# The rows of so many seconds are lost at most if the machine goes down; the end of the process loses nothing.
_SECONDS_BETWEEN_SYNCS = 2.0
_US = datetime.timedelta(microseconds=1)


@dataclass(frozen=True)
class Origin:
    """What the rows of a checkpoint are results of.

    Attributes
    ----------
    function : str
        The name of the function.
    digest : str
        What `functions.digest_of` returns for it.
    level : str
    archive : str
        The description of the source.
    """

    function: str
    digest: str
    level: str
    archive: str


class ObjectKey(NamedTuple):
    """Identifies the object of a row.

    Attributes
    ----------
    identifiers : tuple
        PatientID, StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID, down to the level of the object.
    contents : str
        The number of its selected instances, and a digest of their keys.
    """

    identifiers: tuple[str | None, ...]
    contents: str


def checked_path(path: Any) -> Path:
    """Return the path of a checkpoint, after checking its suffix.

    Raises
    ------
    SelectionError
        The argument is not a path, or ends in neither .jsonl nor .parquet.
    UnsupportedError
        Parquet needs pyarrow, which is not installed.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(path, bytes):
        raise SelectionError(f"checkpoint={path!r} is not a path.")
    # The function may change the working directory.
    checked = Path(os.path.abspath(Path(path).expanduser()))
    if checked.suffix not in (JSON_LINES, PARQUET):
        raise SelectionError(
            f"checkpoint={str(path)!r}: the name of the file ends in {JSON_LINES} (JSON lines) or {PARQUET} (Parquet)."
        )
    if checked.suffix == PARQUET:
        import_extra("pyarrow", "parquet", "A checkpoint in Parquet", f", or choose a name that ends in {JSON_LINES}")
    return checked


class Checkpoint:
    """The finished rows of a map. Several threads may add rows at once.

    Parameters
    ----------
    path : Path
        As `checked_path` returns it.
    origin : Origin
        What the rows are results of.

    Raises
    ------
    SelectionError
        The file is not a checkpoint, or belongs to another function, level or archive; it cannot be written; or another
        process is writing it.

    Warns
    -----
    UserWarning
        Its rows were computed with another version of this library, or lines are damaged.

    Attributes
    ----------
    rows : dict
        Row by object, those of earlier runs included.
    """

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path, self.rows = path, dict[ObjectKey, Row]()
        self._origin, self._version = origin, __version__
        self._journal = path if path.suffix == JSON_LINES else path.with_name(f".{path.name}{JSON_LINES}")
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._synced = time.monotonic()
        try:
            make_folders(path.parent)
            for each in {path, self._journal}:
                if os.path.lexists(each) and not stat.S_ISREG(os.stat(each).st_mode):
                    raise SelectionError(f"{each} is not a file: choose another checkpoint.")
            self._descriptor = lock_file(self._journal)
            if self._descriptor is None:
                raise SelectionError(
                    f"{path} is in use by another call of map(): wait until it ends, or choose another file."
                )
            self._read()
        except OSError as error:
            self._release()
            raise SelectionError(
                f"checkpoint={str(path)!r} cannot be used: {error.strerror or error}. Choose another file."
            ) from error
        except BaseException:
            self._release()
            raise

    def add(self, key: ObjectKey, row: Row) -> None:
        """Write the row of an object; after `close` nothing is written any more."""
        line = _as_line(_entry(key, row))
        with self._lock:
            if self._descriptor is None:
                return
            self.rows[key] = row
            try:
                _write(self._descriptor, line)
                if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
                    os.fsync(self._descriptor)
                    self._synced = time.monotonic()
            except OSError as error:
                raise SelectionError(
                    f"The checkpoint {self.path} cannot be written: {error.strerror or error}. It has the rows that "
                    "were finished before, and the same call resumes from there."
                ) from error

    def close(self) -> None:
        """Finish the file.

        Raises
        ------
        SelectionError
            It cannot be written; the rows are kept beside it.
        """
        with self._lock:
            try:
                if self._descriptor is not None and self.path.suffix == PARQUET:
                    self._write_table()
                    self._journal.unlink()
            except OSError as error:
                raise SelectionError(
                    f"The checkpoint {self.path} cannot be written: {error.strerror or error}. The finished rows are "
                    f"in {self._journal}, and the same call resumes from there."
                ) from error
            finally:
                self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _read(self) -> None:
        """Read the rows of earlier runs, and prepare the journal for further ones."""
        assert self._descriptor is not None
        if self.path.suffix == PARQUET and os.path.lexists(self.path):
            self._read_table()
        with open_regular(self._journal) as stream:
            content = stream.read()
        # Only the last line can lack its end, if a process was killed.
        whole = content[: content.rfind(b"\n") + 1]
        if content and not whole and not _as_line(self._header()).startswith(content):
            raise self._no_checkpoint()
        lines = whole.splitlines()
        if lines:
            self._check(self._parsed(lines[0]))
            damaged = sum(not self._is_taken(line) for line in lines[1:])
            if damaged:
                warnings.warn(
                    f"{damaged} of {len(lines)} lines of {self.path} {agreeing(damaged, 'are')} damaged: the objects "
                    "of damaged lines are computed again.",
                    stacklevel=stacklevel(),
                )
        os.ftruncate(self._descriptor, len(whole))
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if not lines:
            _write(self._descriptor, _as_line(self._header()))

    def _is_taken(self, line: bytes) -> bool:
        """Take the row of a line, and return False if it is damaged, as it may be after a machine went down."""
        try:
            self._take(self._parsed(line))
        except SelectionError:
            return False
        return True

    def _header(self) -> dict[str, Any]:
        return {"format": _FORMAT, **asdict(self._origin), "version": self._version}

    def _parsed(self, line: bytes | str) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise self._no_checkpoint()
        return entry

    def _no_checkpoint(self) -> SelectionError:
        return SelectionError(f"{self.path} exists and is not a checkpoint of map(): choose another file.")

    def _check(self, header: Mapping[str, Any]) -> None:
        """Refuse the rows of another function, level or archive."""
        if header.get("format") != _FORMAT:
            raise self._no_checkpoint()
        there = [str(header.get(name)) for name in ("function", "level", "archive")]
        here = [self._origin.function, self._origin.level, self._origin.archive]
        if there != here:
            function, level, archive = there
            raise SelectionError(
                f"{self.path} is the checkpoint of {function} at level={level!r} on {archive}, and this is "
                f"{here[0]} at level={here[1]!r} on {here[2]}: choose another file."
            )
        if header.get("digest") != self._origin.digest:
            raise SelectionError(
                f"{self.path} was written with another version of {here[0]}, or with other values in it, so that its "
                "rows may differ from what the function returns now: choose another file, or remove this one."
            )
        self._version = str(header.get("version"))
        if self._version != __version__:
            warnings.warn(
                f"The first rows of {self.path} were computed with simple_orthanc {self._version}, and those that are "
                f"missing are computed with {__version__}: choose another file to compute all rows with one version.",
                stacklevel=stacklevel(),
            )

    def _take(self, entry: Mapping[str, Any]) -> None:
        try:
            values = entry["values"]
            plain = None if values is None else {name: _decoded(value) for name, value in values.items()}
            key = ObjectKey(tuple(entry["identifiers"]), str(entry["contents"]))
            self.rows[key] = Row(plain, entry["error"], float(entry["seconds"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._no_checkpoint() from None

    def _read_table(self) -> None:
        import pandas as pd

        try:
            table = pd.read_parquet(self.path, engine="pyarrow")
        except (ValueError, KeyError, OSError):
            # pyarrow raises a subclass of ValueError for a file that is not Parquet.
            raise self._no_checkpoint() from None
        self._check({str(name): value for name, value in table.attrs.items()})
        for line in table.iloc[:, -1]:
            self._take(self._parsed(line))

    def _write_table(self) -> None:
        """Write the rows as a table: typed columns for its readers, and a last column with the lines of the rows."""
        from simple_orthanc.session.mapping.table import as_table

        keys = list(self.rows)
        rows = [self.rows[key] for key in keys]
        table = as_table([key.identifiers for key in keys], rows)
        for name in table.select_dtypes(object).columns:
            table[name] = _storable(table[name])
        stored = _STORED
        while stored in table:
            # A column of the results has that name.
            stored += "_"
        table[stored] = [_as_line(_entry(key, row)).decode() for key, row in zip(keys, rows, strict=True)]
        table.attrs.update(self._header())
        growing = self.path.with_name(f".{self.path.name}.part")
        with suppress(FileNotFoundError):
            growing.unlink()
        descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                table.to_parquet(stream, engine="pyarrow", index=False)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(growing, self.path)
        except BaseException:
            growing.unlink(missing_ok=True)
            raise


def _entry(key: ObjectKey, row: Row) -> dict[str, Any]:
    values = None if row.values is None else {name: _encoded(value) for name, value in row.values.items()}
    return {
        "identifiers": list(key.identifiers),
        "contents": key.contents,
        "values": values,
        "error": row.error,
        "seconds": row.seconds,
    }


def _storable(column: pd.Series[Any]) -> list[Any]:
    """Return a column of tuples or of mixed types for Parquet: as lists of one type, or else as strings."""
    pyarrow: Any = import_extra("pyarrow", "parquet", "A checkpoint in Parquet")
    values = [None if is_missing else value for value, is_missing in zip(column, column.isna(), strict=True)]
    there = [value for value in values if value is not None]
    if all(isinstance(value, tuple) for value in there):
        kinds = {type(item) for value in there for item in value if item is not None}
        # pyarrow would convert other mixtures to the type of the first item.
        if len(kinds) <= 1 or kinds == {int, float}:
            with suppress(pyarrow.ArrowException):
                pyarrow.array(values)
                return values
    return [None if value is None else str(value) for value in values]


def _as_line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, allow_nan=False).encode("ascii") + b"\n"


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def _encoded(value: Value) -> Any:
    """Return a value for JSON; types that JSON lacks become an object with one name."""
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    if isinstance(value, datetime.datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, datetime.timedelta):
        return {"microseconds": value // _US}
    if isinstance(value, float) and value - value != 0:
        return {"float": repr(value)}
    return value


def _decoded(value: Any) -> Value:
    if isinstance(value, list):
        return tuple(_decoded(item) for item in value)
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        if kind == "datetime":
            return datetime.datetime.fromisoformat(content)
        return float(content) if kind == "float" else int(content) * _US
    return value


def contents_of(instances: Sequence[str]) -> str:
    """Return the part of an object that is selected, as the string that a checkpoint compares.

    Parameters
    ----------
    instances : sequence of str
        The source's keys of the instances, in any order.

    Examples
    --------
    >>> contents_of(["1.2.3.1", "1.2.3.2"])
    '2 instances, 3b95a7f7c17fa890'
    """
    import hashlib

    digest = hashlib.sha256("\n".join(sorted(instances)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{len(instances)} instances, {digest}"
