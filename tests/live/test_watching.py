"""A watcher that outlives its server, and its program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.local.server import free_port
from simple_orthanc.testing import wait_until
from tests.conftest import MakeServer, ask
from tests.faults.restarts import killed
from tests.live.archives import simple_file, store


def send(server: LocalOrthanc, series: int, *numbers: int) -> None:
    store(
        server,
        *(
            simple_file(
                number,
                PatientID="p",
                StudyInstanceUID="1.2",
                SeriesInstanceUID=f"1.2.{series}",
                InstanceNumber=str(number),
            )
            for number in numbers
        ),
    )


def test_a_watcher_survives_a_restart_in_the_middle(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server({"HttpPort": free_port(), "StableAge": 1}, folder=tmp_path / "server")
    seen: list[tuple[str, int]] = []
    stop = threading.Event()

    def function(series: Orthanc) -> None:
        seen.append((series.get_dicom_tag("SeriesInstanceUID")[0], series.instance_count))

    with server.connect() as orthanc:
        options = {"poll": 0.1, "stop": stop, "since": 0}
        watching = threading.Thread(target=orthanc.watch, args=(function,), kwargs=options, daemon=True)
        send(server, 1, 1)
        watching.start()
        wait_until(lambda: seen == [("1.2.1", 1)], timeout=20)
        # Not stable yet when the server ends, which then never says that it is.
        send(server, 2, 2, 3)
        killed(server)
        server.start()
        # What is sent again changes nothing.
        send(server, 1, 1)
        send(server, 3, 4)
        wait_until(lambda: len(seen) == 3, timeout=20)
        assert sorted(seen) == [("1.2.1", 1), ("1.2.2", 2), ("1.2.3", 1)]
        types = [change["ChangeType"] for change in ask(server, "/changes?since=0&limit=1000")["Changes"]]
        assert types.count("StableSeries") < 3
        stop.set()
        watching.join(20)
        assert not watching.is_alive()


PROGRAM = """
import sys
from simple_orthanc import Orthanc

def function(series):
    print(series.SeriesInstanceUID, flush=True)

print("ready", flush=True)
Orthanc(sys.argv[1]).watch(function, stable=False, since=0, poll=0.1, state=sys.argv[2])
"""


@pytest.mark.one_version
def test_ctrl_c_ends_a_watcher_at_once_and_the_next_one_continues(empty_server: LocalOrthanc, tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROGRAM, empty_server.url, str(tmp_path / "state")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    send(empty_server, 1, 1)
    for series in (1, 2):
        send(empty_server, series, series)
        program = start()
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            # A call that Ctrl-C has ended before it was noted is made again.
            assert (
                next(line for line in iter(program.stdout.readline, "") if line != f"['1.2.{series - 1}']\n")
                == f"['1.2.{series}']\n"
            )
            program.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert program.wait(20) == -signal.SIGINT if os.name == "posix" else True
            # At once: a second, with reserve for a machine that is busy.
            assert time.monotonic() - began < 5
        finally:
            program.kill()
            program.communicate()
