"""Through DICOMweb a server gives the same answers as through Orthanc's REST API, and as its files."""

from __future__ import annotations

import warnings

from archives import archives, header_of, store
from conftest import empty
from hypothesis import given, settings
from hypothesis import strategies as st
from test_queries import PHASES, asked, assert_selected

from simple_orthanc import DicomWeb, LocalOrthanc


def over_dicomweb(server: LocalOrthanc) -> DicomWeb:
    return DicomWeb(f"{server.url}/dicom-web")


@given(data=st.data())
@settings(max_examples=25, phases=PHASES)
def test_selects_what_the_headers_say(server: LocalOrthanc, data: st.DataObject) -> None:
    server.start()
    files = data.draw(archives(shared_uids=False))
    empty(server)
    store(server, *files)
    headers = [header_of(content) for content in files]
    with over_dicomweb(server) as session:
        for _ in range(12):
            what, narrow, holds = data.draw(asked(headers))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Nothing is selected any more")
                narrow(session)
            try:
                assert_selected(session, [header for header in headers if holds(header)])
            except AssertionError as error:
                raise AssertionError(f"{what} on {server.version}: {error}") from error
            session.reset()
