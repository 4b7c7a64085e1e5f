"""Functions that are mapped in tests, by names that other processes can import, and archives for them."""

from __future__ import annotations

import decimal
import enum
import importlib
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydicom.valuerep import DT, PersonName

from simple_orthanc import Folder
from tests.session.exports.series import one_series, written

SERIES = 6


def folder_of(path: Path, count: int = SERIES) -> Folder:
    """Make a folder of series of three slices; there are two patients."""
    series = [one_series(number, patient=f"P{1 + 2 * number // (count + 1)}") for number in range(1, count + 1)]
    return Folder(written(path, *series))


def number_of(session: Any) -> int:
    return int(session.SeriesNumbers[0])


def measure(session: Any) -> dict[str, Any]:
    """Return a value of each type; the third series has an error, and the fifth no maximum."""
    number = number_of(session)
    if number == 3:
        raise ValueError("three")
    array = session.get_volume().array
    values = {
        "mean": float(array.mean()),
        "number": number,
        "name": session.SeriesDescriptions[0],
        "odd": number % 2 == 1,
    }
    return values if number == 5 else {**values, "highest": int(array.max())}


class Verdict(str, enum.Enum):
    GOOD = "good"


def every_kind(session: Any) -> dict[str, Any]:
    """Return values of classes that become plain ones, and integers beside fractions."""
    number = number_of(session)
    return {
        "verdict": Verdict.GOOD,
        "parts": [Verdict.GOOD, decimal.Decimal("0.5"), None],
        "moment": DT("20200229120000.5-0200"),
        "name": PersonName("Doe^Jane"),
        "duration": np.timedelta64(number, "h"),
        "exact": 2**53 + number if number % 2 else 0.5,
        "shape": np.array(number, dtype="u1"),
    }


def without_seconds(table: pd.DataFrame) -> pd.DataFrame:
    assert table["seconds"].dtype == "Float64"
    return table.drop(columns="seconds")


class Counted:
    """Counts its calls in a folder, whichever process they are in.

    Parameters
    ----------
    folder : Path
        An empty one.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = str(folder)

    def __call__(self, session: Any) -> int:
        number = number_of(session)
        with open(os.path.join(self.folder, str(number)), "a") as stream:
            stream.write("x")
        self.act(number)
        return number

    def act(self, number: int) -> None:
        """Do what a test wants done."""

    def calls(self) -> dict[int, int]:
        """Return how often it was called for each series."""
        return {int(name): os.path.getsize(os.path.join(self.folder, name)) for name in os.listdir(self.folder)}


class Killed(Counted):
    """Ends its process in the second series: once, or each time."""

    def __init__(self, folder: Path, always: bool = False) -> None:
        super().__init__(folder)
        self.always = always

    def act(self, number: int) -> None:
        if number == 2 and (self.always or self.calls()[2] == 1):
            os.kill(os.getpid(), signal.SIGKILL)


class Slow(Counted):
    """Waits from the third series on, until it may go on."""

    def act(self, number: int) -> None:
        if number > 2:
            Path(f"{self.folder}.{number}").write_text(str(os.getpid()))
            deadline = time.monotonic() + 60
            while not os.path.exists(f"{self.folder}.go") and time.monotonic() < deadline:
                time.sleep(0.02)

    def go_on(self) -> None:
        """Let all calls, in whichever process, come to their end."""
        Path(f"{self.folder}.go").touch()

    def processes(self) -> list[int]:
        """Return the processes that wait, one for each series."""
        texts = [path.read_text() for path in Path(self.folder).parent.glob(f"{Path(self.folder).name}.[0-9]")]
        return [int(text) for text in texts if text]


def exits(session: Any) -> None:
    sys.exit(f"no {number_of(session)}")


def warns(session: Any) -> int:
    warnings.warn("look at this", UserWarning, stacklevel=1)
    print("printed", number_of(session))
    print("complained", number_of(session), file=sys.stderr)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("computing").warning("logged %d", number_of(session))
    return number_of(session)


class OwnError(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raises_own(session: Any) -> None:
    raise OwnError(1, 2)


class UnwritableError(Exception):
    """An error whose own words cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def raises_unwritable(session: Any) -> int:
    raise UnwritableError


class Elsewhere:
    """Raises an error of a module that can only be imported where it is called, as in a worker of Dask."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(self, session: Any) -> None:
        with open(os.path.join(self.folder, "only_elsewhere.py"), "w") as stream:
            stream.write("class ElsewhereError(Exception): ...\n")
        if self.folder not in sys.path:
            sys.path.append(self.folder)
        raise importlib.import_module("only_elsewhere").ElsewhereError("there")
