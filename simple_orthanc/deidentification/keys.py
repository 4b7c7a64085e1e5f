"""The secret key of a de-identification, from which everything that replaces an identifier is made."""

from __future__ import annotations

import hmac
from typing import Any

from simple_orthanc.errors import SelectionError

SHORTEST_KEY = 16
"""Bytes that a key has at least."""

_FEWEST_DIFFERENT = 5
# The first part of each message: another way of making pseudonyms would get another one.
_DOMAIN = "simple_orthanc deidentification 1"
_MAKE_ONE = (
    'Make one with python -c "import secrets; print(secrets.token_hex(16))", and keep it where you keep passwords.'
)


class Key:
    """A secret key. Nothing shows it, and it cannot be pickled.

    Parameters
    ----------
    secret : str, bytes or Key
        At least 16 bytes; a string counts as UTF-8.

    Examples
    --------
    >>> Key("correct horse battery staple")
    ***
    """

    # Without __dict__, so that vars() shows nothing. A computed MAC is kept, and not the key.
    __slots__ = ("_mac", "_problem")

    def __init__(self, secret: object) -> None:
        # Raises nothing: the frames of an error would show the secret.
        known = secret if isinstance(secret, Key) else None
        self._problem: str = known._problem if known else _problem_of(secret)
        self._mac: hmac.HMAC | None = known._mac if known else None
        if not known and not self._problem:
            self._mac = hmac.new(_as_bytes(secret), digestmod="sha256")

    def __repr__(self) -> str:
        """Show three asterisks."""
        return "***"

    def __reduce__(self) -> Any:
        """Refuse to be pickled."""
        raise TypeError("A key is not pickled, so that it is stored nowhere.")

    def check(self) -> None:
        """Check that there is a key, and that it cannot be guessed by trying.

        Raises
        ------
        SelectionError
            It is short, or consists of few different characters, or is neither a string nor bytes.
        """
        if self._problem:
            raise SelectionError(self._problem)

    def digest(self, *parts: str) -> bytes:
        """Return the 32 bytes of HMAC-SHA256 of some strings; where one ends and the next begins counts too.

        Parameters
        ----------
        *parts : str
            What is replaced, such as ``"PatientID"``, and its value.
        """
        self.check()
        assert self._mac is not None
        mac = self._mac.copy()
        for part in (_DOMAIN, *parts):
            content = part.encode("utf-8", "surrogatepass")
            mac.update(len(content).to_bytes(8, "big") + content)
        return mac.digest()


def _as_bytes(secret: object) -> bytes:
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else bytes(secret)  # type: ignore[call-overload]


def _problem_of(secret: object) -> str:
    """Return why a key cannot be used, without a part of it; "" if it can."""
    if secret is None:
        return (
            "deidentify(..., key=...) needs a secret string, from which pseudonyms, new UIDs and moved dates are made, "
            f"and none was given. {_MAKE_ONE} Use the same key in later calls, so that the same patients get the same "
            "pseudonyms."
        )
    if not isinstance(secret, (str, bytes, bytearray)):
        return f"The key was to be a string or bytes, and it is a {type(secret).__name__}. {_MAKE_ONE}"
    content = _as_bytes(secret)
    if len(content) < SHORTEST_KEY:
        return (
            f"The key has {len(content)} bytes, and one of fewer than {SHORTEST_KEY} could be found by trying. "
            f"{_MAKE_ONE}"
        )
    if len(set(content)) < _FEWEST_DIFFERENT:
        return f"The key repeats {len(set(content))} characters, so that it could be found by trying. {_MAKE_ONE}"
    return ""
