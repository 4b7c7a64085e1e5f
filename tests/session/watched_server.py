"""An Orthanc stand-in whose feed of changes and whose stable objects a test controls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.sources.identity import orthanc_id
from simple_orthanc.testing.dataset_answers import chain
from tests.http_stand_in import Asked, reply
from tests.orthanc_stand_in import OrthancServer, Peculiar


class Watched(Peculiar):
    """What an Orthanc holds, with entries of all levels in its feed.

    Attributes
    ----------
    arriving : set of str
        Ids of objects that are not stable yet.
    is_extended : bool
        Whether it filters the feed by type, as Orthanc does from 1.12.5 on.
    epoch : int
        The year of all entries.
    shift : int
        By how much the numbers of all entries are smaller.
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__(datasets, "1.12.7")
        self.arriving: set[str] = set()
        self.epoch, self.is_extended, self.shift = 2026, True, 0

    def replace_database(self, datasets: Iterable[Dataset], last: int) -> None:
        """Begin the feed again, with numbers after `last`."""
        self.datasets = list(datasets)
        self._feed, self._last, self._answers = [], last, None

    def containing(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        """Describe the objects of a level that are asked for, or of which an instance is."""
        level, wanted = question["Level"], set(question["Resources"])
        counts: dict[str, int] = {}
        keys: dict[str, None] = {}
        for dataset in self.datasets:
            key = orthanc_id(chain(dataset, level))
            counts[key] = counts.get(key, 0) + 1
            if wanted & {key, orthanc_id(chain(dataset, "Instance"))}:
                keys[key] = None
        question = {**question, "Resources": list(keys)}
        rows = self.answers.answer("POST", "/tools/bulk-content", {}, json.dumps(question).encode())
        return [
            {**row, "IsStable": row["ID"] not in self.arriving, "LastUpdate": f"2026010{counts[row['ID']]}T000000"}
            for row in rows
        ]

    def _changes(self, arguments: Mapping[str, str]) -> dict[str, Any]:
        entries: list[dict[str, Any]] = []
        seen: set[str] = set()
        for number, dataset in self._feed:
            for position, level in enumerate(("Instance", "Series", "Study")):
                key = orthanc_id(chain(dataset, level))
                if level == "Instance" or key not in seen:
                    date = f"{self.epoch}0101T0000{number:02d}"
                    entries.append(
                        {"Seq": 10 * number + position - self.shift, "ChangeType": f"New{level}", "ResourceType": level}
                    )
                    entries[-1] |= {"ID": key, "Date": date, "Path": f"/{level}/{key}"}
                seen.add(key)
        last = 10 * self._last + 2 - self.shift if self._last else 0
        if "last" in arguments:
            return {"Changes": entries[-1:], "Done": True, "Last": last}
        since, limit = int(arguments["since"]), int(arguments["limit"])
        wanted = arguments.get("type") if self.is_extended else None
        entries = [entry for entry in entries if entry["Seq"] > since and wanted in (None, entry["ChangeType"])]
        is_done = len(entries) <= limit
        return {"Changes": entries[:limit], "Done": is_done, "Last": last if is_done else entries[limit - 1]["Seq"]}


class WatchedServer(OrthancServer):
    """Serves datasets as Orthanc; `status` is that of all its answers, 200 for the right ones."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.status = 200
        super().__init__([])
        self.held = self._stored = Watched(datasets)

    def ids(self, level: str) -> list[str]:
        """Return the ids of all objects of a level."""
        return list(dict.fromkeys(self.identifier_of(dataset, level) for dataset in self.datasets))

    def _answer(self, asked: Asked, count: int) -> bytes:
        if self.status != 200:
            return reply({"Message": "no"}, self.status)
        question = json.loads(asked.body) if asked.body[:1] == b"{" else {}
        if asked.path == "/tools/bulk-content" and question.get("Level") in ("Study", "Series"):
            with self.held.lock:
                return reply(self.held.containing(question))
        return super()._answer(asked, count)
