"""Dates, times and ages (DA, TM, DT and AS), read by one rule for tables, selections, volumes and SUV alike.

The rule is PS3.5, section 6.2, plus the variants that cannot be misunderstood:

- a time is HH, HHMM or HHMMSS, with the parts that are left out counted as zero. Colons may separate the parts, as
  they did before DICOM 3. The hour is at most 23 and the minute at most 59, so 240000 is no time;
- the second is at most 60, which is a leap second. It equals the first second of the next minute;
- the fraction follows a point or a comma. Its digits beyond the sixth are cut off: nothing here is finer than 1 µs;
- a date is YYYYMMDD, or YYYY.MM.DD as before DICOM 3, or YYYY-MM-DD;
- a date-time may end after any part, may be written as in ISO 8601, and may have an offset from UTC between -1200 and
  +1400.

A value that breaks the rule gives None. No function here warns or raises on one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone

from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.errors import SelectionError

_DATE = re.compile(r"(\d{4})([.\-]?)(\d{2})\2(\d{2})\Z", re.ASCII)
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:[.,](\d*))?)?)?\Z", re.ASCII)
# The separator is the same throughout: 202001-0500 is a month with an offset, and not the fifth of January.
_DATETIME = re.compile(r"(\d{4})(?:(-?)(\d{2})(?:\2(\d{2})(?:[T ]?(.*?))?)?)?([+-]\d{2}:?\d{2}|Z)?\Z", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})\Z", re.ASCII)
_AGE = re.compile(r"(\d{1,3})([DWMY])\Z", re.ASCII)
DAYS_IN_YEAR = 365.2425
"""The mean length of a year of the Gregorian calendar, by which ages in years and in days are compared."""
_DAYS = {"D": 1.0, "W": 7.0, "M": DAYS_IN_YEAR / 12, "Y": DAYS_IN_YEAR}


@dataclass(frozen=True)
class Moment:
    """A DT as it is written.

    Attributes
    ----------
    clock : datetime
        Date and time without a zone; parts that are left out are the lowest.
    offset : timedelta or None
        How far the clock is ahead of UTC, None if the value does not state it.
    has_time : bool
        Whether at least the hour is written.
    """

    clock: datetime
    offset: timedelta | None
    has_time: bool

    def local(self, offset: timedelta | None) -> datetime:
        """Return the moment on a clock that is this far ahead of UTC; unless both offsets are known, as written.

        Raises
        ------
        OverflowError
            The result is outside the years 1 to 9999.

        Examples
        --------
        >>> moment = parse_moment("20200131103000+0100")
        >>> moment.local(timedelta(hours=3)), moment.local(None)
        (datetime.datetime(2020, 1, 31, 12, 30), datetime.datetime(2020, 1, 31, 10, 30))
        """
        return self.clock if self.offset is None or offset is None else self.clock - self.offset + offset


def parse_date(text: str) -> date | None:
    """Read a DA, also in the forms 2020.01.31 and 2020-01-31; None if it is not a date.

    Examples
    --------
    >>> parse_date("20200131"), parse_date("20200231")
    (datetime.date(2020, 1, 31), None)
    """
    match = _DATE.match(text.strip(PADDING))
    try:
        return date(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None


def parse_time(text: str) -> timedelta | None:
    """Read a TM as the time since midnight; None if it is not a time of day.

    Examples
    --------
    >>> parse_time("1030"), parse_time("10:30:15.5"), parse_time("2400")
    (datetime.timedelta(seconds=37800), datetime.timedelta(seconds=37815, microseconds=500000), None)

    A leap second, and a fraction of more than six digits:

    >>> parse_time("235960"), parse_time("000000.1234567")
    (datetime.timedelta(days=1), datetime.timedelta(microseconds=123456))
    """
    match = _TIME.match(text.strip(PADDING))
    if not match:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.group(1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    microseconds = int((match[4] or "")[:6].ljust(6, "0"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=microseconds)


def parse_moment(text: str) -> Moment | None:
    """Read a DT as it is written: its clock, and its offset from UTC beside it; None if it is not a date-time.

    Examples
    --------
    >>> parse_moment("2020")
    Moment(clock=datetime.datetime(2020, 1, 1, 0, 0), offset=None, has_time=False)
    """
    match = _DATETIME.match(text.strip(PADDING))
    if not match:
        return None
    time = parse_time(match[5]) if match[5] else timedelta()
    offset = None if match[6] is None else parse_offset(match[6])
    if time is None or (match[6] is not None and offset is None):
        return None
    try:
        clock = datetime(int(match[1]), int(match[3] or 1), int(match[4] or 1)) + time
    except (ValueError, OverflowError):
        return None
    return Moment(clock, offset, bool(match[5]))


def split_moment(text: str) -> tuple[tuple[str, ...], str] | None:
    """Split a DT into the parts of its date and the time with the offset, as PS3.5 writes them; None if it is no DT.

    Examples
    --------
    >>> split_moment("2020-01-31T10:30:15,5Z"), split_moment("202001-0500"), split_moment("2020-13")
    ((('2020', '01', '31'), '103015.5+0000'), (('2020', '01'), '-0500'), None)
    """
    match = _DATETIME.match(text.strip(PADDING))
    if not match or parse_moment(text) is None:
        return None
    time = (match[5] or "").replace(":", "").replace(",", ".").rstrip(".")
    offset = "+0000" if match[6] == "Z" else (match[6] or "").replace(":", "")
    return tuple(part for part in match.group(1, 3, 4) if part), time + offset


def parse_datetime(text: str) -> datetime | None:
    """Read a DT, in UTC if it has an offset and as written if not; None if it is not a date-time.

    Examples
    --------
    >>> parse_datetime("20200131103000+0100"), parse_datetime("2020")
    (datetime.datetime(2020, 1, 31, 9, 30), datetime.datetime(2020, 1, 1, 0, 0))
    """
    moment = parse_moment(text)
    try:
        return None if moment is None else moment.local(timedelta())
    except OverflowError:
        return None


def parse_offset(text: str) -> timedelta | None:
    """Read an offset from UTC, as a DT ends with and TimezoneOffsetFromUTC holds; None if it is not one.

    Examples
    --------
    >>> parse_offset("-0330"), parse_offset("+1500")
    (datetime.timedelta(days=-1, seconds=73800), None)
    """
    text = text.strip(PADDING)
    if text == "Z":
        return timedelta()
    match = _OFFSET.match(text)
    if not match:
        return None
    minutes = 60 * int(match[2]) + int(match[3])
    # No place on Earth is further ahead of UTC, or behind it (PS3.5, section 6.2).
    if int(match[3]) > 59 or minutes > (12 if match[1] == "-" else 14) * 60:
        return None
    return timedelta(minutes=-minutes if match[1] == "-" else minutes)


def parse_age(text: str) -> float | None:
    """Read an AS, such as ``045Y``, in days; None if it is not an age.

    Examples
    --------
    >>> parse_age("002W"), parse_age("45")
    (14.0, None)
    """
    match = _AGE.match(text.strip(PADDING))
    return int(match[1]) * _DAYS[match[2]] if match else None


def utc(moment: datetime) -> datetime:
    """Return a Python datetime without a zone: in UTC if it has one, unchanged if not.

    Raises
    ------
    SelectionError
        The moment is outside the years 1 to 9999 in UTC.
    """
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        raise SelectionError(
            f"{moment} cannot be compared: in UTC it is outside the years 1 to 9999. Leave the zone out, or use None "
            f"where a range has no end."
        ) from None
