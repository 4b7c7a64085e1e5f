"""Copies, traced to what they were made from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc.phantom import make_series
from simple_orthanc.session.acts.copy_groups import CopyGroup, group_by_patient
from simple_orthanc.session.acts.copy_traces import Tracer
from simple_orthanc.session.acts.targets import selected_targets
from tests.session.acts.copying_server import CopyingServer


@pytest.fixture
def archive() -> Iterator[CopyingServer]:
    with CopyingServer(make_series((3, 4, 4), PatientID="P1")) as running:
        yield running


def test_copies_are_those_that_name_their_originals(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        targets = selected_targets(session, "series", "modified", everything=True, whole=False)
        (group,) = group_by_patient(session._index, targets)
        (table,) = session.modify({"SeriesDescription": "x"}, everything=True).to_dict("records")
        tracer = Tracer(session.rest, "ModifiedFrom")
        assert tracer.copied_series() == {table["new_orthanc_id"]: table["orthanc_id"]}
        copies = tracer.read(group, [table["new_orthanc_id"], table["orthanc_id"], "gone"])
        assert copies.is_exact
        assert {copy.origin for copy in copies.made} == set(group.instances)
        assert {copy.identifiers["series"] for copy in copies.made} == {table["new_SeriesInstanceUID"]}
        assert {copy.keys["patient"] for copy in copies.made} == {group.patient}
        assert set(copies.series) == {table["new_orthanc_id"]}
        assert [copy.origin for copy in copies.of(group.instances[:1])] == group.instances[:1]
        # In place of the originals they are no copies.
        assert tracer.read(group, [table["new_orthanc_id"]], but=copies.keys).made == []
        assert Tracer(session.rest, "AnonymizedFrom").copied_series() == {}


def test_one_copy_of_each_is_exact_and_neither_more_nor_less(archive: CopyingServer) -> None:
    with archive.connect(patience=0) as session:
        session.modify({"SeriesDescription": "x"}, everything=True)
        (series,) = Tracer(session.rest, "ModifiedFrom").copied_series()
        originals = [key for key in session.get_orthanc_ids("series") if key != series]
        members = tuple(session.rest.get(f"/series/{originals[0]}")["Instances"])

        def is_exact(*instances: str) -> bool:
            group = CopyGroup("patient", (), {originals[0]: instances}, frozenset())
            return Tracer(session.rest, "ModifiedFrom").read(group, [series]).is_exact

        assert is_exact(*members)
        assert not is_exact(*members[:2])
        assert not is_exact(*members, "another")
