"""Times as Orthanc writes them: in UTC, without saying so."""

from __future__ import annotations

from datetime import datetime, timezone


def server_time(written: object) -> datetime | None:
    """Read a time that an Orthanc server wrote.

    Parameters
    ----------
    written : str
        Such as "20261129T011739" or "20261129T011739.250000".

    Returns
    -------
    datetime or None
        Aware, in UTC; None if it is not such a time.

    Examples
    --------
    >>> server_time("20261129T011739.250000").isoformat()
    '2026-11-29T01:17:39.250000+00:00'
    >>> server_time("")
    """
    if not isinstance(written, str):
        return None
    for form in ("%Y%m%dT%H%M%S", "%Y%m%dT%H%M%S.%f"):
        try:
            return datetime.strptime(written.strip(), form).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
    return None
