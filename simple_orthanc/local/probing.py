"""Whether a server that was started answers already, and how it ended if it did."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import signal
import ssl
import urllib.request
from typing import Any

from simple_orthanc.local.options import Login


def system_of(url: str, name: str, login: Login | None) -> dict[str, Any] | None:
    """Return the ``/system`` of a server of this machine; None if it does not answer, or is not called `name`."""
    # The certificate does not matter here: only this server knows the name, which proves its identity.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with (
        contextlib.suppress(OSError, ValueError, http.client.HTTPException),
        opener.open(_request(url, login), timeout=2) as answer,
    ):
        system = json.load(answer)
        if isinstance(system, dict) and system.get("Name") == name:
            return system
    return None


def ended_by(status: int) -> str:
    """Name the signal that ended a program, or else its exit status.

    Examples
    --------
    >>> ended_by(-11), ended_by(1)
    ('killed by signal 11 (SIGSEGV)', 'with exit status 1')
    """
    if status < 0:
        return f"killed by signal {_signal_name(-status)}"
    # A shell reports the signal of a program that it started in this form.
    from_shell = f", which a shell reports after signal {_signal_name(status - 128)}" if 128 < status < 160 else ""
    return f"with exit status {status}{from_shell}"


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _request(url: str, login: Login | None) -> urllib.request.Request:
    request = urllib.request.Request(url)
    if login is not None:
        encoded = base64.b64encode(f"{login[0]}:{login[1].reveal()}".encode()).decode()
        request.add_header("Authorization", f"Basic {encoded}")
    return request
