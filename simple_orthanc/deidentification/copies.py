"""From the bytes of a file to those of its de-identified copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from simple_orthanc.deidentification.dates import check_most
from simple_orthanc.deidentification.engine import deidentify_dataset
from simple_orthanc.deidentification.identities import KeyedIdentity
from simple_orthanc.deidentification.profile import Option, Profile
from simple_orthanc.deidentification.pseudonyms import Pseudonyms, patient_of
from simple_orthanc.deidentification.report import Counts, count
from simple_orthanc.deidentification.risks import RiskKind, risks_of
from simple_orthanc.dicom.header import read_value, texts
from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.dicom.silence import quiet
from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import OrthancError, SelectionError
from simple_orthanc.files.detection import dataset_bytes
from simple_orthanc.files.parsing import parse_file, typed_errors

if TYPE_CHECKING:
    import pandas as pd


Compare: TypeAlias = Callable[[Dataset, Dataset], Sequence[str]]


@dataclass(frozen=True)
class Copy:
    """A de-identified copy of one object.

    Attributes
    ----------
    content : bytes
        The file.
    identifiers : tuple of str
        PatientID, StudyInstanceUID, SeriesInstanceUID and SOPInstanceUID of the copy; "" where one is missing.
    changes : mapping
        What became of its attributes, counted.
    warnings : tuple of str
        What may still show who the patient is, and what the copy can no longer be used for.
    suspicion : str
        Why the object should not be copied without a look; "" if it may. These are risks that are certain, and text in
        the pixels, which is so common in some kinds of images that it counts as certain unless a header denies it.
    values : mapping
        Name of each tag that was asked for, to its value in the copy.
    """

    content: bytes
    identifiers: tuple[str, ...]
    changes: Counts
    warnings: tuple[str, ...] = ()
    suspicion: str = ""
    values: Mapping[str, Value] = field(default_factory=dict)

    def without_content(self) -> Copy:
        """Return what is left when the file is written."""
        return replace(self, content=b"")


class Deidentifier:
    """De-identifies files, by one profile and one key. Several threads may use it at once.

    Parameters
    ----------
    profile : Profile
        What is to be done with each attribute.
    pseudonyms : Pseudonyms
        Of the key.
    max_shift : int
        By how many days dates are moved at most.
    compare : callable, optional
        Returns more warnings about a copy, given the original and the copy.
    tags : sequence of Tag
        Tags whose values in the copies are wanted.

    Examples
    --------
    >>> from simple_orthanc.deidentification.keys import Key
    >>> from simple_orthanc.phantom import as_bytes, ct_phantom
    >>> deidentifier = Deidentifier(Profile.of(), Pseudonyms(Key("correct horse battery staple")), 365)
    >>> original = as_bytes(ct_phantom((1, 16, 16))[0])
    >>> copy = deidentifier.copy(original)
    >>> copy.content == deidentifier.copy(original).content, copy.identifiers[1].startswith("2.25.")
    (True, True)
    """

    def __init__(
        self,
        profile: Profile,
        pseudonyms: Pseudonyms,
        max_shift: int,
        compare: Compare | None = None,
        tags: Sequence[Tag] = (),
    ) -> None:
        self._profile, self._pseudonyms, self._most = profile, pseudonyms, check_most(max_shift)
        self._compare, self._tags = compare, tuple(tags)
        self._days: dict[str, int] = {}
        self._lock = Lock()

    def copy(self, content: bytes) -> Copy:
        """De-identify a file.

        Raises
        ------
        TransportError
            It cannot be read.
        SelectionError
            Its copy cannot be written, or another patient has the same pseudonym.
        """
        # What pydicom warns about are values.
        with quiet(), typed_errors(content):
            dataset = parse_file(content)
            identity = self._identity(dataset)
            made, changes = deidentify_dataset(dataset, self._profile, identity)
            self._name(made, identity)
            risks = risks_of(dataset, self._profile)
            others = self._compare(dataset, made) if self._compare is not None else ()
            written = _written(made)
        return Copy(
            written,
            tuple(_text(made, keyword) for keyword in IDENTIFIERS.values()),
            count(changes),
            (*(risk.message for risk in risks), *others),
            "; ".join(risk.message for risk in risks if risk.is_certain or risk.kind is RiskKind.BURNED_IN),
            {tag.name: read_value(made, tag) for tag in self._tags},
        )

    def _name(self, made: Dataset, identity: KeyedIdentity) -> None:
        """Name the patient of a copy whose original names none, or several: these would all become one patient."""
        decided = {*self._profile.keep, *self._profile.remove, *self._profile.replace}
        for keyword, name in (("PatientID", identity.patient_id), ("PatientName", identity.patient_name)):
            if _text(made, keyword) != name and tag_for_keyword(keyword) not in decided:
                setattr(made, keyword, name)

    def _identity(self, dataset: Dataset) -> KeyedIdentity:
        keywords = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID")
        patient = patient_of(*(_text(dataset, keyword) for keyword in keywords))
        identity = KeyedIdentity(self._pseudonyms, patient, self._most)
        with self._lock:
            self._days[patient] = identity.days
        return identity

    def key_table(self) -> pd.DataFrame:
        """Return what was replaced by what: kind, old, new, and of patients the days that their dates were moved."""
        import pandas as pd

        moves = self._profile.has(Option.RETAIN_MODIFIED_DATES)
        rows: list[tuple[str, str, str, int | None]] = [
            ("PatientID", old, new, self._days.get(old) if moves else None)
            for old, new in sorted(self._pseudonyms.patients.items())
        ]
        rows += [("UID", old, new, None) for old, new in sorted(self._pseudonyms.uids.items())]
        table: pd.DataFrame = pd.DataFrame(rows, columns=["kind", "old", "new", "shift_days"])
        return table.astype({"kind": "string", "old": "string", "new": "string", "shift_days": "Int64"})


def _written(made: Dataset) -> bytes:
    try:
        return dataset_bytes(made)
    except OrthancError:
        raise
    except Exception as error:  # pydicom raises whatever the values lead it to, which are not for a message
        raise SelectionError(f"its copy cannot be written: {type(error).__name__} of pydicom") from error


def _text(dataset: Dataset, keyword: str) -> str:
    """Return all values of an element: a PatientID with a backslash is not that of its first part."""
    return "\\".join(texts(dataset, keyword))
