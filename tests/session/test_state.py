"""The state of a session: its steps back, its order, its copies, and what an interrupt leaves of it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc.errors import (
    OrthancError,
    SelectionError,
)
from simple_orthanc.selection.criteria import tag
from simple_orthanc.session import Session
from tests.memory_source import archives, instance, put_raw
from tests.session.sessions import NAMES, quiet, session_of, source_of, three_series, uids

pytestmark = pytest.mark.usefixtures("empty_selections")


def test_undo_takes_back_step_by_step() -> None:
    session = three_series()
    counts = [session.instance_count]
    for narrow in (
        lambda: session.select(Modality="CT"),
        lambda: session.exclude(SeriesDescription="scout"),
        lambda: session.reset("Modality"),
        lambda: setattr(session, "selection", {"KVP": 120}),
        lambda: session.reset(),
    ):
        narrow()
        counts.append(session.instance_count)
    assert counts == [4, 3, 2, 3, 1, 4]
    with pytest.raises(SelectionError, match=r"undo\(6\): there are 5 steps to undo"):
        session.undo(6)
    with pytest.raises(SelectionError, match=r"undo\(0\)"):
        session.undo(0)
    assert session.undo() is session
    assert session.instance_count == counts[4]
    assert session.undo(2).instance_count == counts[2]
    assert session.undo(2).instance_count == counts[0]
    assert session.selection == {}


def test_reset_of_one_tag_keeps_the_others() -> None:
    session = three_series().select(Modality="CT", KVP=120).select(tag("Modality") != "PT")
    session.reset("0008,0060")
    assert session.selection == {"KVP": 120}
    session.reset("PatientName")
    assert session.selection == {"KVP": 120}
    assert session.undo().instance_count == 1
    assert set(session.selection) == {"Modality", "KVP"}
    spanning = three_series().select((tag("KVP") == 120) | (tag("Modality") == "PT"))
    assert spanning.reset("KVP").instance_count == 2
    assert spanning.reset().instance_count == 4


def test_selecting_narrows_inside_the_block_only() -> None:
    session = three_series().select(Modality="CT")
    with session.selecting(SeriesDescription="head") as inner:
        assert inner is session
        assert session.instance_count == 2
        session.select(KVP=100)
        assert session.instance_count == 1
    assert session.instance_count == 3
    with pytest.raises(RuntimeError), session.selecting(SeriesDescription="head"):
        raise RuntimeError
    assert session.selection == {"Modality": "CT"}
    session.undo()
    assert session.selection == {}


def test_a_copy_is_independent() -> None:
    session = three_series().select(Modality="CT")
    twin = session.copy()
    assert twin.selection == session.selection
    twin.select(SeriesDescription="head").sort_by("InstanceNumber", "descending")
    assert (session.instance_count, twin.instance_count) == (3, 2)
    assert uids(twin) == ["1.2.1.2.2", "1.2.1.2.1"]
    session.reset()
    assert twin.instance_count == 2
    with pytest.raises(SelectionError, match="there are 1 steps"):
        twin.undo(2)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OrthancError("gone"), MemoryError()])
@pytest.mark.parametrize(
    "verb",
    [
        lambda session: session.select(SeriesDescription="head", KVP=100),
        lambda session: session.exclude(SeriesDescription="head", KVP=100),
        lambda session: session.select(tag("KVP") > 100).select(ImageType="A"),
        lambda session: setattr(session, "selection", {"KVP": 100, "ImageType": "A"}),
        lambda session: session.refresh(),
        lambda session: session.select("1.2.1"),
    ],
)
def test_what_is_interrupted_changes_nothing(verb: Callable[[Session], object], trouble: BaseException) -> None:
    tried = three_series().select(Modality="CT", PatientName="Doe*")
    before = source_of(tried).requests
    quiet(lambda: verb(tried))
    steps = source_of(tried).requests - before
    assert steps
    for step in range(1, steps + 1):
        session = three_series().select(Modality="CT", PatientName="Doe*")
        source_of(session).break_at(step, trouble)
        with pytest.raises(type(trouble)):
            quiet(partial(verb, session))
        if "ImageType" not in session.selection and "KVP" in session.selection:
            # The first of two calls was complete.
            session.undo()
        assert session.selection == {"Modality": "CT", "PatientName": "Doe*"}
        source_of(session).trouble = None
        assert uids(session) == ["1.2.1.1.1", "1.2.1.2.1", "1.2.1.2.2"]
        quiet(partial(verb, session))


NUMBERED = [instance(number, KVP=kvp) for number, kvp in enumerate(["100", "20", None, "1e2", "3"], 1) if kvp]


def test_sorting_is_numeric_stable_and_puts_the_missing_last() -> None:
    session = session_of(*NUMBERED, instance(6), instance(7, KVP="100.0"))
    numbers = [session.sort_by("KVP", order).get_dicom_tag("InstanceNumber") for order in ("ascending", "descending")]
    assert numbers == [[5, 2, 1, 4, 7, 6], [1, 4, 7, 2, 5, 6]]
    assert [int(header.InstanceNumber) for header in session.get_headers()] == numbers[1]
    assert [int(each.InstanceNumber) for each in session.get_instances()] == numbers[1]
    assert [child.InstanceNumbers[0] for child in session.instances] == numbers[1]
    assert list(session.table("InstanceNumber", level="instance")["InstanceNumber"]) == numbers[1]
    assert session.reset().InstanceNumbers == [1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("AcquisitionTime", ["11", "0930", "103000", "x"], [2, 3, 1, 4]),
        ("PatientAge", ["010Y", "011M", "003W"], [3, 2, 1]),
        ("ProtocolName", ["b", "a", "B"], [3, 2, 1]),
        ("AcquisitionDateTime", ["20200101+0100", "20200101"], [1, 2]),
    ],
)
def test_sorting_by_other_kinds(name: str, values: list[str], expected: list[int]) -> None:
    datasets = []
    for number, value in enumerate(values, 1):
        datasets.append(instance(number))
        put_raw(datasets[-1], name, value)
    session = session_of(*datasets).sort_by(name)
    assert session.InstanceNumbers == expected


@given(archives(1), st.sampled_from(NAMES), st.booleans())
def test_sorting_keeps_the_same_instances(datasets: list[Dataset], name: str, descending: bool) -> None:
    session = session_of(*datasets)
    plain = uids(session)
    found = uids(session.sort_by(name, "descending" if descending else "ascending"))
    assert sorted(found) == sorted(plain)


def test_refresh_keeps_the_selection_and_finds_what_is_new() -> None:
    session = three_series().select(Modality="CT")
    source_of(session).datasets.append(instance(1, series="3", Modality="CT", SeriesDescription="new"))
    assert session.series_count == 2
    assert session.refresh() is session
    assert session.SeriesDescriptions == ["scout", "head", "new"]
    assert session.selection == {"Modality": "CT"}
    with pytest.raises(SelectionError, match="there are 0 steps"):
        session.undo()
    del source_of(session).datasets[:3]
    assert session.refresh().SeriesDescriptions == ["new"]


def test_a_session_closes_its_source() -> None:
    with three_series() as session:
        assert not source_of(session).closed
    assert source_of(session).closed


def test_a_session_survives_pickle() -> None:
    session = three_series().select(tag("KVP") > 100, Modality="CT").sort_by("KVP")
    again = pickle.loads(pickle.dumps(session))
    assert again.selection == session.selection
    assert uids(again) == uids(session) == ["1.2.1.1.1"]
    again.reset()
    assert session.instance_count == 1


def test_a_criterion_that_cannot_be_pickled_is_named() -> None:
    session = three_series().select(Modality="CT").select(KVP=lambda number: number > 100)
    for _ in range(2):
        with pytest.raises(SelectionError, match=r"because of its criterion KVP where <lambda>.* write it with def"):
            pickle.dumps(session)
        # It can be copied all the same, and undone.
        assert copy.deepcopy(session).instance_count == session.copy().instance_count
        session.select(Modality="CT")
    # What undo() would take back is not pickled.
    assert pickle.loads(pickle.dumps(session.reset())).instance_count == 4


def test_the_order_of_instances_comes_back_with_the_selection() -> None:
    session = three_series()
    session.sort_by("InstanceNumber", order="descending")
    descending = session.InstanceNumber
    with session.selecting(Modality="CT"):
        session.sort_by("InstanceNumber")
    assert session.InstanceNumber == descending
    assert session.reset().InstanceNumber == descending[::-1]
    assert session.undo().InstanceNumber == descending


def test_undo_keeps_a_later_order() -> None:
    session = session_of(instance(1, Modality="CT"), instance(2, Modality="CT"), instance(3, series="2", Modality="PT"))
    session.select(Modality="CT").sort_by("InstanceNumber", "descending")
    assert session.InstanceNumbers == [2, 1]
    assert session.undo().InstanceNumbers == [3, 2, 1]
    with pytest.raises(SelectionError, match="there are 0 steps"):
        session.undo()
    session.select(Modality="CT").reset().sort_by("InstanceNumber")
    assert session.undo(2).InstanceNumbers == [1, 2, 3]


def test_assigning_none_resets_the_order_too() -> None:
    session = session_of(instance(1), instance(2)).sort_by("InstanceNumber", "descending")
    session.selection = {}
    assert session.InstanceNumbers == [2, 1]
    session.selection = None
    assert session.InstanceNumbers == [1, 2]
    assert session.undo().InstanceNumbers == [2, 1]
