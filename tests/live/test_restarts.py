"""A server that is killed in the middle of an operation and started again."""

from __future__ import annotations

from pathlib import Path

import pytest

from simple_orthanc.local.server import free_port
from tests.conftest import MakeServer
from tests.faults.restarts import USER, survive_restarts


@pytest.mark.one_version
def test_an_upload_a_volume_and_a_download_of_300_files_survive_a_restart(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server({"HttpPort": free_port(), "RegisteredUsers": USER}, folder=tmp_path / "server")
    survive_restarts(server, tmp_path / "files")
