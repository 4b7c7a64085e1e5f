"""The file of an instance, its pixels, what a server renders of them, and modified copies."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import NoPixelDataError, NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.files.parsing import parse_file, typed_errors
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.rest.objects.resource import Resource
from simple_orthanc.rest.objects.tags import content_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What Orthanc answers where there is no such frame, or no image at all, depending on version and route; and 500 to the
# raw frame of a document.
_NO_IMAGE = (400, 404, 415)
# A DICOM image is not larger.
_LARGEST_SIDE = 65535
_NOT_IMPLEMENTED = "Not implemented yet"


class ImageResource(Resource):
    """The part of an instance that is about its file."""

    # The file

    @property
    def content(self) -> bytes:
        """The DICOM file, compared with the MD5 that the server lists.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.content[128:132]
        b'DICM'
        """
        return self.attachments["dicom"].read()

    def dataset(self) -> Dataset:
        """Read the DICOM file as a pydicom Dataset.

        Raises
        ------
        TransportError
            The file is damaged.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.dataset().SeriesDescription
        'PET FDG'
        """
        content = self.content
        with typed_errors(content):
            return parse_file(content)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the DICOM file to a path, where it appears when it is whole and has the MD5 that the server lists.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.save("slice.dcm").name
        'slice.dcm'
        """
        return self.attachments["dicom"].save(path)

    def raw_value(self, tag: Any) -> bytes:
        """Read the bytes of one value as they are in the file, such as those of a binary tag.

        Parameters
        ----------
        tag : str or int
            A keyword, a number, or a path into sequences with the numbers of the items:
            ``"ProcedureCodeSequence[0].CodeValue"``.

        Raises
        ------
        UnknownTagError
            There is no such DICOM tag.
        NotFoundError
            The object does not have it, or the server does not hold the object.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.raw_value("Modality")
        b'PT'
        """
        segments = content_path(tag)
        try:
            with self._address.explained():
                content: bytes = self._rest.request("GET", self._address.path("content", *segments)).content
        except NotFoundError as error:
            if self._address.is_meant_by(error):
                raise
            raise NotFoundError(
                f"The instance {self.id} has no {parse_tag(tag).name}; list(instance.tags) has what it has.",
                status=404,
                method="GET",
                path=error.path,
            ) from None
        return content

    # Pixels

    @property
    def frame_count(self) -> int:
        """The number of frames that the server lists; a document may have one.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.frame_count
        1
        """
        try:
            return len(self._address.get_list("frames"))
        except ServerError as error:
            if error.status not in _NO_IMAGE or self._address.is_meant_by(error):
                raise
            return 0

    def frames(self) -> NDArray[Any]:
        """Decode the stored values of all frames, as `get_instances` does, without any rescaling.

        Returns
        -------
        ndarray
            Shape (frames, rows, columns), or (frames, rows, columns, 3) for colour.

        Raises
        ------
        NoPixelDataError
            The object holds no image.
        PixelDecodeError
            Its pixels cannot be decoded.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.frames().shape
        (1, 64, 64)
        """
        return stored_values(self.dataset())

    def raw_frame(self, frame: int = 0) -> bytes:
        """Read one frame as it is stored: plain values, or a compressed codestream.

        Parameters
        ----------
        frame : int, default 0
            From 0 on.

        Raises
        ------
        SelectionError
            There is no such frame.
        NoPixelDataError
            The object holds no image.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> len(instance.raw_frame())
        8192
        """
        return self._frame(frame, "raw", {}, "application/octet-stream")

    def preview(self, frame: int = 0) -> NDArray[np.uint8]:
        """Render a frame on the server, over the whole range of its values.

        Parameters
        ----------
        frame : int, default 0
            From 0 on.

        Returns
        -------
        ndarray of uint8
            Shape (rows, columns), or (rows, columns, 3) for colour.

        Raises
        ------
        SelectionError
            There is no such frame.
        NoPixelDataError
            The object holds no image, or none that the server can render.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.preview().shape
        (64, 64)
        """
        return self._image(frame, "preview", {})

    def rendered(
        self,
        frame: int = 0,
        *,
        window: tuple[float, float] | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> NDArray[np.uint8]:
        """Render a frame on the server, through a window.

        Parameters
        ----------
        frame : int, default 0
            From 0 on.
        window : (float, float), optional
            Centre and width in rescaled values, such as HU; by default that of the header.
        width, height : int, optional
            Pixels that the image is made smaller to, with its proportions kept.

        Returns
        -------
        ndarray of uint8
            As for `preview`, which also lists the errors.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.rendered(width=32, height=32).shape
        (32, 32)
        """
        query: dict[str, Any] = {"width": width, "height": height}
        for name, pixels in query.items():
            if pixels is not None and not _is_between(pixels, 1, _LARGEST_SIDE):
                raise SelectionError(f"{name} is {pixels!r}; give a number of pixels from 1 to {_LARGEST_SIDE}.")
        if window is not None:
            given: Any = window
            if not (isinstance(given, Sequence) and len(given) == 2 and all(map(_is_between, given))):
                raise SelectionError(f"window is {given!r}; give its centre and width, as in window=(40, 400).")
            query["window-center"], query["window-width"] = window
        return self._image(frame, "rendered", query)

    def _image(self, frame: int, route: str, query: Mapping[str, Any]) -> NDArray[np.uint8]:
        return _decoded(self._frame(frame, route, query, "image/png"), f"{route} of {self!r}")

    def _frame(self, frame: object, route: str, query: Mapping[str, Any], media_type: str) -> bytes:
        if not isinstance(frame, (int, np.integer)) or isinstance(frame, bool) or frame < 0:
            raise SelectionError(f"frame is {frame!r}; give a number from 0 on.")
        path = self._address.path("frames", str(frame), route)
        try:
            with self._address.explained():
                response = self._rest.request("GET", path, params=query, headers={"Accept": media_type})
        except ServerError as error:
            is_about_image = error.status in _NO_IMAGE or _NOT_IMPLEMENTED in error.details
            if not is_about_image or self._address.is_meant_by(error):
                raise
            refusal = error
        else:
            content: bytes = response.content
            return content
        count = self.frame_count
        if 0 < count <= frame:
            raise SelectionError(f"Frame {frame} of the instance {self.id} was asked for; it has {count}, from 0 on.")
        raise NoPixelDataError(
            f"The instance {self.id} holds no image, or none that the server can render "
            f"({refusal.details or refusal.status}). .frames() decodes it here, and .pdf() reads a document."
        )

    def pdf(self) -> bytes:
        """Read the PDF document that the object encapsulates.

        Raises
        ------
        NoPixelDataError
            It encapsulates none.

        Examples
        --------
        >>> from pathlib import Path
        >>> _ = Path("report.pdf").write_bytes(b"%PDF-1.4 %%EOF ")
        >>> table = orthanc.upload_document("report.pdf", like=orthanc.select(PatientID="EX-003"))
        >>> orthanc.rest.instances.lookup(table.SOPInstanceUID[0]).pdf()[:8]
        b'%PDF-1.4'
        """
        try:
            with self._address.explained():
                content: bytes = self._rest.request("GET", self._address.path("pdf")).content
        except NotFoundError as error:
            if self._address.is_meant_by(error):
                raise
            raise NoPixelDataError(
                f"The instance {self.id} encapsulates no PDF: its Modality or SOPClassUID tell what it is."
            ) from None
        return content

    # Modified copies

    def modify(
        self,
        replace: Mapping[str, Any] | None = None,
        *,
        remove: Sequence[str] = (),
        keep: Sequence[str] = (),
        remove_private_tags: bool = False,
        private_creator: str | None = None,
        force: bool = False,
    ) -> bytes:
        """Make a modified copy on the server, which does not store it.

        Parameters
        ----------
        replace : mapping, optional
            Tag to new value: strings and numbers, lists of these, or sequences as lists of dicts.
        remove, keep : sequence of str, optional
            Tags to remove, and those to keep that would get a new value (SOPInstanceUID).
        remove_private_tags : bool, default False
            Whether all private tags are removed.
        private_creator : str, optional
            The creator of private tags in `replace`.
        force : bool, default False
            Allows to set or keep identifiers.

        Returns
        -------
        bytes
            The DICOM file, with a new SOPInstanceUID: `Orthanc.upload_file` stores it.

        Raises
        ------
        ServerError
            The server refuses; the message has its reason.
        NotFoundError
            The server does not hold the object.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> copy = instance.modify({"SeriesDescription": "one slice"})
        >>> orthanc.upload_file(copy).status.tolist()
        ['stored']
        """
        body = {"RemovePrivateTags": True} if remove_private_tags else {}
        return self._copy("modify", replace, remove, keep, private_creator, force, body)

    def anonymize(
        self,
        replace: Mapping[str, Any] | None = None,
        *,
        remove: Sequence[str] = (),
        keep: Sequence[str] = (),
        keep_private_tags: bool = False,
        private_creator: str | None = None,
        force: bool = False,
        dicom_version: str | None = None,
    ) -> bytes:
        """Make an anonymized copy on the server, which does not store it.

        Parameters
        ----------
        replace, remove, keep, private_creator, force : optional
            As for `modify`.
        keep_private_tags : bool, default False
            Whether private tags stay.
        dicom_version : str, optional
            The edition of the profile, such as "2021b", which all versions of Orthanc know; by default the newest that
            the server knows.

        Returns
        -------
        bytes
            The DICOM file, with new identifiers: `Orthanc.upload_file` stores it.

        Raises
        ------
        ServerError, NotFoundError
            As for `modify`.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> import io
        >>> import pydicom
        >>> copy = instance.anonymize({"PatientName": "Anonymous"}, keep=["StudyDate"])
        >>> pydicom.dcmread(io.BytesIO(copy)).StudyDate
        '20230309'
        """
        body: dict[str, Any] = {"KeepPrivateTags": True} if keep_private_tags else {}
        if dicom_version is not None:
            body["DicomVersion"] = dicom_version
        return self._copy("anonymize", replace, remove, keep, private_creator, force, body)

    def _copy(
        self,
        route: str,
        replace: Mapping[str, Any] | None,
        remove: Sequence[str],
        keep: Sequence[str],
        private_creator: str | None,
        force: bool,
        body: dict[str, Any],
    ) -> bytes:
        given: Any = replace
        if not isinstance(given, Mapping | None):
            raise SelectionError(
                f'replace is of type {type(given).__name__}; give a dict, as in replace={{"PatientName": "Doe^John"}}.'
            )
        for name, tags in (("remove", remove), ("keep", keep)):
            if isinstance(tags, str):
                raise SelectionError(f"{name} is the string {tags!r}; give a list of tags, as in {name}=[{tags!r}].")
        body |= {"Replace": {_tag(tag): _value(value) for tag, value in (replace or {}).items()}}
        body |= {"Remove": [_tag(tag) for tag in remove], "Keep": [_tag(tag) for tag in keep], "Force": force}
        if private_creator is not None:
            body["PrivateCreator"] = private_creator
        with self._address.explained():
            # It only computes, so that it may be sent again.
            content = self._rest.post(self._address.path(route), body, idempotent=True)
        if not isinstance(content, bytes) or content[128:132] != b"DICM":
            raise self._address.other_shape(content, route)
        return content


def _is_between(number: Any, lowest: float = -math.inf, highest: float = math.inf) -> bool:
    """Check whether a value is a finite number in a range."""
    is_number = not isinstance(number, bool) and isinstance(number, Real) and math.isfinite(number)
    return is_number and lowest <= float(number) <= highest


def _tag(tag: str) -> str:
    """Return a tag as Orthanc takes it; an unknown keyword raises, which newer servers answer with an error 500."""
    parsed = parse_tag(tag)
    return parsed.keyword or (parsed.number if len(parsed.steps) == 1 and parsed.leaf.creator is None else str(tag))


def _value(value: Any) -> Any:
    r"""Return a value as Orthanc takes it: numbers as strings, several with backslashes between them.

    Raises
    ------
    SelectionError
        It is neither a string nor a number, such as None, which would be written as the string "None".

    Examples
    --------
    >>> _value(70), _value([0.5, 0.25]), _value("x"), _value([{"CodeValue": 1}])
    ('70', '0.5\\0.25', 'x', [{'CodeValue': '1'}])
    """
    if isinstance(value, Mapping):
        return {_tag(tag): _value(inner) for tag, inner in value.items()}
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, Mapping) for item in value):
            return [_value(item) for item in value]
        return "\\".join(_value(item) for item in value)
    # pydicom's own values of DS and IS are numbers, and its names print as they are written.
    if not isinstance(value, bool) and isinstance(value, (str, Real, Decimal, PersonName)) and value == value:
        return str(value)
    raise SelectionError(
        f"{value!r} cannot be the value of a tag, and nothing was sent: give strings and numbers, lists of these, or "
        'lists of dicts for sequences. "" is an empty value, remove=[...] removes a tag, and dates are strings, as in '
        '"20200131".'
    )


def _decoded(content: bytes, what: str) -> NDArray[np.uint8]:
    """Decode a PNG image."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            array = np.array(image)
    except Exception as error:  # Pillow may raise anything
        raise TransportError(
            f"The {what} was asked for as PNG, and what came cannot be read: {error}. Check what is between the server "
            "and here.",
            is_about_object=True,
        ) from None
    return array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)
