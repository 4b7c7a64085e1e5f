"""What a watcher knows: how far it has read the feed, what waits for its call, and what was called for.

It is kept in a database in one file, so that each success is one small transaction, whether ten objects were seen or a
million, and a program that is killed loses none.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simple_orthanc.errors import SelectionError

if TYPE_CHECKING:
    from typing_extensions import Self

_TABLES = (
    "CREATE TABLE IF NOT EXISTS purpose (text TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS position (sequence INTEGER NOT NULL, entry TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS waiting (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, attempts INTEGER NOT NULL DEFAULT 0,
        due REAL NOT NULL DEFAULT 0, error TEXT
    )""",
    "CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY, updated TEXT NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True)
class Waiting:
    """An object that is to be called for.

    Attributes
    ----------
    id : str
        The server's own identifier.
    attempts : int
        How many calls have failed.
    due : float
        Seconds since 1970 before which it is not tried again; infinity if it was given up.
    error : str or None
        How the last call failed.
    """

    id: str
    attempts: int
    due: float
    error: str | None

    @property
    def was_given_up(self) -> bool:
        """Whether it is not tried again."""
        return math.isinf(self.due)


class WatchState:
    """The state of a watcher, in a file or in memory.

    Parameters
    ----------
    path : str or Path, optional
        The file, which is created if it is missing. None: in memory.
    purpose : str
        What is watched. A state of another purpose is refused.

    Raises
    ------
    SelectionError
        The file is no state, that of another purpose, or in use by another watcher.
    """

    def __init__(self, path: str | os.PathLike[str] | None, purpose: str) -> None:
        self._name = ":memory:" if path is None else os.fspath(path)
        folder = os.path.dirname(os.path.abspath(self._name))
        if path is not None and not os.path.isdir(folder):
            raise SelectionError(f"state={self._name!r}: there is no folder {folder}; create it first.")
        if path is not None and os.path.isdir(self._name):
            raise SelectionError(f"state={self._name!r} is a folder: name a file in it.")
        try:
            self._database = sqlite3.connect(self._name, timeout=0, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise SelectionError(
                f"state={self._name!r} cannot be used: {error}. Name a file that you may write."
            ) from None
        try:
            found = self._open(purpose)
        except sqlite3.OperationalError as error:
            self._database.close()
            raise SelectionError(
                f"state={self._name!r} cannot be used: {error}. If another watcher uses it, end that one, or name "
                "another file."
            ) from None
        except sqlite3.DatabaseError:
            self._database.close()
            raise SelectionError(
                f"state={self._name!r} is a file of another kind, not the state of a watcher: name another file."
            ) from None
        if found != purpose:
            self._database.close()
            raise SelectionError(
                f"state={self._name!r} is the state of a watcher of {found}, and {purpose} is to be watched: name "
                "another file."
            )

    def _open(self, purpose: str) -> str:
        """Create what is missing, and return the purpose of the state."""
        # From the first transaction on, no other connection can read or write the file.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        with self._transaction("EXCLUSIVE"):
            for statement in _TABLES:
                self._database.execute(statement)
            self._database.execute("INSERT INTO purpose SELECT ? WHERE NOT EXISTS (SELECT * FROM purpose)", (purpose,))
        found: str = self._database.execute("SELECT text FROM purpose").fetchone()[0]
        return found

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        self._database.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def __enter__(self) -> Self:
        """Return the state itself, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._database.close()

    @property
    def position(self) -> tuple[int, str] | None:
        """The number and a description of the last entry of the feed that was read; None if none was."""
        row: tuple[int, str] | None = self._database.execute("SELECT sequence, entry FROM position").fetchone()
        return row

    def advance(self, sequence: int, entry: str, ids: Iterable[str] = ()) -> None:
        """Note, in one transaction, how far the feed was read and which objects are to be called for."""
        with self._transaction():
            self._database.execute("DELETE FROM position")
            self._database.execute("INSERT INTO position VALUES (?, ?)", (sequence, entry))
            # One that has failed gets all its attempts again, since it has changed.
            self._database.executemany(
                "INSERT INTO waiting (id) VALUES (?) ON CONFLICT (id) DO UPDATE SET attempts = 0, due = 0",
                [(key,) for key in ids],
            )

    def waiting(self, until: float = math.inf) -> list[Waiting]:
        """List the objects to be called for that are due at a time, in the order in which they were seen."""
        rows = self._database.execute(
            "SELECT id, attempts, due, error FROM waiting WHERE due <= ? ORDER BY number", (until,)
        )
        return [Waiting(*row) for row in rows]

    def revive(self) -> None:
        """Allow all attempts again for what has failed."""
        self._database.execute("UPDATE waiting SET attempts = 0, due = 0")

    def drop(self, key: str) -> None:
        """Take an object out of those to be called for."""
        self._database.execute("DELETE FROM waiting WHERE id = ?", (key,))

    def succeed(self, key: str, updated: str) -> None:
        """Note that an object was called for, in the state of its last update."""
        with self._transaction():
            self.drop(key)
            self._database.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (key, updated))

    def fail(self, key: str, error: str, due: float) -> None:
        """Note that the call for an object has failed, and when it is tried again."""
        self._database.execute(
            "UPDATE waiting SET attempts = attempts + 1, error = ?, due = ? WHERE id = ?", (error, due, key)
        )

    def done(self, key: str) -> str | None:
        """Return the last update of an object when it was called for; None if it was not."""
        row = self._database.execute("SELECT updated FROM done WHERE id = ?", (key,)).fetchone()
        return None if row is None else str(row[0])
