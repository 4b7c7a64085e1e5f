"""A few inputs of each target, always the same ones, and everything that was ever found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import run_inputs
from tests.fuzz.targets import TARGETS, outcome
from tests.fuzz.worker import CORPUS


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_inputs(name: str, tmp_path: Path) -> None:
    assert run_inputs(name, 0, 25, tmp_path) == ""


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_was_found(path: Path) -> None:
    error = outcome(TARGETS[path.name.partition("-")[0]], path.read_bytes())
    assert error is None


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < 200_000


def test_a_raw_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def raw(content: bytes) -> None:
        raise KeyError(content)

    target = TARGETS["json"]
    assert isinstance(outcome(type(target)(raw, target.seeds), b""), KeyError)
