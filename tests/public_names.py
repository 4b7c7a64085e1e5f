"""Every public name of the library, and whether its docstring shows an example.

Run as a program, it lists the names without one: ``python -m tests.public_names``.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any

PACKAGE = "simple_orthanc"
NAMESPACES = (PACKAGE, f"{PACKAGE}.testing", f"{PACKAGE}.phantom")


def public_names() -> dict[str, Any]:
    """Return what users can reach, by its full name: what is exported, its members, and the classes that these return.

    What is inherited occurs once, under the name of the class that defines it.
    """
    exported = [getattr(importlib.import_module(name), each) for name in NAMESPACES for each in _exported(name)]
    waiting = [each for each in exported if inspect.isclass(each) or inspect.isroutine(each)]
    found: dict[str, Any] = {}
    while waiting:
        thing = waiting.pop(0)
        name = f"{thing.__module__}.{thing.__qualname__}"
        if name in found or not name.startswith(f"{PACKAGE}."):
            continue
        found[name] = thing
        if inspect.isclass(thing):
            waiting += [*_members(thing), *_elements(thing)]
        else:
            waiting += _returned(inspect.unwrap(thing))
    return found


def without_example(names: dict[str, Any]) -> list[str]:
    """Return those of the names whose docstring has no example."""
    parser = doctest.DocTestParser()
    return sorted(name for name, thing in names.items() if not parser.get_examples(thing.__doc__ or ""))


def _exported(namespace: str) -> list[str]:
    return list(importlib.import_module(namespace).__all__)


def _members(cls: type) -> Iterator[Callable[..., Any]]:
    """List the public functions of a class, those of its properties, and what it inherits."""
    for name in dir(cls):
        if not name.startswith("_"):
            member = _function(inspect.getattr_static(cls, name))
            if inspect.isfunction(member):
                yield member


def _elements(cls: type) -> Iterator[type]:
    """List the classes of what a collection holds, and of what a context manager yields."""
    for base in getattr(cls, "__orig_bases__", ()):
        yield from (each for each in getattr(base, "__args__", ()) if inspect.isclass(each))
    for name in ("__getitem__", "__iter__", "__enter__"):
        if inspect.isfunction(method := getattr(cls, name, None)):
            yield from _returned(method)


def _function(member: Any) -> Any:
    """Return the function behind a property, a class method and the like."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    return getattr(member, "__func__", member)


def _returned(function: Any) -> Iterator[type]:
    """List the public classes in the annotation of what a function returns."""
    annotation = str(getattr(function, "__annotations__", {}).get("return", ""))
    for word in dict.fromkeys(re.findall(r"\b[A-Za-z]\w*", annotation)):
        found = function.__globals__.get(word)
        if found is None and word in (imported := _imports(function.__module__)):
            found = getattr(importlib.import_module(imported[word]), word)
        if inspect.isclass(found):
            yield found


@cache
def _imports(module: str) -> dict[str, str]:
    """Return the modules from which names are imported anywhere in a module, for type checkers too."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE)
        for alias in node.names
        if node.module is not None
    }


if __name__ == "__main__":
    names = public_names()
    lacking = without_example(names)
    print(*lacking, f"{len(lacking)} of {len(names)} public names have no example.", sep="\n")
