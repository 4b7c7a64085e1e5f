"""A volume of which the files are fetched side by side is the one that whole files are assembled to."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from simple_orthanc.concurrency.threads import READERS
from simple_orthanc.errors import OrthancError, PixelDecodeError, VolumeError
from simple_orthanc.files.fast_headers import Scanner
from simple_orthanc.files.partial import read_image
from simple_orthanc.phantom import as_bytes, make_enhanced, make_series
from simple_orthanc.pixels.layout import NativeLayout
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.stored import remove_pixels, stored_values
from simple_orthanc.session.reading.fetching import FileLayout, ObjectFetcher
from simple_orthanc.session.reading.selected_series import SelectedInstance
from simple_orthanc.session.reading.volume_reader import VolumeReader, VolumeRequest
from simple_orthanc.volume.assembly import assemble
from simple_orthanc.volume.choosing import apply_gaps, choose_volume, plan_stacks
from simple_orthanc.volume.volume import Volume
from tests.examples import examples
from tests.volume.test_builder import assert_same


@pytest.fixture(autouse=True)
def _files_as_they_are() -> Iterator[None]:
    with pydicom.config.disable_value_validation():
        yield


class Files:
    """A source of files in memory that counts what is read; `replace` stands for what others do to the archive."""

    def __init__(self, files: Sequence[bytes]) -> None:
        self.files = list(files)
        self.reads = [0] * len(files)
        self.replace: Callable[[Files, int], None] = lambda files, number: None
        self._lock = threading.Lock()

    @property
    def keys(self) -> list[str]:
        return [str(number) for number in range(len(self.files))]

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        return READERS

    def header(self, key: str) -> Dataset:
        return whole(self.files[int(key)], stop_before_pixels=True)

    def check_identity(self, key: str, header: Dataset) -> None:
        """Accept every header."""

    def read(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        number = int(key)
        with self._lock:
            self.reads[number] += 1
            content = self.files[number]
            self.replace(self, number)
        memory = room(len(content))
        memory[:] = content
        return memory


def whole(content: bytes, **options: Any) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content), force=True, **options)


def assembled(files: Sequence[bytes], units: str, gaps: str = "raise", dims: str | None = None) -> Volume:
    headers = [whole(content, stop_before_pixels=True) for content in files]
    chosen = choose_volume(plan_stacks(headers), dims=dims, gaps=gaps)
    return assemble(chosen, headers, lambda index: stored_values(whole(files[index])), units=units, gaps=gaps)


def fetched(source: Files, units: str = "modality", gaps: str = "raise", dims: str | None = None) -> Volume:
    return reader(source, VolumeRequest(units, gaps, dims)).volume()


def reader(source: Files, request: VolumeRequest) -> VolumeReader:
    instances = [SelectedInstance(key, "series") for key in source.keys]
    return VolumeReader(source, instances, {"series": ("1.2", "series")}, request)  # type: ignore[arg-type]


def outcome(read: Callable[[], Volume]) -> Volume | type[OrthancError]:
    try:
        return read()
    except OrthancError as error:
        return type(error)


def assert_alike(files: Sequence[bytes], units: str = "modality", gaps: str = "raise", dims: str | None = None) -> None:
    expected = outcome(lambda: assembled(files, units, gaps, dims))
    found = outcome(lambda: fetched(Files(files), units, gaps, dims))
    if isinstance(expected, Volume) and isinstance(found, Volume):
        assert_same(found, expected)
    else:
        # Which of several things that are wrong is said first may differ.
        assert not isinstance(expected, Volume)
        assert not isinstance(found, Volume)


SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "rle": RLELossless,
}
UNITS = ["modality", "stored", "real world", "SUVbw"]


def stored_as(dataset: Dataset, syntax: str) -> bytes:
    if syntax == "explicit":
        return as_bytes(dataset)
    if syntax == "rle":
        copy = whole(as_bytes(dataset))
        # GDCM's encoder ends the process at some small images.
        copy.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        return as_bytes(copy)
    copy = whole(as_bytes(dataset))
    if syntax == "big":
        size = int(copy.BitsAllocated) // 8
        copy["PixelData"].VR = "OW"
        names = np.frombuffer(copy.PixelData, f"<u{max(size, 2)}")
        copy.PixelData = names.astype(f">u{max(size, 2)}").tobytes()
    copy.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream, copy, implicit_vr=syntax == "implicit", little_endian=syntax != "big", enforce_file_format=True
    )
    return stream.getvalue()


def mapped(slope: float, last: int) -> Dataset:
    item = Dataset()
    item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, 0.5
    item.add_new("RealWorldValueFirstValueMapped", "US", 0)
    item.add_new("RealWorldValueLastValueMapped", "US", last)
    return item


@st.composite
def slices(draw: st.DrawFn) -> list[bytes]:
    """Files of one series of which most are stored alike, and any may differ in anything."""
    count = draw(st.integers(2, 7))
    bits, signed = draw(st.sampled_from([(8, 8), (16, 12), (16, 16), (32, 32)])), draw(st.booleans())
    shape = draw(st.sampled_from([(3, 4), (3, 3), (5, 3)]))
    usual: dict[str, Any] = {"slope": 1.0, "intercept": 0.0, "bits": bits, "signed": signed, "syntax": "explicit"}
    usual |= {
        "slope": draw(st.sampled_from([1.0, 2.0, 0.5])),
        "syntax": draw(st.sampled_from(["explicit", "implicit"])),
    }
    usual |= {"padding": draw(st.sampled_from([None, 3])), "shape": shape, "tail": b"", "photometric": "MONOCHROME2"}
    usual |= {"nested": draw(st.booleans()), "comment": "x", "lut": None, "kind": "image"}
    different = {
        "slope": st.sampled_from([1.0, 2.0, 0.5, 100.0, 1000000.0, 1e30, 0.0, -1.0]),
        "intercept": st.sampled_from([0.0, -1024.0, 0.25, 1e10]),
        "bits": st.sampled_from([(8, 8), (16, 12), (16, 16), (16, 10), (32, 32), (32, 20)]),
        "signed": st.booleans(),
        "syntax": st.sampled_from(sorted(SYNTAXES)),
        "padding": st.sampled_from([None, 3, 5, 63536]),
        "shape": st.sampled_from([(3, 4), (4, 3)]),
        "tail": st.sampled_from([b"", b"\0\0", b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0ab"]),
        "photometric": st.sampled_from(["MONOCHROME1", "RGB", "PALETTE COLOR"]),
        "nested": st.booleans(),
        "comment": st.sampled_from(["x", "xx", "longer"]),
        "lut": st.sampled_from([None, (2.0, 100), (2.0, 65535), (0.5, 10)]),
        "kind": st.sampled_from(["image", "float", "double", "many frames", "no pixels"]),
    }
    files = []
    for number in range(count):
        own = dict(usual)
        if draw(st.integers(0, 2)) == 0:
            name = draw(st.sampled_from(sorted(different)))
            own[name] = draw(different[name])
        files.append(one_file(draw, number, own))
    return draw(st.permutations(files))


def add_palette(dataset: Dataset) -> None:
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(dataset, f"{name}PaletteColorLookupTableData", bytes(range(256)))


def one_file(draw: st.DrawFn, number: int, own: dict[str, Any]) -> bytes:
    allocated, stored = own["bits"]
    kind = f"{'i' if own['signed'] else 'u'}{allocated // 8}"
    # All bits at random, those included that are not stored.
    seed = draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    colour = own["photometric"] == "RGB"
    frames = 2 if own["kind"] == "many frames" else 1
    values = random.integers(0, 256, (frames, *own["shape"], 3 if colour else 1, allocated // 8), dtype=np.uint8)
    if draw(st.booleans()):
        values[..., 1:] = 0
    array = values.view(kind)[..., 0]
    array = array if colour else array[..., 0]
    if own["kind"] in ("float", "double"):
        array = random.normal(size=(1, *own["shape"])).astype("f4" if own["kind"] == "float" else "f8")
        own["syntax"] = "explicit"
    dataset = make_series(
        array=array[:1], bits_stored=None if array.dtype.kind == "f" else stored, seed=number, modality="PT",
        origin=(0, 0, number), slope=None, intercept=None, SeriesInstanceUID="1.2.3", FrameOfReferenceUID="1.2.4",
        InstanceNumber=number + 1, Units="BQML", PixelPaddingValue=None, ImageComments=own["comment"],
    )[0]  # fmt: skip
    if frames == 2:
        dataset.NumberOfFrames = 2
        dataset.PixelData = array.tobytes()
    if own["photometric"] == "PALETTE COLOR" and array.dtype.kind != "f":
        add_palette(dataset)
    if not colour and array.dtype.kind != "f":
        dataset.PhotometricInterpretation = own["photometric"]
    put_number(dataset, "RescaleSlope", own["slope"])
    put_number(dataset, "RescaleIntercept", own["intercept"])
    if own["padding"] is not None:
        dataset.add_new("PixelPaddingValue", "US", own["padding"])
    if own["lut"] is not None:
        dataset.RealWorldValueMappingSequence = Items([mapped(*own["lut"])])
    if own["nested"]:
        dataset.ReferencedImageSequence = Items([Dataset()])
        dataset["ReferencedImageSequence"].is_undefined_length = True
    if own["kind"] == "no pixels":
        del dataset.PixelData
    syntax = own["syntax"]
    if syntax == "rle" and (own["kind"] == "no pixels" or allocated == 32):
        syntax = "explicit"
    if syntax == "big" and (allocated == 8 or own["kind"] == "no pixels" or own["photometric"] == "PALETTE COLOR"):
        syntax = "explicit"
    tail: bytes = own["tail"]
    return stored_as(dataset, syntax) + tail


def put_number(dataset: Dataset, keyword: str, value: float) -> None:
    dataset.add_new(keyword, "DS", f"{value:g}")


@settings(max_examples=examples(100, thorough=3000))
@given(files=slices(), units=st.sampled_from(UNITS), gaps=st.sampled_from(["raise", "nan"]), data=st.data())
def test_whatever_differs_between_slices_the_volume_is_that_of_whole_files(
    files: list[bytes], units: str, gaps: str, data: st.DataObject
) -> None:
    if gaps == "nan" and len(files) > 3:
        del files[data.draw(st.integers(0, len(files) - 1))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_alike(files, units, gaps)


@pytest.mark.parametrize("slopes", [[1, 100, 1, 1, 1], [1, 1, 1e6, 1, 1], [1, 1, 1, 1, 1e30]])
def test_values_that_an_integer_type_does_not_hold_do_not_wrap_where_slices_are_missing(slopes: list[float]) -> None:
    array = np.full((5, 2, 3), 4000, np.uint16)
    series = make_series(array=array, bits_stored=12, slope=slopes)
    files = [as_bytes(dataset) for dataset in series]
    del files[3]
    assert_alike(files, "modality", "nan")
    assert np.nanmax(fetched(Files(files), "modality", "nan").array) == pytest.approx(4000 * max(slopes))


def test_padding_as_long_as_a_frame_hides_no_frame_in_between() -> None:
    series = make_series((5, 2, 3))
    for dataset in series:
        dataset.PixelData += bytes(len(dataset.PixelData))
    assert fetched(Files([as_bytes(dataset) for dataset in series]), "modality").array[:, 0, 0].tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
    series[2].PixelData = series[2].PixelData[:-2] + b"\1\1"
    with pytest.raises(PixelDecodeError, match="1 frame is promised, and the pixel data hold 2"):
        fetched(Files([as_bytes(dataset) for dataset in series]), "modality")


def test_fractions_among_integers_of_the_same_width_are_kept() -> None:
    whole_numbers = make_series((3, 2, 3), dtype="int32", slope=None, intercept=None, seed=1)
    fractions = make_series(
        array=np.full((1, 2, 3), 0.75, "f4"),
        slope=None,
        intercept=None,
        origin=(0, 0, 3),
        like=whole_numbers[0],
        seed=2,
    )
    files = [as_bytes(dataset) for dataset in (*whole_numbers, *fractions)]
    for units in ("modality", "stored"):
        assert_alike(files, units)
        assert fetched(Files(files), units).array[3].min() == 0.75


@pytest.mark.parametrize("units", ["modality", "stored"])
@pytest.mark.parametrize(
    "stray",
    [
        {"PixelRepresentation": 1},
        {"BitsStored": 32},
        {"BitsStored": 32, "HighBit": 31, "PixelRepresentation": 0},
        {"BitsStored": 32, "HighBit": 31, "PixelRepresentation": 1},
    ],
)
@pytest.mark.parametrize("name", ["f4", "f8"])
def test_elements_of_integers_do_not_make_integers_of_floats(stray: dict[str, int], units: str, name: str) -> None:
    array = np.arange(18).reshape(3, 2, 3).astype(name) + 0.5
    series = make_series(array=array, slope=None, intercept=None, **stray)
    volume = fetched(Files([as_bytes(dataset) for dataset in series]), units)
    assert volume.array.dtype == array.dtype
    np.testing.assert_array_equal(volume.array, array)


def test_integers_of_32_bits_stay_what_they_are_where_slices_are_missing() -> None:
    array = np.full((4, 2, 3), (1 << 24) + 1, np.int32)
    files = [as_bytes(dataset) for dataset in make_series(array=array, bits_stored=28)]
    del files[2]
    assert int(fetched(Files(files), "modality", "nan").array[0].min()) == (1 << 24) + 1


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_every_file_is_fetched_once_also_where_its_header_is_not_plain(syntax: str) -> None:
    series = make_series((6, 3, 4), slope=2)
    for dataset in series:
        dataset.ReferencedImageSequence = Items([Dataset()])
        dataset["ReferencedImageSequence"].is_undefined_length = True
    files = [stored_as(dataset, syntax) for dataset in series]
    assert Scanner().scan(files[0]) is None
    source = Files(files)
    assert_same(fetched(source), assembled(files, "modality"))
    assert source.reads == [1] * 6


def with_another_syntax(content: bytes, syntax: str) -> bytes:
    dataset = whole(content)
    dataset.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    before = DicomBytesIO()
    pydicom.filewriter.write_file_meta_info(before, dataset.file_meta, enforce_standard=True)
    start = content.index(b"\x08\x00", 132 + 12 + int(whole(content).file_meta.FileMetaInformationGroupLength))
    return content[:132] + before.getvalue() + content[start:]


@pytest.mark.filterwarnings("ignore:Expected .*plicit VR")
@pytest.mark.parametrize("rows", [64, 300])
@pytest.mark.parametrize(("real", "stated"), [("explicit", "implicit"), ("implicit", "explicit")])
def test_a_transfer_syntax_that_is_wrong_about_vrs_moves_no_pixel(real: str, stated: str, rows: int) -> None:
    array = np.arange(4 * rows * 64, dtype=np.uint16).reshape(4, rows, 64)
    files = [
        with_another_syntax(stored_as(dataset, real), stated) + bytes(30000) for dataset in make_series(array=array)
    ]
    assert whole(files[0]).file_meta.TransferSyntaxUID == SYNTAXES[stated]
    volume = fetched(Files(files))
    np.testing.assert_array_equal(volume.array, array.astype(np.int32))
    assert_same(volume, assembled(files, "modality"))


@pytest.mark.parametrize("syntax", ["explicit", "rle", "big"])
def test_a_header_does_not_keep_its_file_in_memory(syntax: str) -> None:
    dataset = make_series((1, 20, 20))[0]
    dataset.ReferencedImageSequence = Items([Dataset()])
    dataset["ReferencedImageSequence"].is_undefined_length = True
    assert read_image(stored_as(dataset, syntax), Scanner()).buffer is None


def test_an_object_that_is_replaced_before_its_pixels_are_fetched_again_is_an_error() -> None:
    series = make_series((5, 3, 4), slope=[1, 1, 0.5, 1, 1], seed=1)
    source = Files([as_bytes(dataset) for dataset in series])
    other = as_bytes(make_series((5, 3, 4), slope=3, seed=1)[1])

    def replace(files: Files, number: int) -> None:
        files.files[1] = other if files.reads[1] == 1 else files.files[1]

    source.replace = replace
    with pytest.raises(VolumeError, match="replaced"):
        fetched(source)
    # Once it is quiet again, it is read.
    assert_alike(source.files)
    assert fetched(source).array[1].tolist() == assembled(source.files, "modality").array[1].tolist()


@pytest.mark.parametrize("place", [0, 2])
def test_an_object_that_is_replaced_after_the_volumes_were_named_is_an_error(place: int) -> None:
    series = make_series((5, 3, 4), seed=1)
    source = Files([as_bytes(dataset) for dataset in series])
    read = reader(source, VolumeRequest())
    (label,) = read.labels()
    assert read.labelled(label).shape == (5, 3, 4)
    # The same objects, lying the other way round.
    source.files[place] = as_bytes(make_series((5, 3, 4), origin=(0, 0, 40), seed=1)[place])
    with pytest.raises(VolumeError, match="replaced"):
        read.labelled(label)


def test_what_is_cut_off_in_the_middle_is_named() -> None:
    files = [as_bytes(dataset) for dataset in make_series((5, 30, 40))]
    files[2] = files[2][:-100]
    with pytest.raises(PixelDecodeError, match=str(whole(files[2]).SOPInstanceUID)):
        fetched(Files(files))


def test_single_frames_beside_many() -> None:
    singles = make_series((3, 3, 4), modality="MR", seed=1)
    many = make_enhanced((3, 3, 4), origin=(0, 0, 3), like=singles[0], seed=2)
    files = [as_bytes(dataset) for dataset in (*singles, many)]
    for order in (files, files[::-1], [files[0], files[3], *files[1:3]]):
        assert_alike(order)


def test_errors_end_the_reading_and_leave_no_thread() -> None:
    source = Files([as_bytes(dataset) for dataset in make_series((40, 3, 4))])

    def fail(files: Files, number: int) -> None:
        if number == 5:
            raise KeyboardInterrupt

    source.replace = fail
    # Other tests may have threads that are about to end.
    before = threading.enumerate()
    with DecodingProcesses(1) as processes:
        reading = ObjectFetcher(source, source.keys, [None] * len(source.keys), "modality", processes)  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            reading.read(range(40))
    left = [thread for thread in threading.enumerate() if thread not in before]
    assert not [thread for thread in left if thread.name.startswith("simple_orthanc")]


@settings(max_examples=examples(20, thorough=600))
@given(
    slopes=st.lists(st.sampled_from([1, 2, 0.5, 100]), min_size=10, max_size=10),
    left_out=st.integers(0, 9),
    gaps=st.sampled_from(["raise", "nan"]),
    padded=st.lists(st.sampled_from([None, 1]), min_size=10, max_size=10),
    random=st.randoms(use_true_random=False),
)
def test_steps_in_time_are_those_of_whole_files(
    slopes: list[float], left_out: int, gaps: str, padded: list[int | None], random: Any
) -> None:
    first = make_series((5, 2, 3), seed=1, slope=slopes[:5], bits_stored=12, TemporalPositionIdentifier=1)
    later = make_series(
        (5, 2, 3), seed=2, slope=slopes[5:], bits_stored=12, TemporalPositionIdentifier=2, like=first[0]
    )
    series = [*first, *later]
    for dataset, value in zip(series, padded, strict=True):
        if value is not None:
            dataset.PixelPaddingValue = value
    if gaps == "nan" and left_out % 5 in (1, 2, 3):
        del series[left_out]
    random.shuffle(series)
    files = [as_bytes(dataset) for dataset in series]
    assert_alike(files, "modality", gaps, "time")
    assert_every_volume_alike(files, gaps)


@settings(max_examples=examples(60))
@given(files=slices(), gaps=st.sampled_from(["raise", "nan", "split"]))
def test_every_volume_of_several_is_that_of_whole_files(files: list[bytes], gaps: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_every_volume_alike(files, gaps)


def assert_every_volume_alike(files: Sequence[bytes], gaps: str) -> None:
    headers = [whole(content, stop_before_pixels=True) for content in files]
    read = reader(Files(files), VolumeRequest(gaps=gaps))
    try:
        planned = apply_gaps(plan_stacks(headers), gaps)
    except VolumeError:
        return
    assert read.labels() == [stack.label for stack in planned]
    for stack in planned:
        expected = outcome(
            lambda stack=stack: assemble(stack, headers, lambda index: stored_values(whole(files[index])), gaps=gaps)  # type: ignore[misc]
        )
        found = outcome(lambda stack=stack: read.labelled(stack.label))  # type: ignore[misc]
        if isinstance(expected, Volume) and isinstance(found, Volume):
            assert_same(found, expected)
        else:
            assert not isinstance(expected, Volume)
            assert not isinstance(found, Volume)


def layout_and_header(**tags: object) -> tuple[FileLayout, Dataset]:
    """Return the layout of one slice, and the header of another with other tags."""
    one, other = (
        read_image(memoryview(as_bytes(dataset)), Scanner())
        for dataset in (make_series((1, 4, 4), seed=1)[0], make_series((1, 4, 4), seed=1, **tags)[0])  # type: ignore[arg-type]
    )
    layout = FileLayout.of(one, as_bytes(make_series((1, 4, 4), seed=1)[0]), "modality")
    assert layout is not None
    remove_pixels(one)
    remove_pixels(other)
    return layout, other


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, True),
        ({"InstanceNumber": 1000, "SliceLocation": "7.25"}, True),
        ({"WindowCenter": "40", "KVP": "80", "ContentTime": "101010"}, True),
        ({"StudyDescription": "other"}, True),
        ({"RescaleSlope": "2"}, False),
        ({"RescaleIntercept": "-1000"}, False),
        ({"RescaleType": "US"}, False),
        ({"PixelRepresentation": 0}, False),
        ({"BitsStored": 12, "HighBit": 11}, False),
        ({"PixelPaddingValue": 0}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, False),
        ({"RescaleSlope": "2", "InstanceNumber": 1000}, False),
    ],
)
def test_headers_match_if_their_pixels_mean_the_same(tags: dict[str, object], expected: bool) -> None:
    layout, header = layout_and_header(**tags)
    assert layout.matches(header) is expected


def test_most_slices_match_by_the_elements_in_which_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    layout, header = layout_and_header(InstanceNumber=1000, SliceLocation="7.25")
    monkeypatch.setattr(NativeLayout, "matches", lambda self, header: False)
    assert layout.matches(header)
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert not layout.matches(header)
