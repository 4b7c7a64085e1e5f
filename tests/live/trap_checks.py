"""Shared by the tests of traps: store a trap, compare a volume with the truth, follow the advice of an error."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from simple_orthanc import Orthanc, Volume
from simple_orthanc.errors import OrthancError
from tests.live.trap_registry import Trap

CALL = re.compile(r"\b(select|exclude|get_\w+|to_sitk)(?=\()")


def load(orthanc: Orthanc, trap: Trap) -> Orthanc:
    """Store the files of a trap and select them."""
    # Some traps are one UID under two patients.
    table = orthanc.upload_file(list(trap.case.files), allow_foreign_uids=True)
    assert table.status.tolist() == ["stored"] * len(trap.case.files), table.message.tolist()
    return orthanc.select(StudyDate="20200101")


def assert_right(volume: Volume, trap: Trap) -> None:
    """Compare values and geometry with the true ones."""
    true = trap.case
    assert true.values is not None
    dims = 4 if true.values.ndim == 4 else 3
    assert volume.array.ndim == dims
    assert len(volume.array) == len(true.values)
    expected = np.broadcast_to(true.values, volume.array.shape)
    # Nothing is lost but what the type of the result cannot hold.
    np.testing.assert_allclose(volume.array, expected, rtol=1e-6 if volume.array.dtype.kind == "f" else 0, atol=0)
    if true.affine is None:
        assert volume.affine is None
    else:
        assert volume.affine is not None
        np.testing.assert_allclose(volume.affine, true.affine, rtol=0, atol=1e-9)
    assert volume.slices is not None
    assert set(volume.slices.SOPInstanceUID) <= {header.SOPInstanceUID for header in true.headers}


def calls(message: str) -> list[str]:
    """Return the calls that a message names, except those with a ``...`` to fill in."""
    found = []
    for start in CALL.finditer(message):
        depth = 0
        for place in range(start.end(), len(message)):
            depth += {"(": 1, ")": -1}.get(message[place], 0)
            if depth == 0:
                found.append(message[start.start() : place + 1])
                break
    return list(dict.fromkeys(call for call in found if "..." not in call))


def follow(orthanc: Orthanc, error: OrthancError, units: str = "modality") -> dict[str, Any]:
    """Make every call that the message of an error names, and read the result.

    Returns
    -------
    dict
        Call to its result: for a selection the volume of what is left, for ``get_volumes`` label to volume.
    """
    result: dict[str, Any] = {}
    for call in calls(error.message):
        session = orthanc.copy()
        found = eval(f"session.{call}", {"session": session})
        if call.startswith(("select", "exclude")):
            found = found.get_volume(units=units)
        elif call.startswith("get_volumes"):
            found = {label: found[label] for label in found}
        result[call] = found
    assert result, f"no call is named: {error.message}"
    return result
