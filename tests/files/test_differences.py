"""In which elements two files differ."""

from __future__ import annotations

from simple_orthanc.files.differences import differing_elements
from simple_orthanc.phantom import as_bytes, make_series


def test_elements_of_the_dataset_and_of_the_file_meta_information() -> None:
    one, other = (make_series((1, 4, 4), seed=1)[0] for _ in range(2))
    other.PatientID = "other"
    other.add_new(0x00991001, "LO", "private")
    other.file_meta.ImplementationVersionName = "other"
    assert differing_elements(as_bytes(one), as_bytes(other)) == [
        "FileMetaInformationGroupLength",
        "ImplementationVersionName",
        "PatientID",
        "(0099,1001)",
    ]


def test_at_most_five_are_listed() -> None:
    one, other = make_series((1, 4, 4), seed=1)[0], make_series((1, 4, 4), seed=2, spacing=(3, 2, 2))[0]
    assert len(differing_elements(as_bytes(one), as_bytes(other))) == 5
