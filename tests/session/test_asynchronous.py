"""Every verb can be awaited, in its turn, and cancelled."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import pandas as pd
import pytest

from simple_orthanc import AsyncSession, DicomWeb, Folder, Orthanc, SelectionError, Session, UnknownTagError
from simple_orthanc.concurrency import interruption
from simple_orthanc.errors import NotFoundError
from simple_orthanc.session.asynchronous import AsyncAttribute
from simple_orthanc.session.pacs import Pacs
from simple_orthanc.session.state import SessionState
from tests.memory_source import MemorySource
from tests.session.sessions import three_series
from tests.session.watched_server import WatchedServer
from tests.sources.contract import make_dataset


def sessions() -> tuple[AsyncSession, Session]:
    """Return a session to await and one to compare it with."""
    return AsyncSession(three_series()), three_series()


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    async def limited() -> Any:
        return await asyncio.wait_for(main(), 30)

    return asyncio.run(limited())


def test_a_session_is_narrowed_shown_and_read() -> None:
    session, plain = sessions()

    async def main() -> None:
        (uid, *_) = plain.get_dicom_tag("SeriesInstanceUID")
        plain.select(SeriesInstanceUID=uid)
        assert await session.select(SeriesInstanceUID=uid) is session
        assert await session.series_count == plain.series_count == 1
        assert await session.SeriesInstanceUIDs == plain.SeriesInstanceUIDs
        assert await session.PatientName == plain.PatientName
        pd.testing.assert_frame_equal(await session.table(level="instance"), plain.table(level="instance"))
        assert [header.SOPInstanceUID for header in await session.get_headers()] == [
            header.SOPInstanceUID for header in plain.get_headers()
        ]
        assert await session.selection == plain.selection
        assert await (await session.undo()).series_count == 3

    run(main)


@pytest.mark.parametrize("kind", [Session, Orthanc, DicomWeb, Folder, Pacs])
def test_every_public_name_of_a_session_is_there(kind: type[Session]) -> None:
    session, _ = sessions()
    # Without a connection: only the class is asked.
    session.__dict__["_session"] = object.__new__(kind)
    session.session.__dict__["_source"] = MemorySource([])
    names = [name for name in dir(kind) if not name.startswith("_")]
    assert {"select", "exclude", "table", "get_volume", "refresh", "series"} <= set(names)
    assert set(names) <= set(dir(session))
    for name in names:
        attribute = getattr(session, name)
        own = name in vars(AsyncSession)
        assert own or isinstance(attribute, AsyncAttribute), name
        if not own and inspect.isfunction(getattr(kind, name)):
            assert inspect.signature(attribute) == inspect.signature(getattr(session.session, name)), name
            assert attribute.__doc__ == getattr(kind, name).__doc__


def test_every_verb_that_changes_a_session_waits_for_its_turn() -> None:
    session, _ = sessions()
    changing = {"select", "exclude", "reset", "undo", "selecting", "selection", "sort_by", "refresh", "close", "copy"}
    for name in [name for name in dir(Session) if not name.startswith("_")]:
        assert getattr(session, name)._changes == (name in changing | {"explain"}), name
    session.__dict__["_session"] = object.__new__(Orthanc)
    uploads = [name for name in dir(Orthanc) if name.startswith("upload_")]
    assert {"upload_file", "upload_volume"} <= set(uploads)
    for name in (*uploads, "delete_selected_study"):
        assert getattr(session, name)._changes, name
    for name in ("watch", "changes", "rest", "is_alive", "statistics"):
        assert not getattr(session, name)._changes, name


def test_unknown_names_are_refused_at_once() -> None:
    session, _ = sessions()
    with pytest.raises(UnknownTagError, match="PatientName"):
        session.PatientNme  # noqa: B018
    assert not hasattr(session, "_no_such_name")
    with pytest.raises(SelectionError, match=r"await session\.assign\(.selection."):
        session.selection = {}
    with pytest.raises(SelectionError, match=r"AsyncSession\(Orthanc\(\)\)"):
        AsyncSession(Orthanc)  # type: ignore[arg-type]
    with pytest.raises(SelectionError, match="of at least 1"):
        AsyncSession(three_series(), max_workers=0)


def test_errors_are_raised_where_they_are_awaited() -> None:
    session, _ = sessions()

    async def main() -> None:
        with pytest.raises(UnknownTagError):
            await session.select(PatientNme="x")
        with pytest.raises(SelectionError):
            await session.undo(7)
        # An error ends its own turn only.
        results = await asyncio.gather(session.undo(7), session.series_count, return_exceptions=True)
        assert isinstance(results[0], SelectionError)
        assert results[1] == 3

    run(main)


def test_child_sessions_are_awaited_too() -> None:
    session, plain = sessions()

    async def main() -> None:
        children = await session.series
        assert [type(child) for child in children] == [AsyncSession] * 3
        iterated = [await child.SeriesInstanceUID async for child in session.series]
        assert iterated == [await child.SeriesInstanceUID for child in children]
        assert iterated == [child.SeriesInstanceUID for child in plain.series]
        assert await session.series[1].SeriesInstanceUID == iterated[1]
        counts = await asyncio.gather(*(child.instance_count for child in children))
        assert sum(counts) == plain.instance_count
        twin = await session.copy()
        await twin.select(SeriesInstanceUID=iterated[0])
        assert (await twin.series_count, await session.series_count) == (1, 3)

    run(main)


def test_child_sessions_are_made_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    session, _ = sessions()
    made: list[bool] = []
    make = Session._child

    def noted(self: Session, *arguments: Any) -> Session:
        made.append(threading.current_thread() is threading.main_thread())
        return make(self, *arguments)

    monkeypatch.setattr(Session, "_child", noted)

    async def main() -> None:
        assert len(await session.series) == 3
        assert len([child async for child in session.series]) == 3
        assert await session.series[0].instance_count
        assert made == [False] * 7

    run(main)


def test_assigning_and_blocks() -> None:
    session, plain = sessions()
    uid = plain.get_dicom_tag("SeriesInstanceUID")[1]

    async def main() -> None:
        async with session.selecting(SeriesInstanceUID=uid) as narrowed:
            assert narrowed is session
            assert await session.series_count == 1
        assert await session.series_count == 3
        await session.assign("selection", {"SeriesInstanceUID": uid})
        assert await session.series_count == 1
        with pytest.raises(UnknownTagError, match="no attribute"):
            await session.assign("nonsense", 1)

    run(main)


def test_verbs_see_what_was_awaited_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    session, plain = sessions()
    uids = plain.get_dicom_tag("SeriesInstanceUID")
    resolve = SessionState._resolve

    def slowly(self: Any, *arguments: Any) -> Any:
        time.sleep(0.02)
        return resolve(self, *arguments)

    monkeypatch.setattr(SessionState, "_resolve", slowly)

    async def main() -> None:
        results = await asyncio.gather(
            session.series_count,
            session.select(SeriesInstanceUID=uids[:2]),
            session.series_count,
            session.exclude(SeriesInstanceUID=uids[0]),
            session.series_count,
            session.reset(),
            session.series_count,
        )
        assert results[::2] == [3, 2, 1, 3]

    run(main)


def test_reading_verbs_run_at_the_same_time_and_not_more_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(3)
    running: list[int] = []
    most: list[int] = []

    def together(self: Session) -> int:
        running.append(1)
        most.append(len(running))
        barrier.wait(10)
        running.pop()
        return 7

    monkeypatch.setattr(Session, "describe_together", together, raising=False)
    session = AsyncSession(three_series(), max_workers=3)

    async def main() -> None:
        assert await asyncio.gather(*(session.describe_together() for _ in range(6))) == [7] * 6
        assert max(most) == 3

    run(main)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A verb that waits for ever, as for a socket, and an event that is set while it does."""
    began = threading.Event()

    def wait_for_ever(self: Session) -> None:
        began.set()
        interruption.pause(60)

    monkeypatch.setattr(Session, "wait_for_ever", wait_for_ever, raising=False)
    monkeypatch.setattr(SessionState, "change_for_ever", wait_for_ever, raising=False)
    return began


@pytest.mark.parametrize("name", ["wait_for_ever", "change_for_ever"])
def test_a_cancelled_verb_ends_and_lets_the_next_one_in(waiting: threading.Event, name: str) -> None:
    session = AsyncSession(three_series(), max_workers=1)

    async def main() -> None:
        task = asyncio.create_task(getattr(session, name)())
        await asyncio.to_thread(waiting.wait, 10)
        behind = asyncio.create_task(session.reset())
        dropped = asyncio.create_task(session.reset())
        await asyncio.sleep(0)
        dropped.cancel()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await behind is session
        assert await session.series_count == 3

    run(main)


def test_a_verb_takes_a_timeout(waiting: threading.Event) -> None:
    session, _ = sessions()

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(session.wait_for_ever(), 0.05)
        assert await session.series_count == 3

    run(main)


def test_the_loop_goes_on_while_a_verb_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(Session, "wait_for_release", lambda self: released.wait(10), raising=False)
    session, _ = sessions()

    async def main() -> None:
        task = asyncio.ensure_future(session.wait_for_release())
        await asyncio.sleep(0.01)
        released.set()
        assert await task is True

    run(main)


def test_a_session_may_be_used_in_one_loop_after_the_other() -> None:
    session, _ = sessions()
    for _ in range(2):
        assert len(run(lambda: session.table())) == 3
        assert run(lambda: asyncio.gather(session.reset(), session.series_count))[1] == 3


def test_a_call_that_is_not_awaited_warns_and_an_attribute_does_not() -> None:
    session, _ = sessions()
    with pytest.warns(RuntimeWarning, match=r"AsyncSession\.select\(\).* was never awaited"):
        session.select(PatientID="x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert repr(session.series_count).startswith("<series_count of <AsyncSession of Session")
        call = session.table()
        assert asyncio.iscoroutine(call)
        call.close()


def test_a_representation_waits_for_nothing() -> None:
    session, _ = sessions()
    lock = session.session._index._lock
    began, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            began.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    began.wait(10)
    assert "AsyncSession of Session" in repr(session)
    done.set()
    thread.join()


def test_changes_and_the_rest_api_are_awaited() -> None:
    with WatchedServer([make_dataset(number, "1", "1", "p1") for number in (1, 2)]) as server:

        async def main() -> None:
            async with await AsyncSession.open(Orthanc, server.url, patience=0, max_workers=2) as session:
                numbers = [change.sequence async for change in session.changes(type="NewInstance")]
                assert numbers == [10, 20]
                feed = await session.changes()
                assert [change.sequence async for change in feed][:1] == [10]
                assert (await session.rest.get("/system"))["Version"] == "1.12.7"
                rest = await session.rest
                assert (await rest.get("/statistics"))["CountInstances"] == 2
                with pytest.raises(NotFoundError):
                    await session.rest.get("/series/none")
                assert await session.is_alive()
                assert await session.wait_until_ready(5) is session
            assert await session.refresh() is session

        run(main)


def test_a_coroutine_function_is_called_in_the_loop() -> None:
    with WatchedServer([make_dataset(number, str(number), "1", "p1") for number in (1, 2)]) as server:
        seen: list[int] = []
        stop = threading.Event()

        async def look(series: AsyncSession) -> None:
            assert isinstance(series, AsyncSession)
            seen.append(await series.instance_count)
            if len(seen) == 2:
                stop.set()

        async def wait(series: AsyncSession) -> None:
            stop.set()
            await asyncio.sleep(60)

        async def main() -> None:
            async with await AsyncSession.open(Orthanc, server.url, patience=0, max_workers=1) as alone:
                assert (await alone.watch(look, since=0, stop=stop)).empty
                assert seen == [1, 1]
            async with await AsyncSession.open(Orthanc, server.url, patience=0, max_workers=2) as session:
                stop.clear()
                task = asyncio.create_task(session.watch(wait, since=0))
                await asyncio.to_thread(stop.wait, 10)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                # Other verbs are not held up by it.
                assert await session.series_count == 2

        run(main)


def test_plain_data_are_what_they_are() -> None:
    with WatchedServer([]) as server:

        async def main() -> None:
            async with await AsyncSession.open(Orthanc, server.url, patience=0) as session:
                answer = await session.rest.request("GET", "/system")
                assert answer.status == 200
                assert (await session.rest.capabilities).version == (1, 12, 7)

        run(main)


def test_opening_raises_its_errors() -> None:
    with pytest.raises(SelectionError, match="a port already"):
        run(lambda: AsyncSession.open(Orthanc, "http://127.0.0.1:1", 2))
