"""Objects that cannot be read, among others that can: gone, cut off, or not what the archive lists."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from pydicom.dataset import Dataset
from pydicom.uid import UID

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import (
    AuthenticationError,
    OrthancError,
    SelectionError,
    TransportError,
    VolumeError,
    stacklevel,
)
from simple_orthanc.showing.text import agreeing

Item = TypeVar("Item")
Result = TypeVar("Result")

# More are not listed in a message, nor in the call that excludes them.
_MOST_LISTED = 5


def is_about_one_object(error: OrthancError) -> bool:
    """Check whether an error concerns the object that was read alone, so that others may still be readable.

    Examples
    --------
    >>> from simple_orthanc.errors import NotFoundError
    >>> is_about_one_object(NotFoundError("gone", status=404)), is_about_one_object(TransportError("refused"))
    (True, False)
    """
    if isinstance(error, TransportError):
        return error.is_about_object
    return not isinstance(error, AuthenticationError)


def with_way_out(error: OrthancError, uid: str | None, verb: str) -> OrthancError:
    """Add to the message of an error which object it concerns, and the calls that read the others.

    Parameters
    ----------
    error : OrthancError
        From reading one object; other errors stay as they are.
    uid : str, optional
        SOPInstanceUID of the object; None if it is not known.
    verb : str
        The method that reads the others.

    Examples
    --------
    >>> from simple_orthanc.errors import NotFoundError
    >>> with_way_out(NotFoundError("The server answered 404.", status=404), "1.2.3", "get_headers").message
    'The server answered 404. This is about SOPInstanceUID 1.2.3: leave it out with exclude(SOPInstanceUID="1.2.3"), \
or read the others with get_headers(errors="report").'
    """
    if uid is not None and is_about_one_object(error):
        error.args = (
            f"{error.message} This is about SOPInstanceUID {uid}: leave it out with "
            f'exclude(SOPInstanceUID="{uid}"), or read the others with {verb}(errors="report").',
        )
    return error


def check_errors(errors: object, kind: type[OrthancError] = SelectionError) -> None:
    """Check the argument ``errors`` of a verb that reads many objects."""
    if errors not in ("raise", "report"):
        raise kind(f'errors={errors!r} is not valid; choose "raise" or "report".')


def read_each(
    read: Callable[[Item], Result],
    items: Sequence[Item],
    uids: Callable[[], Sequence[str | None]],
    verb: str,
    errors: str,
    run: Callable[[Callable[[Item], Result | OrthancError], Sequence[Item]], Iterable[Result | OrthancError]],
) -> list[Result]:
    """Read many objects; with ``errors="report"`` leave out those that cannot be read, with a warning.

    Parameters
    ----------
    read : callable
        Reads one object.
    items : sequence
        What it is called with.
    uids : callable
        Returns the SOPInstanceUID of each object; called if one cannot be read.
    verb : str
        The method that was called, for the message of an error.
    errors : {"raise", "report"}
        Whether an object that cannot be read is an error.
    run : callable
        Calls a function for all items, in order.

    Raises
    ------
    OrthancError
        An object cannot be read, or with ``errors="report"`` none can.
    """
    check_errors(errors)

    def read_one(item: Item) -> Result | OrthancError:
        try:
            return read(item)
        except OrthancError as error:
            if errors == "report" and is_about_one_object(error):
                return error
            raise with_way_out(error, uids()[items.index(item)], verb) from None

    results = list(run(read_one, items))
    failed = {index: result for index, result in enumerate(results) if isinstance(result, OrthancError)}
    if failed and len(failed) == len(results):
        raise failed[0]
    if failed:
        names = uids()
        warn_left_out({names[index] or "": reason_of(error) for index, error in failed.items()}, len(results))
    return [result for result in results if not isinstance(result, OrthancError)]


def reason_of(error: OrthancError) -> str:
    """Return the message of an error as a reason within a sentence."""
    return error.message.rstrip(".")


def warn_left_out(reasons: Mapping[str, str], total: int) -> None:
    """Warn that objects are left out.

    Parameters
    ----------
    reasons : mapping
        SOPInstanceUID to reason.
    total : int
        Number of objects, the readable ones included.
    """
    warnings.warn(
        f"{len(reasons)} of {total} instances cannot be read and {agreeing(len(reasons), 'are')} left out: "
        f"{list_reasons(reasons)}.",
        stacklevel=stacklevel(),
    )


def unreadable_objects(headers: Sequence[Dataset]) -> dict[int, str]:
    """Find the objects of a series that are cut off before their pixels, from their headers.

    Parameters
    ----------
    headers : sequence of pydicom.Dataset
        Of all objects of the series.

    Returns
    -------
    dict
        Index to reason. What has no pixels by its SOP class, such as a report, is not among them.
    """
    from simple_orthanc.volume.planes import has_image

    others = {index: header for index, header in enumerate(headers) if not has_image(header)}
    if not others or len(others) == len(headers):
        return {}
    images = {elements.text(header, "SOPClassUID") for index, header in enumerate(headers) if index not in others}
    reason = "it is cut off before its pixels"
    return {index: reason for index, header in others.items() if _is_image_class(header, images)}


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
