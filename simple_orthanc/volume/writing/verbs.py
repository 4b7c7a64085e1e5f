"""What a volume can be written as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pydicom.dataset import Dataset

from simple_orthanc.volume.writing.series import series_datasets

if TYPE_CHECKING:
    from simple_orthanc.volume.volume import Volume


class WritesDicom:
    """The part of `Volume` that makes DICOM objects of it, in memory."""

    def to_dicom(self, like: Any = None, **tags: Any) -> list[Dataset]:
        """Return the volume as a derived series of DICOM images, one for each slice.

        The series belongs to the patient, the study and the frame of reference of its source, with UIDs of its own.
        ImageType begins with DERIVED, SourceImageSequence refers to the images of the source, DerivationDescription
        holds the log of the volume.

        Parameters
        ----------
        like : Volume, pydicom.Dataset or session, optional
            The source: what the values were derived from. Default: what this volume was read from, also after
            `with_array`, `resample`, `mip` and `from_sitk`.
        **tags
            DICOM keywords, such as ``SeriesDescription="denoised"``, ``SeriesNumber=900`` or
            ``DerivationDescription="..."``. Those of the patient and the study cannot differ from the source.

        Returns
        -------
        list of pydicom.Dataset
            In the order of the slices, complete with file meta information: ``dataset.save_as(path)`` or
            ``pydicom.dcmwrite`` writes a file. The same volume and tags have the same UIDs.

        Raises
        ------
        VolumeError
            The volume is 4D or sheared, in colour other than uint8 or uint16, or has infinite values; or it came
            without a study, and no PatientID and Modality are given.
        UnknownTagError, SelectionError
            A tag is unknown, has a value that it cannot have, or contradicts the source.
        AmbiguousSelectionError
            `like` is a session with several series selected.

        Notes
        -----
        SOP class: Hounsfield units of a CT become CT Image Storage, values of an MR MR Image Storage, values of a PET
        in its units PET Image Storage (PS3.3 A.3, A.4, A.21). Masks, labels, colour and all other units become
        Secondary Capture (A.8.1), and so do images whose source lacks an attribute that its class demands.

        Values: whole numbers that fit into 16 bits are stored as they are. All others are stored in 65535 steps of one
        RescaleSlope for the whole series, with an error of at most half a step; RescaleIntercept is 0 where 0 lies
        between the values. NaN and ``padding_mask`` become PixelPaddingValue (C.7.5.1.1.2); `get_volume` reads them as
        ``padding_mask``.

        Units: RescaleType, or Units of a PET, from which `get_volume` reads them again. Where nothing is known of them
        and values are rescaled, they are read as "US", unspecified.

        Geometry: decimal strings of up to 16 characters. DICOM does not hold the direction in which slices follow each
        other, so `get_volume` orders them along the normal of their planes, whatever their order in this volume.

        Examples
        --------
        >>> import numpy as np
        >>> from simple_orthanc import Geometry, Volume
        >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> volume = Volume(np.full((3, 4, 5), 40, np.int16), grid, Dataset(), units="HU")
        >>> series = volume.to_dicom(PatientID="P1", Modality="CT", SeriesDescription="flat")
        >>> len(series), series[0].SOPClassUID.name, series[2].ImagePositionPatient
        (3, 'CT Image Storage', [0, 0, 4])
        """
        return series_datasets(cast("Volume", self), like, tags)
