"""CSA headers of both versions are read, as nibabel reads them, and damaged ones as far as they go."""

from __future__ import annotations

import doctest
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom import csa
from simple_orthanc.dicom.csa import csa_numbers, csa_of, read_csa
from tests.dicom.csa_writer import add_csa, write_csa

TAGS = {"EchoLinePosition": [32], "Empty": [], "SliceNormalVector": [0.0, -0.5, 0.75], "Text": ["M\\ND"]}
READ = {
    "EchoLinePosition": ("32",),
    "Empty": (),
    "SliceNormalVector": ("0.0", "-0.5", "0.75"),
    "Text": ("M\\ND",),
}


def test_examples() -> None:
    assert doctest.testmod(csa).failed == 0


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("items", [3, 6])
def test_both_versions_are_read(version: int, items: int) -> None:
    assert read_csa(write_csa(TAGS, version=version, items=items)) == READ


def test_first_version_whose_first_tag_is_empty() -> None:
    tags = {"Empty": [], "B_value": [1000]}
    assert read_csa(write_csa(tags, version=1)) == {"Empty": (), "B_value": ("1000",)}


@pytest.mark.parametrize("version", [1, 2])
def test_a_cut_header_holds_the_tags_before_the_cut(version: int) -> None:
    content = write_csa(TAGS, version=version)
    for length in range(len(content)):
        found = read_csa(content[:length])
        assert found.items() <= READ.items()
    assert read_csa(content[: len(content) - 4]).keys() >= {"EchoLinePosition", "SliceNormalVector"}


@pytest.mark.parametrize("content", [b"", b"SV10", b"\xff" * 200, b"SV10\4\3\2\1" + b"\xff" * 200, b"<XProtocol>" * 30])
def test_other_bytes_hold_no_tags(content: bytes) -> None:
    assert read_csa(content) == {}


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFE])
def test_the_header_is_found_by_its_creator(block: int) -> None:
    header = Dataset()
    add_csa(header, TAGS, block=block)
    assert csa_numbers(header, "SliceNormalVector") == (0.0, -0.5, 0.75)


def test_the_header_is_found_without_its_creator_unless_another_maker_wrote_it() -> None:
    header = Dataset()
    add_csa(header, TAGS)
    del header[0x0029, 0x0010]
    assert csa_numbers(header, "EchoLinePosition") == (32.0,)
    header.Manufacturer = "GE MEDICAL SYSTEMS"
    assert csa_numbers(header, "EchoLinePosition") == ()


def test_the_image_comes_before_the_series() -> None:
    header = Dataset()
    add_csa(header, {"B_value": [5], "Only": [1]}, series=True)
    add_csa(header, {"B_value": [1000], "Only": []})
    assert csa_numbers(header, "B_value") == (1000.0,)
    assert csa_numbers(header, "Only") == (1.0,)


def test_unknown_vr_and_text_in_place_of_numbers() -> None:
    header = Dataset()
    add_csa(header, TAGS)
    implicit, content = Dataset(), header[0x0029, 0x1010].value
    implicit.add_new((0x0029, 0x0010), "LO", "SIEMENS CSA HEADER")
    implicit.add_new((0x0029, 0x1010), "UN", content)
    assert csa_of(implicit) == csa_of(header)
    assert csa_numbers(implicit, "Text") == ()


def test_the_same_as_nibabel_for_written_headers() -> None:
    # Of the first version nibabel 5.4 reads no header whose first tag has a value.
    content = write_csa(TAGS)
    assert read_csa(content) == nibabel_reads(content)


@pytest.mark.parametrize(
    "name",
    [
        "vendor/siemens_mosaic_5_slices",
        "vendor/siemens_mosaic_35_sagittal_slices",
        "diffusion/siemens_e11_mosaic",
    ],
)
def test_the_same_as_nibabel_for_real_headers(shared_data: Path, name: str) -> None:
    with zipfile.ZipFile(shared_data / f"{name}.zip") as archive:
        members = [member for member in archive.namelist() if member.endswith(".dcm")]
        for member in members:
            header = pydicom.dcmread(BytesIO(archive.read(member)), stop_before_pixels=True)
            content = header[0x0029, 0x1010].value
            found = read_csa(content)
            assert found["NumberOfImagesInMosaic"] != ()
            assert found == nibabel_reads(content)


def nibabel_reads(content: bytes) -> dict[str, tuple[str, ...]]:
    """Read with nibabel, which warns of itself when it is imported and converts numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nibabel.nicom import csareader
    # Its own conversion of numbers would hide how they are written.
    converters, csareader._CONVERTERS = csareader._CONVERTERS, {}
    try:
        tags = csareader.read(content)["tags"]
    finally:
        csareader._CONVERTERS = converters
    return {name: tuple(item.strip() for item in tag["items"] if item) for name, tag in tags.items()}
