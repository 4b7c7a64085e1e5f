"""The attachments of one object: files that Orthanc keeps with it."""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from pathlib import Path
from typing import Any

from simple_orthanc.errors import AuthenticationError, NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.files.paths import path_text
from simple_orthanc.rest.objects.address import Address
from simple_orthanc.rest.objects.contents import cut, md5_of, md5_of_stream, opened
from simple_orthanc.rest.objects.entries import Entries, differs


class Attachment:
    """One attachment of an object.

    Attributes
    ----------
    name : str
        Its name, such as "dicom" for the file of an instance, or its number.

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.attachments["1024"] = b"a report"
    >>> report = study.attachments["1024"]
    >>> report.name, report.size, report.read()
    ('1024', 8, b'a report')
    """

    def __init__(self, entries: Entries, name: str) -> None:
        self._entries = entries
        self.name = name

    def __repr__(self) -> str:
        """Show name and object, without a request."""
        address = self._entries.address
        return f"<attachment {self.name!r} of {address.level} {address.key}>"

    @property
    def size(self) -> int:
        """Its length in bytes, uncompressed.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.size
        8
        """
        return int(self._text("size"))

    @property
    def stored_size(self) -> int:
        """Its length in bytes on the server's disk.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.stored_size
        8
        """
        return int(self._text("compressed-size"))

    @property
    def md5(self) -> str | None:
        """The MD5 of its content in hexadecimal, uncompressed; None if the server keeps none.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.md5
        'f80027651e7ad95061564cb70c8f8ac1'
        """
        return self._text("md5") or None

    @property
    def is_compressed(self) -> bool:
        """Whether it is compressed on the server's disk.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.is_compressed
        False
        """
        return self._text("is-compressed") == "1"

    @property
    def revision(self) -> str | None:
        """Its current revision, for `Attachments.write`; None if the server names none.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.revision
        '0-f80027651e7ad95061564cb70c8f8ac1'
        """
        return self._entries.revision(self.name)

    def _text(self, route: str) -> str:
        path = self._entries.address.path("attachments", self.name, route)
        with self._entries.reading(self.name):
            content: bytes = self._entries.address.rest.request("GET", path).content
        return content.decode("ascii", "replace").strip()

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Read its content, or a part of it.

        Parameters
        ----------
        start, stop : int, optional
            The bytes from the first position up to, not including, the second, as in a slice; what is beyond the end
            is empty. Servers before Orthanc 1.12.5 send what is before and it is cut here.

        Raises
        ------
        UnknownNameError
            It is not there any more; it is a KeyError.
        NotFoundError
            The server does not hold the object.
        TransportError
            What came has another MD5 than the server lists.
        SelectionError
            A position is not an integer, or is negative.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.read(), report.read(2, 5)
        (b'a report', b'rep')
        """
        positions: list[tuple[str, Any]] = [("start", start), ("stop", 0 if stop is None else stop)]
        for name, position in positions:
            if not isinstance(position, int) or isinstance(position, bool) or position < 0:
                raise SelectionError(f"{name} is {position!r}; give a position in bytes from 0 on, as in read(0, 128).")
        if stop is not None and stop <= start:
            return b""
        path = self._entries.address.path("attachments", self.name, "data")
        with self._entries.reading(self.name):
            if start or stop is not None:
                return self._part(path, start, stop)
            response = self._entries.address.rest.request("GET", path)
        if differs(response.content, response.revision):
            raise self._damaged()
        content: bytes = response.content
        return content

    def _part(self, path: str, start: int, stop: int | None) -> bytes:
        headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        try:
            with self._entries.address.rest.stream(path, headers=headers) as body:
                if body.status == 206:
                    if not body.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                        raise self._damaged()
                    start, stop = 0, None if stop is None else stop - start
                return cut(body, start, stop)
        except ServerError as error:
            if error.status != 416:
                raise
        if stop is None:
            return b""
        # Orthanc refuses a range that ends beyond the content, and does not cut it.
        return self._part(path, start, None)[: stop - start]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write its content to a file, which appears when it is whole and has the MD5 that the server lists.

        Returns
        -------
        Path
            The file.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.save("report.txt").read_text()
        'a report'
        """
        path = path_text(path, 'attachment.save("file.bin")')
        md5 = self.md5

        def check(part: Path) -> None:
            if md5 is not None and md5_of(part) != md5:
                raise self._damaged()

        source = self._entries.address.path("attachments", self.name, "data")
        with self._entries.reading(self.name):
            target: Path = self._entries.address.rest.stream(source, to=path, check=check)
        return target

    def verify(self) -> None:
        """Check, on the server, its file on the disk against the MD5 that was stored with it.

        Raises
        ------
        TransportError
            The server's file is damaged or missing.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.verify()
        """
        try:
            self._post("verify-md5")
        except (AuthenticationError, NotFoundError):
            raise
        except ServerError as error:
            raise TransportError(
                f"{self!r} is damaged or missing on the disk of {self._entries.address.rest.url}, or has no MD5: "
                f"{error.details or 'the server gives no reason'}. Restore it from a backup, or upload it again.",
                is_about_object=True,
            ) from None

    def compress(self) -> None:
        """Compress it on the server's disk.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.compress()
        >>> report.is_compressed, report.read()
        (True, b'a report')
        """
        self._post("compress")

    def uncompress(self) -> None:
        """Store it uncompressed on the server's disk.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.attachments["1024"] = b"a report"
        >>> report = study.attachments["1024"]
        >>> report.compress()
        >>> report.uncompress()
        >>> report.is_compressed
        False
        """
        self._post("uncompress")

    def _post(self, action: str) -> None:
        address = self._entries.address
        with self._entries.reading(self.name):
            address.rest.post(address.path("attachments", self.name, action), "")

    def _damaged(self) -> TransportError:
        return TransportError(
            f"{self._entries.address.rest.url} was asked for {self!r}, and returned other bytes than it lists. Nothing "
            "of them was kept. If trying again does not help, a proxy on the way changes files, or the server's disk "
            "is damaged: .verify() lets the server look.",
            is_about_object=True,
        )


class Attachments(MutableMapping[str, Any]):
    """The attachments of one object, as a mapping from names to `Attachment` that asks the server each time.

    What is assigned is bytes, the path of a file, or an open binary file. A name is one that the configuration of the
    server gives to a number (``UserContentType``), or a number: those from 1024 to 65535 need no configuration.

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.attachments["1024"] = b"a report"
    >>> study.attachments["1024"].read()
    b'a report'
    >>> study.attachments["1024"].save("report.txt").name
    'report.txt'
    """

    def __init__(self, address: Address) -> None:
        self._entries = Entries(address, "attachments", "UserContentType")

    def __repr__(self) -> str:
        """Show the object, without a request."""
        return f"<attachments of {self._entries.address.level} {self._entries.address.key}>"

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names())

    def __len__(self) -> int:
        """Count the attachments."""
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        """Check whether there is an attachment of a name or number."""
        return (str(name) if isinstance(name, int) else name) in self._names()

    def _names(self) -> list[str]:
        return [str(name) for name in self._entries.address.get_list("attachments")]

    def __getitem__(self, name: str | int) -> Attachment:
        """Return an attachment; its content is not read yet.

        Raises
        ------
        UnknownNameError
            There is no such attachment; it is a KeyError.
        NotFoundError
            The server does not hold the object.
        """
        attachment = Attachment(self._entries, self._entries.name(name))
        if attachment.name not in self._names():
            # By its number, where the configuration names it.
            if not attachment.name.isdecimal():
                raise self._entries.missing(name)
            attachment._text("size")
        return attachment

    def values(self) -> ValuesView[Attachment]:
        """Return the attachments, listed in one request.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> "dicom" in [file.name for file in instance.attachments.values()]
        True
        """
        return {name: Attachment(self._entries, name) for name in self._names()}.values()

    def items(self) -> ItemsView[str, Attachment]:
        """Return names and attachments, listed in one request.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> {name: file.size == len(instance.content) for name, file in instance.attachments.items()}["dicom"]
        True
        """
        return {name: Attachment(self._entries, name) for name in self._names()}.items()

    def __setitem__(self, name: str | int, content: Any) -> None:
        """Write an attachment, whatever is there.

        Parameters
        ----------
        name : str or int
            Its name or number.
        content : bytes, str or Path of a file, or binary file
            A file is sent piece by piece.

        Raises
        ------
        SelectionError
            The number is one of Orthanc's own, or there is no such file; nothing was sent.
        NotFoundError
            The server does not hold the object, or its configuration does not have that name.
        AuthenticationError
            It is Orthanc's own, such as the file of an instance, or this user may not write.
        TransportError
            The server then holds something else.
        """
        entry = self._checked(name)
        with opened(content) as body:
            self._entries.overwrite("PUT", entry, body)
            self._check_stored(entry, body)

    def write(self, name: str | int, content: Any, *, revision: str | None = None) -> str | None:
        """Write an attachment where nothing was, or in place of a revision.

        Parameters
        ----------
        name : str or int
            Its name or number.
        content : bytes, str or Path of a file, or binary file
            As for assigning.
        revision : str, optional
            The revision that is overwritten (`Attachment.revision`); None for an attachment that is new. The server
            compares it only with its option ``CheckRevisions``.

        Returns
        -------
        str or None
            The new revision, None if the server names none.

        Raises
        ------
        ServerError
            The server has another revision by now (status 409), and nothing was written.
        SelectionError, NotFoundError, TransportError
            As for assigning.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> revision = study.attachments.write("1024", b"a draft")
        >>> revision = study.attachments.write("1024", b"a report", revision=revision)
        >>> study.attachments["1024"].read()
        b'a report'
        """
        entry = self._checked(name)
        with opened(content) as body:
            self._entries.write("PUT", entry, body, revision=revision)
            return self._check_stored(entry, body)

    def _check_stored(self, name: str, body: Any) -> str | None:
        """Compare what was sent with the MD5 of what the server then holds, and return its revision.

        Orthanc 1.10.1 reports success for an object that it does not hold.
        """
        revision = self[name].revision
        if differs(None, revision, md5_of_stream(body)):
            raise TransportError(
                f"{self._entries.address.rest.url} was sent the attachment {name!r} of {self._entries.address.level} "
                f"{self._entries.address.key}, and holds other bytes: somebody else wrote it at the same time, or "
                "something on the way changed it. Read it again.",
                is_about_object=True,
            )
        return revision

    def __delitem__(self, name: str | int) -> None:
        """Remove an attachment, whatever is there.

        Raises
        ------
        UnknownNameError
            There is no such attachment; it is a KeyError.
        SelectionError, AuthenticationError
            It is Orthanc's own, such as the file of an instance.
        NotFoundError
            The server does not hold the object.
        """
        entry = self._checked(name)
        self._entries.overwrite("DELETE", self[entry].name)

    def _checked(self, name: object) -> str:
        entry = self._entries.name(name)
        self._entries.check_writable(entry)
        return entry
