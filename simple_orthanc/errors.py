"""All errors that the library raises on purpose, in one tree.

::

    OrthancError                        everything raised on purpose
    ├─ TransportError                   no usable answer: refused, TLS, broken stream
    │  └─ RequestTimeout                the server took longer than the timeout          (also TimeoutError)
    ├─ ServerError                      the server refused: .status .method .path .details
    │  ├─ AuthenticationError           401 or 403                                       (also PermissionError)
    │  ├─ NotFoundError                 404                                              (also LookupError)
    │  └─ JobError                      a job of the server failed
    ├─ UnsupportedError                 this server version, plugin or source cannot     (also NotImplementedError)
    ├─ SelectionError                   what was asked cannot be selected                (also ValueError)
    │  ├─ UnknownTagError               no such DICOM tag; also AttributeError, for attribute access
    │  ├─ UnknownNameError              a mapping of a server has no such name            (also KeyError)
    │  ├─ EmptySelectionError           nothing is selected                              (also LookupError)
    │  └─ AmbiguousSelectionError       more than one where exactly one is needed
    └─ VolumeError                      the images do not make one volume                (also ValueError)
       ├─ InconsistentSlicesError       sizes, orientations, echoes, times, uneven spacing: .groups
       ├─ MissingSlicesError            holes in an otherwise regular stack: .gaps
       ├─ DuplicateSlicesError          one position more than once: .positions
       ├─ NoPixelDataError              the object holds no image
       ├─ PixelDecodeError              the pixels cannot be decoded
       └─ SuvError                      a standardized uptake value cannot be computed

A message states what was asked, what was found, and what to do next. In IPython and notebooks it comes first, with the
line of the user's own that led to it; ``%tb Plain`` shows the whole traceback, and ``%xmode Plain`` that of each error.

Every error can be pickled, because process pools and Dask workers hand errors over: what an error carries beside its
message is set by keyword and kept in ``__dict__``, which pickle restores.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from simple_orthanc.showing import tracebacks


class OrthancError(Exception):
    """Base of everything that this library raises on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """What was asked, what was found, and what to do next."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        """Return the message."""
        return self.message

    def _render_traceback_(self) -> list[str]:
        # Called by IPython and its kernel.
        return tracebacks.rendered(self)


class TransportError(OrthancError):
    """There was no usable answer: connection refused, TLS failure, a broken stream.

    Attributes
    ----------
    table : pandas.DataFrame or None
        Where the server went away during an upload or another act: one row per file or object, with what is known of
        it.
    is_about_object : bool
        Whether the server answered, but with another object than was asked for, or not the whole of it. Other objects
        may still be readable.
    """

    def __init__(self, message: str = "", *, table: Any = None, is_about_object: bool = False) -> None:
        super().__init__(message)
        self.table = table
        self.is_about_object = is_about_object


class RequestTimeout(TransportError, TimeoutError):
    """The server took longer than the timeout allows."""


class ServerError(OrthancError):
    """The server refused the request.

    Attributes
    ----------
    status : int
        HTTP status, or 0 where the failure was reported inside a successful answer.
    method, path : str
        The request; the path never contains a password.
    details : str
        Orthanc's own ``Message`` and ``Details``, or the beginning of the body.
    """

    def __init__(
        self, message: str = "", *, status: int = 0, method: str = "", path: str = "", details: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.method = method
        self.path = path
        self.details = details


class AuthenticationError(ServerError, PermissionError):
    """The server requires other credentials (401), or does not allow this to the given ones (403)."""


class NotFoundError(ServerError, LookupError):
    """The server has no such resource or route (404)."""


class JobError(ServerError):
    """A job on the server failed or was cancelled."""


class UnsupportedError(OrthancError, NotImplementedError):
    """The server's version, its plugins or the source cannot do what was asked."""


class SelectionError(OrthancError, ValueError):
    """What was asked cannot be selected: a malformed range, an impossible date, the wrong kind of value."""


class UnknownTagError(SelectionError, AttributeError):
    """No DICOM tag has this name. The message lists similar names.

    It is also an ``AttributeError``, because ``session.PatientNme`` raises it and ``hasattr`` must work.
    """


class UnknownNameError(SelectionError, KeyError):
    """A mapping of a server has no such name: a modality or a peer, metadata, an attachment or a tag of an object.

    The message lists the names that there are, or how to list them.
    """


class EmptySelectionError(SelectionError, LookupError):
    """Nothing is selected, so there is nothing to read."""


class AmbiguousSelectionError(SelectionError):
    """More than one was found where exactly one is needed.

    Attributes
    ----------
    candidates : tuple of str
        What was found, in DICOM terms.
    """

    def __init__(self, message: str = "", *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class VolumeError(OrthancError, ValueError):
    """The selected images do not make one volume."""


class InconsistentSlicesError(VolumeError):
    """The images differ in size, orientation, echo, time or the like, or are unevenly spaced.

    Attributes
    ----------
    groups : dict of str to int
        Label of each group found, with its number of slices.
    """

    def __init__(self, message: str = "", *, groups: dict[str, int] | None = None) -> None:
        super().__init__(message)
        self.groups = dict(groups or {})


class MissingSlicesError(VolumeError):
    """The stack has holes.

    Attributes
    ----------
    gaps : tuple of (float, float, int)
        For each hole the distance in mm of the slice before and of the slice after it from the first slice along
        the normal, and how many slices are missing between them.
    """

    def __init__(self, message: str = "", *, gaps: tuple[tuple[float, float, int], ...] = ()) -> None:
        super().__init__(message)
        self.gaps = tuple(gaps)


class DuplicateSlicesError(VolumeError):
    """Several images share one position and nothing in their headers tells them apart.

    Attributes
    ----------
    positions : tuple of (float, tuple of str)
        Distance in mm from the first slice along the normal, and the SOPInstanceUIDs found there.
    """

    def __init__(self, message: str = "", *, positions: tuple[tuple[float, tuple[str, ...]], ...] = ()) -> None:
        super().__init__(message)
        self.positions = tuple(positions)


class NoPixelDataError(VolumeError):
    """The selected objects hold no image: a report, a plan, a key object selection."""


class PixelDecodeError(VolumeError):
    """The pixel data cannot be decoded: a truncated buffer, or no decoder for the transfer syntax."""


class SuvError(VolumeError):
    """A standardized uptake value cannot be computed: the message names the tag that is missing or unusable."""


def stacklevel() -> int:
    """Return the stack level, for ``warnings.warn``, of the caller's line outside this package."""
    level = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(tracebacks.INNER):
        level, frame = level + 1, frame.f_back
    return level
