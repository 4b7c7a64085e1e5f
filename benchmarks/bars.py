"""The bars that a run must meet: a ratio or a number, and the versions of Orthanc that it is set for."""

from __future__ import annotations

from dataclasses import dataclass

Version = tuple[int, ...]

OLD: tuple[Version, Version] = ((1, 10), (1, 11))
NEW: tuple[Version, Version] = ((1, 12), (99,))
NEWEST: tuple[Version, Version] = ((1, 13), (99,))
RANGES: tuple[Version, Version] = ((1, 12, 5), (99,))
ALL: tuple[Version, Version] = ((0,), (99,))


@dataclass(frozen=True)
class Bar:
    """One bar.

    Parameters
    ----------
    job : str
        The job it is about.
    against : str
        The contestant to which ours is compared; or the name of a figure of the job, taken as it is.
    at_most : float
        The largest ratio, ours divided by the other, or the largest figure.
    versions : pair of versions
        From the first on, up to but without the second.
    aim : float, optional
        What would be better still.
    """

    job: str
    against: str
    at_most: float
    versions: tuple[Version, Version] = ALL
    aim: float | None = None

    def holds_for(self, version: Version) -> bool:
        """Whether the bar is set for a version of Orthanc."""
        return self.versions[0] <= version < self.versions[1]


BARS = (
    Bar("volume", "SimpleITK, local files", 1.1, OLD, aim=0.8),
    Bar("volume", "floor", 1.8, OLD),
    Bar("volume", "floor", 1.15, NEW),
    Bar("volume", "PyOrthanc", 0.1, OLD),
    Bar("volume", "PyOrthanc", 0.5, NEWEST),
    Bar("volume", "simple-orthanc's way", 0.02, OLD),
    Bar("volume", "simple-orthanc's way", 0.4, NEWEST),
    Bar("JPEG 2000", "pydicom, local files", 0.7),
    Bar("JPEG 2000", "pydicom, all processors", 0.5),
    Bar("JPEG lossless", "pydicom, all processors", 0.8),
    Bar("headers", "whole files", 0.8, OLD),
    Bar("headers", "whole files", 0.5, NEW),
    Bar("headers", "share of the bytes", 0.05, RANGES),
    Bar("headers, small archive", "whole files", 0.8, OLD),
    Bar("headers, small archive", "whole files", 0.5, RANGES),
    Bar("upload", "plain loop", 1.0),
    Bar("column", "bare request", 1.4),
    Bar("column", "one request per series", 1 / 50, NEW),
    Bar("column", "PyOrthanc", 0.02, NEW),
    Bar("table", "bare request", 3.0),
    Bar("KVP", "cheapest single way", 1.1),
    Bar("one patient", "requests", 4),
    Bar("memory", "share of the array", 1.5),
    Bar("import", "requests and pydicom", 1.1),
    Bar("first table", "pydicom, headers", 1.0),
    Bar("growth", "requests, largest to smallest", 1.0),
    Bar("growth", "client time, largest to smallest", 1.5),
)
