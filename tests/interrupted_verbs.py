"""A program that presses Ctrl-C in every verb while the server is mute, and prints what became of each.

``python -m tests.interrupted_verbs orthanc`` or ``dicomweb``. From some request on the stand-in server answers nothing;
when a request waits, this process gets a real SIGINT. A line of JSON per verb and request: how the verb ended, after
how many seconds, which files it left, and whether the session then still shows what it showed before.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simple_orthanc import DicomWeb, Folder, Orthanc
from simple_orthanc.cli import main as command_line
from simple_orthanc.errors import OrthancError
from simple_orthanc.phantom.images import as_bytes, make_series
from tests.dicomweb_stand_in import DicomServer
from tests.http_stand_in import Asked, StandIn
from tests.orthanc_stand_in import OrthancServer

REQUESTS = (0, 3)
SLICES = 12
TIMEOUT = (60, 60)


class Mute:
    """Makes a stand-in server mute from some request on."""

    def __init__(self, server: StandIn) -> None:
        self._script = server.script
        self._left: int | None = None
        self._lock = threading.Lock()
        self._speaking = threading.Event()
        self._speaking.set()
        self.waiting = threading.Event()
        server.script = self._answer

    def after(self, requests: int) -> None:
        self.waiting.clear()
        self._speaking.clear()
        self._left = requests

    def end(self) -> None:
        self._left = None
        self._speaking.set()

    def _answer(self, asked: Asked, count: int) -> bytes | None:
        with self._lock:
            if self._left is not None:
                self._left -= 1
                # A stand-in of Orthanc cannot delete.
                is_mute = self._left < 0 or asked.method == "DELETE"
            else:
                is_mute = False
        if is_mute:
            self.waiting.set()
            self._speaking.wait(60)
            return None
        return self._script(asked, count)


def verbs(session: Any, folder: Path, connect: Callable[[], Any], arguments: list[str]) -> dict[str, Callable[[], Any]]:
    """Return what is interrupted; `session` has one series selected, and no volume in its memory."""
    upload = folder / "new"
    upload.mkdir(parents=True)
    for number, dataset in enumerate(make_series((SLICES, 4, 4), PatientID="NEW")):
        (upload / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return {
        "connect": connect,
        "count": lambda: session.copy().refresh().instance_count,
        "table": lambda: session.table("KVP", "ImageType", level="instance"),
        "values": lambda: session.get_dicom_tag("ExposureTime"),
        "select": lambda: session.copy().select(ConvolutionKernel="SHARP"),
        "header": lambda: session.get_header(0),
        "headers": session.get_headers,
        "instances": session.get_instances,
        "volume": session.get_volume,
        "part": lambda: session.get_volume(slices=slice(1, 3)),
        "lazy": lambda: session.get_volume(lazy=True),
        "thumbnail": session.thumbnail,
        "volumes": lambda: list(session.get_volumes().values()),
        "volumes lazily": lambda: list(session.get_volumes_lazily()),
        "children": lambda: [series.get_volume() for series in session.series],
        "volume_table": session.volume_table,
        "masks": session.get_masks,
        "download": lambda: session.download(folder / "downloaded"),
        "save_volumes": lambda: session.save_volumes(folder / "saved"),
        "upload": lambda: session.upload_folder(upload),
        "send": lambda: session.send(Folder(upload, cache=False)),
        "be sent to": lambda: Folder(upload, cache=False).send(session, everything=True),
        "delete": session.copy().delete_selected_series,
        "command line": lambda: command_line([*arguments, "download", str(folder / "downloaded")]),
    }


def press_when(waiting: threading.Event, ended: threading.Event, pressed: list[float]) -> None:
    """Send Ctrl-C to this process as soon as requests wait."""
    while not waiting.wait(0.01):
        if ended.is_set():
            return
    # The other threads send their requests meanwhile.
    time.sleep(0.05)
    if not ended.is_set():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)


def interrupted(run: Callable[[], Any], mute: Mute, requests: int) -> dict[str, Any]:
    """Run a verb on a server that is mute after some requests, and press Ctrl-C."""
    pressed: list[float] = []
    ended = threading.Event()
    presser = threading.Thread(target=press_when, args=(mute.waiting, ended, pressed))
    mute.after(requests)
    presser.start()
    try:
        result = run()
        outcome = f"exit {result}" if isinstance(result, int) and result > 100 else "finished"
    except KeyboardInterrupt:
        outcome = "KeyboardInterrupt"
    except OrthancError as error:
        outcome = repr(error)
    seconds = time.monotonic() - pressed[0] if pressed else 0.0
    ended.set()
    presser.join()
    mute.end()
    return {"outcome": outcome, "seconds": seconds}


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def main(protocol: str, folder: Path) -> None:
    datasets = [
        *make_series((SLICES, 4, 4), PatientID="FIRST", ConvolutionKernel="SHARP"),
        *make_series((SLICES, 4, 4), PatientID="SECOND"),
    ]
    server: Any = OrthancServer(datasets) if protocol == "orthanc" else DicomServer(datasets)
    mute = Mute(server)

    def connect() -> Any:
        if protocol == "orthanc":
            return Orthanc(server.url, timeout=TIMEOUT)
        return DicomWeb(server.root, timeout=TIMEOUT)

    with server:
        first = connect()
        option = "--url" if protocol == "orthanc" else "--dicomweb"
        arguments = [option, server.url if protocol == "orthanc" else server.root]
        names = list(verbs(first, folder / "none", connect, arguments))
        for count, name in enumerate(names):
            for requests in REQUESTS:
                own = folder / f"{count}-{requests}"
                own.mkdir()
                session = connect().select(PatientID="FIRST")
                run = verbs(session, own, connect, arguments)[name]
                before = files_of(own)
                result = interrupted(run, mute, requests)
                left = [path for path in files_of(own) if path not in before]
                usable = len(session.get_headers()) == session.instance_count >= SLICES
                print(json.dumps({"verb": name, "requests": requests, **result, "left": left, "usable": usable}))
                session.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1], Path(temporary))
