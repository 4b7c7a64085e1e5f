"""The metadata of one object: short strings that Orthanc keeps with it, with revisions."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, MutableMapping, ValuesView
from typing import NamedTuple

from simple_orthanc.errors import SelectionError, TransportError, UnknownNameError
from simple_orthanc.rest.objects.address import Address
from simple_orthanc.rest.objects.entries import Entries, differs


class Versioned(NamedTuple):
    """A value, and the revision that the server has it in.

    Attributes
    ----------
    value : bytes
        The value as it is stored.
    revision : str or None
        For `Metadata.write` and `Metadata.remove`; None if the server names none.

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.metadata["1024"] = "reader A"
    >>> entry = study.metadata.read("1024")
    >>> entry.value, entry.string
    (b'reader A', 'reader A')
    """

    value: bytes
    revision: str | None

    @property
    def string(self) -> str:
        """The value as a string; what is not UTF-8 is replaced.

        Examples
        --------
        >>> Versioned("naïve".encode(), "0").string
        'naïve'
        """
        return self.value.decode("utf-8", "replace")


class Metadata(MutableMapping[str, str]):
    """The metadata of one object, as a mapping from names to strings that asks the server each time.

    A name is one of Orthanc's, one that its configuration gives to a number (``UserMetadata``), or a number: those from
    1024 to 65535 need no configuration. Assigning and ``del`` overwrite whatever is there; `read`, `write` and `remove`
    take revisions, so that no change of somebody else is lost.

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.metadata["1024"] = "reader A"
    >>> study.metadata[1024], "1025" in study.metadata
    ('reader A', False)
    """

    def __init__(self, address: Address) -> None:
        self._entries = Entries(address, "metadata", "UserMetadata")

    def __repr__(self) -> str:
        """Show the object, without a request."""
        return f"<metadata of {self._address.level} {self._address.key}>"

    @property
    def _address(self) -> Address:
        return self._entries.address

    # Reading

    def __iter__(self) -> Iterator[str]:
        """Yield the names, Orthanc's own among them."""
        return iter(self._names())

    def __len__(self) -> int:
        """Count the entries."""
        return len(self._names())

    def __contains__(self, name: object) -> bool:
        """Check whether there is an entry of a name or number."""
        if not isinstance(name, (str, int)) or not name:
            return False
        try:
            self.read(name)
        except UnknownNameError:
            return False
        return True

    def _names(self) -> list[str]:
        return [str(name) for name in self._address.get_list("metadata")]

    def __getitem__(self, name: str | int) -> str:
        """Return a value as a string.

        Raises
        ------
        UnknownNameError
            There is no such entry; it is a KeyError.
        NotFoundError
            The server does not hold the object.
        SelectionError
            The value is not UTF-8: `read` returns it as bytes.
        """
        value = self.read(name).value
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise SelectionError(
                f"The metadata {name!r} of {self._address.level} {self._address.key} are {len(value)} bytes that are "
                f"not UTF-8: read them with .metadata.read({name!r}).value."
            ) from None

    def read(self, name: str | int) -> Versioned:
        """Return a value as bytes, with its revision; errors as for ``metadata[name]``.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata["1024"] = "reader A"
        >>> study.metadata.read("1024").value
        b'reader A'
        """
        entry = self._entries.name(name)
        with self._entries.reading(entry):
            response = self._address.rest.request("GET", self._address.path("metadata", entry))
        if differs(response.content, response.revision):
            raise TransportError(
                f"{self._address.rest.url} was asked for the metadata {entry!r} of {self._address.level} "
                f"{self._address.key}, and returned another value than its revision says: a cache or proxy on the way "
                "mixes up responses.",
                is_about_object=True,
            )
        return Versioned(response.content, response.revision)

    def to_dict(self) -> dict[str, str]:
        """Return all entries, in one request.

        Returns
        -------
        dict
            Name to string. What is not UTF-8 may be damaged here: `read` returns it as it is.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata["1024"] = "reader A"
        >>> study.metadata.to_dict()["1024"]
        'reader A'
        """
        answer = self._address.get_object("metadata", params={"expand": ""})
        return {str(name): str(value) for name, value in answer.items()}

    def items(self) -> ItemsView[str, str]:
        """Return names and strings, in one request, as `to_dict`.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata["1024"] = "reader A"
        >>> ("1024", "reader A") in study.metadata.items()
        True
        """
        return self.to_dict().items()

    def values(self) -> ValuesView[str]:
        """Return the strings, in one request, as `to_dict`.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata["1024"] = "reader A"
        >>> "reader A" in study.metadata.values()
        True
        """
        return self.to_dict().values()

    # Writing

    def __setitem__(self, name: str | int, value: str | bytes) -> None:
        """Write a value, whatever is there.

        Raises
        ------
        SelectionError
            The number is one of Orthanc's own, or the value is neither a string nor bytes; nothing was sent.
        NotFoundError
            The server does not hold the object, or its configuration does not have that name.
        AuthenticationError
            The name is one of Orthanc's own, or this user may not write.
        """
        entry, content = self.check(name, value)
        self._entries.overwrite("PUT", entry, content)

    def __delitem__(self, name: str | int) -> None:
        """Remove an entry, whatever is there.

        Raises
        ------
        UnknownNameError
            There is no such entry; it is a KeyError.
        SelectionError, AuthenticationError
            It is Orthanc's own.
        NotFoundError
            The server does not hold the object.
        """
        entry = self._entries.name(name)
        self._entries.check_writable(entry)
        # Orthanc answers 404 to the removal of what is not there, and for a name that it does not know.
        self.read(entry)
        self._entries.overwrite("DELETE", entry)

    def write(self, name: str | int, value: str | bytes, *, revision: str | None = None) -> str | None:
        """Write a value where nothing was, or in place of the revision that was read.

        The server compares revisions only with its option ``CheckRevisions``; without it everything is overwritten.

        Parameters
        ----------
        name : str or int
            The entry.
        value : str or bytes
            Strings are written as UTF-8.
        revision : str, optional
            The revision that is overwritten, as `read` returned it; None for an entry that is new.

        Returns
        -------
        str or None
            The new revision, None if the server names none.

        Raises
        ------
        ServerError
            The server has another revision by now (status 409), and nothing was written.
        SelectionError, NotFoundError, AuthenticationError
            As for assigning.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> revision = study.metadata.write("1024", "reader A")
        >>> revision = study.metadata.write("1024", "reader B", revision=revision)
        >>> study.metadata["1024"]
        'reader B'
        """
        entry, content = self.check(name, value)
        return self._entries.write("PUT", entry, content, revision=revision)

    def remove(self, name: str | int, *, revision: str | None = None) -> None:
        """Remove an entry in the revision that was read; parameters and errors as for `write`.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata["1024"] = "reader A"
        >>> study.metadata.remove("1024", revision=study.metadata.read("1024").revision)
        >>> "1024" in study.metadata
        False
        """
        entry = self._entries.name(name)
        self._entries.check_writable(entry)
        self._entries.write("DELETE", entry, revision=revision)

    def check(self, name: object, value: object) -> tuple[str, bytes]:
        """Return an entry's name and its value as they are sent, and send nothing.

        Raises
        ------
        SelectionError
            As for assigning.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.metadata.check(1024, "reader A")
        ('1024', b'reader A')
        """
        entry = self._entries.name(name)
        self._entries.check_writable(entry)
        if isinstance(value, str):
            try:
                return entry, value.encode()
            except UnicodeEncodeError as error:
                raise SelectionError(
                    f"The value {value[:80]!r} for the metadata {entry!r} cannot be written as UTF-8 ({error.reason}), "
                    "and nothing was sent: give it as bytes."
                ) from None
        if isinstance(value, (bytes, bytearray, memoryview)):
            return entry, bytes(value)
        raise SelectionError(
            f"The value for the metadata {entry!r} is of type {type(value).__name__}, and nothing was sent: give a "
            "string or bytes."
        )
