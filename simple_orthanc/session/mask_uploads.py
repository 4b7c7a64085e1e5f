"""Masks, label maps and volumes of floats stored in an archive as objects of many frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simple_orthanc.errors import VolumeError
from simple_orthanc.session.volume_uploads import UploadsVolumes
from simple_orthanc.volume.volume import Volume
from simple_orthanc.volume.writing.segmentations import segmentation_of

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.base import Session
    from simple_orthanc.volume.writing.segmentations import CodeLike
    from simple_orthanc.volume.writing.segments import Kind


class UploadsMasks(UploadsVolumes):
    """The part of a session on an archive that stores segmentations and parametric maps in it."""

    def upload_masks(
        self,
        masks: Mapping[str, Any] | Volume,
        like: Volume | Session | None = None,
        *,
        names: Mapping[int, str] | None = None,
        kind: Kind = "BINARY",
        codes: Mapping[str, tuple[CodeLike, CodeLike]] | None = None,
        algorithm: str | None = None,
        **tags: Any,
    ) -> pd.DataFrame:
        """Store masks or a label map as one segmentation (SEG), in the study of the images they were drawn on.

        `Session.get_masks` reads them again, voxel by voxel, by their names.

        Parameters
        ----------
        masks : mapping, or Volume
            Masks by name, as volumes or as arrays of the shape of the images; they may overlap. Or one volume: a mask,
            or a label map, whose values are the numbers of the segments.
        like : Volume or session, optional
            The images, or a session on them, such as ``orthanc.select(SeriesDescription="ct_scan")``. Default: what
            the masks were computed from, which they know if they came from ``images.with_array(mask)``.
        names, kind, codes, algorithm
            As for `Volume.masks_to_dicom`.
        **tags
            DICOM keywords of the segmentation, such as ``SeriesDescription="organs"``.

        Returns
        -------
        pandas.DataFrame
            One row, as for `upload_volume`.

        Raises
        ------
        VolumeError, SelectionError, UnknownTagError
            As for `Volume.masks_to_dicom`; nothing was sent.
        UnsupportedError
            highdicom (extra ``seg``) is not installed.
        TransportError
            The server went away; ``.table`` has the row. Each call makes a new object.

        Examples
        --------
        >>> ct = orthanc.select(SeriesDescription="ct_scan").get_volume()                   # doctest: +SKIP
        >>> table = orthanc.upload_masks({"bone": ct.array > 300, "air": ct.array < -900}, like=ct)  # doctest: +SKIP
        """
        options = {"names": names, "kind": kind, "codes": codes, "algorithm": algorithm}
        return self._upload_made([segmentation_of(masks, _images(like), tags=tags, **options)])  # type: ignore[arg-type]

    def upload_parametric_map(self, volume: Volume, like: Volume | Session | None = None, **tags: Any) -> pd.DataFrame:
        """Store a volume of floats as one parametric map, every value as it is, NaN too, in the study of its source.

        `upload_volume` stores a series that all programs read, in steps of 16 bits; few read parametric maps yet.

        Parameters
        ----------
        volume : Volume
        like : Volume or session, optional
            What the values were computed from. Default: what the volume was read from.
        **tags
            DICOM keywords of the object, such as ``SeriesDescription="ADC"``.

        Returns
        -------
        pandas.DataFrame
            One row, as for `upload_volume`.

        Raises
        ------
        VolumeError, SelectionError, UnknownTagError
            As for `Volume.to_parametric_map`; nothing was sent.
        UnsupportedError
            highdicom (extra ``seg``) is not installed.
        TransportError
            The server went away; ``.table`` has the row. Each call makes a new object.

        Examples
        --------
        >>> table = orthanc.upload_parametric_map(adc, like=dwi, SeriesDescription="ADC")   # doctest: +SKIP
        """
        return self._upload_made([volume.to_parametric_map(_images(like), **tags)])


def _images(like: Any) -> Volume | None:
    """Return the images that `like` names."""
    found = like.get_volume() if callable(getattr(like, "get_volume", None)) else like
    if found is None or isinstance(found, Volume):
        return found
    raise VolumeError(f"like={type(like).__name__} was given: it can be a Volume, or a session on one series.")
