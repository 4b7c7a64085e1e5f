"""`Secret`: holds a password, so that no traceback, log or representation shows it.

Debuggers, IPython's verbose tracebacks and error reporters print the local variables of every frame, and look into
dictionaries and tuples. What a caller passes is therefore put into a holder in the first line of each public function,
and taken out only inside the expression that uses it, in a function that raises nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from simple_orthanc.errors import SelectionError

SECRET_ARGUMENTS = ("password", "auth", "token", "headers")
"""The arguments of a session whose values are secret. A URL is too, if it holds a password."""


class Secret:
    """A value that is shown as ``***``. Its pickle holds the value.

    Parameters
    ----------
    value : object
        Anything.

    Examples
    --------
    >>> Secret("wonderland"), f"{Secret('wonderland')}"
    (***, '***')
    """

    # Without __dict__, so that vars() shows nothing either.
    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def reveal(self) -> Any:
        """Return the value itself."""
        return self._value

    def __repr__(self) -> str:
        """Show three asterisks, whatever the value is."""
        return "***"


class KeptElsewhere(Secret):
    """A secret whose pickle holds where it is kept, and not the value, which is read again where it lands.

    Parameters
    ----------
    read : callable
        Returns the value, from the environment or a keyring; it can be pickled, and raises where there is none.
    where : str, optional
        Where that is, for messages: "the environment variable PASSWORD".

    Attributes
    ----------
    where : str

    Examples
    --------
    >>> import os
    >>> import pickle
    >>> os.environ["PASSWORD"] = "wonderland"
    >>> secret = KeptElsewhere(partial(read_variable, "PASSWORD"))
    >>> b"wonderland" in pickle.dumps(secret), pickle.loads(pickle.dumps(secret)).reveal()
    (False, 'wonderland')
    """

    __slots__ = ("_read", "where")

    def __init__(self, read: Callable[[], Any], where: str = "") -> None:
        super().__init__(None)
        self._read, self.where = read, where

    def reveal(self) -> Any:
        """Return the value itself, which is read when it is first asked for."""
        if self._value is None:
            self._value = self._read()
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle where the value is kept."""
        return KeptElsewhere, (self._read, self.where)

    def then(self, change: Callable[[Secret], Any]) -> KeptElsewhere:
        """Return what a function that can be pickled makes of this secret."""
        return KeptElsewhere(partial(change, self), self.where)


def read_variable(name: str) -> str:
    """Return the value of an environment variable that holds a secret.

    Raises
    ------
    SelectionError
        It is not set.
    """
    if not os.environ.get(name):
        raise SelectionError(
            f"This session takes its login from the environment variable {name}, which is not set in this process. Set "
            "it for each process that works with the session."
        )
    return os.environ[name]


def from_environment(name: str) -> KeptElsewhere | None:
    """Return the secret in an environment variable, None if it is not set or empty."""
    if not os.environ.get(name):
        return None
    return KeptElsewhere(partial(read_variable, name), variable_text(name))


def variable_text(name: str) -> str:
    """Return how messages name an environment variable."""
    return f"the environment variable {name}"


def hide(value: object) -> Any:
    """Put a value into a `Secret`; None stays None, and a `Secret` stays itself."""
    return value if value is None or isinstance(value, Secret) else Secret(value)


def hide_url(url: object) -> Any:
    """Put a URL into a `Secret` if it may hold a password; anything else stays itself.

    Examples
    --------
    >>> hide_url("https://jane:wonderland@pacs"), hide_url("https://pacs")
    (***, 'https://pacs')
    """
    return Secret(url) if isinstance(url, str) and "@" in url else url


def hide_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of a session with the secret ones hidden.

    Examples
    --------
    >>> hide_arguments({"username": "jane", "password": "wonderland"})
    {'username': 'jane', 'password': ***}
    """
    return {name: hide(value) if name in SECRET_ARGUMENTS else value for name, value in arguments.items()}


def reveal(value: Any) -> Any:
    """Return what a `Secret` holds; anything else is returned as it is."""
    return value.reveal() if isinstance(value, Secret) else value
