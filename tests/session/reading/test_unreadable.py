"""One file of a series that cannot be read: every way to the volumes of the series says so, and names the way out."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, RawDataStorage

from simple_orthanc.errors import (
    AuthenticationError,
    MissingSlicesError,
    NotFoundError,
    OrthancError,
    PixelDecodeError,
    SelectionError,
    TransportError,
    VolumeError,
)
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.session import Session
from simple_orthanc.session.reading.unreadable import unreadable_error, unreadable_objects
from tests.memory_source import MemorySource
from tests.session.damaged import DAMAGES, CheckingSource, DamagedSource

SERIES = make_series((5, 4, 4), seed=1)
UIDS = [str(dataset.SOPInstanceUID) for dataset in SERIES]


def damaged(kind: str, *numbers: int) -> Session:
    return Session(DamagedSource(SERIES, {UIDS[number]: DAMAGES[kind](as_bytes(SERIES[number])) for number in numbers}))


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("number", [0, 2, 4])
def test_all_three_ways_name_the_file(kind: str, number: int) -> None:
    session = damaged(kind, number)
    kind_of_error = VolumeError if kind == "cut before its pixels" else TransportError
    with pytest.raises(kind_of_error, match=rf'exclude\(SOPInstanceUID="{re.escape(UIDS[number])}"\)'):
        session.get_volume()
    volumes = session.get_volumes()
    assert list(volumes) == ["no volume"]
    with pytest.raises(VolumeError, match=rf"1 of 5 instances cannot be read: {re.escape(UIDS[number])}"):
        volumes["no volume"]
    (row,) = session.volume_table().to_dict("records")
    assert row["regular"] is False
    assert row["reason"].startswith(f"1 of 5 instances cannot be read: {UIDS[number]} (")


@pytest.mark.parametrize("kind", DAMAGES)
def test_reporting_reads_the_others(kind: str) -> None:
    session = damaged(kind, 0)
    with pytest.warns(UserWarning, match=rf"1 of 5 instances cannot be read and is left out: {re.escape(UIDS[0])}"):
        volume = session.get_volume(errors="report")
    assert volume.array[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert volume.origin == (0.0, 0.0, 1.0)
    with pytest.warns(UserWarning, match="left out"):
        volumes = session.get_volumes(errors="report")
    assert [volumes[label].array[:, 0, 0].tolist() for label in volumes] == [[1, 2, 3, 4]]
    assert session.exclude(SOPInstanceUID=UIDS[0]).get_array()[:, 0, 0].tolist() == [1, 2, 3, 4]


def test_an_excluded_slice_leaves_a_hole() -> None:
    session = damaged("HTML", 2)
    with pytest.warns(UserWarning, match="left out"), pytest.raises(MissingSlicesError):
        session.get_volume(errors="report")
    with pytest.warns(UserWarning, match="left out"):
        array = session.get_array(errors="report", gaps="nan")
    assert array[[0, 1, 3, 4], 0, 0].tolist() == [0, 1, 3, 4]
    with pytest.warns(UserWarning, match="left out"):
        volumes = session.get_volumes(errors="report", gaps="split")
    assert sorted(len(volumes[label].array) for label in volumes) == [2, 2]


def test_pixels_that_are_cut_off_are_found_when_they_are_read() -> None:
    whole = as_bytes(SERIES[4])
    session = Session(DamagedSource(SERIES, {UIDS[4]: whole[:-10]}))
    with pytest.raises(PixelDecodeError, match=re.escape(UIDS[4])):
        session.get_volume()
    (label,) = volumes = session.get_volumes()
    with pytest.raises(PixelDecodeError, match=re.escape(UIDS[4])):
        volumes[label]
    reported = session.get_volumes(errors="report")
    for read in (lambda: session.get_volume(errors="report"), lambda: reported[label]):
        with pytest.warns(UserWarning, match="1 of 5 instances cannot be read and is left out"):
            assert read().array[:, 0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("left_out", [4, 6])
def test_pixels_that_are_cut_off_leave_the_rest_of_a_run(left_out: int) -> None:
    datasets = make_series((7, 4, 4), seed=1)
    uid = str(datasets[left_out].SOPInstanceUID)
    damaged_source = DamagedSource([*datasets[:3], *datasets[4:]], {uid: as_bytes(datasets[left_out])[:-10]})
    volumes = Session(damaged_source).get_volumes(errors="report", gaps="split")
    first, second = volumes
    assert volumes[first].array[:, 0, 0].tolist() == [0, 1, 2]
    with pytest.warns(UserWarning, match=f"1 of 3 instances cannot be read and is left out: {re.escape(uid)}"):
        rest = volumes[second]
    assert rest.array[:, 0, 0].tolist() == [number for number in (4, 5, 6) if number != left_out]


def test_a_deleted_object_is_an_error_or_left_out() -> None:
    session = Session(DamagedSource(SERIES, {UIDS[1]: None, UIDS[0]: None}))
    with pytest.raises(NotFoundError, match=rf'exclude\(SOPInstanceUID="{re.escape(UIDS[0])}"\)'):
        session.get_volume()
    assert list(session.get_volumes()) == ["no volume"]
    (row,) = session.volume_table().to_dict("records")
    assert row["reason"].startswith("2 of 5 instances cannot be read: ")
    with pytest.warns(UserWarning, match=r"2 of 5 instances .*no instance"):
        assert session.get_array(errors="report")[:, 0, 0].tolist() == [2, 3, 4]
    with pytest.warns(UserWarning, match="2 of 5 instances"):
        (volume,) = session.get_volumes(errors="report").values()
    assert volume.array[:, 0, 0].tolist() == [2, 3, 4]


GONE: dict[str, Callable[[bytes], bytes | None]] = {
    name: damage for name, damage in DAMAGES.items() if name != "cut before its pixels"
} | {"gone": lambda whole: None}


@pytest.mark.parametrize("kind", GONE)
@pytest.mark.parametrize("verb", ["get_headers", "get_instances", "download"])
def test_one_object_that_cannot_be_read_is_named_or_left_out(kind: str, verb: str) -> None:
    numbers = (0, 3)
    damage = {UIDS[number]: GONE[kind](as_bytes(SERIES[number])) for number in numbers}
    session = Session(CheckingSource(SERIES, damage))
    with pytest.raises((TransportError, NotFoundError)) as caught:
        getattr(session, verb)()
    message = caught.value.message
    assert f'read the others with {verb}(errors="report")' in message
    assert any(f'exclude(SOPInstanceUID="{UIDS[number]}")' in message for number in numbers)
    with pytest.warns(UserWarning, match="2 of 5 instances cannot be read and are left out") as warned:
        read = getattr(session, verb)(errors="report")
    assert len(read) == 3
    assert all(UIDS[number] in str(warned[0].message) for number in numbers)
    assert len(getattr(session.exclude(SOPInstanceUID=[UIDS[0], UIDS[3]]), verb)()) == 3


@pytest.mark.parametrize("verb", ["get_headers", "get_instances", "download", "get_volume"])
@pytest.mark.parametrize("error", [TransportError("refused"), AuthenticationError("no", status=401)])
def test_a_connection_that_fails_concerns_all_objects(verb: str, error: OrthancError) -> None:
    class Refusing(MemorySource):
        def header(self, key: str) -> Dataset:
            raise error

        content = header  # type: ignore[assignment]

        def read(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
            raise error

        def save(self, key: str, path: Path) -> None:
            raise error

    for errors in ("raise", "report"):
        with pytest.raises(type(error)) as caught:
            getattr(Session(Refusing(SERIES)), verb)(errors=errors)
        assert "exclude" not in caught.value.message


@pytest.mark.parametrize("verb", ["get_headers", "get_instances", "download"])
def test_reporting_raises_where_no_object_can_be_read(verb: str) -> None:
    session = Session(DamagedSource(SERIES, dict.fromkeys(UIDS)))
    for errors in ("raise", "report"):
        with pytest.raises(NotFoundError):
            getattr(session, verb)(errors=errors)
    with pytest.raises(SelectionError, match=r"errors='ignore' is not valid; choose \"raise\" or \"report\""):
        getattr(session, verb)(errors="ignore")


class OtherOnce(DamagedSource):
    """Returns another object once for each key, as a proxy does that mixes up responses."""

    def __init__(self) -> None:
        super().__init__(SERIES, {})
        self.mixed: set[str] = set()

    def read(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        if key not in self.mixed:
            self.mixed.add(key)
            keys = [self.key(dataset, "instance") for dataset in SERIES]
            key = keys[keys.index(key) - 1]
        return super().read(key, room)


def test_another_object_that_came_once_is_read_again() -> None:
    assert Session(OtherOnce()).get_array()[:, 0, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_series_without_a_readable_file_is_still_an_error(kind: str) -> None:
    session = damaged(kind, *range(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for errors in ("raise", "report"):
            with pytest.raises(OrthancError):
                session.get_volume(errors=errors)


def test_one_bad_series_leaves_the_others_readable() -> None:
    other = make_series((3, 4, 4), seed=2, like=SERIES[0], SeriesInstanceUID="1.2.3", SeriesDescription="other")
    damage = {UIDS[2]: DAMAGES["zeros"](as_bytes(SERIES[2]))}
    session = Session(DamagedSource([*SERIES, *other], damage))
    volumes = session.get_volumes()
    readable = [label for label in volumes if "no volume" not in label]
    assert len(volumes) == 2
    assert [volumes[label].array.shape for label in readable] == [(3, 4, 4)]


def test_what_has_no_pixels_by_its_class_is_not_unreadable() -> None:
    raw = Dataset()
    raw.SOPClassUID, raw.SOPInstanceUID = RawDataStorage, "1.2.3"
    assert unreadable_objects([*SERIES, raw]) == {}
    # Where nothing has pixels, nothing says that there should be any.
    headers = [Dataset() for _ in SERIES]
    for header, dataset in zip(headers, SERIES, strict=True):
        header.SOPClassUID, header.SOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    assert unreadable_objects(headers) == {}
    assert unreadable_objects([*SERIES, headers[0]]) == {5: "it is cut off before its pixels"}


@pytest.mark.parametrize("kind", [str(RawDataStorage), str(ComprehensiveSRStorage), "1.3.12.2.1107.5.9.1"])
@pytest.mark.parametrize("number", [0, 3, 6])
def test_objects_that_are_no_images_are_left_out_of_the_volume(kind: str, number: int) -> None:
    other = Dataset()
    other.SOPClassUID, other.SOPInstanceUID, other.InstanceNumber = kind, "1.2.3", number
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"):
        setattr(other, keyword, SERIES[0][keyword].value)
    other.file_meta = FileMetaDataset()
    other.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    other.file_meta.MediaStorageSOPClassUID, other.file_meta.MediaStorageSOPInstanceUID = kind, "1.2.3"
    session = Session(DamagedSource([*SERIES[:number], other, *SERIES[number:]], {}))
    assert session.instance_count == 6
    volume = session.get_volume()
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert "1 object(s) without pixels left out" in " ".join(volume.log)
    (read,) = session.get_volumes().values()
    assert read.array.tolist() == volume.array.tolist()
    assert session.volume_table()["regular"].tolist() == [True]


def test_many_unreadable_files_are_listed_in_part() -> None:
    few, many = ({f"1.2.{number}": "why" for number in range(count)} for count in (3, 40))
    assert 'exclude(SOPInstanceUID=["1.2.0", "1.2.1", "1.2.2"])' in unreadable_error(few, 50).message
    message = unreadable_error(many, 50).message
    assert "and 35 more" in message
    assert "exclude" not in message
    assert 'get_volume(errors="report")' in message


@pytest.mark.parametrize("errors", ["ignore", "", None])
def test_other_ways_to_treat_errors_are_refused(errors: str) -> None:
    session = damaged("empty", 1)
    for read in (session.get_volume, session.get_volumes, session.get_array, session.get_image):
        with pytest.raises(VolumeError, match=rf"errors={errors!r} is not valid; choose \"raise\" or \"report\""):
            read(errors=errors)  # type: ignore[operator]
