"""Lists of tags that people filter on."""

from __future__ import annotations

import pytest

from simple_orthanc.dicom import usual
from simple_orthanc.dicom.levels import indexed_level
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.usual import in_order, usual_in_files


@pytest.mark.parametrize("modality", [*usual._IN_FILES_OF, "none"])
def test_all_are_tags_that_only_files_hold(modality: str) -> None:
    names = usual_in_files([modality])
    assert [parse_tag(name).name for name in names] == names
    assert not any(map(indexed_level, names))
    assert len(set(names)) == len(names)


def test_modalities_bring_their_own_tags() -> None:
    assert "EchoTime" in usual_in_files(["CT", "MR"])
    assert usual_in_files(["MR", "CT"]) == usual_in_files(["CT", "MR"])
    assert "EchoTime" not in usual_in_files(["CT"])
    assert {"EchoTime", "KVP", "Units"} < set(usual_in_files())


def test_all_that_is_ordered_is_in_the_index() -> None:
    ordered = [*usual._SOUGHT_FIRST.split(), *usual._SOUGHT_LAST.split()]
    assert all(map(indexed_level, ordered))
    assert in_order(ordered[::-1]) == ordered
