"""What the engine needs to know of the pseudonyms of a patient."""

from __future__ import annotations

from typing import Protocol


class Identity(Protocol):
    """The new identity of one patient: pseudonyms, UIDs and moved dates.

    Attributes
    ----------
    patient_id : str
        The new PatientID.
    patient_name : str
        The new PatientName; may be "".
    """

    @property
    def patient_id(self) -> str:
        """Return the new PatientID."""
        ...

    @property
    def patient_name(self) -> str:
        """Return the new PatientName; "" leaves it empty."""
        ...

    def uid(self, uid: str) -> str:
        """Return the new UID that takes the place of a UID, the same for the same UID."""
        ...

    def date(self, value: str, vr: str) -> str | None:
        """Return a single value of VR DA, DT or TM as it is moved; None if it cannot be read, which removes it."""
        ...

    def age(self, value: str) -> str | None:
        """Return a PatientAge that is retained (VR AS); None removes it."""
        ...

    def identifier(self, keyword: str, value: str) -> str:
        """Return what takes the place of an identifier of action Z, such as AccessionNumber; "" leaves it empty."""
        ...
