"""What a volume can be written as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pydicom.dataset import Dataset

from simple_orthanc.volume.writing.parametric_maps import parametric_map_of
from simple_orthanc.volume.writing.segmentations import segmentation_of
from simple_orthanc.volume.writing.series import series_datasets

if TYPE_CHECKING:
    from simple_orthanc.volume.volume import Volume
    from simple_orthanc.volume.writing.segmentations import CodeLike
    from simple_orthanc.volume.writing.segments import Kind


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
            SeriesNumber is by default that of the source and 1000.

        Returns
        -------
        list of pydicom.Dataset
            In the order of the slices, complete with file meta information: ``dataset.save_as(path)`` or
            ``pydicom.dcmwrite`` writes a file. The same volume and tags have the same UIDs.

        Raises
        ------
        VolumeError
            The volume is 4D or sheared, in colour other than uint8 or uint16, or has infinite values; it came without a
            study, and no PatientID and Modality are given; or it lies in another frame of reference than `like`.
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

    def masks_to_dicom(
        self,
        masks: Mapping[str, Any] | Volume,
        *,
        names: Mapping[int, str] | None = None,
        kind: Kind = "BINARY",
        codes: Mapping[str, tuple[CodeLike, CodeLike]] | None = None,
        algorithm: str | None = None,
        **tags: Any,
    ) -> Dataset:
        """Return masks or a label map as one DICOM segmentation (SEG) of this volume's images. Needs highdicom.

        Parameters
        ----------
        masks : mapping, or Volume
            Masks by name, as volumes or as arrays of the shape of this volume, (slice, row, column), of True and False
            or 1 and 0; they may overlap. Or one volume: a mask, or a label map, whose values are the numbers of the
            segments.
        names : mapping of int to str, optional
            The names of the labels of a label map. Default: those of the segmentation that it was read from, else
            "segment 1", "segment 2", ...
        kind : {"BINARY", "FRACTIONAL", "LABELMAP"}
            SegmentationType. FRACTIONAL holds probabilities from 0 to 1 in steps of 1/255. LABELMAP holds labels of any
            numbers up to 65535, in an object that few programs read yet.
        codes : mapping, optional
            For the name of a segment its category and its type, each as a code: value, scheme, meaning, such as
            ``{"liver": (("123037004", "SCT", "Anatomical Structure"), ("10200004", "SCT", "Liver"))}``. Default:
            Tissue, for both (PS3.16 CID 7150 and 7166).
        algorithm : str, optional
            The name of the program that drew the masks, which are then AUTOMATIC. Default: MANUAL.
        **tags
            DICOM keywords of the segmentation, such as ``SeriesDescription="organs"``.

        Returns
        -------
        pydicom.Dataset
            In the patient, study and frame of reference of the images, on the grid of the masks, which may be another
            one. Each frame refers to the image in whose plane it lies. New UIDs in each call.

        Raises
        ------
        VolumeError
            The masks are on different grids or hold other values, or the images have no position in the patient.
        SelectionError, UnknownTagError
            As for `to_dicom`.
        UnsupportedError
            highdicom (extra ``seg``) is not installed.

        Notes
        -----
        PS3.3 A.51 and C.8.20. Frames without a voxel are left out, except the first and the last of the grid, and one
        of each empty segment, so that all readers find the grid and the names. The segments of a BINARY segmentation
        are numbered from 1 without gaps, so that a label map gets a segment for each number up to its largest, 1000 at
        most.

        Examples
        --------
        >>> import numpy as np
        >>> from simple_orthanc import Geometry, Volume
        >>> from simple_orthanc.phantom import make_series
        >>> grid = Geometry((4, 4, 3), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> ct = Volume(np.arange(48).reshape(3, 4, 4), grid, make_series((3, 4, 4))[0])
        >>> segmentation = ct.masks_to_dicom({"lesion": ct.array > 40}, SeriesDescription="lesions")
        >>> segmentation.SOPClassUID.name, segmentation.SegmentSequence[0].SegmentLabel
        ('Segmentation Storage', 'lesion')
        """
        return segmentation_of(
            masks, cast("Volume", self), names=names, kind=kind, codes=codes, algorithm=algorithm, tags=tags
        )

    def to_parametric_map(self, like: Volume | None = None, **tags: Any) -> Dataset:
        """Return the volume as one DICOM parametric map: every value as it is, NaN too. Needs highdicom.

        Parameters
        ----------
        like : Volume, optional
            The images that the values were computed from. Default: what this volume was read from.
        **tags
            DICOM keywords of the object, such as ``SeriesDescription="ADC"``.

        Returns
        -------
        pydicom.Dataset
            In the patient, study and frame of reference of the images, on the grid of this volume: float32 and float64
            as they are, whole numbers as the smaller of these that holds them exactly. `get_volume` reads the same
            values in the same units. New UIDs in each call.

        Raises
        ------
        VolumeError
            The volume has no position, several steps, colour or masks, or units that are no code of UCUM.
        SelectionError, UnknownTagError
            As for `to_dicom`.
        UnsupportedError
            highdicom (extra ``seg``) is not installed.

        Notes
        -----
        PS3.3 A.75. Units are the Real World Value Mapping (C.7.6.16.2.11), in UCUM. NaN is Float Pixel Padding Value
        (C.7.6.24.1). `to_dicom` makes a series that all programs read, in steps of 16 bits.

        Examples
        --------
        >>> import numpy as np
        >>> from simple_orthanc import Geometry, Volume
        >>> from simple_orthanc.phantom import make_series
        >>> grid = Geometry((4, 4, 3), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
        >>> adc = Volume(np.full((3, 4, 4), 0.00112), grid, make_series((3, 4, 4))[0], units="mm2/s")
        >>> float(adc.to_parametric_map().pixel_array[0, 0, 0])
        0.00112
        """
        return parametric_map_of(cast("Volume", self), like, tags=tags)
