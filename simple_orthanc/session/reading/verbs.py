"""The verbs that read what is selected as volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.session.containers import LazyVolumes
from simple_orthanc.session.options import Dims, Gaps, GapsOfMany, OnError, Units
from simple_orthanc.session.reading.headers import ReadingHeaders
from simple_orthanc.session.reading.series_names import check_joinable, several_series, short_names

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import SimpleITK
    import xarray

    from simple_orthanc.session.base import Session
    from simple_orthanc.session.reading.masks import Masks
    from simple_orthanc.session.reading.volume_reader import VolumeReader, VolumeRequest
    from simple_orthanc.volume.volume import Volume


class Reading(ReadingHeaders):
    """The verbs of a session that read what is selected: headers, instances, volumes."""

    @overload
    def get_volume(
        self,
        units: Units = ...,
        gaps: Gaps = ...,
        dims: Dims | None = ...,
        *,
        spacing: float | None = ...,
        across_series: bool = ...,
        errors: OnError = ...,
        slices: slice | int | None = ...,
        lazy: Literal[False] = ...,
    ) -> Volume: ...
    @overload
    def get_volume(
        self,
        units: Units = ...,
        gaps: Gaps = ...,
        dims: Dims | None = ...,
        *,
        spacing: float | None = ...,
        across_series: bool = ...,
        errors: OnError = ...,
        slices: slice | int | None = ...,
        lazy: Literal[True],
    ) -> xarray.DataArray: ...
    @overload
    def get_volume(
        self,
        units: Units = ...,
        gaps: Gaps = ...,
        dims: Dims | None = ...,
        *,
        spacing: float | None = ...,
        across_series: bool = ...,
        errors: OnError = ...,
        slices: slice | int | None = ...,
        lazy: bool,
    ) -> Volume | xarray.DataArray: ...
    def get_volume(
        self,
        units: Units = "modality",
        gaps: Gaps = "raise",
        dims: Dims | None = None,
        *,
        spacing: float | None = None,
        across_series: bool = False,
        errors: OnError = "raise",
        slices: slice | int | None = None,
        lazy: bool = False,
    ) -> Volume | xarray.DataArray:
        """Read the selected images as one regular volume, or raise an error that names the reason.

        Parameters
        ----------
        units : str
            "modality" (HU, BQML, ... as in the headers, named in `Volume.units`), "HU", "BQML" or "GY" (the same, or an
            error if the values are in other units), "stored", "SUVbw", "SUVlbm", "SUVbsa", "SUVibw", "real world",
            "philips".
        gaps : {"raise", "nan"}
            How to treat missing slices: an error, or NaN slices on the regular grid (float32, noted in the log).
        dims : {"time", "echo", "b", "phase"}, optional
            Stack equal groups along this dimension, which comes first.
        spacing : float, optional
            Distance between slices in mm, used where the headers do not contain it: for a single slice, for the frames
            of an object with one position, and for segmentations, which leave out slices. A spacing that the positions
            determine is never replaced.
        across_series : bool
            Whether to read several series of one study and modality as one: some scanners write each slice to a series
            of its own.
        errors : {"raise", "report"}
            How to treat files that cannot be read, or are not the instances that were asked for: an error that names
            them, or a warning that names them and a volume of the others.
        slices : slice or int, optional
            Read these slices of the volume alone: ``slices=slice(100, 140)`` is what ``get_volume()[100:140]`` is, and
            ``slices=100`` is slice 100. Of the other images only the headers are read, which decide whether there is
            one volume, where it lies, and of which type its values are. With ``errors="report"`` all images are read.
        lazy : bool
            Return an xarray.DataArray whose slices are read when they are computed. Needs xarray and Dask (extras
            ``xarray`` and ``dask``).

        Returns
        -------
        Volume
            ``array`` is (slice, row, column), colour (slice, row, column, 3); geometry in LPS millimetres.
        xarray.DataArray
            With ``lazy=True``: what `Volume.to_xarray` returns, over a dask.array with a block for each slice, or for
            all slices of an object that has several. A block is an error if the object was replaced meanwhile.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several series are selected; the message lists them, and the `select` that separates them.
        VolumeError
            The images do not make one regular volume: see `simple_orthanc.errors` for the kinds.

        Examples
        --------
        >>> volume = archive.select(PatientID="EX-002", Modality="CT").get_volume()
        >>> volume
        <Volume 40 x 128 x 128 (slice, row, column) int16 HU, voxels of 5 x 2.2 x 2.2 mm>
        >>> volume.array.shape, volume.spacing
        ((40, 128, 128), (2.2, 2.2, 5.0))

        PET as standardized uptake values, and a series of repetitions as one 4D volume:

        >>> float(archive.reset().select(Modality="PT").get_volume(units="SUVbw").array.max().round(1))
        8.0
        >>> archive.reset().select(SeriesDescription="DCE*").get_volume(dims="time")
        <Volume 20 x 8 x 64 x 64 (time, slice, row, column) int16 stored, voxels of 6 x 2.7 x 2.7 mm>

        Some slices of a long series, without fetching the others:

        >>> part = archive.reset().select(PatientID="EX-002", Modality="CT").get_volume(slices=slice(10, 15))
        >>> part.shape, part.origin
        ((5, 128, 128), (-139.7, -139.7, -47.5))

        A volume whose slices are read when they are computed, one at a time:

        >>> data = archive.get_volume(lazy=True)
        >>> data.data.chunksize, float(data.sel(slice=slice(-20, 20)).mean().compute().round(2))
        ((1, 128, 128), -526.41)

        What is no regular volume is refused, with what can be done about it:

        >>> archive.reset().select(PatientID="EX-006", SeriesNumber=3).get_volume()
        Traceback (most recent call last):
            ...
        simple_orthanc.errors.MissingSlicesError: A volume was requested from 19 slices 6 mm apart (axial
        19x96x96), but 1 slice is missing: ...
        """
        from simple_orthanc.session.reading.volume_reader import VolumeRequest
        from simple_orthanc.volume.slice_parts import read_slices

        request = VolumeRequest(units, gaps, dims, spacing, across_series, errors, read_slices(slices))
        reader = self._volume_reader(request, many=False, reads_all=not lazy and request.slices is None)
        return reader.on_demand(self._index.revision) if lazy else reader.volume()

    def get_array(
        self,
        units: Units = "modality",
        gaps: Gaps = "raise",
        dims: Dims | None = None,
        *,
        spacing: float | None = None,
        across_series: bool = False,
        errors: OnError = "raise",
        slices: slice | int | None = None,
    ) -> np.ndarray[Any, Any]:
        """Read the selected images as one numpy array (slice, row, column): ``get_volume(...).array``.

        Parameters
        ----------
        units, gaps, dims, spacing, across_series, errors, slices
            As for `get_volume`.

        Examples
        --------
        >>> array = archive.select(PatientID="EX-002", Modality="CT").get_array()
        >>> array.shape, array.dtype
        ((40, 128, 128), dtype('int16'))
        """
        volume = self.get_volume(
            units, gaps, dims, spacing=spacing, across_series=across_series, errors=errors, slices=slices
        )
        return volume.array

    def get_image(
        self,
        units: Units = "modality",
        gaps: Gaps = "raise",
        dims: Dims | None = None,
        *,
        spacing: float | None = None,
        across_series: bool = False,
        errors: OnError = "raise",
        slices: slice | int | None = None,
        assume_geometry: bool = False,
    ) -> SimpleITK.Image:
        """Read the selected images as one SimpleITK image: ``get_volume(...).to_sitk()``.

        Parameters
        ----------
        units, gaps, dims, spacing, across_series, errors, slices
            As for `get_volume`.
        assume_geometry : bool
            Place images without a position in the patient at the origin, with unit spacing; otherwise they raise an
            error.

        Examples
        --------
        >>> image = archive.select(PatientID="EX-002", Modality="CT").get_image()
        >>> image.GetSize(), image.GetSpacing()
        ((128, 128, 40), (2.2, 2.2, 5.0))
        """
        volume = self.get_volume(
            units, gaps, dims, spacing=spacing, across_series=across_series, errors=errors, slices=slices
        )
        return volume.to_sitk(assume_geometry=assume_geometry)

    def get_volumes(
        self,
        units: Units = "modality",
        gaps: GapsOfMany = "raise",
        *,
        spacing: float | None = None,
        errors: OnError = "raise",
    ) -> Mapping[str, Volume]:
        """Read the selected images as volumes, as many as their headers demand.

        Parameters
        ----------
        units, gaps, spacing, errors
            As for `get_volume`; ``gaps="split"`` splits a volume at its holes. A series with a file that cannot be
            read is one label, "no volume", which raises the error that names the file.

        Returns
        -------
        Mapping
            Label to Volume. The labels come from the headers and can be names of files. Each volume is read when it is
            asked for, and not kept. A loop over `items()` or `values()` reads the next ones while one is used.

        Examples
        --------
        >>> volumes = archive.select(PatientID="EX-006", SeriesNumber=2).get_volumes()
        >>> for label, volume in volumes.items():
        ...     print(label, volume.shape)
        axial 20x96x96 (20, 96, 96)
        localizer coronal 1x96x96 (1, 96, 96)
        """
        from simple_orthanc.session.reading.volume_reader import VolumeRequest

        reader = self._volume_reader(VolumeRequest(units, gaps, spacing=spacing, errors=errors), many=True)
        source, row_of = self._source, partial(self._index.row, "series")

        def read_all(labels: Sequence[str]) -> Iterator[Volume]:
            from simple_orthanc.session.reading.lazy_volumes import read_labelled

            return read_labelled(source, reader, labels, row_of)

        return LazyVolumes(reader.labels(), reader.labelled, reader.shown, read_all)

    def get_masks(self, like: Volume | None = None, *, allow_other_frame: bool = False) -> Masks:
        """Read the selected segmentations (SEG) and structure sets (RTSTRUCT) as masks by name.

        Parameters
        ----------
        like : Volume, optional
            The image on whose grid the masks are wanted. Default: the images that they were drawn on, which are looked
            for in the whole archive; a segmentation whose images are not there keeps its own grid.
        allow_other_frame : bool
            Whether to accept images of another patient or in another frame of reference than the masks, because they
            were registered elsewhere. Coordinates are taken as they are, and the masks get the frame of reference of
            the images.

        Returns
        -------
        Mapping
            SegmentLabel or ROIName to Volume of bool; a name that occurs again is followed by its number, as in
            "GTV (2)", and one that a SEG and an RTSTRUCT have by the kind, as in "GTV (SEG)". Each mask is read when it
            is looked up, and not kept; ``table`` lists them. Segments on another grid are resampled by nearest
            neighbour. Contours are drawn in the planes of their slices: a voxel belongs to the region if its centre is
            inside, by the even-odd rule, so that a contour inside another one is a hole. Slices without a contour stay
            empty. A fractional segment holds the voxels from 0.5 on.

        Raises
        ------
        SelectionError
            No segmentation and no structure set is selected.
        VolumeError
            For one mask, when it is looked up: it is of another patient or in another frame of reference than the
            images; the images of a structure set are not in the archive; its contours lie between or across the slices
            of the images, or enclose nothing (OPEN_PLANAR, OPEN_NONPLANAR).

        Examples
        --------
        >>> masks = archive.select(Modality="SEG").get_masks()
        >>> masks
        <2 masks: liver, lesion>
        >>> ct = archive.reset().select(PatientID="EX-002", Modality="CT").get_volume()
        >>> ct.statistics(masks["lesion"]).round(1)
                voxels    ml  mean    sd   min    p5   p25   p50   p75   p95   max
        lesion     524  12.7  45.7  12.8  15.0  27.0  37.0  44.0  55.0  68.0  86.0

        A structure set is drawn on the grid of its images in the same way:

        >>> drawn = archive.reset().select(Modality="RTSTRUCT").get_masks()
        >>> drawn["liver"].array.shape == ct.shape
        True
        """
        from simple_orthanc.session.reading.masks import Masks

        return Masks(cast("Session", self), like, allow_other_frame=allow_other_frame)

    def volume_table(self) -> pd.DataFrame:
        """Report on the volumes of the selection from headers alone.

        Returns
        -------
        pandas.DataFrame
            One row per volume: PatientID, StudyDate, Modality, SeriesInstanceUID, label, slices (with the missing ones
            between them), rows, columns, spacing (between slices, rows and columns, mm), regular, reason, bytes, and
            contradiction: where headers announce more images than there are.

        Examples
        --------
        >>> table = archive.select(PatientID="EX-006", Modality="CT").volume_table()
        >>> table[["slices", "rows", "regular"]]
           slices  rows  regular
        0      20    96     True
        1       1    96     True
        2      20    96    False
        >>> for label in table.label:
        ...     print(label)
        CT chest with scout - axial 20x96x96
        CT chest with scout - localizer coronal 1x96x96
        CT chest - axial 19x96x96
        """
        from simple_orthanc.selection.tables import typed_column
        from simple_orthanc.session.reading.volume_reader import VolumeRequest

        reader = self._volume_reader(VolumeRequest(), many=True)
        table, series = reader.report()
        for place, keyword in enumerate(("PatientID", "StudyDate", "Modality")):
            tag = parse_tag(keyword)
            table.insert(place, keyword, typed_column(self._index.column(tag, "series", series), tag))
        return table

    def _volume_reader(self, request: VolumeRequest, *, many: bool, reads_all: bool = True) -> VolumeReader:
        # What only volumes need is imported with the first of them.
        from simple_orthanc.session.reading.selected_series import SelectedInstance
        from simple_orthanc.session.reading.volume_reader import VolumeReader

        plans = self._kept_plans()
        # What is left out of a report is warned about each time.
        is_kept = many and request.errors == "raise"
        if is_kept and request in plans.readers:
            return plans.readers[request]
        # This may read the rows that are needed next, for many series at a time.
        ahead = plans.files_ahead if reads_all and not many else None
        files = None if ahead is None else ahead()
        index, keys = self._index, self._nonempty()
        series = index.up("instance", keys, "series")
        owners = list(dict.fromkeys(series))
        if request.across_series:
            check_joinable(index, owners)
        elif len(owners) > 1 and not many:
            raise several_series(index, owners, is_one_instance_each=len(owners) == len(keys))
        uids = self._instance_uids(keys)
        instances = [SelectedInstance(*fields) for fields in zip(keys, series, uids, strict=True)]
        reader = VolumeReader(self._source, instances, short_names(index, owners), request, plans, files)
        if is_kept:
            plans.readers[request] = reader
        return reader
