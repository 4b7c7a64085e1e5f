"""What the tests of the volume wing share: series with positions, and volumes read from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.phantom import make_enhanced, make_series
from simple_orthanc.pixels.stored import stored_values
from simple_orthanc.volume import choosing as stacks
from simple_orthanc.volume.assembly import assemble
from simple_orthanc.volume.choosing import apply_gaps, choose_volume, plan_stacks
from simple_orthanc.volume.volume import Volume

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def instance_numbers(stack: stacks.Stack) -> list[int | None]:
    return [plane.instance_number for plane in stack.planes]


def at(*values: float, **keywords: Any) -> list[Dataset]:
    positions = [(0.0, 0.0, float(value)) for value in values]
    return make_series((len(values), 4, 4), ImagePositionPatient=positions, **keywords)


def labels(headers: list[Dataset]) -> list[str]:
    return [stack.label for stack in plan_stacks(headers)]


def stored_of(datasets: list[Dataset]) -> Callable[[int], np.ndarray]:
    return lambda index: stored_values(datasets[index])


def read(datasets: list[Dataset], units: str = "modality", gaps: str = "raise", dims: str | None = None) -> Volume:
    return assemble(
        choose_volume(plan_stacks(datasets), dims=dims, gaps=gaps),
        datasets,
        stored_of(datasets),
        units=units,
        gaps=gaps,
    )


def read_all(datasets: list[Dataset], gaps: str = "raise") -> dict[str, Volume]:
    return {
        stack.label: assemble(stack, datasets, stored_of(datasets), gaps=gaps)
        for stack in apply_gaps(plan_stacks(datasets), gaps)
    }


def first_values(found: Volume) -> list[float]:
    return found.array[..., 0, 0].tolist()


def random_series(shape: tuple[int, int, int] = (5, 6, 7), **keywords: Any) -> tuple[np.ndarray, list[Dataset]]:
    array = np.random.default_rng(1).integers(-1000, 1000, shape).astype(np.int16)
    return array, make_series(array=array, **keywords)


def segmentation(frames: list[tuple[int, float, np.ndarray]], kind: str = "BINARY", **keywords: Any) -> Dataset:
    """Make a segmentation of (segment, z, pixels), one byte per pixel."""
    groups = {"SegmentIdentificationSequence": {"ReferencedSegmentNumber": [number for number, _, _ in frames]}}
    image = make_enhanced(
        array=np.stack([values for _, _, values in frames]).astype(np.uint8),
        positions=[(0, 0, z) for _, z, _ in frames],
        groups={**groups, "PixelMeasuresSequence": {"PixelSpacing": (1, 1), "SpacingBetweenSlices": 2.0}},
        modality="SEG",
        SegmentationType=kind,
        **keywords,
    )
    del image.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    image.SegmentSequence = []
    for number in sorted({number for number, _, _ in frames}):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, ("Liver", "Spleen", "Aorta")[number - 1]
        image.SegmentSequence.append(item)
    return image


origins = st.tuples(*[st.floats(-500, 500)] * 3)


def rotations() -> st.SearchStrategy[np.ndarray]:
    numbers = st.tuples(*[st.floats(-1, 1) for _ in range(4)]).filter(lambda q: np.linalg.norm(q) > 0.1)

    def matrix(quaternion: tuple[float, float, float, float]) -> np.ndarray:
        w, x, y, z = np.asarray(quaternion) / np.linalg.norm(quaternion)
        return np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )

    return numbers.map(matrix)
