"""Stand-ins for the plugin's module outside of Orthanc: the same names, which refuse to be called."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from simple_orthanc.errors import UnsupportedError

_STUBS = ("enumerations", "classes", "functions")
_MODULE = "simple_orthanc.orthanc_sdk"


def stand_ins(folder: Path = Path(__file__).parent) -> dict[str, Any]:
    """Return what the stubs declare: constants with their values, and functions and classes that refuse to be called.

    Parameters
    ----------
    folder : Path
        Where the stubs are.

    Returns
    -------
    dict
        Name to object.
    """
    names: dict[str, Any] = {}
    for stub in _STUBS:
        for node in ast.parse((folder / f"{stub}.pyi").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                names[node.name] = _function(node, node.name)
            elif isinstance(node, ast.ClassDef):
                names[node.name] = _class(node)
    return names


def _refusal(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"orthanc.{name} is there only in a Python script that an Orthanc runs through its Python plugin (the option "
        "PythonScript of its configuration). Elsewhere a session does what it is for: simple_orthanc.Orthanc(...).rest "
        "has every route of the server."
    )


def _function(node: ast.FunctionDef, name: str) -> Callable[..., NoReturn]:
    def function(*_: Any, **__: Any) -> NoReturn:
        raise _refusal(name)

    function.__name__, function.__qualname__, function.__module__ = node.name, name, _MODULE
    function.__doc__ = ast.get_docstring(node)
    function.__signature__ = _signature(node)  # type: ignore[attr-defined]
    return function


def _signature(node: ast.FunctionDef) -> inspect.Signature:
    parameters = [
        inspect.Parameter(argument.arg, inspect.Parameter.POSITIONAL_ONLY, annotation=_text(argument.annotation))
        for argument in node.args.posonlyargs
    ]
    return inspect.Signature(parameters, return_annotation=_text(node.returns))


def _text(annotation: ast.expr | None) -> Any:
    return inspect.Parameter.empty if annotation is None else ast.unparse(annotation)


def _class(node: ast.ClassDef) -> type:
    members: dict[str, Any] = {"__doc__": ast.get_docstring(node), "__module__": _MODULE}
    members.update(_members(node))
    bases = (Exception,) if any(isinstance(base, ast.Name) and base.id == "Exception" for base in node.bases) else ()
    if not bases and not any(isinstance(value, int) for value in members.values()):

        def refuse(self: Any, *_: Any, **__: Any) -> NoReturn:
            raise _refusal(node.name)

        members["__init__"] = refuse
    return type(node.name, bases, members)


def _members(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    for member in node.body:
        if isinstance(member, ast.FunctionDef):
            yield member.name, _function(member, f"{node.name}.{member.name}")
        elif isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) and member.value is not None:
            yield member.target.id, ast.literal_eval(member.value)
