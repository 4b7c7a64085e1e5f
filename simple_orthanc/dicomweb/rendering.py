"""How an image is to be rendered by a server: the media type, and the parameters of PS3.18 section 8.3.5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from simple_orthanc.dicomweb.service import checked_media_type
from simple_orthanc.errors import SelectionError

_ANNOTATIONS = ("patient", "technique")
_FUNCTIONS = ("linear", "linear-exact", "sigmoid")
_PROFILES = ("no", "yes", "srgb", "adobergb", "rommrgb", "displayp3")


@dataclass(frozen=True)
class Rendering:
    """How rendered images and thumbnails are to look; what is left out, the server decides.

    Parameters
    ----------
    media_type : str, default "image/jpeg"
        One of PS3.18 table 8.7.4-1 as far as the server can: ``image/jpeg``, ``image/png``, ``image/gif``,
        ``image/jp2``; for several frames ``video/mp4``, ``video/mpeg2`` or an animated ``image/gif``; for documents
        ``text/html``, ``text/plain``, ``text/xml``, ``text/rtf``, ``application/pdf``.
    annotation : sequence of str, default ()
        What to write into the picture: "patient", "technique".
    quality : int, optional
        1 to 100, for lossy media types.
    viewport : (int, int) or (int, int, int or None, int or None, int or None, int or None), optional
        Width and height of the picture in pixels, and where given, left, top, width and height of the part of the
        image that fills it.
    window : (float, float) or (float, float, str), optional
        Center and width, in the unit of the modality, and "linear" (the default), "linear-exact" or "sigmoid".
    icc_profile : str, optional
        "no", "yes", "srgb", "adobergb", "rommrgb" or "displayp3".

    Raises
    ------
    SelectionError
        If a parameter has no meaning.

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
        checked_media_type(self.media_type)
        for name, value, right in (
            ("annotation", self.annotation, all(word in _ANNOTATIONS for word in self._annotations)),
            ("quality", self.quality, self.quality is None or 1 <= self.quality <= 100),
            ("viewport", self.viewport, self.viewport is None or len(self.viewport) in (2, 6)),
            ("window", self.window, self.window is None or self._is_window(self.window)),
            ("icc_profile", self.icc_profile, self.icc_profile in (None, *_PROFILES)),
        ):
            if not right:
                raise SelectionError(f"{name} is {value!r}, which means nothing here; see help(Rendering).")

    @staticmethod
    def _is_window(window: tuple[float, float] | tuple[float, float, str]) -> bool:
        return len(window) in (2, 3) and window[1] > 0 and (len(window) == 2 or window[2] in _FUNCTIONS)

    @property
    def _annotations(self) -> list[str]:
        return [self.annotation] if isinstance(self.annotation, str) else list(self.annotation)

    @property
    def query(self) -> str:
        """The query of the URL, with its question mark; "" where there is nothing to say."""
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
