"""From answers of searches to rows: their keys, their values, and which of these are not sure.

- A tag that a search has returned for any object of a level is one that the server searches. One that never came may be
  missing everywhere, or be withheld: such tags stay unresolved in their rows, until their files are asked for.
- Strings that lost characters on their way count as unresolved too, except plain identifiers.
- DICOMweb names a study, series or instance by its UID alone. If one UID exists under two patients, rows tell them
  apart as long as the server names the patient in them.
- A study of one patient may have series whose files name another. They belong to the patient of their study.
"""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import INDEX_TAGS, TEXT_VRS, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.dicomweb.model import has_element, read_count, read_string
from simple_orthanc.errors import UnsupportedError, stacklevel
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.charset_check import shows_undecoded_strings
from simple_orthanc.sources.dicomweb.queries import NUMBER_OF_CHILDREN, NUMBER_OF_IMAGES, SEARCHED, Queries
from simple_orthanc.sources.dicomweb.trust import CharacterLoss, first_of_each, read_sure_value
from simple_orthanc.sources.keys import UID_TAGS, Key, is_plain_identifier

_INDEXED: dict[Level, frozenset[str]] = {
    level: frozenset(tag.name for tag in tags.values()) for level, tags in INDEX_TAGS.items()
}
_TEXTS: dict[Level, frozenset[str]] = {
    level: frozenset(tag.name for tag in tags.values() if tag.vr in TEXT_VRS) for level, tags in INDEX_TAGS.items()
}
_PATIENT_ID = parse_tag("PatientID")
_OF_IMAGE = ("SeriesInstanceUID", "SOPInstanceUID")


class RowBuilder:
    """Builds rows of answers, and keeps what these show of the server.

    Parameters
    ----------
    queries : Queries
        For the patients of studies whose series do not name them.
    character_loss : CharacterLoss
        Whether answers may lack characters.

    Attributes
    ----------
    answered : dict of Level to set of str
        Names of the tags that searches have returned.
    unsure : dict of Level to set of str
        Keys of the rows with a value that may be wrong.
    child_counts : dict of str to int
        Key of a study or series to the number of objects that the server says are in it; 1 if it does not say.
    image_counts : dict of str to int
        Key of a study to the number of instances that the server says are in it, if it says that.
    patients : dict of str to set of str
        StudyInstanceUID to the PatientIDs that it exists under, as far as that was looked for.
    """

    def __init__(self, queries: Queries, character_loss: CharacterLoss) -> None:
        self._queries, self._character_loss = queries, character_loss
        self.answered: dict[Level, set[str]] = {level: set() for level in LEVELS}
        self.unsure: dict[Level, set[str]] = {level: set() for level in LEVELS}
        self.child_counts: dict[str, int] = {}
        self.image_counts: dict[str, int] = {}
        self.patients: dict[str, set[str]] = {}
        # The same, of whatever was shown of studies; others may be missing.
        self._shown_patients: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def build(
        self,
        level: Level,
        answers: Iterable[Mapping[str, Any]],
        parent: Key | None = None,
        *,
        is_searched: bool = True,
        is_narrowed: bool = False,
    ) -> list[Row]:
        """Build the rows of a level.

        Parameters
        ----------
        level : Level
            Of what was listed.
        answers : iterable of mapping
            Datasets in the DICOM JSON model.
        parent : Key, optional
            Identifiers that hold where an answer lacks them.
        is_searched : bool, default True
            Whether searches returned the answers, and not metadata.
        is_narrowed : bool, default False
            Whether other patients of the same studies may be missing among the answers.

        Warns
        -----
        UserWarning
            If objects cannot be named, or two of them have the same identifiers.
        """
        listed = list(answers)
        rows: list[Row] = []
        answered: set[str] = set()
        keys = self.keys(level, listed, parent)
        if level == "study":
            self.note_patients(listed)
            for named in () if is_narrowed else filter(None, keys):
                self.patients.setdefault(named.study, set()).add(named.patient)
        for answer, key in zip(listed, keys, strict=True):
            if key is not None:
                rows.append(self._row(level, answer, key, is_searched))
            if is_searched and key is not None:
                answered.update(tag.name for tag in SEARCHED[level] if has_element(answer, tag))
        twice = len(rows) - len({row.key for row in rows})
        if twice:
            warnings.warn(
                f"{self._queries.description} lists {twice} objects of level {level} twice under the same identifiers. "
                f"DICOMweb cannot tell the two apart: they count as one, which perhaps cannot be read.",
                stacklevel=stacklevel(),
            )
        with self._lock:
            self.answered[level] |= answered
            never_answered = _INDEXED[level] - self.answered[level]
        if never_answered:
            for row in rows:
                row.unresolved_tags |= never_answered
        return rows

    def _row(self, level: Level, answer: Mapping[str, Any], key: Key, is_searched: bool) -> Row:
        values: dict[str, Value] = {}
        unsure: set[str] = set()
        for tag in SEARCHED[level]:
            value, is_sure = read_sure_value(answer, tag)
            if value is not None:
                values[tag.name] = value
            if not is_sure:
                unsure.add(tag.name)
        if not is_searched:
            # A server may be told to keep less in metadata, and these say nothing of what its searches return.
            unsure.update(_INDEXED[level] - values.keys())
        doubt = level == "study" and shows_undecoded_strings(values)
        if doubt or self._character_loss.affects(answer):
            unsure.update(name for name in _TEXTS[level] if not is_plain_identifier(name, values))
        if unsure:
            self.unsure[level].add(str(key))
        self._count(level, answer, str(key))
        return Row(str(key), str(key.parent), (), values, doubt, level != "instance", frozenset(unsure))

    def _count(self, level: Level, answer: Mapping[str, Any], key: str) -> None:
        """Keep what an answer says of how much is in its object."""
        if level not in NUMBER_OF_CHILDREN:
            return
        count = read_count(answer, NUMBER_OF_CHILDREN[level])
        if count is not None:
            self.child_counts[key] = count
        # What is listed is not empty.
        self.child_counts.setdefault(key, 1)
        images = read_count(answer, NUMBER_OF_IMAGES) if level == "study" else None
        if images is not None:
            self.image_counts[key] = images

    def build_of_images(self, level: Level, images: Sequence[dict[str, Any]], parent: Key) -> list[Row]:
        """Build the rows of what some instances belong to, or their own; a series has at least those that came of it.

        Parameters
        ----------
        level : Level
            Of the rows.
        images : sequence of dict
            Metadata of instances, or answers of a search for instances.
        parent : Key
            Identifiers that hold where an instance lacks them.
        """
        items = first_of_each(images, ("PatientID", UID_TAGS[level]), tuple(NUMBER_OF_CHILDREN.values()))
        rows = self.build(level, items, parent, is_searched=False)
        if level == "series":
            counts = Counter(
                series for series, _ in {tuple(read_string(image, name) for name in _OF_IMAGE) for image in images}
            )
            for row in rows:
                self.child_counts[row.key] = max(self.child_counts[row.key], counts[Key.parse(row.key).series])
        return rows

    def keys(self, level: Level, answers: Sequence[Mapping[str, Any]], parent: Key | None) -> list[Key | None]:
        """Name what was listed; None for what has no UID, and so no name in DICOMweb."""
        known = parent or Key("")
        keys: list[Key | None] = []
        for answer in answers:
            uids = [
                read_string(answer, UID_TAGS[upper]) or known[depth(upper)] for upper in LEVELS[1 : depth(level) + 1]
            ]
            keys.append(Key(read_string(answer, "PatientID"), *uids) if all(uids) else None)
        nameless = sum(key is None for key in keys)
        if nameless:
            self._warn_of_nameless(level, nameless)
        if level == "study":
            return keys
        # Some servers name the patient with studies only.
        unnamed = {
            key.study for key, answer in zip(keys, answers, strict=True) if key and not has_element(answer, _PATIENT_ID)
        }
        patients = self._patients_of(unnamed)
        named = [
            key._replace(patient=patients[key.study]) if key and not has_element(answer, _PATIENT_ID) else key
            for key, answer in zip(keys, answers, strict=True)
        ]
        return self._with_patients_of_studies(named)

    def note_patients(self, studies: Iterable[Mapping[str, Any]]) -> None:
        """Note the patients that answers to a search for studies name."""
        for study in studies:
            uid, patient = read_string(study, "StudyInstanceUID"), read_string(study, "PatientID")
            self._shown_patients.setdefault(uid, set()).add(patient)

    def _with_patients_of_studies(self, keys: Sequence[Key | None]) -> list[Key | None]:
        """Replace a patient that the study is not of, as the server says now, by the one that it is of."""
        strange = {
            key.study for key in keys if key and key.patient not in self._shown_patients.get(key.study, (key.patient,))
        }
        for study in strange:
            self.patients.pop(study, None)
        self._find_patients(strange)
        only = {study: patients for study in strange if len(patients := self.patients[study]) == 1}
        return [
            key._replace(patient=next(iter(only[key.study]))) if key is not None and key.study in only else key
            for key in keys
        ]

    def _patients_of(self, studies: set[str]) -> dict[str, str]:
        """Find the one patient of each study."""
        self._find_patients(studies)
        only: dict[str, str] = {}
        for study in studies:
            patients = self.patients.get(study) or {""}
            if len(patients) > 1:
                raise UnsupportedError(
                    f"StudyInstanceUID {study} exists under {len(patients)} patients ({', '.join(sorted(patients))}), "
                    f"and {self._queries.description} does not name the patient with its series. DICOMweb cannot tell "
                    f"them apart."
                )
            only[study] = next(iter(patients))
        return only

    def _warn_of_nameless(self, level: Level, count: int) -> None:
        warnings.warn(
            f"{self._queries.description} lists {count} objects of level {level} without a UID: DICOMweb cannot "
            f"address these, and they are left out.",
            stacklevel=stacklevel(),
        )

    def is_shared(self, key: Key) -> bool:
        """Check whether the study of a key exists under several patients; the server is asked once."""
        self._find_patients({key.study})
        return len(self.patients.get(key.study, ())) > 1

    def is_of_other_patient(self, key: Key, patient: str) -> bool:
        """Check whether an object is that of another patient under the same UIDs; an archive may rename one."""
        return patient != key.patient and self.is_shared(key)

    def _find_patients(self, studies: set[str]) -> None:
        unknown = [study for study in studies if study not in self.patients]
        if unknown:
            self.build("study", self._queries.by_uids("study", unknown) or ())
            for study in unknown:
                self.patients.setdefault(study, set())
