"""The state of a watcher is on disk after each step, and belongs to one watcher."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from simple_orthanc.errors import SelectionError
from simple_orthanc.session.watching.state import Waiting, WatchState


def test_what_was_noted_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with WatchState(path, "stable series") as state:
        assert state.position is None
        state.advance(7, "2026 b", ["b", "a", "c"])
        state.succeed("b", "20260101")
        state.fail("a", "no", 100.0)
        state.drop("c")
    with WatchState(str(path), "stable series") as state:
        assert state.position == (7, "2026 b")
        assert state.waiting() == [Waiting("a", 1, 100.0, "no")]
        assert (state.done("b"), state.done("a")) == ("20260101", None)


def test_what_is_due_is_listed_in_the_order_in_which_it_was_seen() -> None:
    with WatchState(None, "new study") as state:
        state.advance(1, "", ["b", "a", "c"])
        state.fail("b", "no", 50.0)
        state.fail("c", "never", math.inf)
        assert [entry.id for entry in state.waiting(until=49)] == ["a"]
        assert [entry.id for entry in state.waiting(until=50)] == ["b", "a"]
        assert [entry.was_given_up for entry in state.waiting()] == [False, False, True]
        # One that has changed gets its attempts again, and so do all of them in the next run.
        state.advance(2, "", ["b"])
        assert [(entry.id, entry.attempts) for entry in state.waiting(until=0)] == [("b", 0), ("a", 0)]
        state.revive()
        assert [entry.id for entry in state.waiting(until=0)] == ["b", "a", "c"]


def test_a_transaction_that_is_interrupted_leaves_what_was_there() -> None:
    with WatchState(None, "new study") as state:
        state.advance(1, "one", ["a"])

        def interrupted() -> object:
            yield "b"
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            state.advance(2, "two", interrupted())  # type: ignore[arg-type]
        assert state.position == (1, "one")
        assert [entry.id for entry in state.waiting()] == ["a"]


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    with WatchState(tmp_path / "state", "stable series"):
        pass
    with pytest.raises(SelectionError, match="is the state of a watcher of stable series, and new study is to be"):
        WatchState(tmp_path / "state", "new study")
    (tmp_path / "text").write_text("no database, though longer than a header of one is: " * 9)
    with pytest.raises(SelectionError, match="a file of another kind"):
        WatchState(tmp_path / "text", "new study")
    with pytest.raises(SelectionError, match="there is no folder"):
        WatchState(tmp_path / "none" / "state", "new study")


@pytest.mark.parametrize("name", ["", "missing/state", "loop"])
def test_a_path_that_can_be_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SelectionError, match=r"is a folder|there is no folder|cannot be used: .* you may write"):
        WatchState(tmp_path / name, "stable series")


def test_two_watchers_cannot_share_a_state(tmp_path: Path) -> None:
    with WatchState(tmp_path / "state", "new study"), pytest.raises(SelectionError, match="If another watcher uses"):
        WatchState(tmp_path / "state", "new study")
    with WatchState(tmp_path / "state", "new study") as state:
        assert state.waiting() == []
