"""A volume: an array with its geometry, its unit, the header it came with, and a record of how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.showing.table import Shown
from simple_orthanc.showing.text import safe
from simple_orthanc.volume import export, plotting
from simple_orthanc.volume import properties as volume_properties
from simple_orthanc.volume.conversions import Converts
from simple_orthanc.volume.frame_table import MADE_WHEN_READ, MadeWhenRead
from simple_orthanc.volume.geometry import Geometry, Vector
from simple_orthanc.volume.handover import HandsOver
from simple_orthanc.volume.operations import ArrayOperations
from simple_orthanc.volume.overlays import overlays_on
from simple_orthanc.volume.viewing import Viewing
from simple_orthanc.volume.windows import windowed
from simple_orthanc.volume.writing.segments import segment_names
from simple_orthanc.volume.writing.verbs import WritesDicom

if TYPE_CHECKING:
    import pandas as pd
    import SimpleITK
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

AXES = ("slice", "row", "column")


@dataclass(frozen=True, eq=False, repr=False)
class Volume(ArrayOperations, Converts, HandsOver, WritesDicom, Viewing, Shown):
    """Voxels and what is known of them.

    Attributes
    ----------
    array : ndarray
        (slice, row, column); colour (slice, row, column, 3); a 4D volume has its step first: ``dims`` names the axes.
    geometry : Geometry or None
        Where the voxels are, LPS, mm; None if the objects have no position.
    header : pydicom.Dataset
        That of the first slice, without pixels.
    units : str
        Of the values: "HU", "BQML", "GY", "stored", "label", ...; "" if the objects do not say.
    padding_mask : ndarray of bool or None
        True where the objects say that there is no image (PS3.3 C.7.5.1.1.2); the values there are left as they are.
    slices : pandas.DataFrame
        One row per frame: SOPInstanceUID, frame (from 1, as DICOM counts), position (x, y, z in mm), slope; the index
        is the number of the slice in the array.
    log : tuple of str
        What was found, assumed and done.
    suv : SuvRecord or None
        How a standardized uptake value was computed.
    dims : tuple of str
        The names of the axes.
    coordinates : mapping
        For the first axis of a 4D volume its name to the coordinate of each step: times in seconds from the first step,
        echo times in ms, b-values in s/mm2, ... An axis of b-values also has "direction": for each step the gradient
        direction as a unit vector in patient coordinates (LPS), zeros for no direction, NaN for an unknown one.
    coordinate_units : mapping
        The units of these: "s", "ms", "s/mm2", "%", or "" for a mere index and for directions.
    sources : pandas.DataFrame or None
        Of a volume that was resampled, projected or computed elsewhere, so that it has no frames of its own: the table
        ``slices`` of the volume that it was made from.
    name : str
        What legends and tables call it: for a mask that `Session.get_masks` returns, its name there; else "".

    Notes
    -----
    In the examples of its methods ``volume`` is the one that is read here.

    Examples
    --------
    >>> from simple_orthanc import Folder
    >>> volume = Folder.example().select(PatientID="EX-002", Modality="CT").get_volume()
    >>> volume
    <Volume 40 x 128 x 128 (slice, row, column) int16 HU, voxels of 5 x 2.2 x 2.2 mm>
    >>> int(volume.array[20, 60, 40]), volume.units
    (28, 'HU')

    Made by hand, from an array and its place:

    >>> import numpy as np
    >>> grid = Geometry((5, 4, 3), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    >>> volume = Volume(np.zeros((3, 4, 5), np.int16), grid, Dataset(), units="HU")
    >>> volume
    <Volume 3 x 4 x 5 (slice, row, column) int16 HU, voxels of 2 x 1 x 1 mm>
    >>> volume.to_sitk().GetSpacing()
    (1.0, 1.0, 2.0)
    """

    array: NDArray[Any]
    geometry: Geometry | None
    header: Dataset
    units: str = ""
    padding_mask: NDArray[np.bool_] | None = None
    slices: MadeWhenRead = MADE_WHEN_READ
    log: tuple[str, ...] = ()
    suv: Any = None
    dims: tuple[str, ...] = AXES
    coordinates: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    coordinate_units: Mapping[str, str] = field(default_factory=dict)
    sources: pd.DataFrame | None = None
    name: str = ""

    @property
    def spacing(self) -> Vector | None:
        """The distances between columns, rows and slices in mm, in SimpleITK's order; None without geometry.

        Examples
        --------
        >>> volume.spacing
        (2.2, 2.2, 5.0)
        """
        return None if self.geometry is None else self.geometry.spacing

    @property
    def origin(self) -> Vector | None:
        """The centre of the first voxel in mm, LPS; None without geometry.

        Examples
        --------
        >>> volume.origin
        (-139.7, -139.7, -97.5)
        """
        return None if self.geometry is None else self.geometry.origin

    @property
    def direction(self) -> tuple[float, ...] | None:
        """The nine direction cosines, as SimpleITK's ``GetDirection`` returns them; None without geometry.

        Examples
        --------
        >>> volume.direction
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        """
        return None if self.geometry is None else self.geometry.direction

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """The 4 by 4 matrix that maps (column, row, slice, 1) to (x, y, z, 1), in mm, LPS; None without geometry.

        Examples
        --------
        >>> volume.affine.tolist()
        [[2.2, 0.0, 0.0, -139.7], [0.0, 2.2, 0.0, -139.7], [0.0, 0.0, 5.0, -97.5], [0.0, 0.0, 0.0, 1.0]]
        """
        return None if self.geometry is None else self.geometry.affine

    @property
    def affine_ras(self) -> NDArray[np.float64] | None:
        """The same matrix for RAS coordinates, as in NIfTI; None without geometry.

        Examples
        --------
        >>> volume.affine_ras.tolist()
        [[-2.2, 0.0, 0.0, 139.7], [0.0, -2.2, 0.0, 139.7], [0.0, 0.0, 5.0, -97.5], [0.0, 0.0, 0.0, 1.0]]
        """
        return None if self.geometry is None else self.geometry.affine_ras

    @property
    def is_sheared(self) -> bool:
        """Whether the slices are not perpendicular to the axis along which they are stacked (gantry tilt).

        Examples
        --------
        >>> volume.is_sheared
        False
        """
        return self.geometry is not None and self.geometry.is_sheared

    @property
    def is_colour(self) -> bool:
        """Whether the last axis holds red, green and blue.

        Examples
        --------
        >>> volume.is_colour
        False
        """
        return self.array.ndim > len(self.dims)

    @property
    def labels(self) -> Mapping[int, str]:
        """The names of the segments of a label map, by number; empty for other volumes.

        Examples
        --------
        >>> item, header = Dataset(), Dataset()
        >>> item.SegmentNumber, item.SegmentLabel = 3, "liver"
        >>> header.SegmentSequence = [item]
        >>> Volume(np.zeros((1, 2, 2), np.uint8), None, header, units="label").labels
        {3: 'liver'}
        """
        return segment_names(self.header) if self.units == "label" else {}

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array.

        Examples
        --------
        >>> volume.shape
        (40, 128, 128)
        >>> volume.shape == volume.geometry.size[::-1]
        True
        """
        return tuple(self.array.shape)

    @classmethod
    def from_sitk(cls, image: SimpleITK.Image, like: Volume | None = None, units: str | None = None) -> Volume:
        """Create a volume from a 3D SimpleITK image, such as a result computed from `to_sitk`.

        Parameters
        ----------
        image : SimpleITK.Image
        like : Volume, optional
            Where the header, the unit and the images that it was made from are taken from.
        units : str, optional
            The unit of the values; ``"mask"`` for an image of 0 and 1, ``"label"`` for a label map. Default: that of
            `like`.

        Examples
        --------
        >>> import SimpleITK as sitk
        >>> mask = sitk.BinaryThreshold(volume.to_sitk(), lowerThreshold=100, upperThreshold=3000)
        >>> bone = Volume.from_sitk(mask, like=volume, units="mask")
        >>> bone.geometry == volume.geometry, bone.units, bone.log
        (True, 'mask', ('from a SimpleITK image',))
        """
        array, geometry = export.from_sitk(image)
        log = ("from a SimpleITK image",)
        if like is None:
            return cls(array, geometry, Dataset(), units=units or "", log=log)
        unit = like.units if units is None else units
        return cls(array, geometry, like.header, units=unit, log=log, sources=like._source_table())

    def window(self, center: float, width: float) -> NDArray[np.uint8]:
        """Map values to grey levels from 0 to 255 for display; MONOCHROME1 is inverted, so that it looks as meant.

        Parameters
        ----------
        center, width : float
            In the unit of the volume: ``window(40, 400)`` for soft tissue in HU.

        Examples
        --------
        >>> grey = volume.window(40, 400)
        >>> grey.dtype, grey.shape == volume.shape, int(grey.max())
        (dtype('uint8'), True, 255)
        """
        return windowed(self.array, center, width, invert=self._is_inverted())

    def _is_inverted(self) -> bool:
        return bool(self.header.get("PhotometricInterpretation") == "MONOCHROME1")

    def plot(
        self,
        window: tuple[float, float] | None = None,
        slice: int | None = None,
        plane: Literal["axial", "coronal", "sagittal"] | None = None,
        overlay: Any = None,
        cmap: str | None = None,
        colorbar: bool = True,
        *,
        allow_other_frame: bool = False,
    ) -> Figure:
        """Draw the volume as a reader expects to see it. Needs matplotlib (extra ``plot``).

        Axial planes have the patient's right on the left side of the picture and anterior on top, coronal and sagittal
        planes the head on top; each edge carries its letter (R, L, A, P, F, H), each axis millimetres. An oblique
        volume is drawn in its own planes, under the names of the nearest ones of the patient.

        Parameters
        ----------
        window : (float, float), optional
            Center and width in the unit of the volume. Default: CT in HU, the window of the header; PET, dose and
            masks, 0 to the maximum; else from the 0.5th to the 99.5th percentile. The picture states the window, and
            how many voxels lie beyond it.
        slice : int, optional
            Index of the plane along its array axis; negative from the end. Default: the middle.
        plane : {"axial", "coronal", "sagittal"}, optional
            One plane. Default: three planes through the middle, or the slices as acquired where `slice` is given.
        overlay : Volume, ndarray, or mapping or list of these, optional
            A mask, a label map or values on the same grid, drawn over the image; several by name. Values are drawn as
            colours, from 0, which is transparent, to their maximum, with a bar of their own. Floats are values;
            integers are labels unless one is negative or more than 200 differ.
        cmap : str, optional
            A colour map of matplotlib. Default: grey, for PET with high values dark.
        colorbar : bool
            Whether a bar shows the values and their unit.
        allow_other_frame : bool
            Draw overlays of another patient or frame of reference, because they were registered elsewhere.

        Returns
        -------
        matplotlib.figure.Figure
            Known to pyplot: scripts show it with ``plt.show()``, notebooks at the end of the cell, once. Of a 4D volume
            the first step: ``volume[3].plot()`` draws another.

        Raises
        ------
        UnsupportedError
            matplotlib is not installed.
        VolumeError
            The overlay lies on another grid, or is of another patient or in another frame of reference; or a plane was
            asked for and there is no geometry.
        ValueError
            There is no such plane, slice or window.

        Examples
        --------
        >>> figure = volume.plot(window=(40, 400))
        >>> figure.savefig("ct.png")

        One plane, with a mask drawn over it:

        >>> figure = volume.plot(plane="coronal", overlay=volume.array > 100)
        """
        image, look = self._drawn, plotting.Look(window, slice, plane, cmap, colorbar)
        overlays = overlays_on(image, overlay, allow_other_frame=allow_other_frame)
        return plotting.draw(image, look, overlays)

    @property
    def _drawn(self) -> plotting.Image:
        """What pictures show: of a 4D volume the first step."""
        array = self.array[0] if len(self.dims) == 4 else self.array
        units = "" if self.units == "US" else self.units
        return plotting.Image(array, self.geometry, self.header, units, self._title())

    def _title(self) -> str:
        description = elements.text(self.header, "SeriesDescription")
        return ", ".join(part for part in (description, self._describe()) if part)

    def _describe(self) -> str:
        size = " x ".join(str(number) for number in self.shape)
        axes = ", ".join((*self.dims, "colour") if self.is_colour else self.dims)
        unit = volume_properties.unit_text(self)
        text = " ".join(part for part in (f"{size} ({axes})", str(self.array.dtype), unit) if part)
        if self.spacing is None:
            return f"{text}, no geometry"
        voxel = " x ".join(f"{value:.4g}" for value in self.spacing[::-1])
        return f"{text}, voxels of {voxel} mm{', sheared' if self.is_sheared else ''}"

    def __repr__(self) -> str:
        """Describe the volume in one line, without its voxels."""
        return f"<Volume {safe(self._describe())}>"

    def __str__(self) -> str:
        """Describe the volume on several lines: geometry, values, coordinates, labels and log."""
        return volume_properties.volume_text(self)

    def _repr_html_(self) -> str:
        return volume_properties.volume_html(self)

    def _as_text(self) -> str:
        return str(self)
