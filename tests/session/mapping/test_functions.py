"""How functions reach other processes, and when a checkpoint takes two functions for the same."""

from __future__ import annotations

import functools
import importlib
import linecache
import os
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc import SelectionError, UnsupportedError
from simple_orthanc.session.mapping import functions
from simple_orthanc.session.mapping.functions import digest_of, name_of, pickled_function
from tests.memory_source import instance
from tests.session.mapping.computing import folder_of
from tests.session.sessions import session_of


def defined(source: str, **names: Any) -> Any:
    """Return the function f that some lines define, as a notebook does."""
    source = textwrap.dedent(source)
    path = f"<cell {len(linecache.cache)}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    namespace: dict[str, Any] = {"__name__": "__main__", **names}
    exec(compile(source, path, "exec"), namespace)
    return namespace["f"]


class Above:
    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, session: Any) -> float:
        return self.limit

    def method(self, session: Any) -> float:
        return self.limit


def above(session: Any, limit: float = 0) -> float:
    return limit


def closure(limit: Any) -> Callable[[Any], Any]:
    return lambda session: limit


def local_object(given: int) -> Any:
    class Local:
        limit = given

    return Local()


def dataset_of(thickness: str) -> Dataset:
    dataset = Dataset()
    dataset.SliceThickness = thickness
    return dataset


def same(function: Any) -> Any:
    return function


NAMED = """
import functools
def g(s): ...
f = functools.wraps(g)(
    lambda s: s
    + {}
)
"""
DISPATCHED = """
import functools
@functools.singledispatch
def f(s):
    return {}
@f.register({})
def _(s):
    return {}
"""
DOCUMENTED = """
def f(s):
    '''Return one.

    Always.
    '''
    return 1
"""
HIDDEN = """
import functools
def g(s):
    return {}
@functools.wraps(g)
def f(s):
    return calls[f](s)
calls = dict([(f, g)])
"""
CLASS = """
import functools
class Base:
    limit = {limit}
    def help(self):
        return {helped}
class Measure(Base):
    def __init__(self, session=None, kept={kept}):
        self.kept = {{"a", "b"}}
    def run(self, session):
        return self.help()
    def __call__(self, session):
        return self.number
    @classmethod
    def of(cls, session):
        return cls.limit
    @property
    def number(self):
        return {number}
f = {what}
"""


def of_class(what: str, **values: int) -> Any:
    return defined(CLASS.format(**{"limit": 1, "helped": 1, "kept": 1, "number": 1, **values, "what": what}))


CALLED = ["Measure", "Measure()", "Measure().run", "Measure.of", "functools.partial(Measure().run)"]

SAME: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
    (lambda: defined("def f(s):\n  return 1"), lambda: defined("\n\ndef f(s):\n    # why\n    return (1)")),
    (lambda: closure(3), lambda: closure(3)),
    (lambda: closure({"b", "a"}), lambda: closure({"a", "b"})),
    (lambda: closure(np.arange(3)), lambda: closure(np.arange(3))),
    (lambda: Above(1), lambda: Above(1)),
    (lambda: Above(1).method, lambda: Above(1).method),
    (lambda: functools.partial(above, limit=1), lambda: functools.partial(above, limit=1)),
    (lambda: closure(threading.Lock()), lambda: closure(threading.Lock())),
    (lambda: defined("f = [lambda s: 1, lambda s: 2][0]"), lambda: defined("f = [lambda s: 1, lambda s: 3][0]")),
    (lambda: defined("f = (\n lambda s: s\n + 1\n)"), lambda: defined("f = (\n  # why\n  lambda s: s + 1\n)")),
    (lambda: defined("@k\n@k\ndef f(s): return 1", k=same), lambda: defined("@k\n@k\n\ndef f(s): return (1)", k=same)),
    (lambda: defined(DOCUMENTED), lambda: defined("if 1:\n" + textwrap.indent(DOCUMENTED, "  "))),
    (lambda: closure([{"b", "a"}]), lambda: closure([{"a", "b"}])),
    (lambda: closure({"k": lambda v: 1}), lambda: closure({"k": lambda v: 1})),
    (lambda: len, lambda: len),
    *[(partial(of_class, what), partial(of_class, f"(\n    # why\n{what})")) for what in CALLED],
]
DIFFERENT: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
    (lambda: defined("def f(s):\n  return 1"), lambda: defined("def f(s):\n  return 2")),
    (lambda: defined("def f(s, n=K): return n", K=1), lambda: defined("def f(s, n=K): return n", K=2)),
    (lambda: defined("def f(s, *, n=K): return n", K=1), lambda: defined("def f(s, *, n=K): return n", K=2)),
    (lambda: closure(3), lambda: closure(4)),
    (lambda: closure(3), lambda: closure("3")),
    (lambda: closure(closure(3)), lambda: closure(closure(4))),
    (lambda: closure(np.arange(3)), lambda: closure(np.arange(4))),
    (lambda: Above(1), lambda: Above(2)),
    (lambda: Above(1).method, lambda: Above(2).method),
    (lambda: functools.partial(above, limit=1), lambda: functools.partial(above, limit=2)),
    (lambda: functools.partial(above, 1), lambda: functools.partial(above, limit=1)),
    (lambda: defined("f = [lambda s: 1, lambda s: 2][0]"), lambda: defined("f = [lambda s: 1, lambda s: 2][1]")),
    (lambda: defined("f = lambda s: 1"), lambda: defined("f = lambda s: 2")),
    (
        lambda: defined("f = k(\n lambda s: s\n * 1\n)", k=same),
        lambda: defined("f = k(\n lambda s: s\n * 9\n)", k=same),
    ),
    (lambda: defined(NAMED.format(1)), lambda: defined(NAMED.format(2))),
    (lambda: defined(DISPATCHED.format(1, "int", 2)), lambda: defined(DISPATCHED.format(3, "int", 2))),
    (lambda: defined(DISPATCHED.format(1, "int", 2)), lambda: defined(DISPATCHED.format(1, "int", 3))),
    (lambda: defined(DISPATCHED.format(1, "int", 2)), lambda: defined(DISPATCHED.format(1, "str", 2))),
    (lambda: defined(HIDDEN.format(1)), lambda: defined(HIDDEN.format(2))),
    (lambda: closure([{"b", "a"}]), lambda: closure([{"b", "c"}])),
    (lambda: closure({"k": lambda v: 1}), lambda: closure({"k": lambda v: 2})),
    (lambda: closure({"k": lambda v: 1}), lambda: closure({"l": lambda v: 1})),
    (lambda: closure(session_of(instance(1))), lambda: closure(session_of(instance(1)).select(InstanceNumber=1))),
    (lambda: closure(dataset_of("1")), lambda: closure(dataset_of("2"))),
    (lambda: len, lambda: sum),
    *[
        (partial(of_class, what), partial(of_class, what, **{changed: 2}))
        for what in CALLED
        for changed in ("limit", "helped", "kept", "number")
    ],
    (lambda: functools.partial(above, 1, "limit", 2), lambda: functools.partial(above, 1, limit=2)),
    (lambda: closure(local_object(1)), lambda: closure(local_object(2))),
    (lambda: closure([local_object(1)]), lambda: closure([local_object(2)])),
    (lambda: closure(type(local_object(1))), lambda: closure(type(local_object(2)))),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_function_made_again_has_the_same_digest(one: Callable[[], Any], other: Callable[[], Any]) -> None:
    assert digest_of(one()) == digest_of(other())


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_code_and_other_values_have_other_digests(one: Callable[[], Any], other: Callable[[], Any]) -> None:
    assert digest_of(one()) != digest_of(other())


def test_a_function_that_calls_itself_has_a_digest() -> None:
    def count(session: Any) -> int:
        return count(session)

    assert digest_of(count) == digest_of(count)


def test_a_name_that_is_not_bound_yet_is_left_out() -> None:
    def f(session: Any) -> Any:
        return later

    before = digest_of(f)
    later = 3
    assert digest_of(f) != before


def test_a_file_that_was_edited_after_its_import_is_not_taken_for_the_code_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "module_that_is_edited.py"
    path.write_text("def f(session):\n    return 1\n")
    imported = importlib.import_module(path.stem).f
    before = digest_of(imported)
    try:
        for later in ("def f(session):\n    return 23\n", "def g(session):\n    return 45\n\n\ndef f(session): ...\n"):
            path.write_text(later)
            edited = importlib.import_module(path.stem).f
            assert edited is imported
            running = digest_of(edited)
            with monkeypatch.context() as fresh:
                fresh.delitem(sys.modules, path.stem)
                importlib.invalidate_caches()
                assert running not in {digest_of(each) for each in vars(importlib.import_module(path.stem)).values()}
        path.write_text("def f(session):\n    # the same\n    return 1\n")
        assert digest_of(imported) == before
    finally:
        del sys.modules[path.stem]


@pytest.mark.parametrize("wrapper", [functools.lru_cache, functools.cache])
def test_the_code_of_a_wrapped_function_counts(wrapper: Callable[[Any], Any], tmp_path: Path) -> None:
    # Such a function is pickled by its name alone, which is the same in both.
    source = "import functools\n@functools.{}\ndef f(s): return {}"
    one, other = (defined(source.format(wrapper.__name__, value)) for value in (1, 2))
    assert digest_of(one) != digest_of(other)
    programs = [
        f"from simple_orthanc.session.mapping.functions import digest_of\n{source.format(wrapper.__name__, value)}\n"
        "print(digest_of(f))"
        for value in (1, 2)
    ]
    ended = [subprocess.run([sys.executable, "-c", each], capture_output=True, text=True) for each in programs]
    assert ended[0].stdout
    assert ended[0].stdout != ended[1].stdout


HOLDING = """
from simple_orthanc import Folder
from tests.session.mapping import test_functions as t
session = Folder({folder!r}).select(SeriesNumber=1)
held = [{{"a", "b", 3.5}}, {{"k": {{"CT", "MR", "PT"}}}}, t.Above({{"x", "y", "z"}}), session, session.get_volume()]
print([t.digest_of(t.closure(each)) for each in held])
"""


def test_a_digest_is_the_same_in_another_process(tmp_path: Path) -> None:
    folder_of(tmp_path / "files", 2)
    program = HOLDING.format(folder=str(tmp_path / "files"))
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
        ).stdout
        for seed in range(3)
    }
    assert len(digests) == 1


def test_the_use_of_what_a_function_holds_makes_no_difference(tmp_path: Path) -> None:
    session = folder_of(tmp_path / "files", 2).select(SeriesNumber=1)
    volume = session.get_volume()
    function = closure([session, {"like": volume}])
    before = digest_of(function)
    session.table("SliceThickness")
    assert volume.header.PatientName in [each.value for each in volume.header]
    assert len(volume.slices)
    assert digest_of(function) == before


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: above, f"{__name__}.above"),
        (lambda: functools.partial(functools.partial(above), limit=1), f"{__name__}.above"),
        (lambda: Above(1), f"{__name__}.Above"),
        (lambda: Above(1).method, f"{__name__}.Above.method"),
        (lambda: closure(1), f"{__name__}.closure.<locals>.<lambda>"),
    ],
)
def test_names(make: Callable[[], Any], name: str) -> None:
    assert name_of(make()) == name


def test_a_function_of_a_module_is_pickled_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "import_extra", None)
    assert pickled_function(above, "processes") == pickle.dumps(above)


@pytest.mark.parametrize("function", [closure(3), defined("def f(s): return 3")])
def test_others_are_pickled_by_their_code(function: Callable[[Any], Any]) -> None:
    assert pickle.loads(pickled_function(function, "processes"))(None) == 3


def test_without_cloudpickle_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(UnsupportedError, match=r"simple-orthanc\[processes\]"):
        pickled_function(closure(3), "processes")


def test_what_cannot_be_pickled_is_refused_with_advice() -> None:
    with pytest.raises(SelectionError, match=r"closure.<locals>.<lambda> cannot be sent .* Open files, connections"):
        pickled_function(closure(threading.Lock()), "processes")
