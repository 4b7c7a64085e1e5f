"""What one Orthanc server can do; asked once, so that every difference of versions is decided in one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level


@dataclass(frozen=True)
class Capabilities:
    """What one Orthanc server can do, by its answer to ``/system``.

    Attributes
    ----------
    version : tuple of int
        (1, 12, 7); a build from the development line counts as newest.
    extended_find : bool
        ``/tools/find`` has ResponseContent and ParentStudy (Orthanc 1.12.5, on SQLite and PostgreSQL).
    labels : bool
        The server keeps labels (Orthanc 1.12.0).
    ranges : bool
        Parts of attachments can be read (Orthanc 1.12.5).
    transcodes : bool
        The server may change the transfer syntax of what it stores.
    user_metadata : dict
        Name to number of the metadata that its configuration adds; empty before Orthanc 1.12.0, which does not list
        them.
    tags_by_level : dict
        Numbers of the tags that the server keeps in its database, by level; empty before Orthanc 1.11.0.

    Examples
    --------
    >>> server = Capabilities.from_system({"Version": "1.12.7", "ApiVersion": 27, "Capabilities": {"HasLabels": True}})
    >>> server.version
    (1, 12, 7)
    """

    version: tuple[int, ...]
    extended_find: bool
    labels: bool
    ranges: bool
    transcodes: bool
    user_metadata: dict[str, int]
    tags_by_level: dict[Level, tuple[str, ...]]

    @classmethod
    def from_system(cls, system: dict[str, Any]) -> Capabilities:
        """Read the answer to ``/system``.

        Examples
        --------
        >>> Capabilities.from_system({"Version": "1.10.1", "ApiVersion": 15}).labels
        False
        """
        version = parse_version(str(system.get("Version", "")))
        listed = system.get("MainDicomTags") or {}
        return cls(
            version=version,
            extended_find=bool((system.get("Capabilities") or {}).get("HasExtendedFind", False)),
            labels=bool(system.get("HasLabels", False)),
            ranges=version >= (1, 12, 5),
            transcodes=bool(system.get("IngestTranscoding")),
            user_metadata={str(name): int(number) for name, number in (system.get("UserMetadata") or {}).items()},
            tags_by_level={
                level: tuple(number for number in str(listed.get(level.capitalize(), "")).lower().split(";") if number)
                for level in (LEVELS if listed else ())
            },
        )

    @property
    def main_tags(self) -> frozenset[str]:
        """Numbers of all tags that the server keeps in its database, at whatever level.

        Examples
        --------
        >>> system = {"Version": "1.12.7", "ApiVersion": 27, "MainDicomTags": {"Patient": "0010,0010;0010,0020"}}
        >>> sorted(Capabilities.from_system(system).main_tags)
        ['0010,0010', '0010,0020']
        """
        return frozenset(number for numbers in self.tags_by_level.values() for number in numbers)


def parse_version(text: str) -> tuple[int, ...]:
    """Read a version as integers.

    Examples
    --------
    >>> parse_version("1.12.7"), parse_version("1.12.5rc1"), parse_version("mainline-a1b2") > (1, 99)
    ((1, 12, 7), (1, 12, 5), True)
    """
    if text.startswith("mainline"):
        return (10**6,)
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
