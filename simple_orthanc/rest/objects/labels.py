"""The labels of one object."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, MutableSet
from typing import Any

from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.rest.api import RestApi
from simple_orthanc.rest.objects.address import Address

# Orthanc 1.12.0 and newer take no others.
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class Labels(MutableSet[str]):
    """The labels of one object as a set, which asks the server each time.

    All of it raises an `UnsupportedError` before Orthanc 1.12.0, and a `NotFoundError` if the server does not hold the
    object.

    Examples
    --------
    >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
    >>> study.labels.add("reviewed")
    >>> sorted(study.labels), "urgent" in study.labels
    (['reviewed'], False)
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    def __repr__(self) -> str:
        """Show the object, without a request."""
        return f"<labels of {self._address.level} {self._address.key}>"

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        """Make the result of ``&``, ``|``, ``-`` and ``^``: a set that no server knows."""
        return set(it)

    def __contains__(self, label: object) -> bool:
        """Check whether the object has a label; case matters."""
        return label in self._all()

    def __iter__(self) -> Iterator[str]:
        """Yield the labels."""
        return iter(self._all())

    def __len__(self) -> int:
        """Count the labels."""
        return len(self._all())

    def _all(self) -> list[str]:
        self._check_version()
        return [str(label) for label in self._address.get_list("labels")]

    def add(self, value: str) -> None:
        """Add a label to the object.

        Parameters
        ----------
        value : str
            At most 64 ASCII letters, digits, ``-`` and ``_``; case matters.

        Raises
        ------
        SelectionError
            It is not such a string; nothing was sent.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.labels.add("reviewed")
        >>> sorted(study.labels)
        ['reviewed']
        """
        self._change("put", value)

    def discard(self, value: str) -> None:
        """Remove a label if the object has it; errors as for `add`.

        Examples
        --------
        >>> study = orthanc.rest.patients.lookup("EX-003").studies[0]
        >>> study.labels.add("reviewed")
        >>> study.labels.discard("reviewed")
        >>> sorted(study.labels)
        []
        """
        self._change("delete", value)

    def _change(self, verb: str, label: object) -> None:
        name = check_label(label)
        self._check_version()
        with self._address.explained():
            getattr(self._address.rest, verb)(self._address.path("labels", name))

    def _check_version(self) -> None:
        check_labels_are_kept(self._address.rest)


def check_label(label: object) -> str:
    """Return a label, if Orthanc takes it.

    Raises
    ------
    SelectionError
        It does not.

    Examples
    --------
    >>> check_label("reviewed-2")
    'reviewed-2'
    """
    if not isinstance(label, str) or not _LABEL.match(label):
        raise SelectionError(
            f"{label!r} cannot be a label, and nothing was sent: Orthanc takes at most 64 ASCII letters, digits, "
            '"-" and "_", as in "reviewed-2".'
        )
    return label


def check_labels_are_kept(rest: RestApi) -> None:
    """Refuse a server that has no labels.

    Raises
    ------
    UnsupportedError
        The server is older than Orthanc 1.12.0, or its database keeps none.
    """
    capabilities = rest.capabilities
    if not capabilities.labels:
        version = ".".join(map(str, capabilities.version))
        raise UnsupportedError(
            f"Labels need Orthanc 1.12.0; {rest.url} is Orthanc {version}, and has no labels. Metadata holds short "
            'strings in every version: .metadata[\'1024\'] = "reviewed", or set_metadata("1024", "reviewed") for '
            "all that is selected."
        )
