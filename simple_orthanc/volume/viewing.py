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

    def view(self, overlay: Any = None) -> VolumeViewer:
        """Return a widget for JupyterLab, Jupyter Notebook and VS Code in which the volume is scrolled through.

        It shows an axial, a coronal and a sagittal plane as `plot` turns them, the right of the patient and the front
        on the left side; an oblique volume is shown in its own planes. The wheel of the mouse scrolls, a click moves
        all planes to that point, dragging with the right button over a region sets the window to the values in it. The
        bar shows the window, which begins as that of `plot`, and the unit is that of the volume. Of a 4D volume the
        curve at the crosshair is drawn too; a click on it chooses the step.

        Needs the extra ``view``, and no network. Where no kernel runs, as in a page that ``jupyter nbconvert`` made or
        on GitHub, a picture of the middle planes stands in its place.

        Parameters
        ----------
        overlay : Volume, ndarray or mapping, optional
            A mask, a label map or values on the same grid, drawn over the image; several by name, such as
            ``get_masks()``. Each mask and each label has its own colour. Floats are drawn from 0, which is transparent,
            to their maximum.

        Returns
        -------
        ipyniivue.NiiVue
            Its attributes can be changed while it is shown: ``widget.volumes[0].cal_max = 300`` is the upper end of the
            window, ``widget.volumes[1].opacity = 0.2`` the opacity of the first overlay.

        Raises
        ------
        UnsupportedError
            ipyniivue is not installed.
        VolumeError
            The overlay lies on another grid, or the volume is larger than browsers draw.

        Warns
        -----
        UserWarning
            The volume is sheared (gantry tilt), so that it is resampled for viewing.

        Notes
        -----
        Values go to the browser as they are where they are uint8, int16, uint16 or float32. Other integers become one
        of these, float64 becomes float32, and NaN the smallest value: what is viewed is for looking, `array` for
        computing.

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
        return make_viewer(volume, volume._drawn, overlay)


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
