"""The same table from a cluster of Dask, which may lose workers; and the selection as a bag."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import distributed
import pandas as pd
import pytest

from simple_orthanc import Folder, SelectionError, TransportError, UnsupportedError
from simple_orthanc.session.mapping import cluster
from tests.session.mapping import computing
from tests.session.mapping.computing import Killed, Slow, every_kind, folder_of, measure, without_seconds
from tests.session.mapping.test_map import is_odd, is_running, wait_for


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return folder_of(tmp_path_factory.mktemp("map") / "files")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of two workers, each a process."""
    options = {
        "distributed.worker.daemon": False,
        "distributed.comm.retry.count": 0,
        "distributed.scheduler.worker-ttl": None,
        # On a busy machine.
        "distributed.comm.timeouts.connect": "120s",
        "distributed.comm.timeouts.tcp": "120s",
    }
    with (
        dask.config.set(options),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1", silence_logs=60
        ) as started,
        distributed.Client(started) as connected,
    ):
        yield connected


@pytest.mark.parametrize("function", [measure, every_kind])
def test_the_table_is_that_of_threads(folder: Folder, client: Any, function: Callable[[Any], Any]) -> None:
    table = folder.map(function, scheduler=client)
    pd.testing.assert_frame_equal(without_seconds(table), without_seconds(folder.map(function)))
    assert client.status == "running"


def test_functions_of_notebooks_and_many_small_objects(folder: Folder, client: Any) -> None:
    limit = 2

    def above(instance: Any) -> bool:
        return instance.get_header().InstanceNumber > limit

    table = folder.map(above, "instance", client)
    assert table["result"].tolist() == [False, False, True] * 6


def test_a_function_that_holds_much_is_sent_once(folder: Folder, client: Any) -> None:
    much = bytes(200_000)
    assert folder.map(lambda series: len(much), scheduler=client)["result"].tolist() == [200_000] * 6


def test_the_first_error_is_raised(folder: Folder, client: Any) -> None:
    with pytest.raises(ValueError, match="three") as raised:
        folder.map(measure, scheduler=client, errors="raise")
    assert raised.value.table["error"][2] == "ValueError: three"  # type: ignore[attr-defined]


def test_warnings_of_workers_are_shown(folder: Folder, client: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        folder.map(computing.warns, scheduler=client)
    assert {str(each.message) for each in caught} == {"look at this"}


def test_a_function_that_cannot_be_read_on_workers_is_refused(folder: Folder, client: Any) -> None:
    class Unreadable:
        def __reduce__(self) -> Any:
            return (int, ("no number",))

    unreadable = Unreadable()
    with pytest.raises(SelectionError, match=r"cannot be read on the workers: ValueError: invalid literal"):
        folder.map(lambda series: unreadable, scheduler=client)


def test_criteria_that_cannot_be_read_on_workers_are_named(
    folder: Folder, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "is_odd", is_odd, raising=False)
    monkeypatch.setattr(is_odd, "__module__", "__main__")
    odd = folder.copy().select(SeriesNumber=is_odd)
    with pytest.raises(SelectionError, match=r"^The session cannot be read on the workers: AttributeError: .*is_odd"):
        odd.map(computing.number_of, scheduler=client)


def test_an_error_that_only_workers_know_is_a_row(folder: Folder, client: Any, tmp_path: Path) -> None:
    table = folder.map(computing.Elsewhere(tmp_path), scheduler=client)
    assert table["error"].tolist() == ["ElsewhereError: there"] * 6


def test_a_worker_that_is_killed_costs_nothing_but_time(folder: Folder, client: Any, tmp_path: Path) -> None:
    function = Killed(tmp_path / "calls")
    table = folder.map(function, scheduler=client)
    assert table["result"].tolist() == [1, 2, 3, 4, 5, 6]
    assert function.calls()[2] == 2


def test_an_object_that_ends_its_worker_each_time_has_an_error(
    folder: Folder, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_MOST_ATTEMPTS", 2)
    client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    function = Killed(tmp_path / "calls", always=True)
    try:
        table = folder.map(function, scheduler=client)
    finally:
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 3))
    assert table["result"].fillna(0).tolist() == [1, 0, 3, 4, 5, 6]
    assert table["error"][1] == "Its workers ended while they computed it, 2 times."


def test_ctrl_c_cancels_the_tasks_and_a_checkpoint_goes_on(folder: Folder, client: Any, tmp_path: Path) -> None:
    function, path = Slow(tmp_path / "calls"), tmp_path / "a.jsonl"
    wait_for(lambda: len(client.nthreads()) == 2)

    def press() -> None:
        wait_for(lambda: len(function.processes()) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as raised:
        folder.map(function, scheduler=client, checkpoint=path)
    thread.join()
    finished = raised.value.table["result"].dropna().tolist()  # type: ignore[attr-defined]
    assert len(path.read_bytes().splitlines()) == 1 + len(finished)
    assert all(map(is_running, function.processes()))
    wait_for(lambda: client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks)) == 0)
    function.go_on()
    table = folder.map(function, scheduler=client, checkpoint=path)
    assert table["result"].tolist() == [1, 2, 3, 4, 5, 6]
    # Which two waited, and what was finished before, is up to Dask.
    calls = function.calls()
    assert sum(calls.values()) <= 6 + 2 + len({1, 2} - set(finished))
    assert all(calls[number] == 1 for number in finished)


def test_a_client_that_is_closed_meanwhile_is_an_error(folder: Folder, client: Any, tmp_path: Path) -> None:
    function = Slow(tmp_path / "calls")
    with distributed.Client(client.scheduler.address, set_as_default=False) as other:
        thread = threading.Thread(target=lambda: (wait_for(function.processes), other.close()))
        thread.start()
        with pytest.raises(TransportError, match=r"The Dask client is clos.*: connect again"):
            folder.map(function, scheduler=other)
        function.go_on()
        thread.join()


def test_other_clients_and_counts_are_refused(folder: Folder, client: Any) -> None:
    with pytest.raises(SelectionError, match="a Dask cluster has its own number of workers"):
        folder.map(measure, scheduler=client, workers=2)


def test_child_sessions_are_given_to_dask_itself(folder: Folder, client: Any) -> None:
    for _ in range(2):
        futures = client.map(computing.number_of, list(folder.series))
        assert client.gather(futures) == [1, 2, 3, 4, 5, 6]


def test_a_client_of_an_event_loop_is_refused(folder: Folder, client: Any) -> None:
    import asyncio

    async def main() -> None:
        async with distributed.Client(client.scheduler.address, asynchronous=True, set_as_default=False) as other:
            with pytest.raises(SelectionError, match="works in an event loop"):
                folder.map(measure, scheduler=other)

    asyncio.run(main())


# Bags


def test_a_bag_holds_the_sessions_in_order(folder: Folder) -> None:
    bag = folder.to_dask()
    numbers = bag.map(computing.number_of)
    assert bag.npartitions == 6
    for scheduler in ("sync", "threads"):
        assert numbers.compute(scheduler=scheduler) == [1, 2, 3, 4, 5, 6]
    assert folder.to_dask("instance", npartitions=4).npartitions == 4
    assert folder.to_dask("study").map(lambda study: study.series_count).compute(scheduler="sync") == [3, 3]


def test_a_bag_on_a_cluster(folder: Folder, client: Any) -> None:
    bag = folder.to_dask()
    assert client.compute(bag.map(computing.number_of)).result() == [1, 2, 3, 4, 5, 6]


def test_a_bag_is_small(folder: Folder) -> None:
    bag = folder.to_dask()
    assert len(pickle.dumps(dict(bag.dask))) < 6 * 4096


def test_an_empty_bag(folder: Folder) -> None:
    with pytest.warns(UserWarning, match="Nothing is selected"):
        empty = folder.copy().select(PatientID="nobody")
    assert empty.to_dask().map(computing.number_of).compute(scheduler="sync") == []


@pytest.mark.parametrize(("arguments", "message"), [((("file"),), "is not a level"), (("series", 0), "whole number")])
def test_other_arguments_of_a_bag_are_refused(folder: Folder, arguments: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        folder.to_dask(*arguments)


def test_without_dask_the_extra_is_named(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dask", "dask.bag", "dask.delayed"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnsupportedError, match=r"simple-orthanc\[dask\]"):
        folder.to_dask()
