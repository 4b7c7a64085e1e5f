"""A selection is packed in little room, and is the same where it is unpacked, or an error."""

from __future__ import annotations

import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import LEVELS, Level
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.criteria import tag
from simple_orthanc.selection.index import ROW_LEVELS, Index, NotKnownError
from simple_orthanc.selection.packing import Digest, PackedSelection, digest_of, pack, unpack
from simple_orthanc.selection.resolving import keys_at, narrow
from simple_orthanc.selection.selection import Criterion, Selection
from simple_orthanc.selection.source import Mark, Revision
from tests.memory_source import MemorySource, instance
from tests.session.sessions import CONDITIONS


def many(series: int, instances: int = 1) -> list[Dataset]:
    return [
        instance(
            number,
            series=str(each),
            study=str(each // 100),
            patient=f"P{each // 100}",
            Modality="CT" if each % 3 else "PT",
        )
        for each in range(series)
        for number in range(instances)
    ]


def selected(index: Index, *conditions: object) -> Selection:
    return narrow(index, Selection(), *(Criterion(each, "", each) for each in conditions))  # type: ignore[arg-type]


def landed(packed: PackedSelection, datasets: list[Dataset]) -> Selection:
    packed = pickle.loads(pickle.dumps(packed))
    return unpack(Index(MemorySource(datasets)), packed)


def test_packing_sends_no_request() -> None:
    source = MemorySource(many(300))
    index = Index(source)
    selection = selected(index, tag("Modality") == "CT")
    before = source.requests
    pack(index, selection)
    assert source.requests == before


@pytest.mark.parametrize("series", [1, 30, 3000])
def test_any_number_of_keys_takes_little_room(series: int) -> None:
    datasets = many(series)
    index = Index(MemorySource(datasets))
    selection = selected(index, tag("Modality") == "CT")
    packed = pack(index, selection)
    assert len(pickle.dumps(packed)) < 2500
    assert set(landed(packed, datasets).keys) == set(selection.keys)


def test_images_of_one_series_are_one_bit_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_orthanc.selection.packing._MOST_BYTES", 400)
    datasets = many(2, 2000)
    index = Index(MemorySource(datasets))
    index.everything("series")
    every = sorted(keys_at(index, Selection(), "instance"))
    selection = Selection("instance", tuple(every[100:1900:7]))
    packed = pack(index, selection)
    assert packed.keys is not None
    assert packed.keys.level == "series"
    assert len(pickle.dumps(packed)) < 1000
    assert landed(packed, datasets).keys == selection.keys


def test_keys_keep_their_order() -> None:
    datasets = many(5)
    index = Index(MemorySource(datasets))
    keys = tuple(reversed(index.everything("series")))
    assert landed(pack(index, Selection("series", keys)), datasets).keys == keys


def test_nothing_selected_is_nothing() -> None:
    index = Index(MemorySource(many(2)))
    packed = pack(index, Selection("series"))
    assert landed(packed, many(2)).is_empty


@pytest.mark.parametrize("count", [3, 900])
def test_what_is_gone_or_new_is_an_error(count: int) -> None:
    datasets = many(count, 2)
    index = Index(MemorySource(datasets))
    packed = pack(index, selected(index, tag("Modality") == "CT"))
    assert packed.asked.level == "series"
    gone = [each for each in datasets if each.SeriesInstanceUID != datasets[2].SeriesInstanceUID]
    with pytest.raises(SelectionError, match=r"refresh\(\)"):
        landed(packed, gone)
    with pytest.raises(SelectionError, match=r"selected .* instances then, and .* now\. refresh\(\)"):
        landed(packed, datasets[:-1])
    more = instance(9, series="1", study="0", patient="P0", Modality="CT")
    with pytest.raises(SelectionError, match=r"selected .* instances then, and .* now"):
        landed(packed, [*datasets, more])


def test_series_of_a_study_are_compared_where_its_instances_are_not_known() -> None:
    datasets = many(3, 2)
    index = Index(MemorySource(datasets))
    packed = pack(index, selected(index, tag("PatientID") == "P0"))
    assert (packed.asked.level, packed.instances) == ("study", None)
    assert len(landed(packed, datasets).keys) == 1
    more = instance(1, series="new", study="0", patient="P0", Modality="CT")
    with pytest.raises(SelectionError, match="selected 3 series then, and 4 now"):
        landed(packed, [*datasets, more])
    with pytest.raises(SelectionError, match="selected 3 series then, and 2 now"):
        landed(packed, datasets[:-2])
    with pytest.raises(SelectionError, match="selected 3 series then, and as many, but others now"):
        landed(packed, [*datasets[:-2], more])


def test_a_new_match_is_an_error_only_if_the_criteria_are_applied_again() -> None:
    other = instance(1, series="x", study="x", patient="new", Modality="CT")
    few, most = many(3), many(900)
    for datasets in (few, most):
        index = Index(MemorySource(datasets))
        packed = pack(index, selected(index, tag("Modality") == "CT"))
        if packed.keys is not None:
            assert len(landed(packed, [*datasets, other]).keys) == 2
        else:
            with pytest.raises(SelectionError, match="selected 600 series then, and 601 now"):
                landed(packed, [*datasets, other])


def test_as_many_but_others() -> None:
    datasets = many(900)
    index = Index(MemorySource(datasets))
    packed = pack(index, selected(index, tag("Modality") == "CT"))
    assert packed.keys is None
    swapped = [*datasets[:-1], instance(0, series="x", study="8", patient="P8", Modality="CT")]
    with pytest.raises(SelectionError, match="600 series then, and as many, but others now"):
        landed(packed, swapped)


def test_very_many_instances_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simple_orthanc.selection.packing._MOST_COMPARED", 10)
    datasets = many(900, 2)
    index = Index(MemorySource(datasets))
    packed = pack(index, selected(index, tag("Modality") == "CT"))
    assert packed.instances is not None
    assert packed.instances == Digest(1200)
    assert len(landed(packed, datasets).keys) == 600
    with pytest.raises(SelectionError, match="1,200 instances then, and 1,199 now"):
        landed(packed, datasets[:-1])


NOW = Mark(Revision("now"), 0)


class Marking(MemorySource):
    """Tells how many instances were replaced."""

    replaced = 0
    compared: tuple[str, ...] = ()

    def mark(self, revision, instances):  # type: ignore[no-untyped-def, override]
        return NOW

    def replaced_since(self, mark, instances, at, series_of=None):  # type: ignore[no-untyped-def, override]
        self.compared = tuple(instances)
        return self.replaced


def test_a_replaced_file_is_an_error() -> None:
    source = Marking(many(3, 2))
    index = Index(source)
    selection = selected(index, tag("Modality") == "CT")
    packed = pack(index, selection)
    assert packed.mark == NOW
    assert unpack(Index(source, NOW.revision), packed).keys == selection.keys
    assert len(source.compared) == 4
    source.replaced = 3
    with pytest.raises(SelectionError, match="3 of its 4 instances were stored again"):
        unpack(Index(source, NOW.revision), packed)
    offline = Index(source, NOW.revision)
    offline.everything("series")
    with offline.offline(), pytest.raises(NotKnownError):
        unpack(offline, packed)


@given(st.data())
def test_any_selection_is_the_same_where_it_lands(data: st.DataObject) -> None:
    datasets = many(12, 3)
    index = Index(MemorySource(datasets))
    for level in ROW_LEVELS:
        if data.draw(st.booleans(), label=f"list {level}"):
            index.everything(level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        condition = data.draw(CONDITIONS | st.just(tag("InstanceNumber") > 1) | st.just(tag("Modality") == "PT"))
        selection = selected(index, condition)
        packed = pack(index, selection)
        most = data.draw(st.sampled_from([0, 60, 1200]), label="room")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("simple_orthanc.selection.packing._MOST_BYTES", most)
            packed = pack(index, selection)
        again = landed(packed, datasets)
    assert (again.level, set(again.keys)) == (selection.level, set(selection.keys))
    assert (again.criteria, again.steps) == (selection.criteria, selection.steps)
    twin = Index(MemorySource(datasets))
    levels: tuple[Level, ...] = LEVELS
    for level in levels:
        assert set(keys_at(twin, again, level)) == set(keys_at(index, selection, level))


def test_digests_tell_keys_apart() -> None:
    assert digest_of(["a", "b"]) == digest_of(["b", "a"]) != digest_of(["a,b"])
    assert digest_of([]).total == 0
