"""Ctrl-C ends every verb at once although the server is mute, and leaves session and files as they should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests import interrupted_verbs

# Measured are some hundredths, and more on a busy machine; a worker that waits for the server would take its timeout of
# a minute.
SECONDS = 20.0
ENDS = {"KeyboardInterrupt", "exit 130"}


def run(protocol: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.interrupted_verbs", protocol]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "NO_PROXY": "*"})
    assert ended.returncode == 0, ended.stderr[-2000:]
    return [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("protocol", ["orthanc", "dicomweb"])
def test_ctrl_c_ends_every_verb(protocol: str) -> None:
    results = run(protocol)
    assert len(results) == 24 * len(interrupted_verbs.REQUESTS)
    for result in results:
        # Some verbs ask no more than three questions; and there are no masks.
        ends = ENDS if result["requests"] == 0 else {*ENDS, "finished"}
        assert result["outcome"] in ends or "no structure set" in result["outcome"], result
        assert result["seconds"] < SECONDS, result
        assert result["usable"], result
        names = [path.rpartition("/")[2] for path in result["left"]]
        assert all(name.endswith((".dcm", ".json", ".nii.gz")) and not name.startswith(".") for name in names)
    late = [result["verb"] for result in results if result["requests"] > 0 and result["outcome"] in ENDS]
    # These have asked enough by then for several threads to be at work.
    read = {"headers", "instances", "volume", "part", "lazy", "volumes", "volumes lazily", "children"}
    read |= {"volume_table", "download", "save_volumes"}
    assert {*read, "upload", "send", "be sent to"} <= set(late)
