"""What a modality answers to a C-FIND, with the habits of real ones: DCMTK's dcmqrscp, pynetdicom's qrscp, Orthanc."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.rest.remote.finding import UNIQUE_KEYS
from simple_orthanc.rest.remote.queries import Answer, Answers

Instance = Mapping[str, str]


class ModalityStandIn:
    """Answers from instances, each a keyword to its value.

    Parameters
    ----------
    instances : sequence of mapping
        What it holds.
    ignored : sequence of str
        Keywords that it neither matches nor returns.
    repeats : bool
        Whether it answers once for each instance, at every level.
    character_set : str
        What it says that its answers are in.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        *,
        ignored: Sequence[str] = (),
        repeats: bool = False,
        character_set: str = "ISO_IR 192",
    ) -> None:
        self.instances = list(instances)
        self._ignored, self._repeats, self._character_set = set(ignored), repeats, character_set
        self.asked: list[tuple[Level, dict[str, str]]] = []

    def __call__(self, level: Level, keys: Mapping[str, str]) -> Answers:
        self.asked.append((level, dict(keys)))
        known = {name: key for name, key in keys.items() if name not in self._ignored}
        # Without the unique keys of the levels above, keys of other levels mean nothing to it.
        above = [UNIQUE_KEYS[name] for name in LEVELS[1 : LEVELS.index(level)]]
        is_complete = all(known.get(name) for name in above)
        answers: dict[tuple[str, ...], list[Answer]] = {}
        for instance in self.instances:
            compared = known if is_complete else {}
            if all(matches(instance.get(name, ""), key, name) for name, key in compared.items()):
                answer: Answer = {parse_tag(name).number: instance.get(name, "") for name in known}
                chain = tuple(instance.get(UNIQUE_KEYS[name], "") for name in LEVELS[: LEVELS.index(level) + 1])
                answers.setdefault(chain, []).append({"0008,0005": self._character_set, **answer})
        kept = [answer for same in answers.values() for answer in (same if self._repeats else same[:1])]
        return Answers(kept, frozenset({self._character_set} if kept else ()))


def matches(value: str, key: str, name: str) -> bool:
    """Compare as a strict modality does: with regard to case, lists for UIDs alone, ranges of dates."""
    if not key:
        return True
    if name.endswith("UID"):
        return value in key.split("\\")
    if name == "StudyDate" and "-" in key:
        low, _, high = key.partition("-")
        return (low or "0") <= value <= (high or "9")
    pattern = re.escape(key).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value) is not None


def study(patient: str, name: str, date: str, uid: str, **series: int) -> list[Instance]:
    """Return the instances of a study: one series per modality, with so many instances."""
    found = []
    for number, (modality, count) in enumerate(series.items(), 1):
        for index in range(1, count + 1):
            found.append(
                {
                    "PatientID": patient,
                    "PatientName": name,
                    "StudyDate": date,
                    "StudyInstanceUID": uid,
                    "Modality": modality,
                    "SeriesNumber": str(number),
                    "SeriesInstanceUID": f"{uid}.{number}",
                    "SeriesDescription": f"{modality.lower()} series",
                    "InstanceNumber": str(index),
                    "SOPInstanceUID": f"{uid}.{number}.{index}",
                }
            )
    return found
