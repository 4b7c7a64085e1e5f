"""Pseudonyms and UIDs from a secret key: the same key gives the same ones, on any machine.

Each is a part of HMAC-SHA256 (RFC 2104, FIPS 180-4) of the key and of what is replaced. Without the key nobody can go
back, not even by trying all identifiers of a hospital, which is why a plain checksum would not do. What is replaced is
named in the message, so that a PatientID and an AccessionNumber with the same digits get values that do not match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any
from uuid import UUID

from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.uids import is_registered
from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.errors import SelectionError

# Without I, L, O and U, which are taken for others when they are read aloud or copied by hand.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS = 12
_PADDING = PADDING
_LONGEST = 64
# Separators of values and of the components and groups of names (PS3.5, section 6.2), and wildcards of queries.
_UNFIT = re.compile(r"[^ -~]|[\\^=*?]")


class Pseudonyms:
    """What replaces the identifiers of patients and objects, for one key.

    Parameters
    ----------
    key : Key
        The secret key.
    given : mapping, optional
        PatientID to the pseudonym that it gets, for patients whose pseudonyms are not to be made from the key.
    prefix : str
        What pseudonyms that are made from the key begin with.

    Raises
    ------
    SelectionError
        The key is weak, a pseudonym or the prefix cannot be a PatientID and a PatientName, or two patients would get
        one pseudonym.

    Notes
    -----
    A pseudonym is the prefix and 12 of 32 characters, 60 bits: among a million patients the chance that two share one
    is less than one in a million, and a run in which that happens is refused.

    Examples
    --------
    >>> from simple_orthanc.deidentification.keys import Key
    >>> pseudonyms = Pseudonyms(Key("correct horse battery staple"))
    >>> pseudonyms.patient("4711") == Pseudonyms(Key(b"correct horse battery staple")).patient("4711")
    True
    >>> pseudonyms.uid("1.2.3") == pseudonyms.uid("1.2.3"), pseudonyms.uid("1.2.840.10008.1.2")
    (True, '1.2.840.10008.1.2')
    """

    def __init__(self, key: Key, *, given: Mapping[str, str] | None = None, prefix: str = "S-") -> None:
        key.check()
        _check_prefix(prefix)
        self._key, self._prefix = key, prefix
        self._given = _checked(given or {})
        self._owner = {pseudonym.casefold(): patient for patient, pseudonym in self._given.items()}
        self._lock = Lock()
        self.patients: dict[str, str] = {}
        """Each patient that was asked for, to the pseudonym."""
        self.uids: dict[str, str] = {}
        """Each UID that was asked for and replaced, to the new one."""

    def patient(self, patient: str) -> str:
        """Return the pseudonym of a patient.

        Parameters
        ----------
        patient : str
            The PatientID, or else what `patient_of` returns.

        Raises
        ------
        SelectionError
            Another patient has it already.
        """
        patient = patient.strip(_PADDING)
        with self._lock:
            known = self.patients.get(patient)
            if known is not None:
                return known
            pseudonym = self._given.get(patient)
            if pseudonym is None:
                pseudonym = self._prefix + characters(self._key.digest("PatientID", patient), _CHARACTERS)
                if self._owner.setdefault(pseudonym.casefold(), patient) != patient:
                    raise SelectionError(
                        f"Two patients would get the pseudonym {pseudonym}, one of them by hand. Give the other one a "
                        "pseudonym too, or choose another prefix."
                    )
            self.patients[patient] = pseudonym
            return pseudonym

    def uid(self, uid: str) -> str:
        """Return what replaces a UID; one that the standard assigns is returned as it is.

        The new UID is ``2.25.`` and a UUID as a number (PS3.5, section B.2), of version 8 (RFC 9562, section 5.8).
        """
        uid = uid.strip(_PADDING)
        if not uid or is_registered(uid):
            return uid
        known = self.uids.get(uid)
        if known is None:
            known = self.uids[uid] = self._new_uid(uid)
        return known

    def copies_among(self, uids: Sequence[str]) -> set[str]:
        """Return those of some UIDs that replace others of them: the UIDs of copies beside their originals.

        They do not count as asked for.
        """
        return {self._new_uid(uid.strip(_PADDING)) for uid in uids}.intersection(uids)

    def _new_uid(self, uid: str) -> str:
        return f"2.25.{_uuid(self._key.digest('UID', uid)).int}"

    def text(self, name: str, value: str) -> str:
        """Return what replaces an identifier of another kind: 12 characters that fit into each VR of strings.

        Parameters
        ----------
        name : str
            What it is, such as ``"AccessionNumber"``.
        value : str
            Its value.
        """
        return characters(self._key.digest(name, value.strip(_PADDING)), _CHARACTERS)

    def number(self, name: str, value: str) -> int:
        """Return 64 bits as a number."""
        return int.from_bytes(self._key.digest(name, value.strip(_PADDING))[:8], "big")


def characters(digest: bytes, count: int) -> str:
    """Write the first bits of a digest as characters, five bits each.

    Examples
    --------
    >>> characters(bytes(range(32)), 4)
    '000G'
    """
    number = int.from_bytes(digest, "big")
    bits = 8 * len(digest)
    return "".join(_ALPHABET[number >> (bits - 5 * (place + 1)) & 31] for place in range(count))


def patient_of(patient_id: str, name: str = "", birth_date: str = "", study: str = "") -> str:
    """Return what tells a patient from others: the PatientID, or else name and birth date, or else the study.

    Two patients without a PatientID are never taken for one, unless they share name and birth date.

    Examples
    --------
    >>> patient_of(" 4711"), patient_of("", "Doe^Jane", "19700101"), patient_of("", study="1.2.3")
    ('4711', 'without PatientID: Doe^Jane 19700101', 'without PatientID: study 1.2.3')
    """
    known = patient_id.strip(_PADDING)
    if known:
        return known
    person = name.strip(_PADDING + "^=")
    if person:
        return f"without PatientID: {person} {birth_date.strip(_PADDING)}".strip()
    return f"without PatientID: study {study.strip(_PADDING)}"


def read_given(given: Any) -> dict[str, str]:
    """Read pseudonyms as users give them.

    Parameters
    ----------
    given : mapping, pandas.DataFrame, or None
        Old PatientID to pseudonym; or the key table of an earlier run, or any with its columns ``old`` and ``new``.

    Raises
    ------
    SelectionError
        It is something else, or holds anything but strings.

    Examples
    --------
    >>> read_given({"4711": "S01"})
    {'4711': 'S01'}
    """
    if given is None:
        return {}
    if hasattr(given, "columns"):
        missing = {"old", "new"} - set(given.columns)
        if missing:
            raise SelectionError(
                f"pseudonyms is a table without the column{'s' * (len(missing) > 1)} {' and '.join(sorted(missing))}: "
                "old is the PatientID, and new the pseudonym. Any two columns make a mapping: "
                "pseudonyms=dict(zip(table['a'], table['b']))."
            )
        rows = given[given["kind"] == "PatientID"] if "kind" in given.columns else given
        pairs = list(zip(rows["old"], rows["new"], strict=True))
    elif isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        raise SelectionError(
            f'pseudonyms maps each PatientID to its pseudonym, as in {{"4711": "S01"}}, and this is a '
            f"{type(given).__name__}."
        )
    wrong = [type(item).__name__ for pair in pairs for item in pair if not isinstance(item, str)]
    if wrong:
        raise SelectionError(
            f"pseudonyms holds a value of type {wrong[0]} where a string is expected. A PatientID such as "
            "0042 is not the number 42: read tables with pandas.read_csv(..., dtype=str)."
        )
    if len({old.strip(_PADDING) for old, _ in pairs}) < len(pairs):
        raise SelectionError("pseudonyms names one PatientID twice. Keep one row for each.")
    return {old.strip(_PADDING): new for old, new in pairs}


def _checked(given: Mapping[str, str]) -> dict[str, str]:
    """Check pseudonyms given by hand. Messages name pseudonyms, and no PatientID."""
    pseudonyms = {patient.strip(_PADDING): pseudonym for patient, pseudonym in given.items()}
    seen: set[str] = set()
    for pseudonym in pseudonyms.values():
        problem = _unfit(pseudonym)
        if problem:
            raise SelectionError(f"The pseudonym {pseudonym!r} {problem}. Choose another, such as S01.")
        if pseudonym.casefold() in seen:
            raise SelectionError(
                f"The pseudonym {pseudonym!r} is given to two patients, who would become one. Give each its own."
            )
        seen.add(pseudonym.casefold())
    if seen & {patient.casefold() for patient in pseudonyms}:
        raise SelectionError(
            "A pseudonym is one of the PatientIDs that are replaced, so that a reader could take one patient for "
            "another. Choose pseudonyms of another form, such as S01."
        )
    return pseudonyms


def _check_prefix(prefix: object) -> None:
    problem = "is no string" if not isinstance(prefix, str) else _unfit(prefix + "0" * _CHARACTERS)
    if problem:
        raise SelectionError(f'prefix={prefix!r} {problem}. Choose one such as prefix="S-".')


def _unfit(pseudonym: str) -> str:
    """Return why a pseudonym can be no PatientID or no PatientName (PS3.5, section 6.2); "" if it can be both."""
    if not pseudonym.strip() or pseudonym != pseudonym.strip():
        return "is empty, or begins or ends with spaces"
    if _UNFIT.search(pseudonym):
        return "holds a character that is not plain ASCII, or one of \\ ^ = * ?"
    return "" if len(pseudonym) <= _LONGEST else f"is longer than {_LONGEST} characters"


def _uuid(digest: bytes) -> UUID:
    """Return a UUID of version 8, whose other 122 bits are those of a digest."""
    number = int.from_bytes(digest[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    return UUID(int=number & ~(3 << 62) | 2 << 62)
