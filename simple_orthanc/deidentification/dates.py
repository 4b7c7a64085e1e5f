"""Dates moved by whole days: all those of a patient alike, so that the intervals between them stay.

Times of day stay as they are (TM, and what follows the date in a DT, with its offset from UTC), so that what was
measured before and after midnight stays as far apart. How many days a patient's dates are moved by follows from the
key, and is never zero.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

from simple_orthanc.deidentification.pseudonyms import Pseudonyms
from simple_orthanc.dicom.tags import PADDING
from simple_orthanc.dicom.times import parse_age, parse_date, parse_time, split_moment
from simple_orthanc.errors import SelectionError

LONGEST_SHIFT = 36500
"""Days that dates are moved by at most; about a hundred years."""

OLDEST = 89
"""Years of the highest age that is kept as it is."""

# Month and day in the middle of what a DT leaves out.
_MIDDLE = ("", "07", "16")
_YEARS = re.compile(r"\d{3}Y\Z", re.ASCII)


def check_most(most: object) -> int:
    """Check how many days dates may be moved by.

    Raises
    ------
    SelectionError
        It is not a whole number from 1 to 36500.
    """
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= LONGEST_SHIFT:
        raise SelectionError(
            f"max_shift={most!r}: dates are moved by at least one day, so give a whole number of days from 1 to "
            f"{LONGEST_SHIFT}, as in max_shift=365."
        )
    return most


def days_of(pseudonyms: Pseudonyms, patient: str, most: int) -> int:
    """Return by how many days the dates of a patient are moved: from -most to most, and never 0.

    Examples
    --------
    >>> from simple_orthanc.deidentification.keys import Key
    >>> days_of(Pseudonyms(Key("correct horse battery staple")), "4711", 1) in (-1, 1)
    True
    """
    number = pseudonyms.number("days", patient) % (2 * most)
    return number - most if number < most else number - most + 1


def shifted(text: str, vr: str, days: int) -> str | None:
    """Move one value of VR DA, TM or DT; None if it is not one, or would be outside of the years 1 to 9999.

    A date is written as YYYYMMDD, whatever it was written like. A DT keeps its precision: one that ends with the year
    or the month is moved as its middle day is, and cut off again. Both ends of a range move.

    Parameters
    ----------
    text : str
        The value; an empty one stays empty.
    vr : {"DA", "TM", "DT"}
        PS3.5, section 6.2.
    days : int
        Days later; negative for earlier.

    Examples
    --------
    >>> shifted("20200228", "DA", 2), shifted("20191231235959.5+0100", "DT", 1), shifted("2350", "TM", 1)
    ('20200301', '20200101235959.5+0100', '2350')
    >>> shifted("20200101-20200131", "DA", 31), shifted("202001", "DT", 31), shifted("unknown", "DA", 1)
    ('20200201-20200302', '202002', None)
    """
    text = text.strip(PADDING)
    if not text:
        return ""
    move = {"DA": _date, "DT": _moment, "TM": _time}[vr]
    moved = move(text, days)
    return _range(text, lambda end: move(end, days)) if moved is None else moved


def _date(text: str, days: int) -> str | None:
    day = parse_date(text)
    return None if day is None else _moved(day, days)


def _time(text: str, _: int) -> str | None:
    return None if parse_time(text) is None else text


def _moment(text: str, days: int) -> str | None:
    split = split_moment(text)
    if split is None:
        return None
    parts, rest = split
    year, month, day = (int(part) for part in parts + _MIDDLE[len(parts) :])
    moved = _moved(date(year, month, day), days)
    return None if moved is None else moved[: sum(map(len, parts))] + rest


def _moved(day: date, days: int) -> str | None:
    try:
        moved = day + timedelta(days=days)
    except OverflowError:
        return None
    return f"{moved.year:04}{moved.month:02}{moved.day:02}"


def _range(text: str, move: Callable[[str], str | None]) -> str | None:
    """Move both ends of a range; a hyphen may also belong to an offset, so each is tried."""
    for place in (match.start() for match in re.finditer("-", text)):
        ends = text[:place].strip(), text[place + 1 :].strip()
        moved = [move(end) if end else "" for end in ends]
        if any(ends) and None not in moved:
            return f"{moved[0]}-{moved[1]}"
    return None


def common_age(text: str) -> str | None:
    """Return an age (AS) that stands out in no group: over 89 years it is ``090Y``. None if it is not an age.

    The standard keeps ages where patient characteristics are kept (PS3.15, table E.1-1). The few people over 89 can be
    found by their age, and the privacy rule of the United States puts them into one group of 90 and older
    (45 CFR 164.514(b)(2)(i)(C)).

    Examples
    --------
    >>> common_age("045Y"), common_age("089Y"), common_age("094Y"), common_age("about 40")
    ('045Y', '089Y', '090Y', None)
    """
    text = text.strip(PADDING)
    if not text:
        return ""
    if parse_age(text) is None:
        return None
    return "090Y" if _YEARS.match(text) and int(text[:3]) > OLDEST else text
