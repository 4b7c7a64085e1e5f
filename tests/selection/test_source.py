"""What sources hand over: rows, revisions, and sequences in batches."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.selection.source import Changes, IdentifierMatch, Revision, Row, Source, batches
from tests.memory_source import MemorySource


@given(st.lists(st.integers(), max_size=20), st.integers(1, 25))
def test_batches_are_the_sequence_in_pieces_of_at_most_a_size(items: list[int], size: int) -> None:
    pieces = list(batches(items, size))
    assert [item for piece in pieces for item in piece] == items
    assert all(0 < len(piece) <= size for piece in pieces)
    assert all(len(piece) == size for piece in pieces[:-1])


@pytest.mark.parametrize(
    "value", [IdentifierMatch("PatientID", "patient", "P1"), Revision(3, {}), Changes(Revision(3), frozenset(), True)]
)
def test_what_a_source_answers_cannot_be_changed(value: object) -> None:
    assert dataclasses.is_dataclass(value)
    with pytest.raises((AttributeError, TypeError)):
        setattr(value, dataclasses.fields(value)[0].name, None)


def test_rows_have_values_by_the_names_of_tags() -> None:
    row = Row("key", "parent", ("child",), {"PatientID": ("P1",)})
    assert (row.values.get("PatientID"), row.values.get("PatientName")) == (("P1",), None)
    assert not row.has_unreliable_strings


def test_a_source_is_whatever_has_its_methods() -> None:
    source: Source = MemorySource([])
    assert list(source.listing("study")) == []
