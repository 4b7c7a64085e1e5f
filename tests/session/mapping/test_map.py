"""One row for each object, in order, whatever computes it; and what a run that ended leaves for the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc import AsyncSession, Folder, SelectionError, Session, TransportError
from simple_orthanc.concurrency import helpers, progress
from simple_orthanc.dicom.levels import IDENTIFIERS, LEVELS, Level
from simple_orthanc.errors import AuthenticationError, NotFoundError, UnsupportedError
from simple_orthanc.session.mapping.calls import carry_out
from simple_orthanc.session.mapping.checkpoint import Checkpoint, Origin
from simple_orthanc.session.mapping.run import Run
from tests.memory_source import archives, instance
from tests.session.mapping import computing
from tests.session.mapping.computing import (
    SERIES,
    Counted,
    Killed,
    Slow,
    every_kind,
    folder_of,
    measure,
    without_seconds,
)
from tests.session.sessions import session_of, source_of
from tests.terminal_stream import Terminal

IN_BOTH = pytest.mark.parametrize("scheduler", ["threads", "processes"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return folder_of(tmp_path_factory.mktemp("map") / "files")


@IN_BOTH
def test_one_row_for_each_object_with_typed_columns(folder: Folder, scheduler: str) -> None:
    table = folder.map(measure, scheduler=scheduler)
    columns = [*("PatientID", "StudyInstanceUID", "SeriesInstanceUID"), *("mean", "number", "name", "odd", "highest")]
    assert list(table.columns) == [*columns, "error", "seconds"]
    types = ["string"] * 3 + ["Float64", "Int64", "string", "boolean", "Int64", "string", "Float64"]
    assert list(map(str, table.dtypes)) == types
    expected = folder.table("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
    pd.testing.assert_frame_equal(table[columns[:3]], expected)
    arrays = [series.get_volume().array for series in folder.series]
    assert table["mean"].isna().tolist() == [number == 2 for number in range(6)]
    for number, array in enumerate(arrays):
        if number != 2:
            assert table["mean"][number] == array.mean()
    assert [value for value in table["highest"] if not pd.isna(value)] == [arrays[n].max() for n in (0, 1, 3, 5)]
    assert table["error"].fillna("").tolist() == ["", "", "ValueError: three", "", "", ""]
    assert (table["seconds"] > 0).all()


@pytest.mark.parametrize("function", [measure, every_kind])
def test_processes_and_threads_have_the_same_table(folder: Folder, function: Callable[[Any], Any]) -> None:
    in_threads = folder.map(function, workers=1)
    pd.testing.assert_frame_equal(
        without_seconds(folder.map(function, scheduler="processes", workers=3)), without_seconds(in_threads)
    )
    pd.testing.assert_frame_equal(without_seconds(folder.map(function, workers=3)), without_seconds(in_threads))


def test_values_of_other_classes_become_plain_ones(folder: Folder) -> None:
    table = folder.map(every_kind)
    types = ["string", "object", "datetime64[us]", "string", "timedelta64[us]", "object", "Int64"]
    assert list(map(str, table.dtypes))[3:-2] == types
    assert table["verdict"].tolist() == ["good"] * SERIES
    assert table["parts"][0] == ("good", 0.5, None)
    assert table["moment"][0] == pd.Timestamp("2020-02-29 14:00:00.5")
    assert table["exact"].tolist() == [2**53 + 1, 0.5, 2**53 + 3, 0.5, 2**53 + 5, 0.5]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level(folder: Folder, level: Level) -> None:
    table = folder.map(lambda session: session.instance_count, level=level)
    names = [IDENTIFIERS[each] for each in LEVELS[: LEVELS.index(level) + 1]]
    assert list(table.columns) == [*names, "result", "error", "seconds"]
    expected = folder.table(*names, level=level)
    pd.testing.assert_frame_equal(table[names], expected)
    assert table["result"].sum() == folder.instance_count


def test_the_order_of_instances_is_that_of_the_session(folder: Folder) -> None:
    session = folder.copy().sort_by("InstanceNumber", "descending")
    table = session.map(lambda instance: instance.get_header().InstanceNumber, level="instance")
    assert table["result"].tolist() == [3] * 6 + [2] * 6 + [1] * 6


@pytest.mark.usefixtures("empty_selections")
@given(archives(), st.sampled_from(LEVELS))
def test_any_archive(datasets: list[Any], level: Level) -> None:
    session = session_of(*datasets)
    table = session.map(lambda each: each.instance_count, level=level)
    assert table["result"].tolist() == session.table("instance_count", level=level)["instance_count"].tolist()
    assert table["error"].isna().all()


def test_an_empty_selection_has_an_empty_table(folder: Folder) -> None:
    with pytest.warns(UserWarning, match="Nothing is selected"):
        session = folder.copy().select(PatientID="nobody")
    for scheduler in ("threads", "processes"):
        table = session.map(measure, scheduler=scheduler)
        assert list(table.columns) == [
            *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "result", "error", "seconds")
        ]
        assert len(table) == 0


def test_the_session_may_be_narrowed_meanwhile(folder: Folder) -> None:
    session = folder.copy()

    def narrow(series: Session) -> int:
        session.select(SeriesNumber=1)
        return series.instance_count

    assert session.map(narrow)["result"].tolist() == [3] * 6
    assert session.series_count == 1


@IN_BOTH
def test_the_first_error_is_raised_with_the_rows_so_far(folder: Folder, scheduler: str) -> None:
    with pytest.raises(ValueError, match="three") as raised:
        folder.map(measure, scheduler=scheduler, errors="raise", workers=1)
    table: Any = raised.value.table  # type: ignore[attr-defined]
    assert table["error"].fillna("").tolist() == ["", "", "ValueError: three", *["not tried"] * 3]
    uid = folder.SeriesInstanceUIDs[2]
    if sys.version_info >= (3, 11):
        (note,) = raised.value.__notes__
        assert note.startswith("tests.session.mapping.computing.measure was called for PatientID P1, Study")
        assert note.endswith(uid)


def test_a_checkpoint_that_cannot_be_finished_is_an_error_with_the_rows(folder: Folder, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"

    def replace_by_a_folder(series: Session) -> int:
        path.mkdir(exist_ok=True)
        return computing.number_of(series)

    with pytest.raises(SelectionError, match="cannot be written: Is a directory") as raised:
        folder.map(replace_by_a_folder, checkpoint=path, workers=1)
    assert raised.value.table["result"].tolist() == [1, 2, 3, 4, 5, 6]  # type: ignore[attr-defined]
    assert sorted(os.listdir(tmp_path)) == [".a.parquet.jsonl", "a.parquet"]


@IN_BOTH
@pytest.mark.parametrize(
    ("function", "error"),
    [
        (computing.exits, "SystemExit: no 1"),
        (computing.raises_own, "OwnError: 1 and 2"),
        (computing.raises_unwritable, "UnwritableError"),
    ],
)
def test_any_error_is_a_row(folder: Folder, scheduler: str, function: Callable[[Any], Any], error: str) -> None:
    assert folder.map(function, scheduler=scheduler)["error"][0] == error


@IN_BOTH
def test_what_no_row_can_hold_ends_the_run_if_nothing_else_comes(folder: Folder, scheduler: str) -> None:
    with pytest.raises(SelectionError, match=r"returned an array of shape \(3, 4, 5\)") as raised:
        folder.map(lambda series: series.get_volume().array, scheduler=scheduler, workers=1)
    assert raised.value.table["error"].tolist()[1:] == ["not tried"] * 5  # type: ignore[attr-defined]

    def mostly(series: Session) -> Any:
        return series if computing.number_of(series) == 2 else 1

    table = folder.map(mostly, scheduler=scheduler, workers=1)
    assert table["error"].isna().tolist() == [True, False, True, True, True, True]
    assert "returned a Folder" in table["error"][1]


@pytest.mark.parametrize(
    ("error", "is_ended"),
    [
        (TransportError("refused"), True),
        (AuthenticationError("no", status=401), True),
        (TransportError("cut off", is_about_object=True), False),
        (NotFoundError("gone", status=404), False),
        (ValueError("no"), False),
    ],
)
def test_a_source_that_does_not_answer_is_given_up(folder: Folder, error: Exception, is_ended: bool) -> None:
    def fail(series: Session) -> int:
        raise error

    if not is_ended:
        assert folder.map(fail)["error"].notna().all()
        return
    with pytest.raises(type(error), match=str(error)) as raised:
        folder.map(fail, workers=1)
    assert raised.value.table["error"].tolist() == [*[str(error)] * 3, *["not tried"] * 3]  # type: ignore[attr-defined]


@IN_BOTH
@pytest.mark.filterwarnings("default:look at this")
def test_warnings_are_shown_once_and_prints_too(
    folder: Folder, scheduler: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        vars(computing).pop("__warningregistry__", None)
        # In threads it is Python that shows both, and prints of two at once may share a line.
        folder.map(computing.warns, scheduler=scheduler, workers=1 if scheduler == "threads" else 2)
    ((message, category, path),) = {(str(each.message), each.category, each.filename) for each in caught}
    assert (message, category, path) == ("look at this", UserWarning, computing.__file__)
    assert len(caught) == 1
    output = capfd.readouterr()
    assert sorted(output.out.splitlines()) == [f"printed {number}" for number in range(1, 7)]
    complaints = [line for line in output.err.splitlines() if line.startswith(("complained", "logged"))]
    if scheduler == "processes":
        # In threads it is pytest that has the log.
        assert sorted(complaints) == sorted(
            f"{what} {number}" for what in ("complained", "logged") for number in range(1, 7)
        )


def test_lines_from_processes_stand_above_the_progress_bar(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "_SECONDS_BEFORE_PROGRESS", -1.0)
    folder.map(computing.warns, scheduler="processes", workers=2, errors="report")
    lines = terminal.getvalue().splitlines()
    assert any("/6" in line for line in lines)
    for what in ("complained", "logged"):
        assert sorted(line for line in lines if what in line) == [f"{what} {number}" for number in range(1, 7)]


@IN_BOTH
def test_a_warning_that_is_an_error_is_one_everywhere(folder: Folder, scheduler: str) -> None:
    table = folder.map(computing.warns, scheduler=scheduler)
    assert table["error"].tolist() == ["UserWarning: look at this"] * 6
    assert table["result"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": 3}, "give a function of one argument"),
        ({"level": "file"}, "is not a level"),
        ({"errors": "ignore"}, 'choose "raise" or "report"'),
        ({"scheduler": "dask"}, 'choose "threads", "processes", or a Dask client'),
        ({"scheduler": 3}, 'choose "threads", "processes", or a Dask client'),
        ({"workers": 0}, "give a whole number of at least 1"),
        ({"workers": True}, "give a whole number of at least 1"),
        ({"checkpoint": "a.csv"}, "ends in .jsonl"),
    ],
)
def test_other_arguments_are_refused_before_anything_is_called(
    folder: Folder, arguments: dict[str, Any], message: str
) -> None:
    called: list[Session] = []
    with pytest.raises(SelectionError, match=message):
        folder.map(**{"function": called.append, **arguments})
    assert not called


def test_functions_of_notebooks_in_processes(folder: Folder) -> None:
    limit = 3

    def above(series: Session) -> bool:
        return computing.number_of(series) > limit

    assert folder.map(above, scheduler="processes")["result"].tolist() == [False] * 3 + [True] * 3


def test_a_function_that_cannot_be_read_elsewhere_is_refused(folder: Folder) -> None:
    class Unreadable:
        def __reduce__(self) -> Any:
            return (int, ("no number",))

    unreadable = Unreadable()
    with pytest.raises(SelectionError, match="cannot be read in another process: ValueError: invalid literal"):
        folder.map(lambda series: unreadable, scheduler="processes")


def test_criteria_that_cannot_be_read_elsewhere_are_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "is_odd", is_odd, raising=False)
    monkeypatch.setattr(is_odd, "__module__", "__main__")
    odd = folder.copy().select(SeriesNumber=is_odd)
    with pytest.raises(
        SelectionError,
        match=r"^The session cannot be read in another process: AttributeError: .*is_odd.* in its criteria",
    ):
        odd.map(computing.number_of, scheduler="processes")


def is_odd(value: int) -> bool:
    return value % 2 == 1


def test_an_error_that_only_the_process_knows_is_a_row(folder: Folder, tmp_path: Path) -> None:
    table = folder.map(computing.Elsewhere(tmp_path), scheduler="processes")
    assert table["error"].tolist() == ["ElsewhereError: there"] * 6


def test_where_no_process_can_be_started_threads_are_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "interpreter", lambda: None)
    with pytest.raises(UnsupportedError, match="use threads"):
        folder.map(computing.number_of, scheduler="processes")


def test_a_process_that_is_killed_costs_nothing_but_time(folder: Folder, tmp_path: Path) -> None:
    function = Killed(tmp_path / "calls")
    table = folder.map(function, scheduler="processes", workers=2)
    assert table["result"].tolist() == [1, 2, 3, 4, 5, 6]
    assert function.calls() == {1: 1, 2: 2, 3: 1, 4: 1, 5: 1, 6: 1}


def test_an_object_that_ends_its_process_each_time_has_an_error(folder: Folder, tmp_path: Path) -> None:
    function = Killed(tmp_path / "calls", always=True)
    table = folder.map(function, scheduler="processes", workers=2)
    assert table["result"].fillna(0).tolist() == [1, 0, 3, 4, 5, 6]
    assert table["error"][1] == "The process that computed it ended 3 times (SIGKILL)."
    assert function.calls() == {1: 1, 2: 3, 3: 1, 4: 1, 5: 1, 6: 1}


def test_programs_that_a_function_starts_read_nothing(folder: Folder) -> None:
    def read(series: Session) -> int:
        return len(subprocess.run(["cat"], capture_output=True, check=True).stdout)

    assert folder.map(read, scheduler="processes")["result"].tolist() == [0] * 6


def test_an_object_that_is_gone_has_an_error_and_the_others_have_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "files", 12)
    for path in folder.files.loc[folder.files["path"].str.contains("/6.dcm|/7.dcm|/8.dcm"), "path"]:
        os.unlink(path)
    table = folder.map(lambda series: series.get_volume().shape[0], scheduler="processes", workers=1)
    assert table["error"].isna().tolist() == [number != 3 for number in range(1, 13)]
    assert table["result"].fillna(0).tolist() == [3, 3, 0, *[3] * 9]


# Checkpoints


@IN_BOTH
def test_what_is_finished_is_not_computed_again_and_errors_are(folder: Folder, scheduler: str, tmp_path: Path) -> None:
    class Fails(Counted):
        def act(self, number: int) -> None:
            if number == 4 and self.calls()[4] == 1:
                raise ValueError("four")

    function, path = Fails(tmp_path / "calls"), tmp_path / "a.jsonl"
    first = folder.map(function, scheduler=scheduler, checkpoint=path)
    assert first["error"].notna().tolist() == [number == 4 for number in range(1, 7)]
    second = folder.map(function, scheduler=scheduler, checkpoint=path)
    assert second["result"].tolist() == [1, 2, 3, 4, 5, 6]
    assert function.calls() == {1: 1, 2: 1, 3: 1, 4: 2, 5: 1, 6: 1}
    third = folder.map(function, checkpoint=path)
    pd.testing.assert_frame_equal(third, second)
    assert function.calls() == {1: 1, 2: 1, 3: 1, 4: 2, 5: 1, 6: 1}


@pytest.mark.parametrize("function", [measure, every_kind])
def test_types_are_the_same_after_a_checkpoint(folder: Folder, function: Callable[[Any], Any], tmp_path: Path) -> None:
    for path in (tmp_path / "a.jsonl", tmp_path / "a.parquet"):
        first = folder.map(function, checkpoint=path)
        second = folder.map(function, checkpoint=path)
        pd.testing.assert_frame_equal(without_seconds(second), without_seconds(first))


def test_rows_of_other_objects_stay_and_those_of_other_parts_are_not_taken(tmp_path: Path) -> None:
    session, path, function = folder_of(tmp_path / "files", 2), tmp_path / "a.jsonl", Counted(tmp_path / "calls")
    session.copy().select(SeriesNumber=1).map(function, checkpoint=path)
    assert function.calls() == {1: 1}
    assert session.copy().map(function, checkpoint=path)["result"].tolist() == [1, 2]
    assert function.calls() == {1: 1, 2: 1}
    # Of both series another part is selected.
    part = session.copy().select(InstanceNumber=(1, 2))
    part.map(function, checkpoint=path)
    assert function.calls() == {1: 2, 2: 2}
    other = session.copy().select(InstanceNumber=(2, 3))
    other.map(function, checkpoint=path)
    assert function.calls() == {1: 3, 2: 3}
    for again in (session, part, other):
        again.map(function, checkpoint=path)
    assert function.calls() == {1: 3, 2: 3}


@pytest.mark.parametrize("level", ["patient", "study", "series"])
def test_a_row_is_not_that_of_as_many_other_instances(tmp_path: Path, level: Level) -> None:
    before = [instance(1, series="1"), instance(1, series="2"), instance(1, study="2")]
    number, series = (2, "2") if level == "series" else (1, "3")
    path, calls = tmp_path / "a.jsonl", []
    for other in (before[1], before[1], instance(number, series=series)):
        session = session_of(before[0], other, before[2])
        _CALLED.clear()
        resumed = session.map(called_for, level=level, checkpoint=path, workers=1)
        calls.append(len(_CALLED))
        pd.testing.assert_frame_equal(without_seconds(resumed), without_seconds(session.map(called_for, level=level)))
    assert calls == [len(resumed), 0, 1]


def called_for(session: Session) -> str:
    _CALLED.append(1)
    return "|".join(session.SOPInstanceUIDs)


def test_an_archive_that_changes_during_a_run_costs_the_rows_it_concerns_and_no_others(tmp_path: Path) -> None:
    datasets = [instance(number, study=str(number), series=str(number)) for number in (1, 2, 3)]
    session, path = session_of(*datasets), tmp_path / "a.jsonl"

    def count(study: Session) -> int:
        # The second study is gone before anything of it is listed.
        source_of(session).datasets = [datasets[0], datasets[2]]
        return len(study.StudyInstanceUIDs)

    for _ in range(2):
        table = session.map(count, level="study", checkpoint=path, workers=1)
        assert table["result"].tolist() == [1, 1, 1]
        assert len(path.read_bytes().splitlines()) == 3


def counted_patient(patient: Session) -> int:
    _CALLED.append(1)
    return patient.instance_count


_CALLED: list[int] = []


def test_a_uid_that_is_there_twice_is_never_taken_from_a_checkpoint(tmp_path: Path) -> None:
    session = session_of(instance(1), instance(2, study="2"), instance(3, series="7"))
    run = Run(session, "series", counted_patient, raises=False)
    run._repeated = set(run._identifiers[:1])
    run.resume(Checkpoint(tmp_path / "a.jsonl", Origin("f", "", "series", "")))
    for position in run.pending:
        run.finish(position, carry_out(counted_patient, partial(run.child, position)))
    run.end()
    again = Run(session, "series", counted_patient, raises=False)
    again._repeated = run._repeated
    again.resume(Checkpoint(tmp_path / "a.jsonl", Origin("f", "", "series", "")))
    again.end()
    assert again.pending == [0]


def test_another_function_is_refused_before_anything_is_called(folder: Folder, tmp_path: Path) -> None:
    path, called = tmp_path / "a.jsonl", []
    folder.map(computing.number_of, checkpoint=path)
    with pytest.raises(SelectionError, match=r"is the checkpoint of tests.session.mapping.computing.number_of at"):
        folder.map(called.append, checkpoint=path)
    assert not called


PROGRAM = """
import sys
from pathlib import Path
from simple_orthanc import Folder
from tests.session.mapping.computing import Slow

if __name__ == "__main__":
    function = Slow(Path(sys.argv[1]))
    Folder({files!r}, cache=False).map(function, scheduler={scheduler!r}, checkpoint=sys.argv[2], workers=2)
"""


def started(folder: Folder, scheduler: str, calls: Path, path: Path) -> subprocess.Popen[str]:
    program = PROGRAM.format(files=folder._source.description, scheduler=scheduler)
    return subprocess.Popen([sys.executable, "-c", program, calls, path], text=True, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@IN_BOTH
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ended_goes_on(folder: Folder, scheduler: str, how: signal.Signals, tmp_path: Path) -> None:
    function, path = Slow(tmp_path / "calls"), tmp_path / "a.jsonl"
    process = started(folder, scheduler, tmp_path / "calls", path)
    try:
        wait_for(lambda: len(function.processes()) == 2 and len(path.read_bytes().splitlines()) == 3)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert ("KeyboardInterrupt" in errors) == (how == signal.SIGINT)
    wait_for(lambda: not any(map(is_running, function.processes())))
    function.go_on()
    table = folder.map(function, scheduler=scheduler, checkpoint=path, workers=2)
    assert table["result"].tolist() == [1, 2, 3, 4, 5, 6]
    assert function.calls() == {1: 1, 2: 1, 3: 2, 4: 2, 5: 1, 6: 1}


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@IN_BOTH
def test_ctrl_c_ends_soon_and_has_the_rows_so_far(folder: Folder, scheduler: str, tmp_path: Path) -> None:
    function, path = Slow(tmp_path / "calls"), tmp_path / "a.jsonl"

    def press() -> None:
        wait_for(lambda: len(function.processes()) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        folder.map(function, scheduler=scheduler, checkpoint=path, workers=2)
    thread.join()
    assert raised.value.table["result"].notna().tolist() == [True, True, *[False] * 4]  # type: ignore[attr-defined]
    assert str(raised.value) == f"{path} has 2 rows; the same call resumes from there."
    if scheduler == "processes":
        assert not any(map(is_running, function.processes()))
    function.go_on()
    wait_for(lambda: not any(each.name.startswith("simple_orthanc") for each in threading.enumerate()))
    # What ends later is not in it.
    assert len(path.read_bytes().splitlines()) == 3


def test_an_awaited_map_is_the_same(folder: Folder) -> None:
    import asyncio

    async def main() -> pd.DataFrame:
        table: pd.DataFrame = await AsyncSession(folder.copy()).map(measure)
        return table

    pd.testing.assert_frame_equal(without_seconds(asyncio.run(main())), without_seconds(folder.map(measure)))
