"""Encapsulated pixel data, cut into the codestreams of its frames, with and without its last delimiter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from simple_orthanc import Folder, PixelDecodeError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_image
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.pixels.encapsulation import frame_streams
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import image

DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
SYNTAXES = [JPEG2000Lossless, JPEGLSLossless, RLELossless]


@given(st.lists(st.binary(min_size=2, max_size=60).map(lambda content: content * 2), min_size=1, max_size=5))
def test_one_fragment_for_each_frame(frames: list[bytes]) -> None:
    content = encapsulate(frames)
    for value in (content, content + DELIMITER, content + DELIMITER[:5]):
        assert frame_streams(value, len(frames)) == frames


def test_several_fragments_of_one_frame_are_joined() -> None:
    assert frame_streams(encapsulate([bytes(range(100))], fragments_per_frame=5), 1) == [bytes(range(100))]


@pytest.mark.parametrize("cut", [1, 8, 9])
def test_a_fragment_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match=r"cut off|promised"):
        frame_streams(encapsulate([b"abcdefgh", b"ijklmnop"])[:-cut], 2)


def test_a_frame_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="3 frames are promised, and the pixel data hold 2"):
        frame_streams(encapsulate([b"abcdefgh", b"ijklmnop"]), 3)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("table", ["basic", "none", "extended"])
@pytest.mark.parametrize(("there", "promised"), [(3, 1), (3, 2), (2, 1)])
def test_frames_that_the_header_does_not_promise_are_refused(
    syntax: UID, table: str, there: int, promised: int
) -> None:
    array = np.random.default_rng(3).integers(0, 4000, (there, 40, 40)).astype(np.uint16)
    dataset = image(array)
    dataset.compress(syntax, encapsulate_ext=table == "extended", generate_instance_uid=False)
    if table == "none":
        dataset.PixelData = encapsulate(list(generate_frames(dataset.PixelData, number_of_frames=there)), has_bot=False)
    np.testing.assert_array_equal(stored_values(dataset), array)
    dataset.NumberOfFrames = promised
    with pytest.raises(
        PixelDecodeError, match=f"{promised} frames? (is|are) promised, and the pixel data hold {there}"
    ):
        stored_values(dataset)


def test_fragments_that_are_listed_without_being_frames_are_joined() -> None:
    content = bytes(range(100))
    offsets = np.arange(5, dtype="<u4") * 28
    whole = encapsulate([content], fragments_per_frame=5)
    listed = whole[:4] + (20).to_bytes(4, "little") + offsets.tobytes() + whole[12:]
    assert frame_streams(listed, 1) == [content]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("missing", range(1, 9))
def test_a_file_without_its_last_delimiter_is_read(syntax: UID, missing: int) -> None:
    array = np.random.default_rng(3).integers(0, 4000, (2, 40, 40)).astype(np.uint16)
    dataset = image(array, PatientID="1")
    dataset.compress(syntax, generate_instance_uid=False)
    content = as_bytes(dataset)
    assert content.endswith(DELIMITER)
    np.testing.assert_array_equal(stored_values(read_image(content[:-missing], Scanner())), array)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_that_ends_inside_its_last_frame_is_refused(syntax: UID) -> None:
    array = np.random.default_rng(3).integers(0, 4000, (2, 40, 40)).astype(np.uint16)
    dataset = image(array, PatientID="1")
    dataset.compress(syntax, generate_instance_uid=False)
    content = as_bytes(dataset)
    for length in (len(content) - 9, len(content) - 100):
        with pytest.raises(PixelDecodeError, match="cut off"):
            stored_values(read_image(content[:length], Scanner()))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_folder_of_files_without_their_last_delimiter_is_one_volume(syntax: UID, tmp_path: Path) -> None:
    array = np.random.default_rng(3).integers(0, 4000, (3, 40, 40)).astype(np.uint16)
    for number, dataset in enumerate(make_series(array=array, intercept=0)):
        dataset.compress(syntax, generate_instance_uid=False)
        (tmp_path / f"{number}.dcm").write_bytes(as_bytes(dataset)[: -len(DELIMITER)])
    np.testing.assert_array_equal(Folder(tmp_path, cache=False).get_volume().array, array)
