"""The time of the injection, and the time to which the pixels of a PET image are decay corrected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.dicom.times import parse_date, parse_moment, parse_offset, parse_time
from simple_orthanc.errors import SuvError

GE = ("ge ", "general electric")
SIEMENS = ("siemens", "cps", "cti")

# A dynamic acquisition begins shortly before the injection. Later than this, a time belongs to another day.
_BEFORE = timedelta(hours=1)
# With a longer half-life, a date that is wrong by a day gives a value that still looks right.
_LONG_HALF_LIFE = 41400.0
# After so many half-lives one part in a thousand is left, and no image is made of that: a time is wrong.
_HALF_LIVES = 10.0
# More values are not listed in a message.
_MOST_LISTED = 3


@dataclass(frozen=True)
class References:
    """The moments to which images are decay corrected.

    Attributes
    ----------
    times : tuple of datetime
        One for each header.
    source : str
        The elements that hold them.
    warnings : tuple of str
    """

    times: tuple[datetime, ...]
    source: str
    warnings: tuple[str, ...] = ()


def average_time(half_life: float, duration: float) -> float:
    """Return the moment in a frame at which the decaying activity equals its mean over the frame.

    Parameters
    ----------
    half_life, duration : float
        In seconds.

    Returns
    -------
    float
        Seconds after the start of the frame, a little before its middle.

    Notes
    -----
    ``Tave = ln(λT / (1 - exp(-λT))) / λ``, as in the example for Frame Reference Time (0054,1300) in PS3.3 section
    C.8.9.4.1.5.

    Examples
    --------
    >>> round(average_time(6586.2, 603.0), 2)
    299.91
    """
    decayed = math.log(2) / half_life * duration
    return math.log(decayed / -math.expm1(-decayed)) * half_life / math.log(2)


def acquisition_start(header: Dataset) -> datetime | None:
    """Return the start of the acquisition of an image, or None if the header does not tell it."""
    return _moment(header, "Acquisition") or _local(elements.text(header, "AcquisitionDateTime"), header)


def as_acquired(headers: Sequence[Dataset], half_life: float) -> References:
    """Return the reference times of images that are not decay corrected: DecayCorrection NONE.

    It is the moment in each frame at which the activity equals its mean over the frame.
    """
    times = []
    for header in headers:
        begin = _needed(acquisition_start(header), header, "AcquisitionTime")
        times.append(begin + timedelta(seconds=average_time(half_life, _seconds(header, "ActualFrameDuration"))))
    return References(tuple(times), "each image's AcquisitionTime (0008,0032) + average count rate time")


def as_started(headers: Sequence[Dataset], half_life: float, *, prefer_series: bool = True) -> References:
    """Return the moment to which images with DecayCorrection START are corrected.

    In this order, after the pseudocode of the Quantitative Imaging Biomarkers Alliance: the start of the series, unless
    it is later than the first acquisition, as in a series that was made afterwards; the manufacturer's private
    moment; the acquisition, taken back by the Frame Reference Time.

    Parameters
    ----------
    headers : sequence of Dataset
    half_life : float
        In seconds.
    prefer_series : bool
        False uses the Frame Reference Time alone.

    Raises
    ------
    SuvError
        The header does not tell it; the message names the elements.
    """
    begins = [_needed(acquisition_start(header), header, "AcquisitionTime") for header in headers]
    if not prefer_series:
        return _by_frame_reference(headers, begins, half_life)
    series = _one_start(headers)
    private, source = _private_moment(headers[0])
    if series is not None and series <= min(begins):
        warnings = []
        if private is not None and abs(private - series) > timedelta(seconds=1):
            warnings.append(
                f"{source} is {private}, and the series began at {series}: the start of the series was used."
            )
        return References((series,) * len(headers), "SeriesDate (0008,0021), SeriesTime (0008,0031)", tuple(warnings))
    moments = [_private_moment(header)[0] for header in headers] if private is not None else []
    known = tuple(moment for moment in moments if moment is not None)
    if known and len(known) == len(headers):
        return References(known, source)
    return _by_frame_reference(headers, begins, half_life)


def _one_start(headers: Sequence[Dataset]) -> datetime | None:
    """Return the start of the series, or None if no header tells it."""
    moments = {moment for header in headers if (moment := _moment(header, "Series")) is not None}
    if len(moments) > 1:
        listed = ", ".join(str(moment) for moment in sorted(moments)[:_MOST_LISTED])
        raise SuvError(
            f"The images differ in {elements.name_of('SeriesDate')} or {elements.name_of('SeriesTime')}: {listed}. To "
            "which of these their values are decay corrected is unknown. Select those of one value."
        )
    return min(moments, default=None)


def injection_time(header: Dataset, item: Dataset, reference: datetime, half_life: float) -> tuple[datetime, list[str]]:
    """Return the time of the injection.

    Parameters
    ----------
    header : Dataset
    item : Dataset
        Of RadiopharmaceuticalInformationSequence.
    reference : datetime
        The earliest moment to which an image is corrected; a time without a date is of that day, or of the day before.
    half_life : float
        In seconds.

    Returns
    -------
    datetime, list of str
        The moment, and warnings.

    Raises
    ------
    SuvError
        The header does not tell it, or what it tells is impossible.
    """
    full = _local(elements.text(item, "RadiopharmaceuticalStartDateTime"), header)
    bare = parse_time(elements.text(item, "RadiopharmaceuticalStartTime"))
    warnings = []
    moment = full
    if full is not None and not -_BEFORE <= reference - full <= _longest(half_life):
        # Anonymisers shift some dates and not others; the time of day survives.
        warnings.append(
            f"RadiopharmaceuticalStartDateTime (0018,1078) is {full}, far from the images' {reference}: its time of "
            "day was used, with their date."
        )
        moment = None
    if moment is None:
        time_of_day = bare if full is None else full - _midnight(full)
        if time_of_day is None:
            raise SuvError(
                f"{elements.instance_of(header)} does not say when the dose was given: neither "
                "RadiopharmaceuticalStartDateTime (0018,1078) nor RadiopharmaceuticalStartTime (0018,1072) can be read."
            )
        if half_life >= _LONG_HALF_LIFE:
            raise SuvError(
                "RadiopharmaceuticalStartDateTime (0018,1078) is missing or wrong, and with RadionuclideHalfLife "
                f"(0018,1075) of {half_life:g} s the day of the injection cannot be guessed."
            )
        moment = _midnight(reference) + time_of_day
        if moment - reference > _BEFORE:
            moment -= timedelta(days=1)
    if moment > reference:
        warnings.append(f"The dose was given at {moment}, after the images' reference time {reference}.")
    if (reference - moment).total_seconds() > _HALF_LIVES * half_life:
        raise SuvError(
            f"The dose was given at {moment} by RadiopharmaceuticalStartDateTime (0018,1078) or "
            f"RadiopharmaceuticalStartTime (0018,1072), more than {_HALF_LIVES:g} half-lives before the images' "
            f"{reference}: one of the two is wrong."
        )
    return moment, warnings


def written_injection(header: Dataset, item: Dataset) -> tuple[datetime | None, timedelta | None]:
    """Return the time of the injection as it is written with its date and without, for comparing headers."""
    full = _local(elements.text(item, "RadiopharmaceuticalStartDateTime"), header)
    return full, parse_time(elements.text(item, "RadiopharmaceuticalStartTime"))


def stated_injection_time(header: Dataset, item: Dataset) -> datetime | None:
    """Return the time of the injection as the header states it, for the record only."""
    full = _local(elements.text(item, "RadiopharmaceuticalStartDateTime"), header)
    return full or _on_day(_date(header, "Series"), elements.text(item, "RadiopharmaceuticalStartTime"))


def _longest(half_life: float) -> timedelta:
    """Return the longest time between injection and image for which a full date is trusted."""
    return timedelta(seconds=min(_HALF_LIVES * half_life, 365 * 86400.0))


def _by_frame_reference(headers: Sequence[Dataset], begins: Sequence[datetime], half_life: float) -> References:
    times = []
    ge = elements.made_by(headers[0], GE)
    for header, begin in zip(headers, begins, strict=True):
        offset = -_seconds(header, "FrameReferenceTime", zero=True)
        if not ge:
            offset += average_time(half_life, _seconds(header, "ActualFrameDuration"))
        times.append(begin + timedelta(seconds=offset))
    warnings = []
    if max(times) - min(times) > timedelta(seconds=5):
        warnings.append(f"The images' reference times differ: {min(times)} to {max(times)}; each image has its own.")
    source = "AcquisitionTime (0008,0032) {}- FrameReferenceTime (0054,1300)"
    if ge:
        # GE counts the reference time of a frame from its beginning.
        return References(tuple(times), source.format(""), tuple(warnings))
    return References(tuple(times), source.format("+ average count rate time "), tuple(warnings))


def _private_moment(header: Dataset) -> tuple[datetime | None, str]:
    """Read the moment of decay correction that GE and Siemens keep in private elements."""
    for group, element, creator, makers in (
        (0x0009, 0x0D, "GEMS_PETD_01", GE),
        (0x0071, 0x22, "SIEMENS MED PT", SIEMENS),
    ):
        for tag in elements.private(header, group, element, creator, makers):
            value = elements.text(header, tag)
            moment = _on_day(_date(header, "Series"), value) or _local(value, header)
            if moment is not None:
                maker = "GE" if group == 0x0009 else "Siemens"
                return moment, f"{maker} private {elements.name_of(tag)}"
    return None, ""


def _moment(header: Dataset, kind: str) -> datetime | None:
    return _on_day(_date(header, kind), elements.text(header, f"{kind}Time"))


def _date(header: Dataset, kind: str) -> date:
    """Read a date; without one, another of the same examination, or an arbitrary day for all."""
    for name in (kind, "Series", "Acquisition", "Study"):
        day = parse_date(elements.text(header, f"{name}Date"))
        if day is not None:
            return day
    return date(1900, 1, 1)


def _on_day(day: date, text: str) -> datetime | None:
    """Read a TM of a day; None if it is not a time."""
    since_midnight = parse_time(text)
    try:
        return None if since_midnight is None else datetime.combine(day, time()) + since_midnight
    except OverflowError:  # the leap second after the last day of all
        return None


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time())


def _local(text: str, header: Dataset) -> datetime | None:
    """Read a DT as the local time of the examination; None if it is not a date with a time.

    An offset from UTC is applied if the header states in which zone its other times are.
    """
    moment = parse_moment(text)
    if moment is None or not moment.has_time:
        return None
    try:
        return moment.local(parse_offset(elements.text(header, "TimezoneOffsetFromUTC")))
    except OverflowError:
        return None


def _needed(moment: datetime | None, header: Dataset, keyword: str) -> datetime:
    if moment is None:
        raise SuvError(f"{elements.name_of(keyword)} of {elements.instance_of(header)} is missing or cannot be read.")
    return moment


def _seconds(header: Dataset, keyword: str, *, zero: bool = False) -> float:
    """Read a duration that DICOM counts in milliseconds."""
    value = elements.number(header, keyword)
    if value is None or value < 0 or (value == 0 and not zero):
        raise SuvError(
            f"{elements.name_of(keyword)} of {elements.instance_of(header)} is "
            f"{'missing' if value is None else f'{value:g}'}, and without it the reference time of the decay "
            "correction is unknown."
        )
    return value / 1000.0
