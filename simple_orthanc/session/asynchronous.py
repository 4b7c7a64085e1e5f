"""A session for programs with an event loop: each verb is awaitable, and runs in a thread."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, NoReturn

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.threads import WORKERS
from simple_orthanc.deidentification.keys import Key
from simple_orthanc.errors import SelectionError
from simple_orthanc.session.acting import ActingSession
from simple_orthanc.session.acts.copy_verbs import MakesCopies
from simple_orthanc.session.acts.verbs import ActsOnServer
from simple_orthanc.session.arguments import whole_number
from simple_orthanc.session.awaited import Threads, Turns
from simple_orthanc.session.base import Session
from simple_orthanc.session.containers import Children, LazyVolumes
from simple_orthanc.session.narrowing import Narrowing
from simple_orthanc.session.state import SessionState
from simple_orthanc.session.unknown_names import parse_name

if TYPE_CHECKING:
    from typing_extensions import Self

# Classes of verbs that upload: what an archive that takes uploads has more than one that is only read.
_UPLOADING = tuple(kind for kind in ActingSession.__mro__ if not issubclass(Session, kind))
# What these classes define changes the session; all other verbs only read it.
_CHANGING = (SessionState, Narrowing, ActsOnServer, MakesCopies, *_UPLOADING)
# Objects with methods that ask the server, by the package that defines them.
_ASKING = "simple_orthanc.rest"
_END = object()

Work = Callable[[Session], Any]


class AsyncSession:
    """A session whose verbs are awaited: `Session`, `Orthanc`, `DicomWeb`, `Folder` or any other.

    Whatever the session has, this one has under the same name and with the same arguments: methods are called and
    awaited, properties and DICOM keywords are awaited. What a verb returns is the same, except that sessions are
    `AsyncSession` too, and that iterators are iterated over with ``async for``.

    Verbs run in threads, so that the event loop goes on, also that of a notebook. Those that change the selection or
    the archive are carried out one after the other in the order in which they were awaited, and those that read see the
    state in which all earlier ones have left the session, and may run at the same time.

    A verb that is cancelled ends as by Ctrl-C: `select` has then changed nothing.

    Parameters
    ----------
    session : Session
        The session. It is used from several threads, so it should not be used otherwise meanwhile.
    max_workers : int
        How many verbs run at the same time, those of its child sessions included.

    See Also
    --------
    AsyncSession.open : Opens the session in a thread too.

    Examples
    --------
    >>> import asyncio
    >>> from simple_orthanc import AsyncSession, Folder
    >>> async def main():
    ...     async with await AsyncSession.open(Folder.example) as session:
    ...         await session.select(Modality="CT")
    ...         print(await session.series_count, await session.PatientIDs)
    ...         async for patient in session.patients:
    ...             print(await patient.get_dicom_tag("SeriesDescription"))
    >>> asyncio.run(main())
    4 ['EX-002', 'EX-003', 'EX-006']
    ['CT abdomen portal venous']
    ['CT low dose']
    ['CT chest with scout', 'CT chest']
    """

    _session: Session
    _threads: Threads
    _turns: Turns

    def __init__(self, session: Session, max_workers: int = WORKERS) -> None:
        if not isinstance(session, Session):
            raise SelectionError(
                f"AsyncSession({session!r}): give a session, as in AsyncSession(Orthanc()), or open one in a thread: "
                "await AsyncSession.open(Orthanc)."
            )
        if (whole_number(max_workers) or 0) < 1:
            raise SelectionError(f"max_workers={max_workers!r}: give a whole number of at least 1.")
        self._begin(session, Threads(max_workers))

    def _begin(self, session: Session, threads: Threads) -> Self:
        self.__dict__.update(_session=session, _threads=threads, _turns=Turns())
        return self

    @classmethod
    async def open(
        cls, opener: Callable[..., Session], *arguments: Any, max_workers: int = WORKERS, **options: Any
    ) -> Self:
        """Open a session in a thread.

        Parameters
        ----------
        opener : callable
            `Orthanc`, `DicomWeb`, `Folder`, ``Orthanc.from_profile``, or whatever else returns a session.
        *arguments, **options
            Its arguments.
        max_workers : int
            How many verbs run at the same time.

        Returns
        -------
        AsyncSession
            On that session.

        Examples
        --------
        >>> import asyncio
        >>> from simple_orthanc import Folder
        >>> async def main():
        ...     async with await AsyncSession.open(Folder.example) as session:
        ...         return await session.patient_count
        >>> asyncio.run(main())
        6
        """
        opened = await Threads(1).run(functools.partial(opener, *arguments, **options))
        return cls(opened, max_workers)

    @property
    def session(self) -> Session:
        """The session whose verbs are awaited here.

        Examples
        --------
        >>> AsyncSession(archive).session.patient_count
        6
        """
        return self._session

    def __getattr__(self, name: str) -> AsyncAttribute:
        """Return an attribute of the session, to be awaited, called or iterated over; it sends no request."""
        if name.startswith("_"):
            raise AttributeError(name)
        if not hasattr(type(self.session), name):
            parse_name(type(self.session), name)
        changes = any(name in vars(kind) for kind in _CHANGING)
        attribute = AsyncAttribute(self, lambda session: getattr(session, name), name, changes)
        if inspect.isroutine(getattr(type(self.session), name, None)):
            # Signature and documentation, for those who ask for them.
            functools.update_wrapper(attribute, getattr(self.session, name), updated=())
        return attribute

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the session; where it lands it has threads of its own."""
        return type(self), (self._session, self._threads.most)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refuse: an assignment cannot be awaited."""
        raise SelectionError(
            f"{name} = ... cannot be awaited: write await session.assign({name!r}, ...), where {name!r} is an "
            "attribute that the session lets assign."
        )

    def __dir__(self) -> list[str]:
        """List what the session has, and what is only here."""
        return sorted({*super().__dir__(), *dir(self.session)})

    def __repr__(self) -> str:
        """Show the source and the criteria, without a request and without waiting for another thread."""
        session = self.session
        criteria = " & ".join(session._criteria_texts())
        selected = f", selected by {criteria}" if criteria else ""
        return f"<AsyncSession of {type(session).__name__} {session._place()}{selected}>"

    async def assign(self, name: str, value: Any) -> None:
        """Assign to an attribute of the session, such as "selection", in its turn.

        Parameters
        ----------
        name : str
            The attribute.
        value : object
            Its new value.

        Examples
        --------
        >>> import asyncio
        >>> async def main():
        ...     session = AsyncSession(archive)
        ...     await session.assign("selection", {"Modality": "PT"})
        ...     return await session.PatientIDs
        >>> asyncio.run(main())
        ['EX-003']
        """
        await self._carry_out(lambda session: setattr(session, name, value), changes=True)

    async def __aenter__(self) -> Self:
        """Return the session itself, which is closed at the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections and end the threads."""
        await self._carry_out(lambda session: session.close(), changes=True)
        self._threads.close()

    async def _carry_out(self, work: Work, changes: bool) -> Any:
        """Do some work on the session in its turn, in a thread; return the result as it is awaited here."""
        return self._wrapped(await self._result(work, changes))

    async def _result(self, work: Work, changes: bool) -> Any:
        turn = self._turns.take()
        await turn.come()
        # What a pickle has brought is looked for once, and not in the thread of the event loop.
        if changes or self.session._packed is not None:
            return await self._threads.run(lambda: _made(work(self.session)), turn.over)
        try:
            # Shared with all copies, so that what one of them has planned is planned for the others.
            self.session._kept_plans()
            copy = self.session.copy()
        finally:
            turn.over()
        result = await self._threads.run(lambda: _made(work(copy)))
        return self.session if result is copy else result

    def _wrapped(self, result: Any) -> Any:
        """Return a result in the form in which it is awaited."""
        if result is self.session:
            return self
        if isinstance(result, Session):
            other: AsyncSession = object.__new__(type(self))
            return other._begin(result, self._threads)
        if isinstance(result, list) and result and (isinstance(result[0], Session) or _asks(result[0])):
            return [self._wrapped(item) for item in result]
        if isinstance(result, Iterator):
            return self._iterate(result)
        if isinstance(result, LazyVolumes) or _asks(result):
            return AsyncAttribute(self, lambda _: result, type(result).__name__, changes=False)
        return result

    def _callback(self, argument: Any) -> Any:
        """Return a function that runs a coroutine function in the event loop, on a session to await; else the argument.

        It is called in a thread, and waits for the end of the coroutine. So the sessions have threads of their own,
        since there may be no other.
        """
        if not inspect.iscoroutinefunction(argument):
            return argument
        loop, most = asyncio.get_running_loop(), self._threads.most

        def run(session: Session) -> Any:
            future = asyncio.run_coroutine_threadsafe(argument(type(self)(session, most)), loop)
            try:
                with interruption.ended_by(future.cancel):
                    return future.result()
            except CancelledError:
                interruption.check()
                raise

        return run

    async def _iterate(self, iterator: Iterator[Any]) -> AsyncIterator[Any]:
        while (item := await self._threads.run(lambda: next(iterator, _END))) is not _END:
            yield self._wrapped(item)

    async def _iterate_over(self, work: Work, changes: bool) -> AsyncIterator[Any]:
        iterator = await self._result(lambda session: iter(work(session)), changes)
        async for item in self._iterate(iterator):
            yield item


def _made(result: Any) -> Any:
    """Return a result, in the thread in which it was made, with child sessions that are made already."""
    return list(result) if isinstance(result, Children) else result


def _unwrapped(argument: Any) -> Any:
    """Return the session of an asynchronous one, where a verb takes another session."""
    return argument.session if isinstance(argument, AsyncSession) else argument


def _asks(value: Any) -> bool:
    """Check whether an object asks the server when it is used; plain data do not."""
    is_data = isinstance(value, tuple) or dataclasses.is_dataclass(value)
    return type(value).__module__.startswith(_ASKING) and not is_data


class AsyncAttribute:
    """An attribute that is read in a thread when it is awaited; it may be called and iterated over, and has others.

    Parameters
    ----------
    owner : AsyncSession
        Where it is read.
    read : callable
        Called with the session; returns the attribute.
    path : str
        How it is written.
    changes : bool
        Whether to call it changes the session.
    """

    def __init__(self, owner: AsyncSession, read: Work, path: str, changes: bool) -> None:
        self._owner, self._read, self._path, self._changes = owner, read, path, changes

    def _further(self, read: Callable[[Any], Any], path: str) -> AsyncAttribute:
        before = self._read
        return AsyncAttribute(self._owner, lambda session: read(before(session)), self._path + path, self._changes)

    def __getattr__(self, name: str) -> AsyncAttribute:
        """Return an attribute of this one."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self._further(lambda value: getattr(value, name), f".{name}")

    def __getitem__(self, key: Any) -> AsyncAttribute:
        """Return an item of this attribute."""
        return self._further(lambda value: value[key], f"[{key!r}]")

    def __call__(self, *arguments: Any, **options: Any) -> AsyncCall:
        """Call the attribute in a thread, once the result is awaited."""
        if "key" in options:
            # That of a de-identification, which no traceback may show.
            options["key"] = Key(options["key"])
        read, owner = self._read, self._owner
        arguments = tuple(owner._callback(_unwrapped(argument)) for argument in arguments)
        options = {name: _unwrapped(option) for name, option in options.items()}
        return AsyncCall(owner, lambda session: read(session)(*arguments, **options), f"{self._path}()", self._changes)

    def __await__(self) -> Generator[Any, None, Any]:
        """Read the attribute in a thread."""
        return self._owner._carry_out(self._read, self._changes).__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the attribute, each step in a thread."""
        return self._owner._iterate_over(self._read, self._changes)

    def __repr__(self) -> str:
        """Show how it is written."""
        return f"<{self._path} of {self._owner!r}, to be awaited>"


class AsyncCall(Coroutine[Any, Any, Any]):
    """A call that is carried out in a thread: awaited, iterated over, or entered with ``async with``.

    Parameters
    ----------
    owner : AsyncSession
        Where it is carried out.
    work : callable
        Called with the session.
    path : str
        How the call is written.
    changes : bool
        Whether it changes the session.
    """

    def __init__(self, owner: AsyncSession, work: Work, path: str, changes: bool) -> None:
        self._owner, self._work, self._changes = owner, work, changes
        self._manager: Any = None
        # Made at once, so that Python warns of a call that is never awaited.
        coroutine: Any = owner._carry_out(work, changes)
        coroutine.__qualname__ = f"AsyncSession.{path}"
        self._coroutine: Coroutine[Any, Any, Any] = coroutine

    def __await__(self) -> Generator[Any, None, Any]:
        """Carry out the call."""
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Go on, as of any coroutine."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error inside, as of any coroutine."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End, as of any coroutine."""
        self._coroutine.close()

    def __aiter__(self) -> AsyncIterator[Any]:
        """Iterate over the result, each step in a thread."""
        self._coroutine.close()
        return self._owner._iterate_over(self._work, self._changes)

    async def __aenter__(self) -> Any:
        """Enter the context manager that the call returns."""
        self._coroutine.close()
        self._manager = await self._owner._result(self._work, self._changes)
        return await self._owner._carry_out(lambda _: self._manager.__enter__(), self._changes)

    async def __aexit__(self, *error: Any) -> bool | None:
        """Leave that context manager."""
        left: bool | None = await self._owner._result(lambda _: self._manager.__exit__(*error), self._changes)
        return left
