"""DICOMweb servers that the plugin of an Orthanc server knows."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import UnknownNameError, UnsupportedError
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServers
from tests.rest.remote.stand_in import Server, serving
from tests.rest.remote.test_configured import ARCHIVE, ids_of


def test_without_the_plugin_the_list_is_unsupported() -> None:
    stand_in = Server()
    del stand_in.configured["dicom-web/servers"]
    with serving(stand_in) as rest:
        servers = DicomWebServers(rest, ids_of)
        with pytest.raises(UnsupportedError, match=r"has no DICOMweb plugin.*orthanc-dicomweb"):
            list(servers)
        with pytest.raises(UnsupportedError, match="has no DICOMweb plugin"):
            servers["archive"]


def test_the_configuration_of_what_was_removed_is_an_error() -> None:
    stand_in = Server()
    stand_in.configured["dicom-web/servers"] = {"archive": ARCHIVE, "other": ARCHIVE}
    with serving(stand_in) as rest:
        archive = DicomWebServers(rest, ids_of)["archive"]
        assert archive.configuration == {name: ARCHIVE[name] for name in ("Url", "Username")}
        del stand_in.configured["dicom-web/servers"]["archive"]
        with pytest.raises(UnknownNameError, match="'archive' any more; it knows other"):
            archive.configuration  # noqa: B018
