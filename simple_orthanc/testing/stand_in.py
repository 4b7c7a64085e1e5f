"""A stand-in for an Orthanc server, in this process: for tests of programs on machines without Orthanc."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom.dataset import Dataset

from simple_orthanc.errors import OrthancError, SelectionError
from simple_orthanc.phantom import as_bytes
from simple_orthanc.session import Orthanc
from simple_orthanc.sources.identity import KEYWORDS, orthanc_id
from simple_orthanc.testing.answers import ROUTES, UnknownHereError
from simple_orthanc.testing.dataset_answers import VERSION, DatasetAnswers, chain, short_json

_NOT_RUNNING = "This OrthancStandIn is not running: use it in a with statement, or call start()."


class Reply(NamedTuple):
    """An answer to a request.

    Attributes
    ----------
    content : bytes
        The body.
    content_type : str
        Its media type.
    status : int
        The status of HTTP.
    headers : dict
        Further headers.

    Examples
    --------
    >>> from simple_orthanc.testing import OrthancStandIn
    >>> reply = OrthancStandIn().respond("GET", "/patients", {}, b"")
    >>> reply.status, reply.content_type, reply.content
    (200, 'application/json', b'[]')
    """

    content: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = {}


class _NoDicomError(Exception):
    """A file that Orthanc refuses to store."""


class StoredDatasets:
    """What an Orthanc holds and answers, without the network.

    Parameters
    ----------
    datasets : iterable of Dataset
        What it holds at first.
    version : str
        "1.12.7", or an older version, which has no labels.

    Attributes
    ----------
    datasets : list of Dataset
        What it holds; it may be changed at any time.
    labels : dict
        Orthanc's id of an object to the list of its labels.
    metadata : dict
        Orthanc's id of an object to its metadata: name to value.
    keeps_md5 : bool
        Whether it lists checksums.
    """

    def __init__(self, datasets: Iterable[Dataset] = (), version: str = VERSION) -> None:
        given: Any = datasets
        if isinstance(given, Dataset):
            raise SelectionError("A stand-in takes a list of datasets, and was given one: put it in a list, [dataset].")
        self.datasets = list(datasets)
        self.labels: dict[str, list[str]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.keeps_md5 = True
        self.version = version
        self._answers: DatasetAnswers | None = None
        self._answered_for: list[int] = []
        self._feed: list[tuple[int, Dataset]] = []
        self._last = 0
        self.lock = threading.RLock()

    def respond(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer a request; `path` has its query, and the names of `headers` are in lower case.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn
        >>> OrthancStandIn().respond("GET", "/nowhere", {}, b"").status
        501
        """
        url = urlsplit(path)
        arguments = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        with self.lock:
            try:
                return self._respond(method, url.path, arguments, headers, body)
            except KeyError:
                return _json({"Message": "Unknown resource", "HttpStatus": 404}, 404)
            except UnknownHereError as error:
                return _json({"Message": f"The stand-in does not know: {error}", "HttpStatus": 501}, 501)
            except ValueError as error:
                # Numbers, JSON and characters that cannot be read.
                return _json({"Message": "Bad request", "Details": str(error), "HttpStatus": 400}, 400)
            except Exception as error:
                # A closed connection would look like a server that went away.
                message = f"The stand-in failed: {type(error).__name__}: {error}"
                return _json({"Message": message, "HttpStatus": 500}, 500)

    def _respond(
        self, method: str, path: str, arguments: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        if (method, path) == ("POST", "/instances"):
            # Without the answers, which would be made again for each of many files.
            self._note_changes()
            return self._upload(body)
        # First of all, since it notes what has changed.
        answers = self.answers
        parts = path.strip("/").split("/")
        if path.endswith(("/file", "/attachments/dicom/data")):
            return self._file(parts[1], answers.file(parts[1]), headers)
        if path.endswith("/attachments/dicom/md5"):
            md5 = answers.md5(parts[1])
            return Reply(md5.encode(), "text/plain") if md5 else _json({}, 404)
        if path == "/changes":
            return _json(self._changes(arguments))
        if path == "/tools/now":
            return Reply(time.strftime("%Y%m%dT%H%M%S", time.gmtime()).encode(), "text/plain")
        if len(parts) > 2 and parts[2] in ("labels", "metadata"):
            return self._attribute(method, parts, body)
        if method == "DELETE" and len(parts) == 2 and parts[0] in ROUTES:
            return _json(self._delete(ROUTES[parts[0]], parts[1]))
        return _json(self._read(path, answers.answer(method, path, arguments, body)))

    @property
    def answers(self) -> DatasetAnswers:
        """The answers for the datasets that are held now.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> server = OrthancStandIn(make_series((3, 4, 4)))
        >>> server.answers.answer("GET", "/statistics", {}, b"")["CountInstances"]
        3
        """
        present = [id(dataset) for dataset in self.datasets]
        if self._answers is None or present != self._answered_for:
            self._note_changes()
            self._answers = DatasetAnswers(
                self.datasets, self.version, self.labels, self.metadata, to_file=self._file_of
            )
            self._answers.keeps_md5 = self.keeps_md5
            self._answered_for = present
        return self._answers

    def store(self, content: bytes) -> dict[str, Any]:
        """Store a file unless its object is there, and return Orthanc's answer.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn, as_bytes, make_series
        >>> server = OrthancStandIn()
        >>> server.store(as_bytes(make_series((1, 4, 4))[0]))["Status"]
        'Success'
        >>> len(server.datasets)
        1
        """
        dataset = _read(content)
        identifiers = {level: orthanc_id(chain(dataset, level)) for level in ROUTES.values()}
        key = identifiers.pop("Instance")
        held = {orthanc_id(chain(other, "Instance")) for other in self.datasets}
        if key not in held and self._is_kept(dataset):
            self.datasets.append(dataset)
        parents = {f"Parent{level}": identifier for level, identifier in identifiers.items()}
        status = "AlreadyStored" if key in held else "Success"
        return {"ID": key, **parents, "Path": f"/instances/{key}", "Status": status}

    def _file_of(self, dataset: Dataset) -> bytes:
        return as_bytes(dataset)

    def _is_kept(self, dataset: Dataset) -> bool:
        return True

    def _upload(self, content: bytes) -> Reply:
        try:
            return _json(self.store(content))
        except _NoDicomError as error:
            refusal = {"HttpStatus": 400, "Message": "Bad file format", "OrthancStatus": 15, "Details": str(error)}
            return _json(refusal, 400)

    def _read(self, path: str, answer: Any) -> Any:
        return answer

    def _file(self, key: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        span = headers.get("range", "").removeprefix("bytes=")
        if not span:
            return Reply(content, "application/dicom")
        first, last = (int(end) for end in span.split("-"))
        if last >= len(content):
            return Reply(b"", status=416)
        part = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return Reply(content[first : last + 1], "application/dicom", 206, part)

    def _attribute(self, method: str, parts: list[str], body: bytes) -> Reply:
        """Answer for the labels and the metadata of an object."""
        key, kind = parts[1], parts[2]
        self.answers.datasets_of(ROUTES[parts[0]], key)
        if kind == "labels" and self.version != VERSION:
            raise KeyError(kind)
        labels, metadata = self.labels.setdefault(key, []), self.metadata.setdefault(key, {})
        if len(parts) == 3 and method == "GET":
            return _json(labels if kind == "labels" else list(metadata))
        name = parts[3]
        if method == "PUT" and kind == "labels":
            labels += [] if name in labels else [name]
        elif method == "PUT":
            metadata[name] = body.decode()
        elif method == "DELETE" and kind == "labels":
            labels[:] = [label for label in labels if label != name]
        elif method == "DELETE":
            del metadata[name]
        elif kind == "metadata":
            return Reply(metadata[name].encode(), "text/plain")
        elif name not in labels:
            raise KeyError(name)
        return Reply(b"", "text/plain")

    def _delete(self, level: str, key: str) -> dict[str, Any]:
        gone = {id(dataset) for dataset in self.answers.datasets_of(level, key)}
        self.datasets[:] = [dataset for dataset in self.datasets if id(dataset) not in gone]
        return {"RemainingAncestor": None}

    def _note_changes(self) -> None:
        """Add what was stored to the feed, and take out what was deleted, as Orthanc does."""
        present = {id(dataset) for dataset in self.datasets}
        self._feed = [entry for entry in self._feed if id(entry[1]) in present]
        noted = {id(dataset) for _, dataset in self._feed}
        for dataset in self.datasets:
            if id(dataset) not in noted:
                self._last += 1
                self._feed.append((self._last, dataset))

    def _changes(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        entries: list[dict[str, Any]] = [
            {"ChangeType": "NewInstance", "ID": orthanc_id(chain(dataset, "Instance")), "Seq": number}
            for number, dataset in self._feed
        ]
        if "last" in arguments:
            return {"Changes": entries[-1:], "Done": True, "Last": self._last}
        since, limit = int(arguments.get("since", 0)), int(arguments.get("limit", 100))
        entries = [entry for entry in entries if entry["Seq"] > since]
        return {"Changes": entries[:limit], "Done": len(entries) <= limit, "Last": self._last}


class OrthancStandIn(StoredDatasets):
    """A server in this process that answers as Orthanc does, for tests on machines without Orthanc.

    It holds datasets in memory, and answers what a session asks: select, tables, headers, files, volumes, uploads,
    deleting, labels, metadata and changes. What only an Orthanc can do, such as jobs, other machines and rendering, it
    refuses with status 501, never with a wrong answer.

    Parameters
    ----------
    datasets : iterable of pydicom.Dataset
        What it holds at first; more can be uploaded.
    version : str
        "1.12.7", or an older version, which has no labels.

    Attributes
    ----------
    datasets : list of pydicom.Dataset
        What it holds; it may be changed at any time.
    labels, metadata : dict
        Those of objects, by Orthanc's identifier.
    url : str
        Its address, on a free port of the loopback interface.

    Examples
    --------
    >>> from simple_orthanc.testing import OrthancStandIn, make_series
    >>> with OrthancStandIn(make_series((3, 4, 4), PatientName="JaneDoe")) as server:
    ...     orthanc = server.connect()
    ...     print(orthanc.select(PatientName="janedoe").get_array().shape)
    (3, 4, 4)
    """

    def __init__(self, datasets: Iterable[Dataset] = (), version: str = VERSION) -> None:
        super().__init__(datasets, version)
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address of the running server.

        Raises
        ------
        OrthancError
            It is not running.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn
        >>> with OrthancStandIn() as server:
        ...     print(server.url)
        http://127.0.0.1:...
        """
        if self._server is None:
            raise OrthancError(_NOT_RUNNING)
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> OrthancStandIn:
        """Start the server, unless it runs.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn
        >>> server = OrthancStandIn().start()
        >>> server.connect().patient_count
        0
        >>> server.stop()
        """
        if self._server is None:
            handler = type("_BoundHandler", (_Handler,), {"stored": self})
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            self._server.daemon_threads = True
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop the server; what it holds is kept.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> server = OrthancStandIn(make_series((3, 4, 4))).start()
        >>> server.stop()
        >>> server
        <OrthancStandIn: not running, 3 instances>
        """
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.shutdown()
            server.server_close()
            thread.join()

    def connect(self, **options: Any) -> Orthanc:
        """Return a new session on the server, which is started if it does not run.

        Parameters
        ----------
        **options
            Those of `Orthanc`.

        Examples
        --------
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> server = OrthancStandIn(make_series((3, 4, 4), PatientID="P1"))
        >>> server.connect(selection={"PatientID": "P1"}).series_count
        1
        >>> server.stop()
        """
        return Orthanc(self.start().url, **options)

    def __enter__(self) -> OrthancStandIn:
        """Start the server."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    def __repr__(self) -> str:
        """Show the address and the number of instances."""
        state = "not running" if self._server is None else self.url
        return f"<OrthancStandIn: {state}, {len(self.datasets)} instances>"


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP, on kept connections."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one piece.
    wbufsize = -1
    disable_nagle_algorithm = True
    # A connection that is not used any more must not keep a thread.
    timeout = 5
    stored: StoredDatasets

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.stored.respond(self.command, self.path, headers, body)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.content)

    do_GET = do_POST = do_PUT = do_DELETE = _respond  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _read(content: bytes) -> Dataset:
    """Read a file that is stored."""
    if content[128:132] != b"DICM":
        raise _NoDicomError("it has no DICM prefix")
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        # What is kept must be readable whenever a question needs it.
        short_json(as_bytes(dataset))
    except Exception as error:  # pydicom may raise anything
        raise _NoDicomError(f"{type(error).__name__}: {error}") from None
    for keyword in KEYWORDS[1:]:
        if not dataset.get(keyword):
            raise _NoDicomError(f"it has no {keyword}")
    return dataset


def _json(answer: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(answer).encode(), status=status)
