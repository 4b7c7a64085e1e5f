"""A patient's identity for tests: pseudonyms by a plain hash, dates moved by a fixed number of days."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from simple_orthanc.dicom.times import parse_time


@dataclass(frozen=True)
class PlainIdentity:
    """As `simple_orthanc.deidentification.identity.Identity` has it."""

    patient_id: str = "S-0001"
    patient_name: str = "S-0001"
    days: int = -100

    def uid(self, uid: str) -> str:
        return f"2.25.{int(hashlib.sha256(uid.encode()).hexdigest()[:30], 16)}"

    def date(self, value: str, vr: str) -> str | None:
        if vr == "TM":
            return value if parse_time(value) is not None else None
        try:
            day = datetime.strptime(value[:8], "%Y%m%d") + timedelta(days=self.days)
        except ValueError:
            return None
        return day.strftime("%Y%m%d") + value[8:]

    def age(self, value: str) -> str | None:
        return "090Y" if value > "089Y" and value.endswith("Y") else value

    def identifier(self, keyword: str, value: str) -> str:
        return f"new {keyword}"[:16]
