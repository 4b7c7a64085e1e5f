"""Over DICOMweb files come from a cache only where something tells that they were not replaced."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simple_orthanc import Cache, DicomWeb, SelectionError
from simple_orthanc.phantom import make_series
from simple_orthanc.sources.dicomweb.versions import ApiBeside, StoredVersions
from simple_orthanc.sources.keys import Key
from simple_orthanc.transport import Transport
from tests.dicomweb_stand_in import DicomServer
from tests.http_stand_in import StandIn, always, reply


def test_a_server_that_tells_nothing_is_read_anew_and_offline(tmp_path: Path) -> None:
    datasets = make_series((3, 16, 16), seed=1)
    with DicomServer(datasets) as server:
        session = DicomWeb(server.root, cache=tmp_path / "cache")
        old = session.get_array()
        assert session.cache is not None
        assert len(session.cache) == 3
        replaced = copy.deepcopy(datasets[1])
        replaced.PixelData = bytes(np.frombuffer(replaced.PixelData, np.int16) + np.int16(7))
        server.datasets[1] = replaced
        new = session.get_array()
        assert (new != old).any(axis=(1, 2)).sum() == 1
        root = server.root
    offline = DicomWeb(root, cache=tmp_path / "cache", offline=True)
    assert np.array_equal(offline.get_array(), new)
    assert offline.PatientIDs == session.PatientIDs
    with pytest.raises(SelectionError, match="holds no file of"):
        DicomWeb(f"{root}/other", cache=tmp_path / "cache", offline=True)
    assert len(Cache(tmp_path / "cache")) == 3


@pytest.mark.parametrize(
    "plugin",
    [{"RootUri": "../elsewhere/app/explorer.html"}, {}, [], {"RootUri": None}, "a page"],
)
def test_another_plugin_or_no_orthanc_tells_nothing(plugin: Any) -> None:
    with StandIn(always(reply(plugin))) as server, Transport(f"{server.url}/dicomweb") as transport:
        versions = StoredVersions(transport, "")
        assert versions.stamp(Key("P1", "1.2", "1.2.3", "1.2.3.4")) is None
        asked = len(server.asked)
        assert versions.stamp(Key("P1", "1.2", "1.2.3", "1.2.3.4")) is None
        assert versions.stamp(Key("P1", "1.2", "1.2.3", "1.2.3.5")) is None
        assert len(server.asked) == asked


def test_the_api_is_asked_in_the_folder_above() -> None:
    with StandIn(always(reply({"Version": "1.12.7"}))) as server:
        with Transport(f"{server.url}/pacs/dicom-web") as transport:
            beside = ApiBeside(transport, "")
            assert (beside.url, beside.name) == (f"{server.url}/pacs", "dicom-web")
            beside.json("GET", "/system")
        with Transport(f"{server.url}/pacs") as transport:
            beside = ApiBeside(transport, "dicom-web")
            assert (beside.url, beside.name) == (f"{server.url}/pacs", "dicom-web")
            beside.json("GET", "/system")
        assert [asked.path for asked in server.asked] == ["/pacs/system"] * 2
