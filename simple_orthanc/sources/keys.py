"""The identifiers that name an object on a DICOMweb server or a PACS, and which of them are safe to search for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from simple_orthanc.dicom import levels
from simple_orthanc.dicom.values import Value

UID_TAGS = levels.IDENTIFIERS

IDENTIFIERS = ("PatientID", "AccessionNumber", "StudyID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

# Characters that no server reads as anything else, and that no URL encoding changes.
_PLAIN = re.compile(r"[A-Za-z0-9._-]+\Z")
_UID = re.compile(r"[0-9.]+\Z")


class Key(NamedTuple):
    """The identifiers that name an object; those of lower levels are empty.

    Examples
    --------
    >>> key = Key("P 1", "1.2", "1.2.3")
    >>> str(key), Key.parse(str(key)) == key, key.parent
    ('1.2/1.2.3/P 1', True, Key(patient='P 1', study='1.2', series='', instance=''))
    """

    patient: str
    study: str = ""
    series: str = ""
    instance: str = ""

    @classmethod
    def parse(cls, key: str) -> Key:
        """Read a key as `str` writes it: the UIDs from the study down, then the PatientID."""
        *uids, patient = key.split("/")
        return cls(unquote(patient), *map(unquote, uids[:3]))

    def __str__(self) -> str:
        """Write the UIDs from the study down, then the PatientID, separated by slashes."""
        uids = [uid for uid in (self.study, self.series, self.instance) if uid]
        return "/".join([*(quote(uid, safe="") for uid in uids), quote(self.patient, safe=" ")])

    @property
    def parent(self) -> Key:
        """The key of the object one level up."""
        if self.instance:
            return self._replace(instance="")
        return self._replace(series="") if self.series else self._replace(study="")


def is_uid(value: str) -> bool:
    """Check whether a string has the characters of a UID alone, so that it can be one of a list in a filter.

    Examples
    --------
    >>> is_uid("1.2.840"), is_uid("1,2")
    (True, False)
    """
    return _UID.match(value) is not None


def is_plain(value: str) -> bool:
    """Check whether every server reads a string as it is: it has no wildcard, space, accent or other special character.

    Examples
    --------
    >>> is_plain("A-17.b_2"), is_plain("A*"), is_plain("Müller")
    (True, False, False)
    """
    return _PLAIN.match(value) is not None


def is_plain_identifier(name: str, values: Mapping[str, Value]) -> bool:
    """Check whether a tag is an identifier, and its value is one that no character set changes."""
    value = values.get(name)
    return name in IDENTIFIERS and value is not None and is_plain(str(value[0]))
