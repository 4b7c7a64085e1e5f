"""Functions pickled for other processes, and the digest by which a checkpoint recognizes them."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
import io
import pickle
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any, TypeAlias

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from simple_orthanc.dicom.silence import quiet
from simple_orthanc.errors import OrthancError, SelectionError
from simple_orthanc.extras import import_extra
from simple_orthanc.session.state import SessionState
from simple_orthanc.volume.volume import Volume

_Function: TypeAlias = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


def pickled_function(function: Callable[[Any], Any], extra: str) -> bytes:
    """Pickle a function for another process, by its name if it can be imported there, and else by its code.

    Parameters
    ----------
    function : callable
    extra : str
        The extra that installs cloudpickle, which is needed for functions of a notebook or script, lambdas and
        functions inside others.

    Raises
    ------
    UnsupportedError
        The function cannot be imported by its name, and cloudpickle is not installed.
    SelectionError
        The function refers to something that cannot be pickled.
    """
    try:
        if _is_importable(function):
            return pickle.dumps(function)
        cloudpickle = import_extra("cloudpickle", extra, "A function that other processes cannot import by its name")
        content: bytes = cloudpickle.dumps(function)
        return content
    except OrthancError:
        raise
    except Exception as error:
        raise SelectionError(
            f"{name_of(function)} cannot be sent to another process: {type(error).__name__}: {error}. Open files, "
            "connections and locks inside the function, or use threads: map(function)."
        ) from error


def _is_importable(function: Any) -> bool:
    if not isinstance(function, (FunctionType, BuiltinFunctionType, type)):
        return False
    found: Any = None
    if function.__module__ not in (None, "__main__"):
        try:
            found = importlib.import_module(function.__module__)
            for part in function.__qualname__.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError):
            return False
    return found is function


def name_of(function: Any) -> str:
    """Return the name of a function, with its module.

    Examples
    --------
    >>> name_of(ast.parse), name_of(functools.partial(ast.dump, indent=4))
    ('ast.parse', 'ast.dump')
    """
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def digest_of(function: Any) -> str:
    """Return the SHA-256 of the code of a function, its defaults, and the values in its closure.

    Of a class, a callable object and a method, these are the methods of its class, and the values in the class; the
    same is true of its base classes in the same module. Comments, layout and the place of the function make no
    difference. What it calls otherwise is not included, nor are global variables.
    """
    digest = hashlib.sha256()
    for part in _parts(function, set(), is_called=True):
        digest.update(part.encode("utf-8", "replace") + b"\0")
    return digest.hexdigest()


def _parts(value: Any, seen: set[int], is_called: bool = False) -> Iterator[str]:
    if isinstance(value, (FunctionType, MethodType, functools.partial)):
        # A recursive function is in its own closure.
        if id(value) in seen:
            return
        seen.add(id(value))
    if isinstance(value, functools.partial):
        yield f"partial of {len(value.args)}"
        yield from _parts(value.func, seen, is_called)
        for part in (*value.args, *(each for item in sorted(value.keywords.items()) for each in item)):
            yield from _parts(part, seen)
    elif isinstance(value, FunctionType):
        yield from _parts_of_function(value, seen)
    elif isinstance(value, BuiltinFunctionType) or inspect.ismodule(value):
        yield getattr(value, "__qualname__", value.__name__)
    else:
        yield from _parts_of_object(value, seen, is_called)


def _parts_of_function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    yield _code_of(function)
    keywords = sorted((function.__kwdefaults__ or {}).items())
    for part in (*(function.__defaults__ or ()), *keywords, *_called_by(function)):
        yield from _parts(part, seen)
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:
            # A name that is not bound yet.
            continue
        yield from _parts(content, seen)


def _parts_of_object(value: Any, seen: set[int], is_called: bool) -> Iterator[str]:
    """Yield the parts of a class, a bound method or any other object."""
    if inspect.isclass(value):
        yield value.__qualname__
        if is_called or _is_local(value):
            yield from _members(value, seen)
        return
    if isinstance(value, MethodType):
        yield from _parts(value.__func__, seen)
        value = value.__self__
        yield from _parts(value, seen, is_called)
    else:
        yield _state_of(value, seen)
        for part in _called_by(value):
            yield from _parts(part, seen)
    if is_called and not inspect.isclass(value):
        yield from _members(type(value), seen)


def _members(kind: type, seen: set[int]) -> Iterator[str]:
    """Yield the code and the values in a class, and in its base classes in the same module."""
    if id(kind) in seen:
        return
    seen.add(id(kind))
    for base in kind.__mro__:
        if base.__module__ != kind.__module__:
            continue
        for name, member in sorted(vars(base).items()):
            functions = _functions_of(member)
            # Other names of this form hold what Python keeps of a class, such as its docstring.
            if functions or not (name.startswith("__") and name.endswith("__")):
                yield name
                for part in functions or (member,):
                    yield from _parts(part, seen)


def _functions_of(member: Any) -> Sequence[FunctionType]:
    """Return the functions in a member of a class: of a method one, of a property up to three."""
    parts = [getattr(member, name, None) for name in ("__func__", "fget", "fset", "fdel", "func")]
    return [part for part in (member, *parts) if isinstance(part, FunctionType)]


def _is_local(value: FunctionType | type) -> bool:
    """Check whether a function or class cannot be imported by its name, or is that of a script or notebook."""
    return "<" in value.__qualname__ or value.__module__ == "__main__"


def _called_by(value: Any) -> Iterator[Any]:
    """Yield the functions behind a decorated function or a callable object."""
    # A function wrapped by functools.lru_cache or numba is pickled by its name alone.
    if callable(wrapped := getattr(value, "__wrapped__", None)):
        yield wrapped
    # The implementations of functools.singledispatch, by class.
    if isinstance(registry := getattr(value, "registry", None), Mapping):
        yield from (each for item in registry.items() for each in item)
    if callable(value) and isinstance(type(value).__call__, FunctionType):
        yield type(value).__call__


def _state_of(value: Any, seen: set[int] | None = None) -> str:
    """Return the content of a value as a string that is the same in another process."""
    if isinstance(value, (str, bytes, int, float, complex, type(None))):
        return repr(value)
    content = io.BytesIO()
    try:
        _StatePickler(content, set() if seen is None else seen).dump(value)
    except Exception:  # what cannot be pickled is compared by its type alone
        return f"{type(value).__module__}.{type(value).__qualname__}"
    return hashlib.sha256(content.getvalue()).hexdigest()


class _StatePickler(pickle.Pickler):
    """Pickles values that a function holds to the same bytes in every process, and before and after their use."""

    def __init__(self, content: io.BytesIO, seen: set[int]) -> None:
        super().__init__(content, 4)
        self._seen = seen

    def persistent_id(self, value: Any) -> Any:
        """Return what is pickled in place of a value, anywhere inside; None for the value itself."""
        if isinstance(value, (set, frozenset)):
            # Their order depends on the process.
            return type(value).__name__, sorted(_state_of(each, self._seen) for each in value)
        if isinstance(value, SessionState):
            # What the session has read makes no difference, nor does what was stored in the archive since.
            return type(value).__name__, value._place(), value._criteria_texts(), repr(value._asked.order)
        if isinstance(value, Dataset):
            with quiet():
                # Elements are converted when they are first used.
                elements = [(int(each.tag), each.VR, _state_of_element(each.value)) for each in value]
            return elements, getattr(value, "file_meta", None)
        if isinstance(value, Volume):
            # The table of its slices is made when it is first read.
            _ = value.slices
        if isinstance(value, (FunctionType, type)) and _is_local(value):
            return list(_parts(value, self._seen))
        return None


def _state_of_element(value: Any) -> Any:
    if isinstance(value, DicomSequence):
        return list(value)
    return value if isinstance(value, bytes) else repr(value)


def _code_of(function: FunctionType) -> str:
    """Return the source of a function as `ast.unparse` writes it, or else its byte code."""
    code = function.__code__
    kinds = (ast.Lambda,) if code.co_name == "<lambda>" else (ast.FunctionDef, ast.AsyncFunctionDef)
    try:
        # The whole file: `inspect.getsource` may cut off the end of a lambda.
        lines, _ = inspect.findsource(code)
        nodes, codes = _by_line("".join(lines), code.co_filename)
        found = [node for node in nodes.get(code.co_firstlineno, ()) if isinstance(node, kinds)]
        # A file may be edited after it was imported.
        is_source = any(_byte_code(each) == _byte_code(code) for each in codes.get(code.co_firstlineno, ()))
        # Several lambdas on one line cannot be told apart.
        if len(found) == 1 and is_source:
            return ast.unparse(_unindented(found[0], lines))
    except (OSError, TypeError, SyntaxError, ValueError):
        pass
    return _byte_code(code)


@functools.lru_cache(maxsize=1)
def _by_line(source: str, filename: str) -> tuple[dict[int, list[_Function]], dict[int, list[CodeType]]]:
    """Return the functions in a source, and the code that it is compiled to, by the line where each begins."""
    nodes: dict[int, list[_Function]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _Function):
            nodes.setdefault(_first_line(node), []).append(node)
    codes: dict[int, list[CodeType]] = {}
    pending = [compile(source, filename, "exec", dont_inherit=True)]
    while pending:
        compiled = pending.pop()
        codes.setdefault(compiled.co_firstlineno, []).append(compiled)
        pending.extend(each for each in compiled.co_consts if isinstance(each, CodeType))
    return nodes, codes


def _first_line(node: _Function) -> int:
    """Return the line where the code of a function begins, that of its first decorator if it has any."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min(each.lineno for each in (node, *decorators))


def _unindented(node: _Function, lines: list[str]) -> ast.AST:
    """Return a function parsed without the indentation of its block, which would be part of its docstring."""
    if isinstance(node, ast.Lambda):
        return node
    return ast.parse(textwrap.dedent("".join(lines[_first_line(node) - 1 : node.end_lineno])))


def _byte_code(code: CodeType) -> str:
    constants = [_byte_code(each) if isinstance(each, CodeType) else _state_of(each) for each in code.co_consts]
    return f"{code.co_code.hex()} {constants} {code.co_names} {code.co_varnames} {code.co_freevars}"
