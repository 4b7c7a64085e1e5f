"""The verbs that call a function for each selected object."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.tables import check_level
from simple_orthanc.session.arguments import whole_number
from simple_orthanc.session.looking import Looking
from simple_orthanc.session.options import OnError
from simple_orthanc.session.reading.unreadable import check_errors
from simple_orthanc.showing.text import counted

if TYPE_CHECKING:
    import dask.bag
    import distributed
    import pandas as pd
    from typing_extensions import Self

    from simple_orthanc.session.mapping.run import Run


class MapsFunctions(Looking):
    """The verbs of a session that call a function for each selected object."""

    def map(
        self,
        function: Callable[[Self], Any],
        level: Level = "series",
        scheduler: str | distributed.Client | None = None,
        errors: OnError = "report",
        checkpoint: str | Path | None = None,
        *,
        workers: int | None = None,
    ) -> pd.DataFrame:
        """Call a function for each selected object, many at a time, and return a table of its results.

        Parameters
        ----------
        function : callable
            Called with the session of one object, a child of this one. It returns a number, a string, a date, or
            several by name: a dictionary, a Series, a table of one row, a named tuple or a dataclass. A list or tuple
            without names is one value, a member of an Enum is its value. None makes a row without values and without
            an error. With ``scheduler=None`` it is called from several threads at once.
        level : {"patient", "study", "series", "instance"}
            What an object is.
        scheduler : {"threads", "processes"} or distributed.Client, optional
            Where the function is called. None: in threads, so that one object is read while others are computed.
            Processes are faster if the function spends its time in Python code; a function that other processes cannot
            import by its name, such as a lambda or one of a notebook, needs
            ``pip install "simple-orthanc[processes]"``. A Dask client calls it on its cluster:
            ``pip install "simple-orthanc[dask]"``.
        errors : {"report", "raise"}
            Whether an error of the function becomes a row, or is raised.
        checkpoint : str or Path, optional
            A file for finished rows. A call that ended early, even with its process, is resumed by the same call: see
            below.
        workers : int, optional
            Number of threads or processes. Default: 4 threads, or as many processes as there are processors.

        Returns
        -------
        pandas.DataFrame
            One row per object, in the order of `table`: its PatientID and UIDs, the results in typed columns,
            ``error`` (NA if there is none) and ``seconds``, the time it took. One value without a name is the column
            ``result``. Integers are Int64, other numbers Float64 (object, if that would round an integer beyond 2**53),
            truth values boolean, strings string, dates datetime64 (in UTC where an offset is given), durations
            timedelta64, lists tuples; missing values and NaN are NA.

        Raises
        ------
        SelectionError
            An argument is not valid; the function has only returned values that a table cannot hold, such as arrays; or
            the checkpoint belongs to another function, level or archive.
        UnsupportedError
            An extra is not installed.
        OrthancError
            The source did not answer for several objects in a row.
        Exception
            The error of the function, with ``errors="raise"``. Every error, and the KeyboardInterrupt of Ctrl-C, has
            the rows so far as ``.table``; the message of the latter names the checkpoint and its number of rows.

        Notes
        -----
        A checkpoint is a file of JSON lines (``.jsonl``), of which each is written as soon as its object is finished,
        or a table in Parquet (``.parquet``, with ``pip install "simple-orthanc[parquet]"``), which is written at the
        end; until then its rows are in JSON lines beside it. It holds UIDs and results, and other users cannot read it.

        The same call resumes from it: finished rows are read from the file, and objects whose row holds an error are
        computed again. The file is refused if it belongs to another level, archive or function. The function's name is
        compared, its code without comments, and the values in its closure; of a class, a callable object or a method
        also the methods of its class and the values in that; but not what it calls otherwise, nor global variables. A
        row is used for an object with the same UIDs, if the same instances of it are selected as then. Rows of other
        objects stay in the file. Files that were replaced by others are not noticed: see ``freeze``. Rows that another
        version of this library has computed are used with a warning.

        If a process dies, or a Dask worker is lost, its objects are computed again; an object whose process dies three
        times gets an error. Warnings of the function are shown, wherever it is called. Ctrl-C ends requests to the
        source and all processes, and cancels the tasks on a cluster; a thread that is computing ends after its object.

        Examples
        --------
        >>> def measure(series):
        ...     volume = series.get_volume()
        ...     return {"slices": len(volume.array), "highest": int(volume.array.max())}
        >>> table = archive.select(PatientID="EX-003").map(measure)
        >>> table[["PatientID", "slices", "highest", "error"]]
          PatientID  slices  highest error
        0    EX-003      40      622  <NA>
        1    EX-003      40    27385  <NA>

        One value without a name, and series that have no volume:

        >>> def spacing(series):
        ...     return series.get_volume().spacing[0]
        >>> table = archive.reset().select(PatientID="EX-002").map(spacing)
        >>> table[["PatientID", "result", "error"]]
          PatientID  result                                              error
        0    EX-002     2.2                                               <NA>
        1    EX-002    <NA>  One volume was requested from a segmentation, ...
        2    EX-002    <NA>  An image was requested from 1 object(s) withou...
        """
        wanted = check_level(level)
        check_errors(errors)
        _check_function(function)
        from simple_orthanc.session.mapping.checkpoint import Checkpoint, Origin, checked_path
        from simple_orthanc.session.mapping.functions import digest_of, name_of
        from simple_orthanc.session.mapping.run import Run

        compute = _runner(scheduler, _count(workers, "workers"))
        path = None if checkpoint is None else checked_path(checkpoint)
        run = Run(self, wanted, function, errors == "raise")
        finished: Checkpoint | None = None
        try:
            try:
                if path is not None:
                    origin = Origin(name_of(function), digest_of(function), wanted, self._source.description)
                    finished = Checkpoint(path, origin)
                    run.resume(finished)
                compute(run)
            finally:
                # After this no thread adds a row.
                run.end()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and finished is not None:
                error.args = (f"{path} has {counted(len(finished.rows), 'row')}; the same call resumes from there.",)
            # Some errors of other libraries take no attributes.
            with suppress(AttributeError, TypeError):
                vars(error)["table"] = run.table()
            raise
        return run.table()

    def to_dask(self, level: Level = "series", npartitions: int | None = None) -> dask.bag.Bag:
        """Return the selected objects as a Dask bag of sessions.

        Parameters
        ----------
        level : {"patient", "study", "series", "instance"}
            What an object is.
        npartitions : int, optional
            Number of parts that Dask computes independently. Default: about a hundred, or one for each object if there
            are fewer.

        Returns
        -------
        dask.bag.Bag
            Child sessions, in the order of `table`. Each is small, whatever the size of the archive, and connects where
            it is used.

        Raises
        ------
        UnsupportedError
            Dask is not installed.

        Notes
        -----
        ``compute()`` stops at the first object for which the function raises, such as an irregular series, and returns
        no result of the others: catch ``VolumeError`` in the function and return None, or call ``map`` with a Dask
        client as its scheduler, which puts the error into the row of its object.

        Examples
        --------
        >>> def slices(series):
        ...     return series.instance_count
        >>> bag = archive.select(Modality="CT").to_dask()
        >>> bag.map(slices).sum().compute(scheduler="threads")
        120
        """
        from simple_orthanc.session.mapping.cluster import as_bag

        return as_bag(self._children(check_level(level)), _count(npartitions, "npartitions"))


def _check_function(function: object) -> None:
    if not callable(function):
        raise SelectionError(
            f"map({function!r}): give a function of one argument, the session of one object, as in "
            "map(lambda series: series.get_volume().array.mean())."
        )


def _count(given: object, name: str) -> int | None:
    number = None if given is None else whole_number(given) or 0
    if number is not None and number < 1:
        raise SelectionError(f"{name}={given!r} is not valid; give a whole number of at least 1.")
    return number


def _runner(scheduler: object, workers: int | None) -> Callable[[Run[Any]], None]:
    """Return what computes the objects of a run, by the argument ``scheduler``."""
    from simple_orthanc.session.mapping import cluster, local_runs

    if scheduler is None or scheduler == "threads":
        return partial(local_runs.run_in_threads, workers=workers)
    if isinstance(scheduler, str) and scheduler == "processes":
        return partial(local_runs.run_in_processes, workers=workers)
    if not cluster.is_client(scheduler):
        raise SelectionError(
            f'scheduler={scheduler!r} is not valid; choose "threads", "processes", or a Dask client, '
            "distributed.Client(...)."
        )
    if workers is not None:
        raise SelectionError(f"workers={workers!r} cannot be set here: a Dask cluster has its own number of workers.")
    return partial(cluster.run_on_cluster, scheduler)
