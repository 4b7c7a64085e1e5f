"""What an expression in code that is being written is, found out without evaluating it.

Names are looked up, attributes are looked up in classes, and what a call returns is known from its annotation. Nothing
that the user wrote is executed.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simple_orthanc.dicom.tags import parse_attribute
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.session.containers import Children
from simple_orthanc.session.state import SessionState

_PACKAGE = __name__.partition(".")[0]
# Properties whose values know the keys that they have listed, and ask for nothing until they are used.
_MAPPINGS = ("modalities", "peers", "dicomweb_servers")
_BINDING = re.compile(
    r"""^[ \t]*(?:
    (?:async[ ]+)?for[ ]+(?P<item>\w+)[ ]+in[ ]+(?P<iterable>.+):
    |(?:async[ ]+)?with[ ]+(?P<context>.+)[ ]+as[ ]+(?P<entered>\w+):
    |(?P<name>\w+)[ ]*=(?!=)[ ]*(?P<value>.+)
    )[ \t]*$""",
    re.VERBOSE | re.MULTILINE,
)


@dataclass(frozen=True)
class Known:
    """What is known of an expression.

    Attributes
    ----------
    kind : type
        Its class.
    value : object
        The object itself, None where only its class is known.
    owner : Known, optional
        The object that a method or child sessions belong to.
    """

    kind: type
    value: Any = None
    owner: Known | None = None

    @property
    def session(self) -> SessionState | None:
        """The session, also that of an asynchronous one, if its constructor has come to its end."""
        value = getattr(self.value, "__dict__", {}).get("_session", self.value)
        return value if isinstance(value, SessionState) and "_plans" in vars(value) else None

    @property
    def holder(self) -> type:
        """The class that has the attributes."""
        return type(self.session) if self.session is not None else self.kind


class Expressions:
    """The expressions in a piece of code.

    Parameters
    ----------
    code : str
        What was written up to the cursor; names that it binds in whole lines are known, although it was not run yet.
    namespace : mapping
        Name to object.
    """

    def __init__(self, code: str, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        self._bindings: dict[str, list[re.Match[str]]] = {}
        for found in _BINDING.finditer(code, 0, code.rfind("\n") + 1):
            self._bindings.setdefault(found["item"] or found["entered"] or found["name"], []).append(found)

    def resolve(self, expression: str) -> Known | None:
        r"""Find out what an expression is; None where that is not known.

        Examples
        --------
        >>> Expressions("x = words[0]\n", {"words": ["a"]}).resolve("x")
        Known(kind=<class 'str'>, value='a', owner=None)
        """
        try:
            # In brackets, since it may go over several lines.
            return self._resolve(ast.parse(f"({expression}\n)", mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def _resolve(self, node: ast.expr) -> Known | None:
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if isinstance(node, ast.Await):
            return self._resolve(node.value)
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            owner = self._resolve(node.value)
            if owner is None:
                return None
            return _attribute(owner, node.attr) if isinstance(node, ast.Attribute) else _item(owner, node.slice)
        if isinstance(node, ast.Call):
            function = self._resolve(node.func)
            return None if function is None else _returned(function)
        return None

    def _named(self, name: str) -> Known | None:
        bindings = self._bindings.get(name)
        found = None
        if bindings:
            # Without itself, since x = x.copy() is about the earlier x.
            binding = bindings.pop()
            found = self.resolve(binding["iterable"] or binding["context"] or binding["value"])
            bindings.append(binding)
            if found is not None and binding["iterable"]:
                found = found.owner if found.kind is Children else None
        if found is None and name in self._namespace:
            found = _known(self._namespace[name])
        return found


def _known(value: Any) -> Known:
    return Known(type(value), value)


def _attribute(owner: Known, name: str) -> Known | None:
    if isinstance(owner.value, types.ModuleType):
        # The names of this package are imported when they are asked for.
        own = owner.value.__name__.partition(".")[0] == _PACKAGE
        value = getattr(owner.value, name, None) if own else vars(owner.value).get(name)
        return None if value is None else _known(value)
    kind = owner.value if isinstance(owner.value, type) else owner.holder
    if name in _MAPPINGS and owner.session is not None:
        return _known(getattr(owner.session, name, None))
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    if isinstance(found, property):
        return _returned(Known(type(found.fget), found.fget, owner))
    if isinstance(found, types.FunctionType):
        return Known(type(found), found, owner)
    if issubclass(kind, SessionState):
        return Known(list) if _is_keyword(name) else None
    value = getattr(owner.value, "__dict__", {}).get(name)
    return None if value is None else _known(value)


def _is_keyword(name: str) -> bool:
    try:
        return bool(parse_attribute(name))
    except UnknownTagError:
        return False


def _returned(function: Known) -> Known | None:
    """Return what is known of the result of a call, from its annotation."""
    if isinstance(function.value, type):
        return Known(function.value) if is_own(function.value) else None
    if not isinstance(function.value, types.FunctionType) or not is_own(function.value):
        return None
    annotation = function.value.__annotations__.get("return", "")
    if annotation in ("Self", "Iterator[Self]"):
        owner = function.owner
        return Known(owner.value) if owner is not None and isinstance(owner.value, type) else owner
    if str(annotation).startswith(Children.__name__):
        return Known(Children, owner=function.owner)
    kind = evaluated(annotation, function.value)
    return Known(kind) if isinstance(kind, type) else None


def _item(owner: Known, index: ast.expr) -> Known | None:
    if owner.kind is Children:
        return owner if isinstance(index, ast.Slice) else owner.owner
    if owner.kind in (list, tuple, dict) and isinstance(index, ast.Constant) and owner.value is not None:
        try:
            return _known(owner.value[index.value])
        except (LookupError, TypeError):
            return None
    return None


def is_own(value: Any) -> bool:
    """Check whether a class or function is of this library."""
    return str(getattr(value, "__module__", "")).partition(".")[0] == _PACKAGE


def evaluated(annotation: Any, function: types.FunctionType) -> Any:
    """Evaluate the annotation of a function, None if it cannot be; one for type checkers only may be a public name."""
    if not isinstance(annotation, str):
        return annotation
    package = sys.modules[_PACKAGE]
    if annotation in getattr(package, "__all__", ()):
        return getattr(package, annotation)
    try:
        return eval(annotation, dict(function.__globals__))
    except Exception:
        return None
