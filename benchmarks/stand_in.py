"""A stand-in for Orthanc 1.12.7 that holds an archive of any size: ``python -m benchmarks.stand_in 1000000``.

It keeps no objects: every answer is computed from the numbers of the objects, and names are found by an index. It
prints its URL and answers until its standard input is closed. What it does not know it refuses with 501, so that a
client's new habit is seen, and not answered wrongly.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from benchmarks.archive import Archive, instance_tags, orthanc_id, patient_tags, series_tags, study_tags

_LEVELS = ("Patient", "Study", "Series", "Instance")
_PLURALS = {"Study": "Studies", "Series": "Series", "Instance": "Instances"}
_ROUTES = {"patients": "Patient", "studies": "Study", "series": "Series", "instances": "Instance"}
_UIDS = {"StudyInstanceUID": "Study", "SeriesInstanceUID": "Series", "SOPInstanceUID": "Instance"}
_DATE = "20200101T120000"
_SIZE = 1300


class UnknownHereError(Exception):
    """A question that the stand-in cannot answer."""


class StandIn:
    """Answers as Orthanc 1.12.7 does for an archive.

    Parameters
    ----------
    archive : Archive
        What it holds.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self._counts = {
            "Patient": archive.patients,
            "Study": archive.studies,
            "Series": archive.series,
            "Instance": archive.instances,
        }
        names = ((self._tags("Patient", number)["PatientName"].upper(), number) for number in range(archive.patients))
        self._names = sorted(names)
        self._numbers: dict[str, dict[str, int]] = {}
        for level in ("Patient", "Study", "Series"):
            self._numbers[level] = {self.identifier(level, number): number for number in range(self._counts[level])}
        # Identifiers of instances are added when a client is told of them, since it knows no others.
        self._numbers["Instance"] = {}

    def identifier(self, level: str, number: int) -> str:
        """Return Orthanc's identifier of an object."""
        chain: list[str] = []
        for name, each in self._chain(level, number):
            tags = self._tags(name, each)
            chain.append(tags[{"Patient": "PatientID", **{value: key for key, value in _UIDS.items()}}[name]])
        found = orthanc_id(*chain)
        if level == "Instance":
            self._numbers["Instance"][found] = number
        return found

    def answer(self, method: str, path: str, arguments: Mapping[str, str], body: bytes) -> Any:
        """Answer a request.

        Raises
        ------
        UnknownHereError
            The stand-in does not know the answer.
        KeyError
            There is no such object.
        """
        parts = path.strip("/").split("/")
        if method == "GET" and parts[0] in _ROUTES:
            return self._resource(parts, arguments)
        if method == "POST" and path in ("/tools/find", "/tools/bulk-content"):
            question = json.loads(body)
            return self._find(question) if path == "/tools/find" else self._bulk(question)
        simple: dict[str, Callable[[], Any]] = {
            "/system": self._system,
            "/statistics": self._statistics,
            "/changes": lambda: self._changes(arguments),
        }
        if method != "GET" or path not in simple:
            raise UnknownHereError(f"{method} {path}")
        return simple[path]()

    def _system(self) -> dict[str, Any]:
        main = {
            "Patient": "0010,0010;0010,0020;0010,0030;0010,0040;0010,1000",
            "Study": "0008,0020;0008,0030;0008,0050;0008,0080;0008,0090;0008,0201;0008,1030;0020,000d;0020,0010;"
            "0032,1032;0032,1060",
            "Series": "0008,0021;0008,0031;0008,0060;0008,0070;0008,0201;0008,1010;0008,103e;0008,1070;0018,0010;"
            "0018,0015;0018,0024;0018,1030;0018,1090;0018,1400;0020,000e;0020,0011;0020,0037;0020,0105;0020,1002;"
            "0040,0244;0040,0245;0040,0254;0040,0275;0054,0081;0054,0101;0054,1000",
            "Instance": "0008,0012;0008,0013;0008,0018;0020,0012;0020,0013;0020,0032;0020,0037;0020,0100;0020,4000;"
            "0028,0008;0054,1330",
        }
        return {
            "ApiVersion": 27,
            "Capabilities": {"HasExtendedChanges": True, "HasExtendedFind": True},
            "CheckRevisions": False,
            "DatabaseBackendPlugin": None,
            "DatabaseVersion": 6,
            "DicomAet": "ORTHANC",
            "HasLabels": True,
            "IngestTranscoding": "",
            "MainDicomTags": main,
            "Name": "stand-in",
            "OverwriteInstances": False,
            "PluginsEnabled": True,
            "ReadOnly": False,
            "StorageCompression": False,
            "UserMetadata": {},
            "Version": "1.12.7",
        }

    def _statistics(self) -> dict[str, Any]:
        size = _SIZE * self.archive.instances
        return {
            "CountPatients": self.archive.patients,
            "CountStudies": self.archive.studies,
            "CountSeries": self.archive.series,
            "CountInstances": self.archive.instances,
            "TotalDiskSize": str(size),
            "TotalDiskSizeMB": size >> 20,
            "TotalUncompressedSize": str(size),
            "TotalUncompressedSizeMB": size >> 20,
        }

    def _changes(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        """Return the feed, one entry for each instance; Orthanc has others between them."""
        count = self.archive.instances
        since = count - 1 if "last" in arguments else int(arguments.get("since", 0))
        numbers = range(since, min(count, since + int(arguments.get("limit", 100))))
        changes = []
        for number in numbers:
            identifier = self.identifier("Instance", number)
            change = {"ChangeType": "NewInstance", "Date": _DATE, "ID": identifier, "Path": f"/instances/{identifier}"}
            changes.append({**change, "ResourceType": "Instance", "Seq": number + 1})
        last = numbers[-1] + 1 if numbers else since
        return {"Changes": changes, "Done": last >= count, "First": numbers[0] + 1 if numbers else since, "Last": last}

    def _resource(self, parts: Sequence[str], arguments: Mapping[str, str]) -> Any:
        level = _ROUTES[parts[0]]
        short = "short" in arguments
        if len(parts) == 1:
            numbers = range(self._counts[level])
            since = int(arguments.get("since", 0))
            numbers = numbers[since : since + int(arguments["limit"])] if "limit" in arguments else numbers[since:]
            return self._told(level, numbers, "expand" in arguments, short)
        number = self._numbers[level][parts[1]]
        if len(parts) == 2:
            return self._object(level, number, short)
        if len(parts) == 3 and parts[2] in _ROUTES and _LEVELS.index(_ROUTES[parts[2]]) > _LEVELS.index(level):
            wanted = _ROUTES[parts[2]]
            return self._told(wanted, self._below(level, [number], wanted), arguments.get("expand") != "false", short)
        raise UnknownHereError("/".join(parts))

    def _told(self, level: str, numbers: Iterable[int], expand: bool, short: bool) -> list[Any]:
        if expand:
            return [self._object(level, number, short) for number in numbers]
        return [self.identifier(level, number) for number in numbers]

    def _bulk(self, question: Mapping[str, Any]) -> list[Any]:
        level = question.get("Level")
        if level not in _LEVELS or question.get("Metadata", True):
            raise UnknownHereError(f"bulk-content {question}")
        numbers = [self._numbers[level][each] for each in question["Resources"] if each in self._numbers[level]]
        return self._told(level, numbers, True, bool(question.get("Short")))

    def _find(self, question: Mapping[str, Any]) -> list[Any]:
        level = question["Level"]
        above = {f"Parent{each}": each for each in _LEVELS[: _LEVELS.index(level)]}
        known = {"Level", "Query", "Expand", "Short", "Since", "Limit", "CaseSensitive", "ResponseContent", *above}
        if set(question) - known or question.get("CaseSensitive"):
            raise UnknownHereError(f"find with {sorted(set(question) - known)}")
        query = {_keyword(name): value for name, value in question["Query"].items() if value not in ("", "*")}
        start = question.get("Since", 0)
        stop = start + question["Limit"] if question.get("Limit") else None
        candidates: Iterable[int] | None = None
        for name, parent in above.items():
            if name in question:
                number = self._numbers[parent].get(question[name])
                candidates = [] if number is None else self._below(parent, [number], level)
        numbers = islice(self._matching(level, query, candidates), start, stop)
        short = bool(question.get("Short"))
        if "ResponseContent" in question:
            return [self._content(level, number, short, question["ResponseContent"]) for number in numbers]
        return self._told(level, numbers, bool(question.get("Expand")), short)

    def _content(self, level: str, number: int, short: bool, wanted: Sequence[str]) -> dict[str, Any]:
        """Return only what is asked about an object."""
        parts = {
            "MainDicomTags": ["MainDicomTags", "PatientMainDicomTags"],
            "Parent": [f"Parent{each}" for each in _LEVELS],
            "Children": list(_PLURALS.values()),
            "Attachments": [],
        }
        if set(wanted) - set(parts):
            raise UnknownHereError(f"ResponseContent {sorted(set(wanted) - set(parts))}")
        names = {"ID", "Type", *(name for each in wanted for name in parts[each])}
        found = {name: value for name, value in self._object(level, number, short).items() if name in names}
        if "Attachments" in wanted:
            is_file = level == "Instance"
            found["Attachments"] = [{"ContentType": 1, "UncompressedSize": self._size(number)}] if is_file else []
        return found

    def _matching(self, level: str, query: Mapping[str, str], candidates: Iterable[int] | None) -> Iterable[int]:
        """Apply the query to each candidate; without candidates, to those of the most selective tag."""
        tests = {keyword: _pattern(value) for keyword, value in query.items()}
        found = self._candidates(level, query) if candidates is None else candidates
        return (number for number in found if self._satisfies(level, number, tests))

    def _candidates(self, level: str, query: Mapping[str, str]) -> Iterable[int]:
        for keyword, above in reversed(_UIDS.items()):
            if keyword in query and _LEVELS.index(above) <= _LEVELS.index(level):
                numbers = [int(uid.rpartition(".")[2]) for uid in query[keyword].split("\\")]
                found = [n for n in numbers if n < self._counts[above]]
                found = [n for n in found if self._tags(above, n)[keyword] in query[keyword].split("\\")]
                return self._below(above, sorted(found), level)
        if "PatientName" in query:
            return self._below("Patient", sorted(self._named(query["PatientName"])), level)
        return range(self._counts[level])

    def _named(self, query: str) -> set[int]:
        """Find patients in the sorted names, among those with the prefix of the query before its first wildcard."""
        found: set[int] = set()
        for alternative in _alternatives(query.upper()):
            test = _pattern(alternative)
            beginning = re.split(r"[*?]", alternative)[0]
            place = bisect_left(self._names, (beginning, -1))
            for name, number in islice(self._names, place, None):
                if not name.startswith(beginning):
                    break
                if test.fullmatch(name):
                    found.add(number)
        return found

    def _satisfies(self, level: str, number: int, tests: Mapping[str, re.Pattern[str]]) -> bool:
        tags: dict[str, str] = {}
        for name, each in self._chain(level, number):
            tags |= self._tags(name, each)
        for keyword, test in tests.items():
            if keyword not in tags:
                raise UnknownHereError(f"find by {keyword} at level {level}")
            if not test.fullmatch(tags[keyword]):
                return False
        return True

    def _below(self, above: str, numbers: Iterable[int], level: str) -> Iterable[int]:
        if above == level:
            return numbers
        inside = {
            "Patient": self.archive.studies_in,
            "Study": self.archive.series_in,
            "Series": self.archive.instances_in,
        }
        child = _LEVELS[_LEVELS.index(above) + 1]
        return self._below(child, (each for number in numbers for each in inside[above](number)), level)

    def _chain(self, level: str, number: int) -> list[tuple[str, int]]:
        """Return an object and its parents, the patient first."""
        chain = [(level, number)]
        outward: dict[str, tuple[str, Callable[[int], int]]] = {
            "Instance": ("Series", self.archive.series_of),
            "Series": ("Study", self.archive.study_of),
            "Study": ("Patient", self.archive.patient_of),
        }
        while chain[0][0] in outward:
            above, owner = outward[chain[0][0]]
            chain.insert(0, (above, owner(chain[0][1])))
        return chain

    def _tags(self, level: str, number: int) -> dict[str, str]:
        if level == "Instance":
            return instance_tags(number, number - self.archive.instances_in(self.archive.series_of(number)).start)
        return {"Patient": patient_tags, "Study": study_tags, "Series": series_tags}[level](number)

    def _image_tags(self, series: int) -> dict[str, str]:
        return {"ImageOrientationPatient": instance_tags(0, 0)["ImageOrientationPatient"]}

    def _size(self, instance: int) -> int:
        return _SIZE

    def _object(self, level: str, number: int, short: bool) -> dict[str, Any]:
        tags = self._tags(level, number)
        found: dict[str, Any] = {"ID": self.identifier(level, number), "Type": level, "Labels": []}
        chain = self._chain(level, number)
        if level != "Patient":
            found[f"Parent{chain[-2][0]}"] = self.identifier(*chain[-2])
        if level != "Instance":
            below = _LEVELS[_LEVELS.index(level) + 1]
            children = [self.identifier(below, each) for each in self._below(level, [number], below)]
            found |= {_PLURALS[below]: children, "IsStable": True, "LastUpdate": _DATE}
        if level == "Study":
            found["PatientMainDicomTags"] = _written(self._tags(*chain[0]), short)
        elif level == "Series":
            # Orthanc keeps this tag of the image with the series.
            tags = {**tags, **self._image_tags(number)}
            found |= {"ExpectedNumberOfInstances": None, "Status": "Unknown"}
        elif level == "Instance":
            found |= {
                "FileSize": self._size(number),
                "FileUuid": found["ID"],
                "IndexInSeries": int(tags["InstanceNumber"]),
            }
        found["MainDicomTags"] = _written(tags, short)
        return found


def _written(tags: Mapping[str, str], short: bool) -> dict[str, str]:
    if not short:
        return dict(tags)
    return {f"{number >> 16:04x},{number & 0xFFFF:04x}": value for number, value in _numbered(tags)}


def _numbered(tags: Mapping[str, str]) -> list[tuple[int, str]]:
    return [(tag_for_keyword(keyword) or 0, value) for keyword, value in tags.items()]


def _keyword(name: str) -> str:
    return keyword_for_tag(int(name.replace(",", ""), 16)) if "," in name else name


def _pattern(value: str) -> re.Pattern[str]:
    """Compile a query; like Orthanc's find, it ignores case."""
    alternatives = (re.escape(each).replace(r"\*", ".*").replace(r"\?", ".") for each in _alternatives(value))
    return re.compile("|".join(alternatives), re.IGNORECASE | re.DOTALL)


def _alternatives(value: str) -> list[str]:
    """Split a query: Orthanc knows a list of values or wildcards, but not both in one."""
    return [value] if "*" in value or "?" in value else value.split("\\")


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
        try:
            status, answer = 200, self.stand_in.answer(self.command, url.path, arguments, body)
        except KeyError:
            status, answer = 404, {"Message": "Unknown resource", "HttpStatus": 404}
        except UnknownHereError as error:
            status, answer = 501, {"Message": f"The stand-in does not know: {error}", "HttpStatus": 501}
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _respond  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def serve(instances: int) -> ThreadingHTTPServer:
    """Return a server for an archive of a number of instances, on a free port of the loopback interface."""
    handler = type("BoundHandler", (Handler,), {"stand_in": StandIn(Archive(instances))})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Serve until the standard input is closed."""
    server = serve(int(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
