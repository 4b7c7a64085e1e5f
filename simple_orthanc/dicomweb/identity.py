"""Whether what arrived is what was asked for: the UIDs inside of files and metadata, against those of the path.

A cache or proxy may return another object's response, and nothing in the transfer shows it. A UID that cannot be read
is not compared.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicomweb.model import text
from simple_orthanc.errors import TransportError
from simple_orthanc.files.tag_reader import read_tags

_KEYWORDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_TAGS = tuple(map(parse_tag, _KEYWORDS))

_MOST_LISTED = 3


def uids_in_file(content: bytes) -> tuple[str, ...]:
    """Read the UIDs of study, series and instance from a DICOM file; "" for each that cannot be read."""
    try:
        values = read_tags(io.BytesIO(content), len(content), _TAGS)
    except Exception:  # Whatever pydicom cannot read has no UIDs to compare.
        return ("",) * len(_KEYWORDS)
    return tuple(str((values.get(keyword) or ("",))[0]) for keyword in _KEYWORDS)


def uids_in_metadata(item: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the UIDs of study, series and instance from a dataset in the DICOM JSON model."""
    return tuple(text(item, keyword) for keyword in _KEYWORDS)


def check_uids(asked: Sequence[str | None], arrived: Sequence[str], server: str) -> None:
    """Compare the UIDs of what arrived with those that were asked for.

    Parameters
    ----------
    asked, arrived : sequence of str
        UIDs of study, series and instance; None or "" is not compared, and what was not asked for may be left out.
    server : str
        Who was asked, for the message.

    Raises
    ------
    TransportError
        If one differs.

    Examples
    --------
    >>> check_uids(["1.2"], ["1.2", "1.2.3", "1.2.3.4"], "http://127.0.0.1:8042/dicom-web")
    """
    different = [
        f"{keyword} {came!r} instead of {wanted!r}"
        for keyword, wanted, came in zip(_KEYWORDS, asked, arrived, strict=False)
        if wanted and came and wanted.strip() != came.strip()
    ]
    if different:
        raise TransportError(
            f"{server} was asked for {_KEYWORDS[len(asked) - 1]} {asked[-1]}, and returned another object: "
            f"{', '.join(different)}. If the archive changed, search it again; if not, a cache or proxy on the way "
            "mixes up responses: clear it, or reach the server without it.",
            is_about_object=True,
        )


def check_complete(listed: Collection[str], arrived: Collection[str], request: str) -> None:
    """Compare the SOPInstanceUIDs of the files that arrived with those that a search lists.

    Raises
    ------
    TransportError
        If one is missing.
    """
    missing = sorted(set(listed) - set(arrived))
    if missing:
        names = ", ".join(missing[:_MOST_LISTED]) + (", ..." if len(missing) > _MOST_LISTED else "")
        raise TransportError(
            f"{request} was answered with {len(arrived)} files, and a search lists {len(missing)} more: {names}. Ask "
            "for these with retrieve_instance; the log of the server may say why it left them out.",
            is_about_object=True,
        )
