"""Masks by name, each read when it is looked up, on the grid of the images that it was drawn on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from simple_orthanc.dicom import header as elements
from simple_orthanc.errors import SelectionError, VolumeError
from simple_orthanc.pixels.padding import background_value
from simple_orthanc.session.containers import unknown_entry
from simple_orthanc.session.reading.volume_reader import VolumeRequest
from simple_orthanc.showing.table import MOST_ROWS, ShownAsTable, Table
from simple_orthanc.showing.text import counted, safe
from simple_orthanc.volume import masks
from simple_orthanc.volume.common_space import in_frame, moved_into, space_of
from simple_orthanc.volume.masks import Region
from simple_orthanc.volume.volume import Volume

if TYPE_CHECKING:
    import pandas as pd

    from simple_orthanc.session.base import Session
    from simple_orthanc.session.reading.volume_reader import Labelled, VolumeReader
    from simple_orthanc.volume.choosing import Stack
    from simple_orthanc.volume.geometry import Geometry

MODALITIES = ("SEG", "RTSTRUCT")
_HOW_LIKE = "Name the images with get_masks(like=volume), where volume is one that get_volume() has read."


@dataclass(frozen=True)
class _Origin:
    """Where the pixels or contours of a region are read."""

    header: Dataset
    series: Session | None = None
    reader: VolumeReader | None = None
    label: str = ""
    is_label_map: bool = False


class Masks(ShownAsTable, Mapping[str, Volume]):
    """Masks by the name of their segment or region of interest; each is read when it is looked up, and not kept.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per mask: name, number, kind ("SEG" or "RTSTRUCT"), SOPInstanceUID of the object, and SeriesInstanceUID
        of the images that it names.

    Examples
    --------
    >>> masks = archive.select(Modality=["SEG", "RTSTRUCT"]).get_masks()
    >>> list(masks)
    ['liver (SEG)', 'lesion (SEG)', 'liver (RTSTRUCT)', 'lesion (RTSTRUCT)']
    >>> volume = masks["lesion (SEG)"]
    >>> volume.dtype, volume.shape
    (dtype('bool'), (40, 128, 128))
    """

    def __init__(self, session: Session, like: Volume | None, *, allow_other_frame: bool = False) -> None:
        if like is not None and like.geometry is None:
            raise VolumeError(
                "Masks were asked for on the grid of a volume without geometry, whose place is not known."
            )
        self._session, self._like, self._allow_other_frame = session, like, allow_other_frame
        self._references: dict[tuple[str, ...], tuple[Geometry, Dataset] | None] = {}
        found = self._find()
        self._regions = masks.unique_names(region for region, _ in found)
        # One segment may be several masks, such as one of each time, which have its number in common.
        self._origins = dict(zip(self._regions, (origin for _, origin in found), strict=True))

    def _find(self) -> list[tuple[Region, _Origin]]:
        """List the regions of what is selected, from headers alone."""
        found: list[tuple[Region, _Origin]] = []
        chosen = False
        for series in self._session.series:
            modality = series.get_dicom_tag("Modality")
            if modality == ["SEG"]:
                chosen = True
                found += self._segments(series)
            elif modality == ["RTSTRUCT"]:
                chosen = True
                for header in series.get_headers():
                    found += [(region, _Origin(header)) for region in masks.structures(header)]
        if not chosen:
            raise SelectionError(
                "Masks were asked for, but no segmentation (SEG) and no structure set (RTSTRUCT) is selected. Select "
                f'them with select(Modality={list(MODALITIES)}), or see what there is with value_counts("Modality").'
            )
        return found

    def _segments(self, series: Session) -> list[tuple[Region, _Origin]]:
        reader = series._volume_reader(VolumeRequest(), many=True)
        headers = {elements.text(header, "SOPInstanceUID"): header for header in series.get_headers()}
        found = []
        for label, planned in reader.planned().items():
            if planned.stack is None:
                continue
            first = planned.stack.planes[0]
            is_label_map = first.segment is None
            background = background_value(headers[first.uid]) if is_label_map else None
            origin = _Origin(headers[first.uid], series, reader, label, is_label_map)
            found += [
                (region, origin)
                for region in masks.segments(headers[first.uid])
                if region.number == first.segment or (is_label_map and region.number != background)
            ]
        return found

    @property
    def table(self) -> pd.DataFrame:
        """One row per mask, from headers alone.

        Examples
        --------
        >>> masks = archive.select(Modality=["SEG", "RTSTRUCT"]).get_masks()
        >>> masks.table[["name", "number", "kind"]]
                        name  number      kind
        0        liver (SEG)       1       SEG
        1       lesion (SEG)       2       SEG
        2   liver (RTSTRUCT)       1  RTSTRUCT
        3  lesion (RTSTRUCT)       2  RTSTRUCT
        """
        import pandas as pd

        rows = [
            (name, each.number, each.kind, each.uid, each.series[0] if len(each.series) == 1 else None)
            for name, each in self._regions.items()
        ]
        columns = ["name", "number", "kind", "SOPInstanceUID", "SeriesInstanceUID"]
        table: pd.DataFrame = pd.DataFrame(rows, columns=columns)
        return table.astype({name: "Int64" if name == "number" else "string" for name in columns})

    def __getitem__(self, name: str) -> Volume:
        """Read a mask by its name."""
        if name not in self:
            raise unknown_entry("mask", name, list(self._regions))
        return replace(self._read(self._regions[name], self._origins[name]), name=name)

    def __contains__(self, name: object) -> bool:
        """Check whether there is a mask of this name, without reading it."""
        return name in self._regions

    def _read(self, region: Region, origin: _Origin) -> Volume:
        if self._like is not None and not self._allow_other_frame:
            patient = space_of(origin.header).patient
            masks.check_images(region, self._like.header, "the volume given by like=", patient)
        reference = self._reference(region)
        mask = self._mask(region, origin, reference)
        if self._like is not None:
            assert self._like.geometry is not None
            return self._onto(mask, self._like.geometry, self._like.header)
        if reference is None:
            note = "the images that it refers to are not in the archive: the mask is on the grid of the segmentation"
            return replace(mask, log=(*mask.log, note))
        return self._onto(mask, *reference)

    def _onto(self, mask: Volume, geometry: Geometry, images: Dataset) -> Volume:
        """Return a mask on the grid of images, and in their frame of reference."""
        header, notes = moved_into(mask.header, images) if self._allow_other_frame else (mask.header, ())
        placed = masks.onto(mask, geometry)
        return replace(placed, header=header, log=(*placed.log, *notes))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._regions)

    def __len__(self) -> int:
        """Return the number of masks."""
        return len(self._regions)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._regions)

    def __repr__(self) -> str:
        """List the names."""
        return safe(f"<{counted(len(self), 'mask')}: {', '.join(self._regions)}>")

    def _shown(self) -> Table:
        regions = list(self._regions.items())
        rows = [(name, each.number, each.kind) for name, each in regions[:MOST_ROWS]]
        title = f"{counted(len(regions), 'mask')} by name, each read when it is looked up"
        return Table(title, ("name", "number", "kind"), rows, len(regions) - len(rows))

    def _mask(self, region: Region, origin: _Origin, reference: tuple[Geometry, Dataset] | None) -> Volume:
        if origin.reader is not None:
            volume = self._reader_of(origin, reference).labelled(origin.label)
            return masks.segment_mask(volume, region, origin.is_label_map)
        geometry = reference[0] if reference is not None else self._like.geometry if self._like is not None else None
        if geometry is None:
            images = ", ".join(region.series) or "none"
            raise VolumeError(
                f"The region {region} was asked for as a mask, but the images that it was drawn on (SeriesInstanceUID "
                f"{images}) are not in the archive, and contours have no grid of their own. {_HOW_LIKE}"
            )
        mask = masks.contour_mask(origin.header, region, geometry)
        if region.frame_of_reference or reference is None:
            return mask
        # That of the structure set itself may be any; these are the images that its contours name.
        return replace(mask, header=in_frame(mask.header, space_of(reference[1]).frame))

    @staticmethod
    def _reader_of(origin: _Origin, reference: tuple[Geometry, Dataset] | None) -> VolumeReader:
        """Return the reader that knows how far apart the slices are that a segmentation was drawn on."""
        assert origin.reader is not None
        stack = origin.reader.planned()[origin.label].stack
        spacing = None if stack is None else masks.drawn_spacing(stack.planes[0], reference)
        if spacing is None or origin.series is None:
            return origin.reader
        reader = origin.series._volume_reader(VolumeRequest(spacing=spacing), many=True)
        planned = reader.planned().get(origin.label)
        # Frames that lie elsewhere than in such slices may be regular all the same.
        return origin.reader if planned is None or planned.problem is not None else reader

    def _reference(self, region: Region) -> tuple[Geometry, Dataset] | None:
        """Return the grid of the images that a region was drawn on; None if they are not in the archive."""
        key = (region.uid, region.frame_of_reference, *region.series, *sorted(region.images))
        if key not in self._references:
            self._references[key] = self._find_reference(region)
        return self._references[key]

    def _find_reference(self, region: Region) -> tuple[Geometry, Dataset] | None:
        groups = list(self._groups(region))
        shared = [len(region.images.intersection(plane.uid for plane in stack.planes)) for _, _, stack in groups]
        best = [group for group, count in zip(groups, shared, strict=True) if count == max(shared)]
        if not best:
            return None
        reader, planned, stack = best[0]
        geometry = stack.geometry
        if stack.problem is not None or geometry is None:
            problem = f"make no regular volume: {stack.problem or 'they have no position in the patient'}"
        elif any(other.geometry is None or not geometry.isclose(other.geometry) for _, _, other in best[1:]):
            problem = f"are on different grids: {', '.join(repr(other.label) for _, _, other in best)}."
        else:
            header = reader.header_of(planned)
            if not self._allow_other_frame:
                masks.check_images(region, header, "the group of images that it names")
            return geometry, header
        if self._like is not None:
            return None
        raise VolumeError(
            f"The region {region} was asked for as a mask, but the images that it was drawn on {problem} {_HOW_LIKE}"
        )

    def _groups(self, region: Region) -> Iterator[tuple[VolumeReader, Labelled, Stack]]:
        """List the groups of images that a region may have been drawn on, wherever in the archive they are."""
        archive = self._session.copy().reset()
        with warnings.catch_warnings():
            # That they are missing is an answer here.
            warnings.filterwarnings("ignore", "Nothing is selected")
            if region.series:
                archive.select(SeriesInstanceUID=list(region.series))
            elif region.images:
                archive.select(SOPInstanceUID=min(region.images))
                owners = archive.get_dicom_tag("SeriesInstanceUID")
                archive.reset().select(SeriesInstanceUID=owners or "")
            else:
                return
        for series in archive.series:
            reader = series._volume_reader(VolumeRequest(), many=True)
            for planned in reader.planned().values():
                if planned.stack is not None:
                    yield reader, planned, planned.stack
