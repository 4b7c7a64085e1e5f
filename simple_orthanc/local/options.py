"""The configuration of a local server: what its user gave, checked, over defaults that keep others out."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

from simple_orthanc.errors import SelectionError
from simple_orthanc.local.folders import STORAGE
from simple_orthanc.local.program import find_plugins
from simple_orthanc.transport.secret import Secret

Login = tuple[str, Secret]
"""A user and the password."""


def check_arguments(timeout: object, config: Secret) -> None:
    """Check the arguments of a `LocalOrthanc`.

    Raises
    ------
    SelectionError
        One of them cannot be used. The message shows no value of `config`, which may hold passwords.
    """
    if not _is_positive(timeout):
        raise SelectionError(f"timeout is {timeout!r}; give seconds above 0, as in LocalOrthanc(timeout=30).")
    fault = _fault(config.reveal())
    if fault:
        raise SelectionError(fault)


def _is_positive(number: object) -> bool:
    try:
        return isinstance(number, Real) and float(number) > 0
    except OverflowError:
        return False


def _fault(config: Any) -> str:
    """Return what is wrong with the options. It raises nothing, since its variables hold passwords."""
    if not isinstance(config, Mapping):
        return (
            f"config is of type {type(config).__name__}; give a dict of Orthanc's options, as in "
            f'LocalOrthanc(config={{"Name": "mine"}}).'
        )
    if not all(isinstance(name, str) for name in config):
        return "config has an option whose name is not a string; names are those of Orthanc's configuration file."
    port = config.get("HttpPort", 1)
    if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
        return "HttpPort in config is not a port: give an integer from 1 to 65535, or leave it out for a free one."
    users = config.get("RegisteredUsers") or {}
    if not isinstance(users, Mapping) or not all(
        isinstance(part, str) and part for login in users.items() for part in login
    ):
        return 'RegisteredUsers in config is no dict of users and passwords, as in {"jane": "a password"}.'
    if any(":" in user for user in users):
        # In an Authorization header the first colon ends the name (RFC 7617, section 2).
        return "A user in RegisteredUsers has a colon in the name, so nobody could log in; choose a name without one."
    for name, value in config.items():
        try:
            json.dumps(value, default=os.fspath, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            return f"The option {name} in config has a value that cannot be written as JSON."
    return ""


def new_login(config: Secret) -> Login | None:
    """Return who may log in: the first of the users in the options, or else a new user with a random password.

    Returns
    -------
    (str, Secret) or None
        None if the options turn authentication off.
    """
    options = config.reveal()
    if not options.get("AuthenticationEnabled", True):
        return None
    for user, password in (options.get("RegisteredUsers") or {}).items():
        return user, Secret(password)
    return f"user-{secrets.token_hex(4)}", Secret(secrets.token_urlsafe(24))


def configuration(config: Secret, login: Login | None, folder: Path, name: str, port: Callable[[], int]) -> Secret:
    """Return the whole configuration of a server.

    Parameters
    ----------
    config : Secret
        The options that the user gave, which win.
    login : (str, Secret) or None
        Who may log in.
    folder : Path
        The server's folder.
    name : str
        By which the server is recognised.
    port : callable
        Returns a free port, for HTTP and for DICOM. The options may name others.

    Returns
    -------
    Secret
        A dictionary, which holds the password.
    """
    given = config.reveal()
    defaults: dict[str, Any] = {
        "StorageDirectory": str(folder / STORAGE),
        "IndexDirectory": str(folder / STORAGE),
        "HttpPort": port(),
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": login is not None,
        "DicomServerEnabled": False,
        "StableAge": 1,
        "Plugins": find_plugins(),
    }
    if not given.get("RemoteAccessAllowed"):
        # Known to 1.13.0. 1.12.7 listens on every interface and refuses requests from elsewhere.
        defaults["HttpBindAddresses"] = ["127.0.0.1"]
    if given.get("DicomServerEnabled"):
        defaults["DicomPort"] = port()
    whole = {**defaults, **given, "Name": name}
    if login is not None and not given.get("RegisteredUsers"):
        whole["RegisteredUsers"] = {login[0]: login[1].reveal()}
    return Secret(whole)
