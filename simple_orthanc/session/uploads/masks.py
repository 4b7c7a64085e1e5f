"""Masks, label maps and volumes of floats stored in an archive as objects of many frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simple_orthanc.errors import VolumeError
from simple_orthanc.session.uploads.volumes import UploadsVolumes, as_volume

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.base import Session
    from simple_orthanc.volume.volume import Volume
    from simple_orthanc.volume.writing.segmentations import CodeLike
    from simple_orthanc.volume.writing.segments import Kind


class UploadsMasks(UploadsVolumes):
    """The part of a session on an archive that stores segmentations and parametric maps in it."""

    def upload_masks(
        self,
        masks: Mapping[str, Any] | Any,
        like: Volume | Session | None = None,
        *,
        names: Mapping[int, str] | None = None,
        kind: Kind = "BINARY",
        codes: Mapping[str, tuple[CodeLike, CodeLike]] | None = None,
        algorithm: str | None = None,
        allow_foreign_uids: bool = False,
        **tags: Any,
    ) -> pd.DataFrame:
        """Store masks or a label map as one segmentation (SEG), in the study of the images they were drawn on.

        `Session.get_masks` reads them again, voxel by voxel, by their names.

        Parameters
        ----------
        masks : mapping, or Volume, numpy array, SimpleITK image, or path of a .nii.gz, .nii, .nrrd or .mha file
            Masks by name, as volumes or as arrays of the shape of the images; they may overlap. Anything else is one
            mask, or a label map, whose values are the numbers of the segments.
        like : Volume or session, optional
            The images, or a session on them, such as ``orthanc.select(SeriesDescription="ct_scan")``. Default: what
            the masks were computed from, which they know if they came from ``images.with_array(mask)``.
        names, kind, codes, algorithm
            As for `Volume.masks_to_dicom`.
        allow_foreign_uids : bool
            As for `upload_file`.
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
        >>> ct = orthanc.select(PatientID="EX-002", Modality="CT").get_volume()
        >>> masks = {"bone": ct.array > 300, "air": ct.array < -900}
        >>> table = orthanc.upload_masks(masks, like=ct, SeriesDescription="tissues")
        >>> table[["PatientID", "status"]]
          PatientID  status
        0    EX-002  stored
        >>> orthanc.reset().select(SeriesDescription="tissues").get_masks()
        <2 masks: bone, air>
        """
        from simple_orthanc.volume.volume import Volume
        from simple_orthanc.volume.writing.segmentations import segmentation_of

        images = _images(like)
        if not isinstance(masks, Mapping | Volume):
            masks = _label_map(masks, images)
        dataset = segmentation_of(masks, images, names=names, kind=kind, codes=codes, algorithm=algorithm, tags=tags)
        return self._upload_made([dataset], allow_foreign_uids)

    def upload_parametric_map(
        self,
        volume: Volume,
        like: Volume | Session | None = None,
        *,
        allow_foreign_uids: bool = False,
        **tags: Any,
    ) -> pd.DataFrame:
        """Store a volume of floats as one parametric map, every value as it is, NaN too, in the study of its source.

        `upload_volume` stores a series that all programs read, in steps of 16 bits; few read parametric maps yet.

        Parameters
        ----------
        volume : Volume
        like : Volume or session, optional
            What the values were computed from. Default: what the volume was read from.
        allow_foreign_uids : bool
            As for `upload_file`.
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
        >>> suv = orthanc.select(Modality="PT").get_volume(units="SUVbw")
        >>> table = orthanc.upload_parametric_map(suv, SeriesDescription="SUV")
        >>> table[["PatientID", "status"]]
          PatientID  status
        0    EX-003  stored
        >>> orthanc.reset().select(SeriesDescription="SUV").get_volume()
        <Volume 40 x 64 x 64 (slice, row, column) float32 g/ml, voxels of 5 x 4.4 x 4.4 mm>
        """
        from simple_orthanc.volume.volume import Volume

        if not isinstance(volume, Volume):
            raise VolumeError(
                f"A {type(volume).__name__} was given: upload_parametric_map takes a Volume, such as "
                'images.with_array(values, units="mm2/s").'
            )
        return self._upload_made([volume.to_parametric_map(_images(like), **tags)], allow_foreign_uids)


def _images(like: Any) -> Volume | None:
    """Return the images that `like` names."""
    from simple_orthanc.volume.volume import Volume

    found = like.get_volume() if callable(getattr(like, "get_volume", None)) else like
    if found is None or isinstance(found, Volume):
        return found
    raise VolumeError(f"like={type(like).__name__} was given: it can be a Volume, or a session on one series.")


def _label_map(given: Any, images: Volume | None) -> Volume:
    """Return an array, an image or a file as a label map; files often hold labels as floats."""
    volume, _ = as_volume(given, images, "upload_masks")
    array = volume.array
    if array.dtype.kind == "f" and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int64)
    return volume.with_array(array, units="mask" if array.dtype == bool else "label")
