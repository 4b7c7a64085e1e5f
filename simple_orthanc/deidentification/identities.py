"""The new identity of one patient, made from a key."""

from __future__ import annotations

from simple_orthanc.deidentification.dates import common_age, days_of, shifted
from simple_orthanc.deidentification.pseudonyms import Pseudonyms
from simple_orthanc.dicom.tags import PADDING


class KeyedIdentity:
    """What replaces the identifiers of one patient; see `simple_orthanc.deidentification.identity.Identity`.

    Parameters
    ----------
    pseudonyms : Pseudonyms
        Of the key.
    patient : str
        The PatientID, or else what `simple_orthanc.deidentification.pseudonyms.patient_of` returns.
    max_shift : int
        By how many days dates are moved at most.

    Examples
    --------
    >>> from simple_orthanc.deidentification.keys import Key
    >>> pseudonyms = Pseudonyms(Key("correct horse battery staple"), given={"4711": "S01"})
    >>> identity = KeyedIdentity(pseudonyms, "4711", 365)
    >>> identity.patient_id, identity.patient_name, identity.date("20200131", "DA") != "20200131"
    ('S01', 'S01', True)
    """

    def __init__(self, pseudonyms: Pseudonyms, patient: str, max_shift: int) -> None:
        self._pseudonyms = pseudonyms
        self._pseudonym = pseudonyms.patient(patient)
        self.days = days_of(pseudonyms, patient, max_shift)
        """By how many days the dates of the patient are moved."""

    @property
    def patient_id(self) -> str:
        """The new PatientID."""
        return self._pseudonym

    @property
    def patient_name(self) -> str:
        """The new PatientName, which is the pseudonym too."""
        return self._pseudonym

    def uid(self, uid: str) -> str:
        """Return the UID that takes the place of a UID."""
        return self._pseudonyms.uid(uid)

    def date(self, value: str, vr: str) -> str | None:
        """Return a single value of VR DA, DT or TM as it is moved; None if it cannot be."""
        return shifted(value, vr, self.days)

    def age(self, value: str) -> str | None:
        """Return an age that is retained; over 89 years it is ``090Y``."""
        return common_age(value)

    def identifier(self, keyword: str, value: str) -> str:
        """Return what takes the place of another identifier, such as AccessionNumber; an empty one stays empty."""
        return self._pseudonyms.text(keyword, value) if value.strip(PADDING) else ""
