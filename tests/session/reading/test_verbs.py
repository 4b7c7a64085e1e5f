"""Headers over an archive in memory, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from simple_orthanc.errors import (
    AmbiguousSelectionError,
    EmptySelectionError,
    InconsistentSlicesError,
    MissingSlicesError,
    SelectionError,
)
from simple_orthanc.phantom import make_series
from tests.next_calls import run_call
from tests.session.sessions import quiet, session_of, three_series

pytestmark = pytest.mark.usefixtures("empty_selections")


@pytest.mark.parametrize("verb", ["get_header", "get_headers", "get_instances", "get_volume", "get_array", "download"])
def test_reading_nothing_raises(verb: str) -> None:
    session = three_series()
    quiet(lambda: session.select(Modality="US"))
    with pytest.raises(EmptySelectionError, match=r"Nothing is selected by Modality == 'US'\. explain\(\) shows where"):
        getattr(session, verb)()
    with pytest.raises(EmptySelectionError, match="the archive is empty"):
        getattr(session_of(), verb)()


def test_headers_one_and_all() -> None:
    session = three_series()
    with pytest.raises(AmbiguousSelectionError, match=r"4 instances are selected.*get_header\(0\)"):
        session.get_header()
    assert session.get_header(1).SOPInstanceUID == session.get_headers()[1].SOPInstanceUID == "1.2.1.2.1"
    assert [header.SOPInstanceUID for header in session.get_headers(index=-1)] == ["1.2.7.1.1"]
    with pytest.raises(SelectionError, match="index 4: 4 instances are selected, so it goes from 0 to 3"):
        session.get_header(4)
    assert session.select("1.2.7").get_header().PatientName == "Roe^Rick"


@pytest.mark.parametrize("index", ["0", "", 0.0, 1.5, True, [0, 1], slice(0, 2), "1.2.1.2"])
def test_an_index_is_a_whole_number(index: Any) -> None:
    session = three_series()
    for read in (session.get_header, session.get_headers):
        with pytest.raises(SelectionError, match=rf"index {re.escape(repr(index))}: .* as in get_header\(0\)"):
            read(index)
    assert session.get_header(np.int64(1)).SOPInstanceUID == "1.2.1.2.1"


def slices_as_series(count: int = 4, **keywords: Any) -> list[Dataset]:
    """Slices each of which is a series of its own."""
    keywords = {"SeriesNumber": list(range(1, count + 1)), "SeriesDescription": "t1", **keywords}
    return make_series(
        (count, 4, 4), seed=3, SeriesInstanceUID=[f"1.2.840.{number}" for number in range(count)], **keywords
    )


def test_slices_that_are_series_of_their_own_are_one_volume_where_that_is_asked() -> None:
    session = session_of(*slices_as_series(spacing=(2.5, 1, 1)))
    with pytest.raises(AmbiguousSelectionError, match=r"read them as one with get_volume\(across_series=True\)\."):
        session.get_volume()
    volume = session.get_volume(across_series=True)
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2, 3]
    assert volume.spacing == (1.0, 1.0, 2.5)
    assert session.get_array(across_series=True).tolist() == volume.array.tolist()
    assert session.get_image(across_series=True).GetSpacing() == (1.0, 1.0, 2.5)
    assert len(session.get_volumes()) == 4
    # One series is what it is without it.
    assert session.select("1.2.840.1").get_array(across_series=True).shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("differing", "call"),
    [
        ({"Modality": ["CT", "CT", "PT", "PT"]}, "select(Modality='CT')"),
        ({"StudyInstanceUID": ["1.2.1", "1.2.1", "1.2.2", "1.2.2"]}, "select(StudyInstanceUID='1.2.1')"),
        ({"PatientID": ["A", "A", "B", "B"]}, "select(PatientID='A')"),
    ],
)
def test_series_of_two_studies_or_modalities_are_never_one_volume(differing: dict[str, Any], call: str) -> None:
    session = session_of(*slices_as_series(**differing))
    with pytest.raises(AmbiguousSelectionError, match=re.escape(f"as in {call}")):
        session.get_volume(across_series=True)
    with pytest.raises(AmbiguousSelectionError) as caught:
        session.get_volume()
    assert "across_series" not in caught.value.message
    narrowed = run_call(session, call)
    assert narrowed.get_array(across_series=True)[:, 0, 0].tolist() == [0, 1]


def test_series_across_which_slices_are_missing_or_differ_are_refused() -> None:
    holey = session_of(*(each for number, each in enumerate(slices_as_series()) if number != 2))
    with pytest.raises(MissingSlicesError):
        holey.get_volume(across_series=True)
    turned = slices_as_series()
    turned[1].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    with pytest.raises(InconsistentSlicesError):
        session_of(*turned).get_volume(across_series=True)
    elsewhere = session_of(*slices_as_series(FrameOfReferenceUID=["1.2.1", "1.2.1", "1.2.2", "1.2.2"]))
    with pytest.raises(InconsistentSlicesError):
        elsewhere.get_volume(across_series=True)


def test_series_of_many_slices_are_not_offered_as_one() -> None:
    first = make_series((2, 4, 4), seed=1)
    second = make_series((2, 4, 4), seed=2, like=first[0], SeriesInstanceUID="1.2.3")
    with pytest.raises(AmbiguousSelectionError) as caught:
        session_of(*first, *second).get_volume()
    assert "across_series" not in caught.value.message
