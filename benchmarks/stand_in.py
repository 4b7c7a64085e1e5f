"""A stand-in for Orthanc 1.12.7 that holds an archive of any size: ``python -m benchmarks.stand_in 1000000``.

It keeps no objects: every answer is computed from the numbers of the objects, and names are found by an index. It
prints its URL and answers until its standard input is closed. What it does not know it refuses with 501, so that a
client's new habit is seen, and not answered wrongly.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.archive import (
    PATIENT_ID,
    PATIENT_ID_DIGITS,
    Archive,
    instance_tags,
    patient_tags,
    series_tags,
    study_tags,
)
from simple_orthanc.testing.answers import LEVELS, Answers, UnknownHereError, alternatives, pattern

_UIDS = {"StudyInstanceUID": "Study", "SeriesInstanceUID": "Series", "SOPInstanceUID": "Instance"}
# Of a file, as far as the size of the whole archive is concerned.
_SIZE = 1300
_FILE = re.compile(r"/instances/([0-9a-f-]{44})/file")


class StandIn(Answers):
    """Answers as Orthanc 1.12.7 does for an archive, and finds patients by an index of their names.

    Parameters
    ----------
    archive : Archive
        What it holds.
    """

    archive: Archive

    def __init__(self, archive: Archive) -> None:
        super().__init__(archive)
        self._file = lru_cache(maxsize=50_000)(self._made_file)

    def _number_all(self) -> None:
        """Leave numbers out: an object of a large archive is known once a client was told of it."""

    @cached_property
    def _names(self) -> list[tuple[str, int]]:
        names = (self._tags("Patient", number)["PatientName"].upper() for number in range(self.archive.patients))
        return sorted(zip(names, range(self.archive.patients), strict=True))

    def _candidates(self, level: str, query: Mapping[str, str]) -> Iterable[int]:
        for keyword, above in reversed(_UIDS.items()):
            if keyword in query and LEVELS.index(above) <= LEVELS.index(level):
                numbers = [int(uid.rpartition(".")[2]) for uid in query[keyword].split("\\")]
                found = [n for n in numbers if n < self._counts[above]]
                found = [n for n in found if self._tags(above, n)[keyword] in query[keyword].split("\\")]
                return self._below(above, sorted(found), level)
        if "PatientID" in query:
            return self._below("Patient", self._with_ids(query["PatientID"]), level)
        if "PatientName" in query:
            return self._below("Patient", sorted(self._named(query["PatientName"])), level)
        return range(self._counts[level])

    def _with_ids(self, query: str) -> Iterable[int]:
        """Find patients whose ids begin as those of the query do, behind a first wildcard and before the next one."""
        found: set[int] = set()
        for alternative in alternatives(query.upper()):
            beginning = re.split(r"[*?]", alternative.lstrip("*"))[0]
            digits = beginning.removeprefix(PATIENT_ID)
            if beginning == digits or not digits.isdecimal():
                return range(self.archive.patients)
            step = 10 ** max(0, PATIENT_ID_DIGITS - len(digits))
            found.update(range(int(digits) * step, min((int(digits) + 1) * step, self.archive.patients)))
        return sorted(found)

    def _named(self, query: str) -> set[int]:
        """Find patients in the sorted names, among those with the prefix of the query before its first wildcard."""
        found: set[int] = set()
        for alternative in alternatives(query.upper()):
            test = pattern(alternative)
            beginning = re.split(r"[*?]", alternative)[0]
            place = bisect_left(self._names, (beginning, -1))
            for name, number in islice(self._names, place, None):
                if not name.startswith(beginning):
                    break
                if test.fullmatch(name):
                    found.add(number)
        return found

    def _tags(self, level: str, number: int) -> dict[str, str]:
        if level == "Instance":
            return instance_tags(number, number - self.archive.instances_in(self.archive.series_of(number)).start)
        return {"Patient": patient_tags, "Study": study_tags, "Series": series_tags}[level](number)

    def _image_tags(self, series: int) -> dict[str, str]:
        return {"ImageOrientationPatient": instance_tags(0, 0)["ImageOrientationPatient"]}

    def _size(self, instance: int) -> int:
        return len(self._file(instance))

    def _made_file(self, instance: int) -> bytes:
        (content,) = self.archive.files([instance])
        return content

    def file(self, identifier: str) -> bytes:
        """Return the file of an instance.

        Raises
        ------
        KeyError
            There is no such instance, or no client was told of it.
        """
        return self._file(self._numbers["Instance"][identifier])

    def _content(self, level: str, number: int, short: bool, wanted: Sequence[str]) -> dict[str, Any]:
        content = super()._content(level, number, short, wanted)
        for attachment in content.get("Attachments", ()):
            digest = hashlib.md5(self._file(number), usedforsecurity=False)
            attachment["UncompressedMD5"] = digest.hexdigest()
        return content

    def _total_size(self) -> int:
        return _SIZE * self.archive.instances


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a `StandIn`, on kept connections."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in one piece.
    wbufsize = -1
    disable_nagle_algorithm = True
    stand_in: StandIn

    def _respond(self) -> None:
        url = urlsplit(self.path)
        arguments = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        file = _FILE.fullmatch(url.path)
        answer: Any
        try:
            if file is not None and self.command == "GET":
                status, answer = 200, self.stand_in.file(file[1])
            else:
                status, answer = 200, self.stand_in.answer(self.command, url.path, arguments, body)
        except KeyError:
            status, answer = 404, {"Message": "Unknown resource", "HttpStatus": 404}
        except UnknownHereError as error:
            status, answer = 501, {"Message": f"The stand-in does not know: {error}", "HttpStatus": 501}
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        kind = "application/dicom" if isinstance(answer, bytes) else "application/json; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _respond  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def serve(archive: Archive) -> ThreadingHTTPServer:
    """Return a server for an archive, on a free port of the loopback interface."""
    handler = type("BoundHandler", (Handler,), {"stand_in": StandIn(archive)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Serve until the standard input is closed."""
    server = serve(Archive(int(sys.argv[1])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
