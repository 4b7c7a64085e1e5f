"""An Orthanc server over datasets, on 127.0.0.1: the stand-in of the package, which tests can make misbehave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydicom.dataset import Dataset

from simple_orthanc.sources.identity import orthanc_id
from simple_orthanc.testing.dataset_answers import chain
from simple_orthanc.testing.stand_in import Reply, StoredDatasets
from tests.http_stand_in import Asked, StandIn, reply
from tests.memory_source import as_file


class Peculiar(StoredDatasets):
    """What an Orthanc holds, with answers that tests can change."""

    def __init__(self, datasets: Iterable[Dataset], version: str) -> None:
        super().__init__(datasets, version)
        self.send_file: Callable[[str, bytes, int], bytes] = lambda key, content, count: content
        self.keep_upload: Callable[[Dataset, int], bool] = lambda dataset, count: True
        self.change_answer: Callable[[str, Any, int], Any] = lambda path, answer, count: answer
        self.uploads = 0
        self._sent: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()

    def _file_of(self, dataset: Dataset) -> bytes:
        return as_file(dataset)

    def _is_kept(self, dataset: Dataset) -> bool:
        return self.keep_upload(dataset, self.uploads - 1)

    def _file(self, key: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        self._sent[key] += 1
        answer = super()._file(key, content, headers)
        return (
            answer
            if answer.status == 416
            else answer._replace(content=self.send_file(key, answer.content, self._sent[key] - 1))
        )

    def _read(self, path: str, answer: Any) -> Any:
        self._answered[path] += 1
        return self.change_answer(path, answer, self._answered[path] - 1)


class OrthancServer(StandIn):
    """Serves datasets as Orthanc; `datasets`, `labels` and `metadata` may be changed while it runs.

    ``labels`` and ``metadata`` are by Orthanc's id, which `identifier_of` returns. `keeps_md5` may be set to False, and
    `send_file` to a function that returns what is sent in place of a file: called with Orthanc's id, the file or the
    part of it that was asked for, and how often it was asked for before.

    So may `answer_upload`, which returns the response to an upload (called with Orthanc's answer and the number of
    uploads before), `keep_upload`, which decides whether it is stored (called with the dataset and that number), and
    `change_answer`, which returns other JSON than the right answer (called with the path, that answer, and how often
    the path was asked for before).
    """

    def __init__(self, datasets: Iterable[Dataset], version: str = "1.12.7") -> None:
        self._stored = Peculiar(datasets, version)
        self.answer_upload: Callable[[dict[str, Any], int], bytes] = lambda answer, count: reply(answer)
        super().__init__(self._answer)

    def __getattr__(self, name: str) -> Any:
        if name in _OF_WHAT_IS_STORED:
            return getattr(self._stored, name)
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OF_WHAT_IS_STORED:
            setattr(self._stored, name, value)
        else:
            super().__setattr__(name, value)

    @staticmethod
    def identifier_of(dataset: Dataset, level: str) -> str:
        """Return Orthanc's id of the object of a level that a dataset is in."""
        return orthanc_id(chain(dataset, level.capitalize()))

    def _answer(self, asked: Asked, count: int) -> bytes:
        if (asked.method, asked.path) == ("POST", "/instances"):
            with self._stored.lock:
                self._stored.uploads += 1
                return self.answer_upload(self._stored.store(asked.body), self._stored.uploads - 1)
        answer = self._stored.respond(asked.method, asked.path, asked.headers, asked.body)
        return reply(answer.content, answer.status, {"Content-Type": answer.content_type, **answer.headers})


_OF_WHAT_IS_STORED = {
    "datasets",
    "version",
    "labels",
    "metadata",
    "keeps_md5",
    "send_file",
    "keep_upload",
    "change_answer",
    "uploads",
}
