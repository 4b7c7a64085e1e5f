"""Operators of volumes, which they do not have: the error says how to compute with the values."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

_BINARY = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "and": "&",
    "or": "|",
    "xor": "^",
}
_COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_EQUALITIES = {"eq": "==", "ne": "!="}
_UNARY = {"neg": "-", "pos": "+", "invert": "~"}


class NoOperators:
    """The part of `Volume` that refuses arithmetic and comparisons, whose unit and type nobody could know.

    Only what neither side can do is refused. Arrays of numpy and of libraries that know its protocols compute with a
    volume as with its array.
    """


def _binary(symbol: str, *, is_reflected: bool = False) -> Callable[[Any, Any], Any]:
    def operator(self: NoOperators, other: Any) -> Any:
        # A scalar of numpy is a Python number too, and computes by itself.
        if isinstance(other, np.generic) or not isinstance(other, numbers.Number | NoOperators):
            return NotImplemented
        operand = "other.array" if isinstance(other, NoOperators) else repr(other)
        left, right = (operand, "volume.array") if is_reflected else ("volume.array", operand)
        raise _refusal(symbol, f"{left} {symbol} {right}")

    return operator


def _equality(name: str, symbol: str) -> Callable[[Any, Any], Any]:
    def operator(self: NoOperators, other: Any) -> Any:
        # Python's answer, that they differ, would index an array with False, which selects nothing.
        if isinstance(other, numbers.Number) and not isinstance(other, np.generic):
            raise _refusal(symbol, f"volume.array {symbol} {other!r}")
        return getattr(object, name)(self, other)

    return operator


def _unary(symbol: str) -> Callable[[Any], Any]:
    def operator(self: NoOperators) -> Any:
        raise _refusal(symbol, f"{symbol}volume.array")

    return operator


def _refusal(symbol: str, instead: str) -> TypeError:
    return TypeError(
        f"A Volume has no operator {symbol}: compute with its values, as in {instead}, and put the result on the same "
        "grid with volume.with_array(result, units=...)."
    )


# Type checkers do not see these methods, so that they refuse the operators too.
for _name, _symbol in _BINARY.items():
    setattr(NoOperators, f"__{_name}__", _binary(_symbol))
    setattr(NoOperators, f"__r{_name}__", _binary(_symbol, is_reflected=True))
for _name, _symbol in _COMPARISONS.items():
    setattr(NoOperators, f"__{_name}__", _binary(_symbol))
for _name, _symbol in _EQUALITIES.items():
    setattr(NoOperators, f"__{_name}__", _equality(f"__{_name}__", _symbol))
for _name, _symbol in _UNARY.items():
    setattr(NoOperators, f"__{_name}__", _unary(_symbol))
