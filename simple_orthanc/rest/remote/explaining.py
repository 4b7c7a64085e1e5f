"""Errors of the DICOM network and of the DICOMweb plugin, with what to look at."""

from __future__ import annotations

import re
from typing import TypeVar

from simple_orthanc.errors import ServerError

_REFUSED = "Nothing listens at its host and port: check both in its configuration, and whether it runs."
_ADVICE = (
    (
        "Association Rejected",
        "It refused the AE title of this Orthanc (DicomAet) or the AE title that it was called by: check both.",
    ),
    ("TCP Initialization Error", _REFUSED),
    ("Connection refused", _REFUSED),
    ("Could not connect to server", _REFUSED),
    ("Couldn't connect to server", _REFUSED),
    ("read timeout", "It accepted the connection and then was silent: check that it speaks DICOM at this port."),
    ("presentation context", "It does not offer this service to this Orthanc."),
    ("not supported by the remote SCP", "It does not offer this service to this Orthanc."),
    (
        "0xA801",
        "It does not know the AE title that it was to send to: add the title, host and port of this Orthanc there.",
    ),
    (
        "0xC000",
        "It does not hold what was asked for, or does not know the AE title that it was to send to: check with find(), "
        "and that it knows this Orthanc's title, host and port.",
    ),
    (
        "within the plugin engine",
        "The DICOMweb plugin gives no reason: the other server may be down, refuse the user or the path, be slower "
        "than the Timeout of its configuration, or not hold what was asked for. Check with find() whether it answers; "
        "the log of this Orthanc says more.",
    ),
    (
        "HTTP status is not allowed",
        "It refused: check the user and password of its configuration, and that its URL is the root of an Orthanc.",
    ),
    # Without a reason: peers and the DICOMweb plugin.
    (
        r"^Error in the network protocol(; Plugin error code[^;]*)?(; OrthancStatus 9)?\.?$",
        "It cannot be reached, or refuses: check the URL, user and password of its configuration.",
    ),
)

AnyServerError = TypeVar("AnyServerError", bound=ServerError)


def explained(error: AnyServerError, failed: str) -> AnyServerError:
    """Return an error of a network with what failed and what to look at; one of the request itself is returned as is.

    Parameters
    ----------
    error : ServerError
        What Orthanc reported, in an answer or in a job.
    failed : str
        What failed, as the beginning of a sentence.
    """
    details = error.details
    if error.status not in (0, 422, 500):
        return error
    advice = next((hint for pattern, hint in _ADVICE if re.search(pattern, details)), "The server's log may say more.")
    return type(error)(
        f"{failed}: {details.rstrip('.') or error.message.rstrip('.')}. {advice}",
        status=error.status,
        method=error.method,
        path=error.path,
        details=details,
    )
