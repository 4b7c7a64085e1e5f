"""The verbs that show images: a gallery of series, a small picture or a widget of one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simple_orthanc.concurrency.threads import run_all
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.values import Value, shown
from simple_orthanc.errors import (
    AmbiguousSelectionError,
    NoPixelDataError,
    OrthancError,
    SelectionError,
    UnsupportedError,
)
from simple_orthanc.extras import import_extra
from simple_orthanc.selection import tables
from simple_orthanc.session.arguments import whole_number
from simple_orthanc.session.reading.unreadable import is_about_one_object, reason_of
from simple_orthanc.session.reading.verbs import Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from simple_orthanc.pixels.processes import DecodingProcesses
    from simple_orthanc.volume.contact_sheet import Picture
    from simple_orthanc.volume.niivue import VolumeViewer
    from simple_orthanc.volume.volume import Volume

# Each holds one whole object.
_WORKERS = 4
# So many objects of a series without an image in its middle are looked at for one.
_MOST_TRIED = 20
# Whole-slide images, of many gigabytes, are not read as a whole.
_NOT_READ = {"SM": "a whole-slide image, which is not read as a whole"}
# Pixels of a picture in which anything is seen, and of one that no screen shows.
_SMALLEST, _LARGEST = 16, 4096
_NAMING = ("Modality", "SeriesNumber", "SeriesDescription")
_POSITION = parse_tag("ImagePositionPatient")
# What tells series apart that are named alike, in this order.
_SEPARATING = ("StudyDate", "PatientID", "SeriesTime")


class Picturing(Reading):
    """The verbs of a session that show images."""

    def gallery(self, columns: int = 6, limit: int = 60) -> Figure:
        """Draw the middle slice of each selected series on one sheet, with its label.

        One object of each series is read: the middle one in the usual order. If it has several frames, the middle frame
        of its first volume is drawn. Slices are turned and windowed as by `Volume.plot`; the window is that of the
        slice alone, and is written below it. A series that has no images or cannot be read has a tile that says why.

        Parameters
        ----------
        columns : int
            Number of pictures in a row.
        limit : int
            The largest number of series to draw. If there are more, the first ones are drawn, and the title gives the
            call that draws all.

        Returns
        -------
        matplotlib.figure.Figure
            Known to pyplot, as that of `Volume.plot`.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        SelectionError
            `columns` or `limit` is not a positive integer.
        UnsupportedError
            matplotlib is not installed, or the session is on a PACS, which hands over no images.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> sheet = Folder.example().select(PatientID="EX-002").gallery()
        >>> for place in sheet.axes:
        ...     print(" ".join(place.get_title(loc="left").split()))
        CT 2 CT abdomen portal venous (40 images)
        SEG 3 Liver segmentation
        RTSTRUCT 4 Liver contours
        """
        for name, value in (("columns", columns), ("limit", limit)):
            if (whole_number(value) or 0) < 1:
                raise SelectionError(f"{name}={value!r}: gallery() needs a whole number from 1, as in {name}=6.")
        from simple_orthanc.pixels.processes import DecodingProcesses
        from simple_orthanc.volume.contact_sheet import Tile, draw_tiles

        import_extra("matplotlib", "plot", "A gallery")
        self._check_has_files()
        every = tables.row_keys(self._index, self._selection, "series")
        if not every:
            raise self._empty()
        series = every[:limit]
        instances = self._instances_of(series)
        modalities = self._texts("Modality", series)

        with DecodingProcesses(len(series)) as processes:

            def content_of(number: int) -> Picture | str:
                own = instances[series[number]]
                return _NOT_READ.get(modalities[number]) or self._picture(own, processes)

            contents = run_all(content_of, range(len(series)), workers=_WORKERS, label="reading images")
        labels = self._labels(series, [self._counted(instances[key]) for key in series])
        title = f"{len(every)} series" if len(every) > 1 else "1 series"
        if len(every) > len(series):
            title = f"The first {len(series)} of {len(every)} series: gallery(limit={len(every)}) shows all"
        return draw_tiles(
            [Tile(label, content) for label, content in zip(labels, contents, strict=True)], title, columns
        )

    def thumbnail(self, size: int = 256) -> Image:
        """Draw the middle slice of the selected series small, as `gallery` draws that of many.

        One object is read: the middle one in the usual order, or the image nearest to it where that is raw data. If it
        has several frames, the middle frame of its first volume is drawn. The slice is turned for a reader, with a
        letter at each side, and windowed by itself, as by `Volume.plot`.

        Parameters
        ----------
        size : int
            Pixels of the longer side, from 16 to 4096.

        Returns
        -------
        PIL.Image.Image
            Grey (mode "L"), or in colour ("RGB"). A notebook shows it.

        Raises
        ------
        EmptySelectionError
            Nothing is selected.
        AmbiguousSelectionError
            Several series are selected.
        SelectionError
            `size` is not such a number.
        NoPixelDataError
            The series holds no images.
        UnsupportedError
            It is a whole-slide image, which is not read as a whole; or the session is on a PACS.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> picture = Folder.example().select(PatientID="EX-002", Modality="CT").thumbnail()
        >>> picture.mode, picture.size
        ('L', (256, 256))
        >>> picture.save("ct.png")
        """
        if not _SMALLEST <= (whole_number(size) or 0) <= _LARGEST:
            raise SelectionError(
                f"size={size!r}: thumbnail() needs a whole number of pixels from {_SMALLEST} to {_LARGEST}, as in "
                "size=256."
            )
        from simple_orthanc.pixels.processes import DecodingProcesses
        from simple_orthanc.volume.thumbnails import slice_picture

        self._check_has_files()
        every = tables.row_keys(self._index, self._selection, "series")
        if not every:
            raise self._empty()
        if len(every) > 1:
            raise AmbiguousSelectionError(
                f"{len(every)} series are selected, and thumbnail() draws one: gallery() draws all, and "
                "session.series[0].thumbnail() the first.",
                candidates=tuple(every),
            )
        (modality,) = self._texts("Modality", every)
        if modality in _NOT_READ:
            raise UnsupportedError(f"A thumbnail was requested of {_NOT_READ[modality]}.")
        own = self._instances_of(every)[every[0]]
        with DecodingProcesses(1) as processes:
            volume, _ = self._middle_slice(own, processes)
        return slice_picture(volume, int(size))

    def view(self, overlay: Any = None, *, allow_other_frame: bool = False) -> VolumeViewer:
        """Read the selected series as one volume, and return a widget to scroll through it.

        The same as ``get_volume().view(overlay)``: see `get_volume` for what can be read, and `Volume.view` for what
        the widget shows.

        Parameters
        ----------
        overlay : Volume, ndarray, or mapping or list of these, optional
            A mask, a label map or values on the grid of the volume; several by name, such as ``get_masks()`` returns.
        allow_other_frame : bool
            As for `Volume.view`.

        Returns
        -------
        ipyniivue.NiiVue

        Raises
        ------
        UnsupportedError
            ipyniivue is not installed: the extra ``view``.
        VolumeError, AmbiguousSelectionError, EmptySelectionError
            As for `get_volume`.

        Examples
        --------
        >>> from simple_orthanc import Folder
        >>> Folder.example().select(PatientID="EX-003", Modality="CT").view()
        <Volume 40 x 96 x 96 (slice, row, column) int16 HU, voxels of 5 x 3 x 3 mm>
        """
        from simple_orthanc.volume.viewing import require_viewer

        require_viewer()
        return self.get_volume().view(overlay, allow_other_frame=allow_other_frame)

    def _instances_of(self, series: Sequence[str]) -> dict[str, list[str]]:
        """Return the keys of the selected instances of some series, in the usual order."""
        from simple_orthanc.selection import resolving

        selection, index = self._selection, self._index
        if selection.level != "instance":
            # Only the instances of these series need to be listed.
            selection = replace(selection, level="series", keys=tuple(series))
        keys = resolving.keys_at(index, selection, "instance")
        owned: dict[str, list[str]] = {key: [] for key in series}
        kept = [key for key, owner in zip(keys, index.up("instance", keys, "series"), strict=True) if owner in owned]
        ordered = index.ordered("instance", kept)
        for key, owner in zip(ordered, index.up("instance", ordered, "series"), strict=True):
            owned[owner].append(key)
        return owned

    def _middle_slice(self, own: Sequence[str], processes: DecodingProcesses) -> tuple[Volume, str]:
        """Read the middle slice of a series, and which one that is of its object; what is no image has none."""
        from simple_orthanc.session.reading.volume_reader import read_middle_slice
        from simple_orthanc.volume.planes import has_image

        middle = len(own) // 2
        try:
            return read_middle_slice(self._source, own[middle], processes)
        except NoPixelDataError:
            nearest = sorted((number for number in range(len(own)) if number != middle), key=lambda n: abs(n - middle))
            images = (own[number] for number in nearest[:_MOST_TRIED] if has_image(self._source.header(own[number])))
            image = next(images, None)
            if image is None:
                raise
        return read_middle_slice(self._source, image, processes)

    def _picture(self, own: Sequence[str], processes: DecodingProcesses) -> Picture | str:
        """Read one object of a series; return its middle slice, or why there is none."""
        from simple_orthanc.volume.contact_sheet import picture_of

        try:
            return picture_of(*self._middle_slice(own, processes))
        except NoPixelDataError:
            return "no images"
        except OrthancError as error:
            if not is_about_one_object(error):
                raise
            return reason_of(error)

    def _labels(self, series: Sequence[str], counts: Sequence[str]) -> list[str]:
        columns = [self._texts(name, series) for name in _NAMING]
        labels = [" ".join(part for part in parts if part) or "series" for parts in zip(*columns, strict=True)]
        for name in _SEPARATING:
            values = self._texts(name, series)
            distinct: dict[str, set[str]] = {}
            for label, value in zip(labels, values, strict=True):
                distinct.setdefault(label, set()).add(value)
            labels = [
                f"{label}, {value}" if len(distinct[label]) > 1 else label
                for label, value in zip(labels, values, strict=True)
            ]
        return [f"{label} {count}".rstrip() for label, count in zip(labels, counts, strict=True)]

    def _counted(self, instances: Sequence[str]) -> str:
        """Say how many instances a series has, and at how many positions if these repeat and are known."""
        if len(instances) == 1:
            return ""
        from simple_orthanc.selection.index import NotKnownError

        positions: list[Value] = []
        with self._index.offline(), suppress(NotKnownError):
            positions = self._index.column(_POSITION, "instance", instances)
        distinct = len({position for position in positions if position is not None})
        at = f" at {distinct} positions" if 1 < distinct < len(instances) else ""
        return f"({len(instances)} images{at})"

    def _texts(self, keyword: str, series: Sequence[str]) -> list[str]:
        tag = parse_tag(keyword)
        values = (shown(value, tag) for value in self._index.column(tag, "series", series))
        return ["" if value is None else str(value) for value in values]
