"""How a volume is looked at interactively."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from simple_orthanc.extras import import_extra

if TYPE_CHECKING:
    from simple_orthanc.volume.niivue import VolumeViewer
    from simple_orthanc.volume.volume import Volume


class Viewing:
    """The part of `Volume` that shows it as a widget."""

    def view(self, overlay: Any = None, *, allow_other_frame: bool = False) -> VolumeViewer:
        """Return a widget to scroll through the volume, for JupyterLab, Jupyter Notebook and VS Code.

        It shows an axial, a coronal and a sagittal plane, turned as by `plot`: the patient's right, and in sagittal
        planes the front, is on the left side. The corner of each plane has the letters of its left and upper side. An
        oblique volume is shown in its own planes. The mouse wheel scrolls; a click moves all planes to that point;
        dragging with the right button sets the window to the values inside the rectangle. The window is at first that
        of `plot`, and the bar shows it in the units of the volume. A 4D volume comes with a curve of the values at the
        crosshair; a click on the curve selects the step.

        The widget needs the extra ``view``, and no network. On pages without a kernel, such as those of ``jupyter
        nbconvert`` and GitHub, a picture of the middle planes takes its place.

        Parameters
        ----------
        overlay : Volume, ndarray, or mapping or list of these, optional
            A mask, a label map or values on the same grid, drawn over the image; several by name, as `get_masks` of a
            session returns them. Each mask and each label has its own colour. Values are drawn as colours, from 0,
            which is transparent, to their maximum. Floats are values; integers are labels unless one is negative or
            more than 200 differ.
        allow_other_frame : bool
            Show overlays of another patient or frame of reference, because they were registered elsewhere.

        Returns
        -------
        ipyniivue.NiiVue
            Its attributes may be changed while it is shown: ``widget.volumes[0].cal_max = 300`` sets the upper end of
            the window, ``widget.volumes[1].opacity = 0.2`` the opacity of the first overlay.

        Raises
        ------
        UnsupportedError
            ipyniivue is not installed.
        VolumeError
            The overlay lies on another grid, or is of another patient or in another frame of reference; or the volume
            is larger than browsers draw.

        Warns
        -----
        UserWarning
            The volume is sheared (gantry tilt), and is resampled for viewing.

        Notes
        -----
        The browser gets uint8, int16, uint16 and float32 as they are. Other integers become one of these, float64
        becomes float32, and NaN becomes the smallest value. Take values from `array`, not from the widget.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> patient = Folder.example().select(PatientID="EX-002")
        >>> masks = patient.copy().select(Modality="SEG").get_masks()
        >>> patient.select(Modality="CT").get_volume().view(overlay=masks)
        <Volume 40 x 128 x 128 (slice, row, column) int16 HU, voxels of 5 x 2.2 x 2.2 mm> with liver, lesion
        """
        make_viewer = require_viewer()
        volume = cast("Volume", self)
        image = volume._drawn
        return make_viewer(volume, image, overlay, allow_other_frame=allow_other_frame)


def require_viewer() -> Callable[..., VolumeViewer]:
    """Return what makes a widget of a volume.

    Raises
    ------
    UnsupportedError
        ipyniivue, or what else the extra ``view`` has, is not installed.
    """
    for package in ("ipyniivue", "matplotlib"):
        import_extra(package, "view", "A viewer", ", or draw planes with plot()")
    from simple_orthanc.volume.niivue import make_viewer

    return make_viewer
