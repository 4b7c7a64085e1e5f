"""From answers of a PACS to rows: their keys, their values, and which values are not known.

- A PACS may repeat an answer, once for each image even: each object has one row.
- A PACS leaves out the keys that it does not know. A key that it has sent for any object of a level is one that it
  knows, and without a value where a value is missing. Of any other key nothing is known: the tag is unresolved.
- A PACS that ignores the unique key of a study or series answers with others too, which are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.values import Value, from_text
from simple_orthanc.errors import UnsupportedError, stacklevel
from simple_orthanc.rest.remote.queries import Answer
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.keys import UID_TAGS, Key
from simple_orthanc.sources.pacs.queries import ASKED, NUMBER_OF_IMAGES, NUMBERS_OF_CHILDREN

_NUMBERS: dict[Level, str] = {level: parse_tag(name).number for level, name in UID_TAGS.items()}


class RowBuilder:
    """Builds rows of answers, and keeps what these show of the PACS.

    Parameters
    ----------
    find_studies : function
        Returns the answers about a StudyInstanceUID.
    description : str
        The PACS in messages.

    Attributes
    ----------
    answered : dict of Level to set of str
        Names of the tags that the PACS has sent, with or without a value.
    child_counts, image_counts : dict of str to int
        Key of a study or series to how many objects, or of a study to how many images, the PACS says are in it.
    """

    def __init__(self, find_studies: Callable[[str], Iterable[Answer]], description: str) -> None:
        self._find_studies, self._description = find_studies, description
        self.answered: dict[Level, set[str]] = {level: set() for level in LEVELS}
        self.child_counts: dict[str, int] = {}
        self.image_counts: dict[str, int] = {}
        # StudyInstanceUID to the PatientIDs that it exists under, as far as all of them were asked for.
        self._patients: dict[str, set[str]] = {}
        # Key of a row to the names of tags whose values Orthanc does not write.
        self._unwritten: dict[str, set[str]] = {}

    def build(self, level: Level, answers: Iterable[Answer], parent: Key | None = None) -> list[Row]:
        """Build the rows of a level, one for each object.

        Parameters
        ----------
        level : Level
            Of the answers.
        answers : iterable of Answer
            The answers.
        parent : Key, optional
            The study or series that they are about.

        Warns
        -----
        UserWarning
            Some have no UID, and are left out.

        Raises
        ------
        UnsupportedError
            The study exists under several patients, and the PACS does not say of which these are.
        """
        named: list[tuple[Key, Answer]] = []
        nameless = 0
        for answer in answers:
            key = self._key(level, answer, parent)
            if key is None:
                nameless += 1
            elif parent is None or key[1 : depth(level)] == parent[1 : depth(level)]:
                named.append((key, answer))
        if nameless:
            warnings.warn(
                f"{self._description} lists {nameless} objects of level {level} without a UID: these cannot be "
                "retrieved, and are left out.",
                stacklevel=stacklevel(),
            )
        for _, answer in named:
            self.answered[level] |= {name for name, tag in ASKED[level].items() if tag.number in answer}
        rows: dict[str, Row] = {}
        for key, answer in named:
            if str(key) not in rows:
                rows[str(key)] = self._row(level, answer, key)
        return list(rows.values())

    def _key(self, level: Level, answer: Answer, parent: Key | None) -> Key | None:
        known = parent or Key("")
        uids = [_string(answer, _NUMBERS[upper]) or known[depth(upper)] for upper in LEVELS[1 : depth(level) + 1]]
        if not all(uids):
            return None
        patient = _string(answer, _NUMBERS["patient"])
        if level == "study":
            return Key(patient, *uids)
        return Key(self._patient_of(uids[0], patient, known), *uids)

    def _patient_of(self, study: str, named: str, parent: Key) -> str:
        """Return the patient of a study that an answer of a lower level is about.

        Files may name another patient than their study, and most PACS do not name the patient here.
        """
        if named and named == parent.patient:
            return named
        patients = self.patients(study)
        if named in patients:
            return named
        if len(patients) > 1:
            raise UnsupportedError(
                f"StudyInstanceUID {study} exists under {len(patients)} patients ({', '.join(sorted(patients))}), and "
                f"{self._description} does not name the patient with its series: C-FIND cannot tell them apart. Ask "
                "whoever keeps the PACS to correct the PatientID of one of them."
            )
        return next(iter(patients), parent.patient)

    def find_patients(self, answers: Iterable[Answer], parent: Key) -> None:
        """Find the patients of a study, if answers about it do not name the one that it is known to be of."""
        if any(_string(answer, _NUMBERS["patient"]) != parent.patient for answer in answers):
            self.patients(parent.study)

    def note_patients(self, studies: Iterable[Answer]) -> None:
        """Note which patients there are for each StudyInstanceUID, as all studies of a PACS show it."""
        patients: dict[str, set[str]] = {}
        for answer in studies:
            patients.setdefault(_string(answer, _NUMBERS["study"]), set()).add(_string(answer, _NUMBERS["patient"]))
        self._patients.update(patients)

    def patients(self, study: str) -> set[str]:
        """Return the PatientIDs that a StudyInstanceUID exists under; asked once."""
        if study not in self._patients:
            answers = [answer for answer in self._find_studies(study) if _string(answer, _NUMBERS["study"]) == study]
            self._patients[study] = {_string(answer, _NUMBERS["patient"]) for answer in answers}
        return self._patients[study]

    def forget(self) -> None:
        """Forget how much is in each object, and which patients there are."""
        self._patients.clear()
        self.child_counts.clear()
        self.image_counts.clear()

    def _row(self, level: Level, answer: Answer, key: Key) -> Row:
        values: dict[str, Value] = {}
        unresolved = set(ASKED[level]) - self.answered[level]
        for name, tag in ASKED[level].items():
            string = answer.get(tag.number, "")
            value = None if string is None else from_text(string, tag.vr)
            if string is None:
                unresolved.add(name)
                self._unwritten.setdefault(str(key), set()).add(name)
            elif value is not None:
                values[name] = value
        self._count(level, answer, str(key))
        return Row(str(key), str(key.parent), (), values, False, level != "instance", frozenset(unresolved))

    def resolved(self, level: Level, rows: Sequence[Row]) -> list[Row]:
        """Return rows in which tags that the PACS has sent for others in the meantime are missing, and not unknown."""
        known = self.answered[level]
        return [
            replace(row, unresolved_tags=row.unresolved_tags - (known - self._unwritten.get(row.key, set())))
            for row in rows
        ]

    def _count(self, level: Level, answer: Answer, key: str) -> None:
        """Keep what an answer says of how much is in its object."""
        if level == "instance":
            return
        children = _count_of(answer, NUMBERS_OF_CHILDREN[level])
        if children is not None:
            self.child_counts[key] = children
        images = _count_of(answer, NUMBER_OF_IMAGES) if level == "study" else None
        if images is not None:
            self.image_counts[key] = images


def _string(answer: Answer, number: str) -> str:
    value = from_text(answer.get(number) or "", "LO")
    return str(value[0]) if value else ""


def _count_of(answer: Answer, tag: Tag) -> int | None:
    string = _string(answer, tag.number)
    return int(string) if string.isascii() and string.isdecimal() and len(string) < 10 else None
