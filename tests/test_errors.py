"""The tree of errors: as it is drawn, picklable, and caught as the builtins that Python users expect."""

from __future__ import annotations

import contextlib
import inspect
import pickle
import sys
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Any

import pytest

from simple_orthanc import Session, errors
from simple_orthanc.showing import tracebacks
from tests.memory_source import MemorySource, instance

ERRORS = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, errors.OrthancError)
}

# What each error carries beside its message.
CARRIED: dict[type[errors.OrthancError], dict[str, Any]] = {
    errors.TransportError: {"table": [("a.dcm", "stored")], "is_about_object": True},
    errors.ServerError: {"status": 500, "method": "GET", "path": "/series", "details": "Database is full"},
    errors.AmbiguousSelectionError: {"candidates": ("ct_scan", "localizer")},
    errors.InconsistentSlicesError: {"groups": {"axial": 20, "localizer": 1}},
    errors.MissingSlicesError: {"gaps": ((2.0, 6.0, 1),)},
    errors.DuplicateSlicesError: {"positions": ((4.0, ("1.2.3", "1.2.4")),)},
}


def carried(kind: type[errors.OrthancError]) -> dict[str, Any]:
    return next((CARRIED[base] for base in kind.__mro__ if base in CARRIED), {})


def drawn_tree() -> dict[str, str]:
    """Each error in the drawing of the module's docstring, with the one it hangs from."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        words = line.lstrip(" │├└─").split()
        if not words or words[0] not in ERRORS or not line.startswith("    "):
            continue
        depth = len(line) - len(line.lstrip(" │├└─"))
        while path and path[-1][0] >= depth:
            path.pop()
        parents[words[0]] = path[-1][1] if path else ""
        path.append((depth, words[0]))
    return parents


def test_the_drawn_tree_of_errors_is_the_real_one() -> None:
    real = {
        name: kind.__bases__[0].__name__ if kind is not errors.OrthancError else "" for name, kind in ERRORS.items()
    }
    assert drawn_tree() == real


@pytest.mark.parametrize("kind", list(ERRORS.values()), ids=list(ERRORS))
def test_errors_survive_pickle(kind: type[errors.OrthancError]) -> None:
    given = carried(kind)
    error = kind("what, found, next", **given)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == again.message == "what, found, next"
    assert {name: getattr(again, name) for name in given} == given
    assert vars(again) == vars(error)


@pytest.mark.parametrize("kind", list(ERRORS.values()), ids=list(ERRORS))
def test_errors_carry_only_what_is_tested_here(kind: type[errors.OrthancError]) -> None:
    parameters = inspect.signature(kind).parameters
    assert set(parameters) - {"message"} == set(carried(kind))


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.RequestTimeout, TimeoutError),
        (errors.AuthenticationError, PermissionError),
        (errors.NotFoundError, LookupError),
        (errors.UnsupportedError, NotImplementedError),
        (errors.SelectionError, ValueError),
        (errors.UnknownTagError, AttributeError),
        (errors.UnknownNameError, KeyError),
        (errors.EmptySelectionError, LookupError),
        (errors.VolumeError, ValueError),
    ],
)
def test_errors_are_the_builtins_that_python_users_catch(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)


def test_stacklevel_is_that_of_the_line_outside_of_the_package() -> None:
    session = Session(MemorySource([instance()]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        session.select(PatientID="nobody")
    assert [warning.filename for warning in caught] == [__file__]


def compiled(text: str, name: str) -> CodeType:
    return compile(text, name, "exec")


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_a_warning_points_to_the_users_line_however_deep_it_rises(depth: int) -> None:
    """Functions compiled under the name of a file of the package stand for its own."""
    inner = "import warnings\ndef step(left, stacklevel):\n    if left: return step(left - 1, stacklevel)\n"
    inner += "    warnings.warn('deep', stacklevel=stacklevel())\n"
    names: dict[str, object] = {}
    exec(compiled(inner, tracebacks.__file__), names)
    step = names["step"]
    assert callable(step)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        step(depth, errors.stacklevel)
        line = sys._getframe().f_lineno - 1
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)]


def test_a_warning_in_a_with_block_points_to_the_user_too() -> None:
    source = "import contextlib, warnings\n@contextlib.contextmanager\ndef opened(stacklevel):\n"
    source += "    warnings.warn('deep', stacklevel=stacklevel())\n    yield\n"
    names: dict[str, object] = {}
    exec(compiled(source, tracebacks.__file__), names)
    opened = names["opened"]
    assert callable(opened)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with opened(errors.stacklevel):
            pass
    assert [warning.filename for warning in caught] == [__file__]


def test_the_users_own_line_is_level_one() -> None:
    @contextlib.contextmanager
    def mine() -> Iterator[int]:
        yield errors.stacklevel()

    assert errors.stacklevel() == 1
    with mine() as level:
        assert level == 1
