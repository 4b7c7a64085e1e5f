"""Context variables that have a value for the time of a block."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Setting(Generic[Value]):
    """Gives a context variable a value for the time of a ``with`` block, and then the one that it had.

    A class, since a generator takes several times as long, and there is a block for each request.

    Parameters
    ----------
    variable : ContextVar
    value

    Examples
    --------
    >>> from contextvars import ContextVar
    >>> unit = ContextVar("unit", default="mm")
    >>> with Setting(unit, "cm"):
    ...     unit.get()
    'cm'
    >>> unit.get()
    'mm'
    """

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[Value], value: Value) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        """Set the value."""
        self._token = self._variable.set(self._value)

    def __exit__(self, *_: object) -> None:
        """Set the value from before the block."""
        self._variable.reset(self._token)
