"""Which masks and label maps are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simple_orthanc import Geometry, SelectionError, VolumeError
from simple_orthanc.volume.writing.segmentations import segmentation_of
from tests.volume.writing.helpers import SHAPE, boxes, ct_in, images


def test_masks_that_are_none(tmp_path: Path) -> None:
    ct = ct_in(tmp_path, images())
    other = replace(ct, geometry=Geometry((11, 9, 6), (1, 1, 1), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    mask = ct.with_array(boxes()["left"], units="mask")
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ({}, {}, "no mask was given"),
        ({"a": np.zeros((2, 2, 2))}, {}, "shape"),
        ({"a": np.full(SHAPE, 2)}, {}, r"other values than 0 and 1.*values > 0\.5"),
        ({"a": np.full(SHAPE, 0.5)}, {}, "FRACTIONAL"),
        ({"a": np.full(SHAPE, 1.5)}, {"kind": "FRACTIONAL"}, "fractions from 0 to 1"),
        ({"a": np.full(SHAPE, np.nan)}, {"kind": "FRACTIONAL"}, "fractions from 0 to 1"),
        ({"a": mask, "b": replace(other, array=mask.array)}, {}, r"another grid.*resample\(like=images"),
        ({"a": mask}, {"names": {1: "b"}}, "names="),
        ({"x" * 65: mask}, {}, "1 to 64 characters"),
        ({"a\\b": mask}, {}, "backslash"),
        ({" a": mask}, {}, "spaces around"),
        ({"a": mask}, {"kind": "binary"}, "choose 'BINARY'"),
        ({"a": mask}, {"algorithm": ""}, "the name of an algorithm"),
        ({"a": mask}, {"codes": {"a": (("1", "SCT", "x" * 65),) * 2}}, "it is none"),
        ({7: mask}, {}, "7 was given as the name"),
        ({"a\x1b[31m": mask}, {}, "control characters"),
        ({"a": mask}, {"codes": {"b": (("1", "SCT", "x"),) * 2}}, "the segment 'b'"),
        ({"a": mask}, {"codes": {"a": ("Tissue", "Liver")}}, "a value, a scheme and a meaning"),
        (ct.with_array(ct.array * 0.5, units="label"), {}, "whole numbers"),
        (ct.with_array(ct.array - 1, units="label"), {}, "labels go from 0"),
        (ct.with_array(ct.array * 0, units="label"), {}, "no label"),
        (None, {}, r'a NoneType: masks are given by their names, as in \{"lesion": mask\}'),
        (ct.array > 0, {}, "a ndarray: masks are given"),
        (mask, {"names": ["a"]}, "by its number"),
        (mask, {"names": {"1": "a"}}, "by its number"),
        (mask, {"names": {1.0: "a"}}, "by its number"),
        ({"a": mask}, {"codes": {"a": 5}}, "5 was given as codes"),
        ({"a": mask}, {"codes": ["a"]}, "category and the type of each segment"),
        ({"a": mask, "b": mask}, {"kind": "LABELMAP"}, r"overlaps.*kind=\"BINARY\""),
    ]
    for masks, arguments, message in cases:
        with pytest.raises(VolumeError, match=message):
            segmentation_of(masks, ct, **arguments)
    with pytest.raises(SelectionError, match="that of a segmentation is SEG"):
        segmentation_of({"a": mask}, ct, tags={"Modality": "CT"})
