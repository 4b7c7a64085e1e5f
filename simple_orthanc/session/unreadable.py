"""Objects of a series that are not what the archive lists: empty, cut off before their pixels, or another object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import VolumeError
from simple_orthanc.volume.planes import has_image

# More are not listed in a message, nor in the call that excludes them.
_MOST_LISTED = 5


def misread(header: Dataset, uid: str | None) -> str | None:
    """Return why a header is not that of the object that was asked for, or None if it is.

    Parameters
    ----------
    header : pydicom.Dataset
        What the archive returned.
    uid : str, optional
        SOPInstanceUID of the object that was asked for; None if it is not known.

    Examples
    --------
    >>> from simple_orthanc.phantom import make_series
    >>> (header,) = make_series((1, 4, 4), SOPInstanceUID="1.2.3")
    >>> misread(header, "1.2.3"), misread(header, "1.2.4")
    (None, 'the archive returns another object, 1.2.3')
    >>> misread(Dataset(), "1.2.3")
    'the archive returns no DICOM object, or one that is cut off before its SOPInstanceUID'
    """
    if uid is None:
        return None
    found = elements.text(header, "SOPInstanceUID")
    if not found:
        return "the archive returns no DICOM object, or one that is cut off before its SOPInstanceUID"
    return None if found == uid else f"the archive returns another object, {found}"


def unreadable_objects(headers: Sequence[Dataset], uids: Sequence[str | None]) -> dict[int, str]:
    """Find the objects of a series that cannot be read, from their headers.

    Parameters
    ----------
    headers : sequence of pydicom.Dataset
        Of all objects of the series.
    uids : sequence of str or None
        The SOPInstanceUID by which each was asked for.

    Returns
    -------
    dict
        Index to reason. What has no pixels by its SOP class, such as a report, is not among them.
    """
    reasons: dict[int, str] = {}
    images = {elements.text(header, "SOPClassUID") for header in headers if has_image(header)}
    for index, (header, uid) in enumerate(zip(headers, uids, strict=True)):
        reason = misread(header, uid)
        if reason is None and images and not has_image(header) and _is_image_class(header, images):
            reason = "it is cut off before its pixels"
        if reason is not None:
            reasons[index] = reason
    return reasons


def _is_image_class(header: Dataset, images: set[str]) -> bool:
    kind = elements.text(header, "SOPClassUID")
    return kind in images or UID(kind).name.endswith("Image Storage")


def unreadable_error(reasons: Mapping[str, str], total: int) -> VolumeError:
    """Return the error that names unreadable objects, and the calls that read the others.

    Parameters
    ----------
    reasons : mapping
        SOPInstanceUID to reason.
    total : int
        Number of objects, the readable ones included.

    Examples
    --------
    >>> unreadable_error({"1.2.3": "it is cut off before its pixels"}, 40).message
    '1 of 40 instances cannot be read: 1.2.3 (it is cut off before its pixels). Store it again, leave it out with \
exclude(SOPInstanceUID="1.2.3"), or read the others with get_volume(errors="report").'
    """
    it = "it" if len(reasons) == 1 else "them"
    uids = list(reasons)
    excluded = f'"{uids[0]}"' if len(uids) == 1 else "[" + ", ".join(f'"{uid}"' for uid in uids) + "]"
    exclude = f" leave {it} out with exclude(SOPInstanceUID={excluded})," if len(uids) <= _MOST_LISTED else ""
    return VolumeError(
        f"{len(reasons)} of {total} instances cannot be read: {list_reasons(reasons)}. Store {it} again,{exclude} or "
        'read the others with get_volume(errors="report").'
    )


def list_reasons(reasons: Mapping[str, str]) -> str:
    """List unreadable objects with their reasons, for a message."""
    listed = [f"{uid} ({reason})" for uid, reason in list(reasons.items())[:_MOST_LISTED]]
    return "; ".join(listed) + (f"; and {len(reasons) - len(listed)} more" if len(reasons) > len(listed) else "")
