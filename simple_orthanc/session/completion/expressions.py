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
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simple_orthanc.dicom.tags import NUMBER_VRS, REAL_VRS, parse_attribute
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.session.containers import Children
from simple_orthanc.session.state import SessionState

_PACKAGE = __name__.partition(".")[0]
# Properties of sessions that take no request.
_QUIET = ("rest", "jobs", "modalities", "peers", "dicomweb_servers", "transfers", "worklists", "selection")
# What annotations call the modules that are imported for type checkers only.
_MODULES = {"pd": "pandas", "np": "numpy", "SimpleITK": "SimpleITK"}
_BINDING = re.compile(
    r"""^[ \t]*(?:
    (?:async[ ]+)?with[ ]+(?P<context>.+)[ ]+as[ ]+(?P<entered>\w+):
    |(?P<name>\w+)[ ]*=(?!=)[ ]*(?P<value>.+)
    )[ \t]*$""",
    re.VERBOSE | re.MULTILINE,
)
_LOOP = re.compile(r"\bfor[ ]+(\w+)[ ]+in[ ]+(.+?)(?=:[ \n]|:?$|[ ]if[ ])", re.MULTILINE)


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
        The object that a method or child sessions belong to; of a list of values one of them.
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

    Attributes
    ----------
    reads_archive : bool
        Whether to evaluate an expression that was resolved might take requests.
    """

    def __init__(self, code: str, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace
        # Name to expressions, and whether the name is an item of them.
        self._bindings: dict[str, list[tuple[str, bool]]] = {}
        last_line = code.rfind("\n") + 1
        for found in _BINDING.finditer(code, 0, last_line):
            self._bind(found["entered"] or found["name"], found["context"] or found["value"], False)
        for found in _LOOP.finditer(code):
            self._bind(found[1], found[2], True)
        self.reads_archive = False

    def _bind(self, name: str, expression: str, is_item: bool) -> None:
        self._bindings.setdefault(name, []).append((expression, is_item))

    def resolve(self, expression: str) -> Known | None:
        r"""Find out what an expression is; None where that is not known.

        Examples
        --------
        >>> Expressions("x = words[0]\n", {"words": ["a"]}).resolve("x")
        Known(kind=<class 'str'>, value='a', owner=None)
        """
        try:
            with warnings.catch_warnings():
                # Python warns of invalid escapes in strings, which the user sees when the code is run.
                warnings.simplefilter("ignore")
                # In brackets, since it may go over several lines.
                tree = ast.parse(f"({expression}\n)", mode="eval")
            return self._resolve(tree.body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None

    def _resolve(self, node: ast.expr) -> Known | None:
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if isinstance(node, ast.Await):
            return self._resolve(node.value)
        if isinstance(node, ast.Attribute):
            owner = self._resolve(node.value)
            if owner is None:
                return None
            self.reads_archive |= _reads_archive(owner, node.attr)
            return _attribute(owner, node.attr)
        if isinstance(node, ast.Subscript):
            owner = self._resolve(node.value)
            return None if owner is None else _item(owner, node.slice)
        if isinstance(node, ast.Call):
            function = self._resolve(node.func)
            return None if function is None else _returned(function)
        return None

    def _named(self, name: str) -> Known | None:
        bindings = self._bindings.get(name)
        found = None
        if bindings:
            # Without itself, since x = x.copy() is about the earlier x.
            expression, is_item = bindings.pop()
            found = self.resolve(expression)
            bindings.append((expression, is_item))
            if found is not None and is_item:
                found = _any_item(found)
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
    if name in _QUIET and owner.session is not None:
        return _known(getattr(owner.session, name, None))
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    if isinstance(found, property):
        return _returned(Known(type(found.fget), found.fget, owner))
    if isinstance(found, types.FunctionType):
        return Known(type(found), found, owner)
    if issubclass(kind, SessionState):
        return _values_of_keyword(name)
    value = getattr(owner.value, "__dict__", {}).get(name)
    return None if value is None else _known(value)


def _reads_archive(owner: Known, name: str) -> bool:
    """Check whether an attribute is a property of a session, or a keyword, that may take requests."""
    found = inspect.getattr_static(owner.holder, name, None)
    is_read = found is None or (isinstance(found, property) and name not in _QUIET)
    return is_read and issubclass(owner.holder, SessionState)


def _values_of_keyword(name: str) -> Known | None:
    """Return what is known of the values of a DICOM keyword, without reading them."""
    try:
        tag = parse_attribute(name)
    except UnknownTagError:
        return None
    number = float if tag.vr in REAL_VRS else int
    kind = tuple if tag.is_multiple else number if tag.vr in NUMBER_VRS else str
    return Known(list, owner=Known(kind))


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
    # Of several, the first is what a call without options returns.
    kind = evaluated(str(annotation).partition(" | ")[0], function.value)
    kind = typing.get_origin(kind) or kind
    return Known(kind) if isinstance(kind, type) else None


def _item(owner: Known, index: ast.expr) -> Known | None:
    if owner.kind in (Children, list) and owner.value is None:
        return owner if isinstance(index, ast.Slice) else _any_item(owner)
    if owner.kind in (list, tuple, dict) and isinstance(index, ast.Constant) and owner.value is not None:
        try:
            return _known(owner.value[index.value])
        except (LookupError, TypeError):
            return None
    return None


def _any_item(owner: Known) -> Known | None:
    return owner.owner if owner.kind in (Children, list) else None


def is_own(value: Any) -> bool:
    """Check whether a class or function is of this library."""
    return str(getattr(value, "__module__", "")).partition(".")[0] == _PACKAGE


def evaluated(annotation: Any, function: types.FunctionType) -> Any:
    """Evaluate the annotation of a function, None if it cannot be; one for type checkers only may be a public name."""
    package = sys.modules[_PACKAGE]
    if annotation in getattr(package, "__all__", ()):
        return getattr(package, annotation)
    modules = {short: sys.modules.get(name) for short, name in _MODULES.items()}
    try:
        return eval(annotation, {**modules, **function.__globals__})
    except Exception:
        return None
