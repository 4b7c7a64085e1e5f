"""DCMTK's dcmqrscp: a PACS that is no Orthanc, on a free port of 127.0.0.1."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from tests.memory_source import as_file

HOW_TO_GET_IT = "install DCMTK (sudo apt install dcmtk), or run: sudo make servers"
TITLE = "DCMQRSCP"
_SECONDS = 20.0


class Dcmqrscp:
    """A running dcmqrscp, which holds datasets and sends them to the machines that it knows.

    Parameters
    ----------
    folder : Path
        An empty folder for its files.
    port : int
        A free port.
    hosts : mapping of str to int
        AE title to port of each machine that it knows, on 127.0.0.1.
    """

    def __init__(self, folder: Path, port: int, hosts: Mapping[str, int]) -> None:
        self._folder, self.port = folder, port
        self._stored = folder / "stored"
        self._stored.mkdir()
        known = [f"host{number} = ({title}, 127.0.0.1, {own})" for number, (title, own) in enumerate(hosts.items())]
        configuration = folder / "dcmqrscp.cfg"
        configuration.write_text(
            "\n".join(
                [
                    f"NetworkTCPPort = {port}",
                    "MaxPDUSize = 16384",
                    "MaxAssociations = 16",
                    *("HostTable BEGIN", *known, "HostTable END"),
                    *("VendorTable BEGIN", "VendorTable END"),
                    *("AETable BEGIN", f"{TITLE} {self._stored} RW (200, 1024mb) ANY", "AETable END", ""),
                ]
            )
        )
        with (folder / "dcmqrscp.log").open("wb") as log:
            self._process = subprocess.Popen(
                [found("dcmqrscp"), "--config", str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        self._wait()

    def __enter__(self) -> Dcmqrscp:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(_SECONDS)

    def _wait(self) -> None:
        until = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def store(self, datasets: Sequence[Dataset]) -> None:
        """Send it datasets."""
        paths = [self._folder / f"{number}.dcm" for number in range(len(datasets))]
        for path, dataset in zip(paths, datasets, strict=True):
            path.write_bytes(as_file(dataset))
        command = [found("storescu"), "-aec", TITLE, "127.0.0.1", str(self.port), *map(str, paths)]
        subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)

    def forget(self) -> None:
        """Remove all that it holds."""
        for path in self._stored.iterdir():
            path.unlink()


def found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FileNotFoundError(f"{program} was not found: {HOW_TO_GET_IT}.")
    return path
