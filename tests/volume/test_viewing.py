"""What is missing for a widget is named with the extra that has it."""

from __future__ import annotations

import sys

import pytest

from simple_orthanc import UnsupportedError
from simple_orthanc.phantom import ct_phantom
from tests.volume.helpers import read


@pytest.mark.parametrize("missing", ["ipyniivue", "matplotlib"])
def test_without_a_package_the_error_names_it_and_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "simple_orthanc.volume.niivue", raising=False)
    for name in (missing, f"{missing}.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    volume = read(ct_phantom((2, 8, 8)))
    with pytest.raises(UnsupportedError, match=rf'{missing}.* is not installed: pip install "simple-orthanc\[view\]"'):
        volume.view()
