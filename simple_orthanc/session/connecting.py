"""The connection of a session, from the arguments that the constructors of `Orthanc` and `DicomWeb` share."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import SelectionError
from simple_orthanc.transport.secret import KeptElsewhere, Secret, hide, reveal

if TYPE_CHECKING:
    from simple_orthanc.transport import Transport


def open_transport(url: Any, username: str | None, password: Any, *, auth: Any = None, **options: Any) -> Transport:
    """Return the connection to a server. The constructors have hidden what is secret in the arguments.

    Parameters
    ----------
    url : str
        The root of the server.
    username, password : optional
        Sent by HTTP basic authentication.
    auth
        Any other authentication, as for `Transport`.
    **options
        The other arguments of `Transport`.

    Raises
    ------
    SelectionError
        Both a username or password and `auth` are given.
    """
    from simple_orthanc.transport import Transport

    if username is not None or password is not None:
        if auth is not None:
            raise SelectionError("Give either username and password or auth, not both.")
        login = partial(_login, username or "")
        auth = password.then(login) if isinstance(password, KeptElsewhere) else Secret(login(hide(password)))
    return Transport(url, auth=auth, **options)


def _login(username: str, password: Secret | None) -> tuple[str, str]:
    return username, reveal(password) or ""
