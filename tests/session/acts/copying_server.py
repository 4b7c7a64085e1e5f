"""A stand-in for an Orthanc that makes copies by jobs, and can be told to make them wrongly."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.sources.identity import orthanc_id
from simple_orthanc.testing import OrthancStandIn
from simple_orthanc.testing.dataset_answers import chain
from simple_orthanc.testing.stand_in import Reply

LEVELS = ("Patient", "Study", "Series", "Instance")
UIDS = {"0020,000d", "0020,000e", "0008,0018"}
TRACES = {"/tools/bulk-anonymize": "AnonymizedFrom", "/tools/bulk-modify": "ModifiedFrom"}


class CopyingServer(OrthancStandIn):
    """Makes copies as Orthanc does, except for what `script` says of each job in turn.

    Nothing: all copies; "part": one copy, and the job fails; "lost": one copy, and the job fails without an error, as
    after a restart; "forgotten": one copy, and the job is not known any more; "twice": all copies and one more, and the
    job reports success; "unchanged": all copies, with their old values; "running": one copy, and the job does not end.

    Attributes
    ----------
    script : list of str
        What is done wrongly, job by job.
    asked : list of (str, dict)
        Route and body of each job.
    changing : list of str
        Method and path of each request that changes something.
    """

    def __init__(self, datasets: Iterable[Dataset], script: Sequence[str] = ()) -> None:
        super().__init__(datasets)
        self.script = list(script)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.changing: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.overwrites = False
        # That of what it stores, until it is set to another.
        self.now = "20200101T120000"
        self.stored_at: dict[str, str] = {}

    def _respond(
        self, method: str, path: str, arguments: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        if method in ("PUT", "DELETE") or path in (*TRACES, "/tools/bulk-delete"):
            self.changing.append(f"{method} {path}")
        if path in TRACES:
            return self._start(path, json.loads(body))
        parts = path.strip("/").split("/")
        if parts[0] == "jobs":
            return self._job(parts[1:])
        if path == "/tools/now":
            return Reply(self.now.encode(), "text/plain")
        if path == "/tools/bulk-delete":
            return self._bulk_delete(json.loads(body)["Resources"])
        if path == "/tools/bulk-content" and "Level" not in json.loads(body):
            held = {orthanc_id(chain(dataset, "Instance")) for dataset in self.datasets}
            return _json([{"ID": key} for key in json.loads(body)["Resources"] if key in held])
        if parts[0] == "instances" and parts[2:] == ["tags"]:
            return _json(self.answers._json[self.answers._numbers["Instance"][parts[1]]])
        return super()._respond(method, path, arguments, headers, body)

    def _read(self, path: str, answer: Any) -> Any:
        """Add what copies were made from, as Orthanc's own listings do."""
        for item in answer if isinstance(answer, list) else [answer]:
            if isinstance(item, dict) and "ID" in item:
                own = self.metadata.get(item["ID"], {})
                item |= {name: own[name] for name in TRACES.values() if name in own}
                if "LastUpdate" in item:
                    item["LastUpdate"] = self.stored_at.get(item["ID"], self.now)
        if path == "/system":
            answer["OverwriteInstances"] = self.overwrites
        return answer

    # Jobs

    def _start(self, route: str, body: dict[str, Any]) -> Reply:
        self.asked.append((route, body))
        originals = self._datasets_of(body["Resources"])
        if originals is None:
            return _json({"Message": "Unknown resource", "HttpStatus": 404}, 404)
        wrong = self.script.pop(0) if self.script else ""
        made = self._copy(originals, route, body, wrong)
        key = f"job-{len(self.jobs)}"
        created = {orthanc_id(chain(dataset, "Series")) for dataset in made[: len(originals)]}
        state = {"part": "Failure", "lost": "Failure", "running": "Running"}.get(wrong, "Success")
        code = {"part": 2008}.get(wrong, 0)
        content = {
            "FailedInstancesCount": 0,
            "InstancesCount": len(originals),
            "Resources": [{"ID": series, "Type": "Series"} for series in sorted(created)],
        }
        details = {"part": "cannot read a file"}.get(wrong, "")
        self.jobs[key] = {
            "ID": key,
            "Type": "ResourceModification",
            "State": state,
            "Progress": 100,
            "ErrorCode": code,
            "ErrorDescription": "",
            "ErrorDetails": details,
            "Content": content,
        }
        if wrong == "forgotten":
            self.jobs[key] = {}
        return _json({"ID": key, "Path": f"/jobs/{key}"})

    def _job(self, parts: Sequence[str]) -> Reply:
        known = {key: job for key, job in self.jobs.items() if job}
        if not parts:
            return _json(list(known.values()))
        if parts[0] not in known:
            return _json({"HttpStatus": 404}, 404)
        if parts[1:] == ["cancel"] and known[parts[0]]["State"] in ("Running", "Paused"):
            known[parts[0]] |= {"State": "Failure", "ErrorCode": 37, "ErrorDetails": "cancelled"}
        return _json(known[parts[0]])

    def _datasets_of(self, resources: Iterable[str]) -> list[Dataset] | None:
        found: list[Dataset] = []
        for key in resources:
            members = [dataset for dataset in self.datasets if key in {orthanc_id(chain(dataset, at)) for at in LEVELS}]
            if not members:
                return None
            found += members
        return found

    def _copy(self, originals: list[Dataset], route: str, body: dict[str, Any], wrong: str) -> list[Dataset]:
        new: dict[str, str] = {}
        made = []
        for original in originals[: 1 if wrong in ("part", "lost", "forgotten", "running") else None]:
            made.append(self._copied(original, route, body, new, wrong))
        if wrong == "twice":
            made.append(self._copied(originals[0], route, body, {}, wrong))
        return made

    def _copied(self, original: Dataset, route: str, body: dict[str, Any], new: dict[str, str], wrong: str) -> Dataset:
        made = copy.deepcopy(original)
        first = LEVELS.index(body.get("Level", "Patient"))
        for name in list(IDENTIFIERS.values())[first if route.endswith("anonymize") else max(first, 1) :]:
            if parse_tag(name).number not in body["Keep"]:
                setattr(made, name, new.setdefault(getattr(original, name), generate_uid()))
        for number, value in body["Replace"].items():
            if wrong != "unchanged" or number == "0010,0020":
                setattr(made, parse_tag(number).keyword, value)
        for number in body["Remove"]:
            made.pop(int(number.replace(",", ""), 16), None)
        keeps_patient = body["Replace"].get("0010,0020", original.PatientID) == original.PatientID
        if route.endswith("modify") and keeps_patient and set(body["Keep"]) >= UIDS:
            self.datasets[self.datasets.index(original)] = made
        else:
            self.datasets.append(made)
        self.stored_at[orthanc_id(chain(made, "Series"))] = self.now
        for level in LEVELS:
            before, after = (orthanc_id(chain(dataset, level)) for dataset in (original, made))
            if before != after:
                self.metadata.setdefault(after, {})[TRACES[route]] = before
        return made

    def _bulk_delete(self, keys: Sequence[str]) -> Reply:
        gone = set(keys)
        self.datasets[:] = [dataset for dataset in self.datasets if orthanc_id(chain(dataset, "Instance")) not in gone]
        return Reply(b"", "text/plain")


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status=status)
