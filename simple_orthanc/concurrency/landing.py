"""Objects that land once in a process, however many pickles bring them: connections, and what is known of a source.

A worker process receives thousands of sessions that were narrowed from one. They share the connection that the first of
them has opened. Two objects are the same only if they were pickled from the same one, which a random token shows: equal
addresses do not suffice, since their credentials may differ.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import OrderedDict
from typing import Any, ClassVar, TypeVar
from weakref import WeakValueDictionary

_TOKEN = "_landing_token"
# So many objects are kept for what lands later, the last used ones.
_MOST_KEPT = 16

Landed = TypeVar("Landed", bound="LandsOnce")


class LandsOnce:
    """An object whose pickles are one object in each process where they land.

    A class names in ``_pickled`` the attributes that are pickled: an address, and nothing that was learned. It has
    `__setstate__` if that is not enough.
    """

    _pickled: ClassVar[tuple[str, ...]]

    _is_its_own_twin: ClassVar[bool] = False
    """Whether a pickle that lands in the process it comes from, or in a fork of it, is the object itself."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the attributes and the token."""
        token = vars(self).setdefault(_TOKEN, secrets.token_bytes(12))
        if self._is_its_own_twin:
            _origins[token] = self
        return _land, (type(self), token, {name: getattr(self, name) for name in self._pickled})


_origins: WeakValueDictionary[bytes, LandsOnce] = WeakValueDictionary()
_landed: OrderedDict[bytes, LandsOnce] = OrderedDict()
_lock = threading.Lock()


def _land(kind: type[Landed], token: bytes, state: Any) -> Landed:
    with _lock:
        known = _origins.get(token) or _landed.get(token)
        if known is None:
            known = _unpickled(kind, state)
            vars(known)[_TOKEN] = token
            _landed[token] = known
            while len(_landed) > _MOST_KEPT:
                _landed.popitem(last=False)
        elif token in _landed:
            _landed.move_to_end(token)
    assert isinstance(known, kind)
    return known


def _unpickled(kind: type[Landed], state: Any) -> Landed:
    landed: Any = object.__new__(kind)
    if hasattr(kind, "__setstate__"):
        landed.__setstate__(state)
    else:
        vars(landed).update(state)
    return landed  # type: ignore[no-any-return]


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    # Another thread may hold it while this process forks.
    os.register_at_fork(after_in_child=_renew_lock)
