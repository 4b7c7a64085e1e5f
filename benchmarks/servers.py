"""The Orthanc servers on this machine, each filled with the same archive.

Filling takes place in memory where the machine has a folder for that, since each stored instance is a transaction of
the database; all versions are filled at once. Measured is on the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.archive import Archive
from benchmarks.images import Images
from benchmarks.wire import Wire, store
from simple_orthanc.errors import OrthancError
from simple_orthanc.local.program import PLUGINS
from simple_orthanc.local.server import LocalOrthanc

SERVERS_FOLDER = Path(os.environ.get("SIMPLE_ORTHANC_SERVERS", "/opt/simple-orthanc"))
WANTED = ("1.10", "1.12", "1.13")
_MEMORY = Path("/dev/shm")
# Twice the size of three filled archives.
_MEMORY_NEEDED = 3e9
_IN_ONE_ZIP = 200
_CACHE_SECONDS = 8.0


@dataclass(frozen=True)
class Recipe:
    """How to start one version of Orthanc.

    Attributes
    ----------
    version : str
        As the server says it, "1.12.7".
    program : list of str or Path or None
        What `LocalOrthanc` takes.
    config : mapping
        What `LocalOrthanc` takes.
    """

    version: str
    program: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The version as integers."""
        return tuple(int(part) for part in self.version.split(".") if part.isdigit())

    def server(self, folder: Path, **config: Any) -> LocalOrthanc:
        """Return a server in a folder, not started; objects are complete after a minute, Orthanc's default."""
        # Whatever is compared speaks to it, so it asks for no password.
        options = {**self.config, "StableAge": 60, "AuthenticationEnabled": False, **config}
        return LocalOrthanc(folder, program=self.program, config=options, timeout=120)


def installed() -> tuple[list[Recipe], list[str]]:
    """Find the versions of Orthanc on this machine: this system's own, and those of ``make servers``.

    Returns
    -------
    recipes : list of Recipe
        Oldest first, one for each version.
    complaints : list of str
        What is wanted and not here.
    """
    found: dict[str, Recipe] = {}
    complaints = []
    for options in _candidates():
        try:
            with LocalOrthanc(**options) as server:
                found.setdefault(server.version, Recipe(server.version, **options))
        except OrthancError as error:
            complaints.append(str(error))
    recipes = sorted(found.values(), key=lambda recipe: recipe.numbers)
    for wanted in WANTED:
        if not any(recipe.version.startswith(wanted + ".") for recipe in recipes):
            complaints.append(f"no Orthanc {wanted} is here: run sudo make servers")
    return recipes, complaints


def _candidates() -> Iterator[dict[str, Any]]:
    yield {}
    for program in sorted((SERVERS_FOLDER / "bin").glob("orthanc-*")):
        inside = SERVERS_FOLDER / program.name.removeprefix("orthanc-")
        files = sorted(inside.glob("usr/share/orthanc/plugins/*.so"))
        plugins = [path for path in files if any(name in path.name for name in PLUGINS)]
        # Paths inside the server's own system.
        yield {"program": program, "config": {"Plugins": ["/" + str(path.relative_to(inside)) for path in plugins]}}


def fill(recipes: Sequence[Recipe], target: Path, archive: Archive, count: int, series: Sequence[Images]) -> None:
    """Make one storage folder per version, named by it, all with the same instances.

    Parameters
    ----------
    recipes : sequence of Recipe
        The versions.
    target : Path
        Where the folders go.
    archive, count : Archive, int
        How many of the small instances.
    series : sequence of Images
        Which further series.
    """
    pieces = [range(start, min(start + _IN_ONE_ZIP, count)) for start in range(0, count, _IN_ONE_ZIP)]
    zips = [archive.zipped(piece) for piece in pieces]

    def one(recipe: Recipe) -> None:
        folder = target / recipe.version
        # A plugin would make a cache for each of the many series, which takes longer than storing them.
        with recipe.server(folder, SyncStorageArea=False, StableAge=3600, Plugins=[]) as server:
            store(server.url, zips)
        with recipe.server(folder, SyncStorageArea=False, StableAge=1) as server:
            for images in series:
                store(server.url, [path.read_bytes() for path in images.files])
            _wait_for_caches(server.url, series)

    with ThreadPoolExecutor(len(recipes)) as pool:
        list(pool.map(one, recipes))


def _wait_for_caches(url: str, series: Sequence[Images]) -> None:
    """Wait until the DICOMweb plugin has what it keeps beside a series: its users would find it there, too.

    Plugins before version 1.15 keep nothing.
    """
    deadline = time.monotonic() + _CACHE_SECONDS
    with Wire(url) as wire:
        for images in series:
            while time.monotonic() < deadline and not wire.json(f"/series/{images.series}/attachments"):
                time.sleep(0.2)


@contextmanager
def workshop(target: Path) -> Iterator[Path]:
    """Yield a folder in memory that is copied to the target at the end, or the target itself.

    Servers that run in a system of their own see no other folder than those for temporary files.
    """
    if not _MEMORY.is_dir() or shutil.disk_usage(_MEMORY).free < _MEMORY_NEEDED:
        yield target
        return
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(_MEMORY)
    try:
        with tempfile.TemporaryDirectory(prefix="simple-orthanc-bench-", dir=_MEMORY) as folder:
            yield Path(folder)
            shutil.copytree(folder, target, dirs_exist_ok=True)
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
