"""Dates and times between Python, DICOM and Orthanc, read by the rule of `simple_orthanc.dicom.times`."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta, timezone

from simple_orthanc.dicom.times import parse_date, parse_moment, parse_time
from simple_orthanc.errors import SelectionError
from simple_orthanc.rest.server_time import server_time

_MIDNIGHT = datetime(1, 1, 1)


def to_dicom_date(day: date) -> str:
    """Return a date, or the date of a datetime, as a DA (PS3.5, section 6.2).

    Raises
    ------
    SelectionError
        It is neither.

    Examples
    --------
    >>> to_dicom_date(date(2020, 1, 31))
    '20200131'
    """
    if not hasattr(day, "year"):
        raise SelectionError(f"{day!r} is of type {type(day).__name__}; give a date, as in date(2020, 1, 31).")
    # strftime writes the year 800 with three digits on Linux.
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def from_dicom_date(value: str | None) -> date | None:
    """Read a DA, also in the forms 2020.01.31 and 2020-01-31.

    Returns
    -------
    datetime.date or None
        None if the value is empty or missing.

    Raises
    ------
    SelectionError
        The value is not a date.

    Examples
    --------
    >>> from_dicom_date("20200131"), from_dicom_date("")
    (datetime.date(2020, 1, 31), None)
    """
    if value is None or not value.strip():
        return None
    day = parse_date(value)
    if day is None:
        raise SelectionError(f"{value!r} is not a DICOM date: a DA is YYYYMMDD, such as 20200131.")
    return day


def to_dicom_time(moment: time | datetime | timedelta) -> str:
    """Return a time of day as a TM; the fraction is written only if there is one.

    Parameters
    ----------
    moment : datetime.time, datetime.datetime or datetime.timedelta
        A timedelta is the time since midnight, as tables of this library hold it.

    Raises
    ------
    SelectionError
        A timedelta is negative, or a day or more; or it is none of these.

    Examples
    --------
    >>> to_dicom_time(time(9, 30)), to_dicom_time(timedelta(seconds=1.5))
    ('093000', '000001.500000')
    """
    if isinstance(moment, timedelta):
        if not timedelta() <= moment < timedelta(days=1):
            raise SelectionError(f"{moment} is not a time of day: give 0 or more seconds, and less than a day.")
        moment = (_MIDNIGHT + moment).time()
    if not hasattr(moment, "hour"):
        raise SelectionError(f"{moment!r} is of type {type(moment).__name__}; give a time, as in time(9, 30).")
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    return f"{moment.hour:02d}{moment.minute:02d}{moment.second:02d}{fraction}"


def from_dicom_time(value: str | None) -> time | None:
    """Read a TM; fractions of a second are kept to the microsecond.

    Returns
    -------
    datetime.time or None
        None if the value is empty or missing.

    Raises
    ------
    SelectionError
        The value is not a time of day, or is the leap second at the end of a day, which Python's time cannot hold.

    Examples
    --------
    >>> from_dicom_time("0930"), from_dicom_time("093015.25")
    (datetime.time(9, 30), datetime.time(9, 30, 15, 250000))
    """
    if value is None or not value.strip():
        return None
    since_midnight = _since_midnight(value)
    if since_midnight >= timedelta(days=1):
        raise SelectionError(
            f"{value!r} is the leap second at the end of a day, which datetime.time cannot hold; "
            f"from_dicom_date_and_time(date, {value!r}) returns the first second of the next day."
        )
    return (_MIDNIGHT + since_midnight).time()


def _since_midnight(value: str) -> timedelta:
    since_midnight = parse_time(value)
    if since_midnight is None:
        raise SelectionError(f"{value!r} is not a DICOM time: a TM is HHMMSS, such as 093015 or 093015.25.")
    return since_midnight


def from_dicom_date_and_time(day: str | None, moment: str | None) -> datetime | None:
    """Read a DA and a TM that belong together, such as StudyDate and StudyTime.

    Returns
    -------
    datetime.datetime or None
        Without a zone, since DA and TM state none. None if the date is empty or missing; without a time it is midnight.

    Raises
    ------
    SelectionError
        The date is not a date, or the time not a time.

    Examples
    --------
    >>> from_dicom_date_and_time("20200131", "0930"), from_dicom_date_and_time("20161231", "235960")
    (datetime.datetime(2020, 1, 31, 9, 30), datetime.datetime(2017, 1, 1, 0, 0))
    """
    read = from_dicom_date(day)
    if read is None:
        return None
    since_midnight = _since_midnight(moment) if moment is not None and moment.strip() else timedelta()
    return datetime(read.year, read.month, read.day) + since_midnight


def to_dicom_datetime(moment: datetime) -> str:
    """Return a datetime as a DT, with its offset from UTC if it has one.

    Raises
    ------
    SelectionError
        The offset is not a number of whole minutes, which a DT cannot hold.

    Examples
    --------
    >>> to_dicom_datetime(datetime(2020, 1, 31, 9, 30)), to_dicom_datetime(datetime(2020, 1, 31, tzinfo=timezone.utc))
    ('20200131093000', '20200131000000+0000')
    """
    offset = moment.utcoffset()
    if offset is None:
        return to_dicom_date(moment) + to_dicom_time(moment)
    minutes, rest = divmod(abs(offset), timedelta(minutes=1))
    if rest:
        raise SelectionError(f"The offset of {moment} has seconds, which a DICOM date-time cannot hold.")
    sign = "-" if offset < timedelta() else "+"
    return f"{to_dicom_date(moment)}{to_dicom_time(moment)}{sign}{minutes // 60:02d}{minutes % 60:02d}"


def from_dicom_datetime(value: str | None) -> datetime | None:
    """Read a DT: with its offset from UTC if it states one, without a zone if not.

    Returns
    -------
    datetime.datetime or None
        Parts that are left out are the lowest. None if the value is empty or missing.

    Raises
    ------
    SelectionError
        The value is not a date-time.

    Examples
    --------
    >>> from_dicom_datetime("20200131093000+0100").isoformat(), from_dicom_datetime("2020")
    ('2020-01-31T09:30:00+01:00', datetime.datetime(2020, 1, 1, 0, 0))
    """
    if value is None or not value.strip():
        return None
    moment = parse_moment(value)
    if moment is None:
        raise SelectionError(f"{value!r} is not a DICOM date-time: a DT is YYYYMMDDHHMMSS, with +0100 or the like.")
    return moment.clock if moment.offset is None else moment.clock.replace(tzinfo=timezone(moment.offset))


def from_orthanc_datetime(value: str) -> datetime:
    """Read a moment as Orthanc writes it, such as the LastUpdate of a study or the CreationTime of a job.

    Returns
    -------
    datetime.datetime
        In UTC, which is what Orthanc writes.

    Raises
    ------
    SelectionError
        The value is not of this form.

    Examples
    --------
    >>> from_orthanc_datetime("20200131T093015").isoformat()
    '2020-01-31T09:30:15+00:00'
    """
    moment = server_time(value)
    if moment is None:
        raise SelectionError(f"{value!r} is not a moment as Orthanc writes it, such as 20200131T093015.")
    return moment


def random_dicom_date(first: date, last: date | None = None, *, seed: int | None = None) -> str:
    """Return a DA between two dates, both included.

    Parameters
    ----------
    first, last : datetime.date
        By default the last is today, when the function is called.
    seed : int, optional
        The same seed gives the same date.

    Raises
    ------
    SelectionError
        The last date is before the first.

    Examples
    --------
    >>> "20000101" <= random_dicom_date(date(2000, 1, 1), date(2000, 12, 31)) <= "20001231"
    True
    """
    last = date.today() if last is None else last
    if last < first:
        raise SelectionError(f"There is no date from {first} to {last}: give the earlier one first.")
    return to_dicom_date(date.fromordinal(random.Random(seed).randint(first.toordinal(), last.toordinal())))
