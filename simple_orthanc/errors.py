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
    │  ├─ UnknownNameError              a mapping has no such name                        (also KeyError)
    │  ├─ EmptySelectionError           nothing is selected                              (also LookupError)
    │  └─ AmbiguousSelectionError       more than one where exactly one is needed
    ├─ CohortError                      the file of a cohort, or what it froze, is not as it was (also ValueError)
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
    """Base of everything that this library raises on purpose.

    Examples
    --------
    >>> from simple_orthanc import Folder, OrthancError
    >>> archive = Folder.example().select(Modality="MR")
    >>> try:
    ...     archive.get_volume()
    ... except OrthancError as error:
    ...     print(type(error).__name__)
    AmbiguousSelectionError
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """What was asked, what was found, and what to do next.

        Examples
        --------
        >>> from simple_orthanc import Folder, UnknownTagError
        >>> try:
        ...     Folder.example().select(PatientNmae="Anna")
        ... except UnknownTagError as error:
        ...     print(error.message)
        'PatientNmae' is no DICOM keyword. Did you mean PatientName, PatientAge, or PatientState?
        """
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

    Examples
    --------
    >>> from simple_orthanc import Orthanc
    >>> Orthanc("127.0.0.1", 9, patience=0)
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.TransportError: No server answers at http://127.0.0.1:9 (Connection
    refused); asked for GET /system. Check host and port, and that Orthanc runs; LocalOrthanc starts
    a server of your own.
    """

    def __init__(self, message: str = "", *, table: Any = None, is_about_object: bool = False) -> None:
        super().__init__(message)
        self.table = table
        self.is_about_object = is_about_object


class RequestTimeout(TransportError, TimeoutError):
    """The server took longer than the timeout allows.

    Examples
    --------
    >>> import socket
    >>> from simple_orthanc import Orthanc
    >>> silent = socket.create_server(("127.0.0.1", 0))
    >>> try:
    ...     Orthanc(port=silent.getsockname()[1], timeout=(1, 0.1), patience=0)
    ... except TimeoutError as error:
    ...     print(type(error).__name__)
    RequestTimeout
    >>> silent.close()
    """


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

    Examples
    --------
    >>> from simple_orthanc import ServerError
    >>> from simple_orthanc.testing import OrthancStandIn
    >>> with OrthancStandIn() as server:
    ...     try:
    ...         server.connect().rest.post("/tools/shutdown")
    ...     except ServerError as error:
    ...         print(error.status, error.method, error.path)
    501 POST /tools/shutdown
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
    """The server requires other credentials (401), or does not allow this to the given ones (403).

    Examples
    --------
    >>> from simple_orthanc import AuthenticationError, LocalOrthanc
    >>> with LocalOrthanc() as server:
    ...     try:
    ...         server.connect(username="jane", password="a wrong one")
    ...     except AuthenticationError as error:
    ...         print(error.status, error.path)
    401 /system
    """


class NotFoundError(ServerError, LookupError):
    """The server has no such resource or route (404).

    Examples
    --------
    >>> from simple_orthanc import NotFoundError
    >>> from simple_orthanc.testing import OrthancStandIn
    >>> with OrthancStandIn() as server:
    ...     try:
    ...         server.connect().rest.get("/patients/nobody")
    ...     except NotFoundError as error:
    ...         print(error.status, error.path)
    404 /patients/nobody
    """


class JobError(ServerError):
    """A job on the server failed or was cancelled.

    Examples
    --------
    >>> from simple_orthanc import JobError
    >>> orthanc.modalities["GONE"] = ["GONE", "127.0.0.1", 9]
    >>> try:
    ...     orthanc.modalities["GONE"].store(orthanc.select(Modality="SR"))
    ... except JobError as error:
    ...     print(type(error).__name__)
    JobError
    >>> del orthanc.modalities["GONE"]
    """


class UnsupportedError(OrthancError, NotImplementedError):
    """The server's version, its plugins or the source cannot do what was asked.

    Examples
    --------
    >>> from simple_orthanc import Folder, label
    >>> Folder.example().select(label("reviewed"))
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.UnsupportedError: label('reviewed'): labels and metadata are what an Orthanc
    server attaches to its objects; the files in ... have none.
    """


class SelectionError(OrthancError, ValueError):
    """What was asked cannot be selected: a malformed range, an impossible date, the wrong kind of value.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> Folder.example().select(StudyDate="yesterday")
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.SelectionError: StudyDate='yesterday': a date is written "20200131",
    "2020-01-31" or datetime.date(2020, 1, 31); a range is a tuple (low, high), either end None;
    several values are a list; the string itself is exact('yesterday').
    """


class UnknownTagError(SelectionError, AttributeError):
    """No DICOM tag has this name. The message lists similar names.

    It is also an ``AttributeError``, because ``session.PatientNme`` raises it and ``hasattr`` must work.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> Folder.example().PatientNmae
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.UnknownTagError: Folder has no 'PatientNmae', and it is no DICOM keyword.
    Did you mean PatientName, PatientAge, or PatientState?
    """


class UnknownNameError(SelectionError, KeyError):
    """A mapping has no such name: a modality or a peer, metadata, an attachment or tag of an object, a mask, a volume.

    The message lists the names that there are, or how to list them.

    Examples
    --------
    >>> orthanc.modalities["PACKS"]
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.UnknownNameError: ... knows no modality 'PACKS'; it knows PACS. ...
    """


class EmptySelectionError(SelectionError, LookupError):
    """Nothing is selected, so there is nothing to read.

    Examples
    --------
    >>> from simple_orthanc.testing import OrthancStandIn
    >>> with OrthancStandIn() as server:
    ...     server.connect().get_volume()
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.EmptySelectionError: There is nothing to read: the archive is empty.
    """


class AmbiguousSelectionError(SelectionError):
    """More than one was found where exactly one is needed.

    Attributes
    ----------
    candidates : tuple of str
        What was found, in DICOM terms.

    Examples
    --------
    >>> from simple_orthanc import AmbiguousSelectionError, Folder
    >>> study = Folder.example().select(PatientID="EX-001", StudyDate="20220301")
    >>> try:
    ...     study.get_volume()
    ... except AmbiguousSelectionError as error:
    ...     for candidate in error.candidates:
    ...         print(candidate)
    MR 2 'T1 MPRAGE' 1.2.826...
    MR 3 'T2 TSE' 1.2.826...
    """

    def __init__(self, message: str = "", *, candidates: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.candidates = candidates


class CohortError(OrthancError, ValueError):
    """A frozen cohort cannot be used: its file is damaged, or objects are missing or have changed since.

    Examples
    --------
    >>> from pathlib import Path
    >>> from simple_orthanc import Cohort, CohortError
    >>> _ = Path("notes.txt").write_text("no cohort")
    >>> try:
    ...     Cohort.load("notes.txt")
    ... except CohortError as error:
    ...     print(error.message)
    notes.txt is not the file of a cohort. Session.freeze and Cohort.save write such files.
    """


class VolumeError(OrthancError, ValueError):
    """The selected images do not make one volume.

    Examples
    --------
    >>> from simple_orthanc import Folder, VolumeError
    >>> volumes = {}
    >>> for series in Folder.example().select(Modality="CT").series:
    ...     try:
    ...         volumes[series.SeriesInstanceUIDs[0]] = series.get_volume()
    ...     except VolumeError as error:
    ...         print(type(error).__name__)
    InconsistentSlicesError
    MissingSlicesError
    >>> len(volumes)
    2
    """


class InconsistentSlicesError(VolumeError):
    """The images differ in size, orientation, echo, time or the like, or are unevenly spaced.

    Attributes
    ----------
    groups : dict of str to int
        Label of each group found, with its number of slices.

    Examples
    --------
    >>> from simple_orthanc import Folder, InconsistentSlicesError
    >>> series = Folder.example().select(PatientID="EX-006", SeriesNumber=2)
    >>> try:
    ...     series.get_volume()
    ... except InconsistentSlicesError as error:
    ...     print(error.groups)
    {'axial 20x96x96': 20, 'localizer coronal 1x96x96': 1}
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

    Examples
    --------
    >>> from simple_orthanc import Folder, MissingSlicesError
    >>> series = Folder.example().select(PatientID="EX-006", SeriesNumber=3)
    >>> try:
    ...     series.get_volume()
    ... except MissingSlicesError as error:
    ...     print(error.gaps)
    ((42.0, 54.0, 1),)
    >>> series.get_volume(gaps="nan").shape
    (20, 96, 96)
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

    Examples
    --------
    >>> from simple_orthanc import DuplicateSlicesError
    >>> from simple_orthanc.testing import OrthancStandIn, make_series
    >>> slices = make_series((4, 4, 4), spacing=(2.5, 1.0, 1.0))
    >>> slices[2].ImagePositionPatient = slices[1].ImagePositionPatient
    >>> with OrthancStandIn(slices) as server:
    ...     try:
    ...         server.connect().get_volume()
    ...     except DuplicateSlicesError as error:
    ...         print([(distance, len(uids)) for distance, uids in error.positions])
    [(2.5, 2)]
    """

    def __init__(self, message: str = "", *, positions: tuple[tuple[float, tuple[str, ...]], ...] = ()) -> None:
        super().__init__(message)
        self.positions = tuple(positions)


class NoPixelDataError(VolumeError):
    """The selected objects hold no image: a report, a plan, a key object selection.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> Folder.example().select(Modality="SR").get_volume()
    Traceback (most recent call last):
        ...
    simple_orthanc.errors.NoPixelDataError: An image was requested from 1 object(s) without pixels: Basic
    Text SR. Read them with get_headers(), or select a series of images.
    """


class PixelDecodeError(VolumeError):
    """The pixel data cannot be decoded: a truncated buffer, or no decoder for the transfer syntax.

    Examples
    --------
    >>> from simple_orthanc import PixelDecodeError
    >>> from simple_orthanc.testing import OrthancStandIn, make_series
    >>> slices = make_series((3, 4, 4))
    >>> slices[1].PixelData = slices[1].PixelData[:10]
    >>> with OrthancStandIn(slices) as server:
    ...     try:
    ...         server.connect().get_volume()
    ...     except PixelDecodeError as error:
    ...         print(error)
    The pixels of CT Image Storage 1.2... cannot be decoded (Explicit VR Little Endian): 32 bytes of pixel
    data are promised, and there are 10. ...
    """


class SuvError(VolumeError):
    """A standardized uptake value cannot be computed: the message names the tag that is missing or unusable.

    Examples
    --------
    >>> from simple_orthanc import SuvError
    >>> from simple_orthanc.testing import OrthancStandIn, make_series
    >>> slices = make_series((3, 4, 4), modality="PT")
    >>> for one in slices:
    ...     del one.PatientWeight
    >>> with OrthancStandIn(slices) as server:
    ...     try:
    ...         server.connect().get_volume(units="SUVbw")
    ...     except SuvError as error:
    ...         print(error)
    PatientWeight (0010,1030) of Positron Emission Tomography Image Storage 1.2... is missing, and the SUV
    needs it. ...
    """


def stacklevel() -> int:
    """Return the stack level, for ``warnings.warn``, of the caller's line outside this package."""
    level = 1
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(tracebacks.INNER):
        level, frame = level + 1, frame.f_back
    return level
