"""The table in docs/traps.md has a row for each trap, and says what the tests assert."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from simple_orthanc import LocalOrthanc
from simple_orthanc.phantom import make_series
from tests.live.test_traps import REFUSALS
from tests.live.trap_registry import axes, case
from tests.live.traps import TRAPS

pytestmark = [pytest.mark.one_version, pytest.mark.unmeasured]

ROOT = Path(__file__).parents[2]


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")
    inside = text.split("<!-- traps -->")[1].split("<!-- /traps -->")[0]
    lines = [line for line in inside.splitlines() if line.startswith("|")]
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The script as a module; its name has no suffix."""
    loader = importlib.machinery.SourceFileLoader("trap_table", str(ROOT / "tools" / "trap-table"))
    spec = importlib.util.spec_from_loader("trap_table", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    before, bytecode = list(sys.path), sys.dont_write_bytecode
    sys.modules["trap_table"], sys.dont_write_bytecode = module, True
    loader.exec_module(module)
    sys.path[:], sys.dont_write_bytecode = before, bytecode
    return module


def test_each_trap_has_a_row_that_agrees_with_the_tests() -> None:
    found = {row[1]: row for row in rows()}
    assert list(found) == [trap.name for trap in sorted(TRAPS, key=lambda trap: (trap.number == 0, trap.number))]
    for trap in TRAPS:
        number, _, here, simpleitk, orthanc = found[trap.name]
        assert number == (str(trap.number) if trap.number else "")
        if trap in REFUSALS:
            assert here == f"refused: {REFUSALS[trap].kind.__name__}"
        else:
            assert here == ("right" if trap.case.values is not None else "upload says: conflict")
        assert simpleitk
        assert orthanc


def test_a_row_is_made_from_the_answers_of_the_server(tool: ModuleType, empty_server: LocalOrthanc) -> None:
    trap = next(trap for trap in TRAPS if trap.name.startswith("a slice is missing"))
    number, name, here, simpleitk, orthanc = tool.row(trap, empty_server)
    assert (number, name, here) == ("3", trap.name, "refused: MissingSlicesError")
    assert simpleitk.startswith("one array of 3 slices: 0, 1, 2, spacing 3 mm")
    assert orthanc == "one array of 3 slices: 0, 1, 2"


def test_differences_from_the_truth_are_listed(tool: ModuleType) -> None:
    true = case(make_series((2, 4, 4)), [0, 1], axes(step=(0, 0, 1)))
    right = np.broadcast_to(true.values, (2, 4, 4))
    assert tool.wrong(tool.Found(right, axes()), true) == []
    assert tool.wrong(tool.Found(right + 1, axes()), true) == ["values 1, 2 (true: 0, 1)"]
    assert tool.wrong(tool.Found(right[:1], axes()), true) == ["1 slice instead of 2: 0"]
    assert tool.wrong(tool.Found(right, axes(step=(0, 0, 2))), true) == [
        "step from slice to slice (0, 0, 2) mm (true: (0, 0, 1))"
    ]
    assert tool.wrong(tool.Found(right, None), true) == ["no geometry"]
