"""What is read over a slow link, and twice with a cache: a CT, and a cohort of small MR series of one patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.images import Images, make_time_series


@dataclass(frozen=True)
class Size:
    """How much is built and how often it is measured.

    Attributes
    ----------
    volume : (int, int, int)
        Shape of the CT.
    series, slices : int, (int, int, int)
        How many small series, and the shape of each.
    instances : int
        How many other instances the server holds.
    rounds : int
        How often each contestant is run.
    """

    volume: tuple[int, int, int] = (300, 512, 512)
    series: int = 100
    slices: tuple[int, int, int] = (10, 128, 128)
    instances: int = 20_000
    rounds: int = 3


QUICK = Size((24, 128, 128), 5, (10, 32, 32), 1_000, 1)


def make_cohort(folder: Path, size: Size) -> tuple[Images, ...]:
    """Make small MR series of one patient."""
    shape = (1, *size.slices)
    return tuple(
        make_time_series(folder / f"{number:03d}", shape, f"cohort_{number:03d}", seed=1000 + number)
        for number in range(size.series)
    )
