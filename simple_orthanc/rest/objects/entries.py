"""What metadata and attachments have in common: names and numbers, revisions, and the errors about them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simple_orthanc.errors import NotFoundError, SelectionError, ServerError, UnknownNameError
from simple_orthanc.rest.objects.address import Address

# Orthanc leaves these numbers to its users; it keeps those below for itself (Orthanc Book, "Metadata and attachments").
FIRST_NUMBER, LAST_NUMBER = 1024, 65535
_NUMBER = re.compile(r"-?[0-9]+\Z")
# How often an entry that somebody else changes at the same time is overwritten.
_ATTEMPTS = 5


class Entries:
    """Requests about the metadata or the attachments of one object.

    Parameters
    ----------
    address : Address
        The object.
    route : str
        ``"metadata"`` or ``"attachments"``.
    option : str
        The option of Orthanc's configuration that names such entries.
    """

    def __init__(self, address: Address, route: str, option: str) -> None:
        self.address = address
        self.route = route
        self._option = option

    def name(self, name: object) -> str:
        """Return the name of an entry as it is in a path; a number without leading zeros.

        Raises
        ------
        SelectionError
            It is neither a name nor a number.
        """
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name:
            raise SelectionError(
                f"{name!r} does not name an entry of the {self.route}: give a name or a number, as in "
                f".{self.route}['{FIRST_NUMBER}']."
            )
        # Orthanc reads 01025 as 1025, and lists the entry so.
        return name.lstrip("0") or "0" if name.isascii() and name.isdigit() else name

    def check_writable(self, name: str) -> None:
        """Refuse a number that Orthanc keeps for itself, before anything is sent."""
        if _NUMBER.match(name) and not FIRST_NUMBER <= int(name[:9]) <= LAST_NUMBER:
            raise SelectionError(
                f"{name} cannot be used for {self.route} of your own, and nothing was sent: Orthanc keeps those below "
                f"{FIRST_NUMBER} for itself. Use one from {FIRST_NUMBER} to {LAST_NUMBER}, or a name that its "
                f"configuration gives one of them ({self._option})."
            )

    def missing(self, name: object) -> UnknownNameError:
        """Make the error for an entry that the object does not have."""
        address = self.address
        return UnknownNameError(
            f"The {address.level} {address.key} has no {self.route} of the name {name!r}: "
            f"list({address.level}.{self.route}) has the names of those that it has."
        )

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Name the entry in the error of a block, if the object has none of that name."""
        try:
            with self.address.explained():
                yield
        except NotFoundError as error:
            if self.address.is_meant_by(error):
                raise
            raise self.missing(name) from None

    def write(self, method: str, name: str, content: Any = None, *, revision: str | None = None) -> str | None:
        """Write or remove an entry, and return the revision that the server has then."""
        with self.address.explained():
            path = self.address.path(self.route, name)
            response = self.address.rest.request(method, path, from_start(content), revision=revision)
        held: str | None = response.revision
        return held

    def overwrite(self, method: str, name: str, content: Any = None) -> str | None:
        """Write or remove an entry whatever its revision is; return the revision that the server has then."""
        revision = None
        for _ in range(_ATTEMPTS - 1):
            try:
                return self.write(method, name, content, revision=revision)
            except ServerError as error:
                # A server with CheckRevisions wants the revision that is overwritten.
                if error.status != 409:
                    raise
            revision = self.revision(name)
        return self.write(method, name, content, revision=revision)

    def revision(self, name: str) -> str | None:
        """Return the current revision of an entry, None if there is no such entry."""
        segments = (self.route, name) if self.route == "metadata" else (self.route, name, "md5")
        try:
            with self.reading(name):
                revision: str | None = self.address.rest.request("GET", self.address.path(*segments)).revision
                return revision
        except UnknownNameError:
            return None


def from_start(content: Any) -> Any:
    """Return what is written, a file from its beginning."""
    if not hasattr(content, "seek"):
        return content
    # An empty file would be sent without a length.
    if not content.seek(0, os.SEEK_END):
        return b""
    content.seek(0)
    return content


def differs(content: bytes | None, revision: str | None, md5: str | None = None) -> bool:
    """Check whether a content contradicts the MD5 in its revision (``"<number>-<MD5>"``); a missing MD5 does not.

    Examples
    --------
    >>> differs(b"hello", "0-5d41402abc4b2a76b9719d911017c592"), differs(b"hallo", "0-5d41402abc4b2a76b9719d911017c592")
    (False, True)
    >>> differs(b"hello", "0-"), differs(b"hello", None)
    (False, False)
    """
    wanted = (revision or "").rpartition("-")[2]
    if not re.fullmatch("[0-9a-f]{32}", wanted):
        return False
    if md5 is None:
        md5 = hashlib.md5(content or b"", usedforsecurity=False).hexdigest()
    return md5 != wanted
