"""Two Orthancs that know each other, with a few studies, for the calls that docs/coming-from.md shows."""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import inspect
import logging
import re
import types
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPBasicAuth

import simple_orthanc
from simple_orthanc import (
    AsyncSession,
    DicomWeb,
    Folder,
    LocalOrthanc,
    Orthanc,
    Session,
    exact,
    label,
    show_progress,
    tag,
    testing,
)
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicomweb import Rendering
from simple_orthanc.local.server import free_port
from tests.conftest import HOW_TO_GET_ONE, Servers, empty

# The oldest Orthanc that knows all of what the document shows.
OLDEST = (1, 12, 5)
JANE = {"PatientName": "JaneDoe", "PatientID": "P1", "StudyInstanceUID": "1.2.1", "StudyDate": "20210101"}
CT = testing.make_series(
    (3, 8, 8), seed=1, spacing=(2.0, 1.0, 1.0), **JANE, StudyDescription="chest", SeriesDescription="ct_scan"
)
PT = testing.make_series((3, 8, 8), seed=2, modality="PT", like=CT[0], spacing=(2.0, 1.0, 1.0), SeriesDescription="pet")
MR = testing.make_series(
    (2, 8, 8), seed=3, modality="MR", PatientName="JohnDoe", PatientID="P2", StudyInstanceUID="1.2.2",
    StudyDate="20200202", SeriesDescription="mr_scan",
)  # fmt: skip
STUDIES = [*CT, *PT, *MR]
# What only the other server holds.
ELSEWHERE = testing.make_series((2, 8, 8), seed=4, PatientName="JaneDoe", PatientID="P9", StudyInstanceUID="1.2.9")
PDF = b"%PDF-1.4\n%%EOF\n"
SYSTEM = {"Version": "1.12.7", "ApiVersion": 27, "Name": "stand-in"}


def newest_enough(servers: Servers) -> str:
    """Return the name of the oldest Orthanc here that knows everything."""
    versions = {tuple(int(part) for part in re.findall(r"\d+", name)[:3]): name for name in servers.recipes}
    fitting = sorted(version for version in versions if version >= OLDEST)
    if not fitting:
        pytest.skip(f"Orthanc 1.12.5 or newer was not found: {HOW_TO_GET_ONE}.")
    return versions[fitting[0]]


@contextlib.contextmanager
def two_orthancs(servers: Servers) -> Iterator[tuple[LocalOrthanc, LocalOrthanc]]:
    """Start a server with a password, and one without, each of which knows the other."""
    name = newest_enough(servers)
    ports = [free_port(), free_port()]
    common = {"DicomServerEnabled": True, "DicomAlwaysAllowMove": True, "StableAge": 1}
    other = {
        **common,
        "DicomAet": "OTHER",
        "DicomPort": ports[1],
        "DicomModalities": {"MINE": ["MINE", "127.0.0.1", ports[0]]},
    }
    with servers.make(name, other) as second:
        mine = {
            **{**common, "DicomAet": "MINE", "DicomPort": ports[0], "AuthenticationEnabled": True},
            "DicomModalities": {"OTHER": ["OTHER", "127.0.0.1", ports[1]]},
            "OrthancPeers": {"OTHER": [second.url]},
            "DicomWeb": {"Servers": {"OTHER": [f"{second.url}/dicom-web/"]}},
            "ExecuteLuaEnabled": True,
            "RestApiWriteToFileSystemEnabled": True,
        }
        with servers.make(name, mine) as first:
            yield first, second


class World:
    """The names that the calls of the document use.

    Attributes
    ----------
    orthanc : Orthanc
        A session on the first server.
    names : dict
        Everything by name.
    """

    def __init__(self, first: LocalOrthanc, second: LocalOrthanc, make_third: Callable[[], LocalOrthanc]) -> None:
        self.first, self.second, self.make_third = first, second, make_third
        self.orthanc = first.connect()
        self.other = second.connect()
        self.names: dict[str, Any] = {}

    def restore(self, path: Path) -> None:
        """Bring both servers and all names back to what they were, if anything changed."""
        held = set(self.orthanc.rest.get("/instances"))
        if held != {testing.orthanc_id_of(dataset) for dataset in STUDIES}:
            for patient in self.orthanc.rest.get("/patients"):
                self.orthanc.rest.delete(f"/patients/{patient}")
            self.orthanc.upload_dataset(STUDIES)
        if self.other.rest.get("/statistics")["CountInstances"] != len(ELSEWHERE):
            empty(self.second)
            self.other.upload_dataset(ELSEWHERE)
        self.orthanc.reset().refresh()
        self.names = {**self._values(path), **FUNCTIONS}

    def _values(self, path: Path) -> dict[str, Any]:
        assert self.first.credentials is not None
        user, password = self.first.credentials
        ids = {
            f"{level}_id": testing.orthanc_id_of(CT[0], level) for level in ("patient", "study", "series", "instance")
        }
        return {
            **ids,
            "orthanc": self.orthanc,
            "other": self.other,
            "pet_id": testing.orthanc_id_of(PT[0], "series"),
            "other_series_id": testing.orthanc_id_of(MR[0], "series"),
            "study_uid": str(CT[0].StudyInstanceUID),
            "series_uid": str(CT[0].SeriesInstanceUID),
            "instance_uid": str(CT[0].SOPInstanceUID),
            "url": self.first.url,
            "port": self.first.port,
            "username": user,
            "password": password,
            "open_url": self.second.url,
            "dicom_port": self.orthanc.rest.get("/modalities/OTHER/configuration")["Port"],
            "path": path,
            "third": self.make_third(),
            "dataset": testing.make_series((1, 4, 4), seed=9, PatientID="P3")[0],
        }


def write_files(path: Path) -> dict[str, Any]:
    """Write what is uploaded and read from folders."""
    folder = path / "folder"
    (folder / "below").mkdir(parents=True)
    names = [folder / "below" / f"image{number}" for number in range(len(CT))]
    for name, dataset in zip(names, CT, strict=True):
        name.write_bytes(testing.as_bytes(dataset))
    zipped = path / "files.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for name in names:
            archive.write(name, name.name)
    (path / "report.pdf").write_bytes(PDF)
    return {"folder": folder, "file": names[0], "zip_file": zipped, "pdf_file": path / "report.pdf"}


async def count_series(address: str) -> int:
    """Count the series of a server, awaiting each verb."""
    async with await AsyncSession.open(Orthanc, address) as session:
        await session.select(PatientID="P9")
        count: int = await session.series_count
        return count


FUNCTIONS: dict[str, Any] = {
    **{name: getattr(testing, name) for name in testing.__all__},
    **{"Orthanc": Orthanc, "DicomWeb": DicomWeb, "Folder": Folder, "Session": Session, "Rendering": Rendering},
    **{"HTTPBasicAuth": HTTPBasicAuth, "date": date, "exact": exact, "label": label, "tag": tag, "Path": Path},
    **{"parse_tag": parse_tag, "show_progress": show_progress, "logging": logging},
    **{"simple_orthanc": simple_orthanc},
    **{"asyncio": asyncio, "AsyncSession": AsyncSession, "count_series": count_series},
    "pdf_uri": "data:application/pdf;base64," + base64.b64encode(PDF).decode(),
}


def _run_statement(code: types.CodeType, names: dict[str, Any]) -> None:
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(types.FunctionType(code, names)())
    else:
        exec(code, names)


def evaluated(code: str, names: dict[str, Any]) -> Any:
    """Run one call, and return its value; None for a statement, and an error of this library if it raises one."""
    try:
        compiled = compile(code, "<document>", "eval")
        run: Callable[..., Any] = eval
    except SyntaxError:
        compiled = compile(code, "<document>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        run = _run_statement
    try:
        return run(compiled, names)
    except simple_orthanc.OrthancError as error:
        return error
