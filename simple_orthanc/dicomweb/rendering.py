"""Rendered images: how a server is asked to render (PS3.18 section 8.3.5), and their retrieval (section 10.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from simple_orthanc.dicomweb.multipart import Part
from simple_orthanc.dicomweb.searching import Search
from simple_orthanc.dicomweb.service import checked_frames, checked_media_type, resource
from simple_orthanc.errors import SelectionError, TransportError

_ANNOTATIONS = ("patient", "technique")
_FUNCTIONS = ("linear", "linear-exact", "sigmoid")
_PROFILES = ("no", "yes", "srgb", "adobergb", "rommrgb", "displayp3")


@dataclass(frozen=True)
class Rendering:
    """The look of rendered images and thumbnails; the server decides what is left out.

    Parameters
    ----------
    media_type : str, default "image/jpeg"
        One of PS3.18 table 8.7.4-1 that the server supports: ``image/jpeg``, ``image/png``, ``image/gif``,
        ``image/jp2``; for several frames ``video/mp4``, ``video/mpeg2`` or an animated ``image/gif``; for documents
        ``text/html``, ``text/plain``, ``text/xml``, ``text/rtf``, ``application/pdf``.
    annotation : sequence of str, default ()
        What to write into the image: "patient", "technique".
    quality : int, optional
        1 to 100, for lossy media types.
    viewport : (int, int) or (int, int, int or None, int or None, int or None, int or None), optional
        Width and height in pixels, and optionally left, top, width and height of the part of the source image that
        fills them.
    window : (float, float) or (float, float, str), optional
        Center and width, in the unit of the modality, and "linear" (the default), "linear-exact" or "sigmoid".
    icc_profile : str, optional
        "no", "yes", "srgb", "adobergb", "rommrgb" or "displayp3".

    Raises
    ------
    SelectionError
        If a parameter has a value without a meaning.

    Examples
    --------
    >>> Rendering("image/png", window=(40, 400), quality=90).query
    '?quality=90&window=40,400,linear'
    """

    media_type: str = "image/jpeg"
    annotation: Sequence[str] = ()
    quality: int | None = None
    viewport: tuple[int | None, ...] | None = None
    window: tuple[float, float] | tuple[float, float, str] | None = None
    icc_profile: str | None = None

    def __post_init__(self) -> None:
        """Refuse parameters without a meaning."""
        checked_media_type(self.media_type)
        for name, value, right in (
            ("annotation", self.annotation, all(word in _ANNOTATIONS for word in self._annotations)),
            ("quality", self.quality, self.quality is None or 1 <= self.quality <= 100),
            ("viewport", self.viewport, self.viewport is None or len(self.viewport) in (2, 6)),
            ("window", self.window, self.window is None or self._is_window(self.window)),
            ("icc_profile", self.icc_profile, self.icc_profile in (None, *_PROFILES)),
        ):
            if not right:
                raise SelectionError(f"{name} is {value!r}, which has no meaning; see help(Rendering).")

    @staticmethod
    def _is_window(window: tuple[float, float] | tuple[float, float, str]) -> bool:
        return len(window) in (2, 3) and window[1] > 0 and (len(window) == 2 or window[2] in _FUNCTIONS)

    @property
    def _annotations(self) -> list[str]:
        return [self.annotation] if isinstance(self.annotation, str) else list(self.annotation)

    @property
    def query(self) -> str:
        """The query of the URL, with its question mark; "" if it is empty."""
        pairs: list[tuple[str, str]] = []
        if self._annotations:
            pairs.append(("annotation", ",".join(self._annotations)))
        if self.quality is not None:
            pairs.append(("quality", str(self.quality)))
        if self.viewport is not None:
            pairs.append(("viewport", ",".join("" if number is None else str(number) for number in self.viewport)))
        if self.window is not None:
            center, width, *function = self.window
            pairs.append(("window", f"{center},{width},{function[0] if function else 'linear'}"))
        if self.icc_profile is not None:
            pairs.append(("iccprofile", self.icc_profile))
        query = "&".join(f"{name}={quote(value, safe=',')}" for name, value in pairs)
        return f"?{query}" if query else ""


class Render(Search):
    """The retrievals of rendered images; see `Transactions`."""

    def retrieve_study_rendered(self, study: str, how: Rendering | None = None) -> list[Part]:
        r"""Retrieve a study as images, a video or text; the server decides which of its instances are shown.

        Parameters
        ----------
        study : str
            StudyInstanceUID.
        how : Rendering, optional
            Media type and look; by default JPEG, with the defaults of the server.

        Returns
        -------
        list of Part
            One, or several if the media type holds a single image, each with `content` and `media_type`.

        Raises
        ------
        UnsupportedError
            If the server does not offer this.
        NotFoundError
            If there is no such study.
        ServerError
            If the server refuses, for instance the media type.
        TransportError
            If the response has another media type.

        Examples
        --------
        >>> study = dicomweb.select(PatientID="EX-006").StudyInstanceUIDs[0]
        >>> how = Rendering("image/png", window=(40, 400))
        >>> images = dicomweb.rest.retrieve_study_rendered(study, how)
        >>> images[0].content[:4]
        b'\x89PNG'
        """
        return self._rendered("rendered", how, (study, None, None))

    def retrieve_series_rendered(self, study: str, series: str, how: Rendering | None = None) -> list[Part]:
        """Retrieve a series as images, a video or text; otherwise as `retrieve_study_rendered`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> images = dicomweb.rest.retrieve_series_rendered(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0])
        >>> images[0].media_type
        'image/jpeg'
        """
        return self._rendered("rendered", how, (study, series, None))

    def retrieve_instance_rendered(
        self, study: str, series: str, instance: str, how: Rendering | None = None
    ) -> list[Part]:
        """Retrieve an instance as images, a video or text; otherwise as `retrieve_study_rendered`.

        Examples
        --------
        >>> import io
        >>> from PIL import Image
        >>> ct = dicomweb.select(SeriesDescription="*portal venous")
        >>> uids = ct.StudyInstanceUIDs[0], ct.SeriesInstanceUIDs[0], ct.SOPInstanceUIDs[0]
        >>> image = dicomweb.rest.retrieve_instance_rendered(*uids, Rendering("image/png", window=(40, 400)))[0]
        >>> Image.open(io.BytesIO(image.content)).size
        (128, 128)
        """
        return self._rendered("rendered", how, (study, series, instance))

    def retrieve_frames_rendered(
        self, study: str, series: str, instance: str, frames: Sequence[int], how: Rendering | None = None
    ) -> list[Part]:
        """Retrieve frames as images, one each in the order asked for; otherwise as `retrieve_study_rendered`.

        Examples
        --------
        >>> ct = dicomweb.select(SeriesDescription="*portal venous")
        >>> uids = ct.StudyInstanceUIDs[0], ct.SeriesInstanceUIDs[0], ct.SOPInstanceUIDs[0]
        >>> [image.media_type for image in dicomweb.rest.retrieve_frames_rendered(*uids, [1])]
        ['image/jpeg']
        """
        images: list[Part] = []
        for number in checked_frames(frames):
            # One at a time, since some servers support no more.
            parts = self._rendered("rendered", how, (study, series, instance), number)
            images.append(self._only(parts, f"frames/{number}/rendered"))
        return images

    def retrieve_study_thumbnail(self, study: str, how: Rendering | None = None) -> Part:
        """Retrieve a thumbnail of a study. Parameters and errors as for `retrieve_study_rendered`.

        Examples
        --------
        >>> study = dicomweb.select(PatientID="EX-003").StudyInstanceUIDs[0]
        >>> dicomweb.rest.retrieve_study_thumbnail(study).media_type
        'image/jpeg'
        """
        return self._thumbnail(how, (study, None, None))

    def retrieve_series_thumbnail(self, study: str, series: str, how: Rendering | None = None) -> Part:
        """Retrieve a thumbnail of a series; otherwise as `retrieve_study_thumbnail`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> dicomweb.rest.retrieve_series_thumbnail(pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0]).media_type
        'image/jpeg'
        """
        return self._thumbnail(how, (study, series, None))

    def retrieve_instance_thumbnail(self, study: str, series: str, instance: str, how: Rendering | None = None) -> Part:
        """Retrieve a thumbnail of an instance; otherwise as `retrieve_study_thumbnail`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> dicomweb.rest.retrieve_instance_thumbnail(*uids).media_type
        'image/jpeg'
        """
        return self._thumbnail(how, (study, series, instance))

    def retrieve_frame_thumbnail(
        self, study: str, series: str, instance: str, frame: int, how: Rendering | None = None
    ) -> Part:
        """Retrieve a thumbnail of a frame; otherwise as `retrieve_study_thumbnail`.

        Examples
        --------
        >>> pet = dicomweb.select(Modality="PT")
        >>> uids = pet.StudyInstanceUIDs[0], pet.SeriesInstanceUIDs[0], pet.SOPInstanceUIDs[0]
        >>> dicomweb.rest.retrieve_frame_thumbnail(*uids, 1).media_type
        'image/jpeg'
        """
        return self._thumbnail(how, (study, series, instance), checked_frames([frame])[0])

    def _rendered(
        self,
        form: str,
        how: Rendering | None,
        what: tuple[str, str | None, str | None],
        frame: int | None = None,
    ) -> list[Part]:
        how = how or Rendering()
        segments = resource(*what) + ([] if frame is None else ["frames", str(frame)])
        path = self._path("wado", *segments, form) + how.query
        accepts = (how.media_type, f'multipart/related; type="{how.media_type}"')
        offered = {"rendered": "rendered images", "thumbnail": "thumbnails"}[form]
        parts = self._offered(offered, lambda: self._whole_parts(path, accepts), *what)
        for part in parts:
            if part.media_type.replace("image/jpg", "image/jpeg") not in (how.media_type, "") or not part.content:
                raise self._wrong(part, path, how.media_type)
        if not parts:
            raise TransportError(f"{self._asked(path)} was answered with nothing. Look at the log of the server.")
        return parts

    def _thumbnail(
        self, how: Rendering | None, what: tuple[str, str | None, str | None], frame: int | None = None
    ) -> Part:
        return self._only(self._rendered("thumbnail", how, what, frame), "thumbnail")
