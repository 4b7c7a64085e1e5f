"""Errors of networks say what to look at."""

from __future__ import annotations

import pytest

from simple_orthanc.errors import JobError, NotFoundError, ServerError
from simple_orthanc.rest.remote.explaining import explained


@pytest.mark.parametrize(
    ("details", "says"),
    [
        ("DicomAssociation - connecting to AET: DUL Association Rejected", "refused the AE title of this Orthanc"),
        ("TCP Initialization Error: Connection refused", "Nothing listens at its host and port"),
        ("TCP Initialization Error: Operation now in progress", "Nothing listens at its host and port"),
        ("libCURL error: Couldn't connect to server", "Nothing listens at its host and port"),
        ("libCURL error: Could not connect to server while accessing http://h/", "Nothing listens at its host"),
        ("This HTTP status is not allowed in a REST API", "check the user and password of its configuration"),
        ("DUL network read timeout", "accepted the connection and then was silent"),
        ("No acceptable presentation context", "does not offer this service"),
        ("The C-FIND command is not supported by the remote SCP", "does not offer this service"),
        ("C-MOVE SCU to AET has failed with DIMSE status 0xA801", "does not know the AE title that it was to send to"),
        ("C-MOVE SCU to AET has failed with DIMSE status 0xC000", "does not hold what was asked for"),
        ("Error encountered within the plugin engine", "The DICOMweb plugin gives no reason"),
        ("Error in the network protocol", "check the URL, user and password"),
        ("Error in the network protocol; OrthancStatus 9", "check the URL, user and password"),
        ("Error in the network protocol; Plugin error code 9 at a.cpp:3; OrthancStatus 9", "check the URL, user"),
        ("Error in the network protocol; C-STORE SCU failed; OrthancStatus 9", "The server's log may say more"),
        ("Something else", "The server's log may say more"),
    ],
)
@pytest.mark.parametrize(("kind", "status"), [(JobError, 0), (ServerError, 500), (JobError, 422)])
def test_reasons_are_explained(details: str, says: str, kind: type[ServerError], status: int) -> None:
    error = explained(kind("it failed", status=status, method="POST", path="/p", details=details), "Sending failed")
    assert type(error) is kind
    assert str(error).startswith(f"Sending failed: {details}. ")
    assert says in str(error)
    assert (error.status, error.method, error.path, error.details) == (status, "POST", "/p", details)


@pytest.mark.parametrize("error", [NotFoundError("not there", status=404), ServerError("bad", status=400)])
def test_errors_of_the_request_itself_stay_as_they_are(error: ServerError) -> None:
    assert explained(error, "Sending failed") is error
