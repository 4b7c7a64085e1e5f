"""The strings that arguments of verbs may be, as types: type checkers and Tab know them from here."""

from __future__ import annotations

from typing import Literal, TypeAlias

Units: TypeAlias = Literal[
    "modality",
    "stored",
    "HU",
    "BQML",
    "GY",
    "SUVbw",
    "SUVlbm",
    "SUVlbmjames128",
    "SUVlbmjanma",
    "SUVbsa",
    "SUVibw",
    "real world",
    "philips",
]
Gaps: TypeAlias = Literal["raise", "nan"]
GapsOfMany: TypeAlias = Literal["raise", "nan", "split"]
Dims: TypeAlias = Literal["time", "echo", "b", "phase"]
OnError: TypeAlias = Literal["raise", "report"]
OnMissing: TypeAlias = Literal["raise", "warn"]
ImageFormat: TypeAlias = Literal[".nii.gz", ".nrrd", ".mha"]
SortOrder: TypeAlias = Literal["ascending", "descending"]
