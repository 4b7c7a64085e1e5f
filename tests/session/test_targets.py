"""What acting on a selection touches, over an archive in memory."""

from __future__ import annotations

import pytest

from simple_orthanc.dicom.levels import Level
from simple_orthanc.errors import EmptySelectionError, SelectionError, UnsupportedError
from simple_orthanc.session import Session
from simple_orthanc.session.targets import (
    check_narrowed,
    delete,
    exact_resources,
    plan_deletion,
    selected_keys,
    whole_extent,
)
from tests.session.deleting import deleting_session
from tests.session.sessions import quiet, source_of, three_series


def test_resources_are_whole_series_and_single_instances_of_the_others() -> None:
    session = three_series()
    series = selected_keys(session, "series")
    assert exact_resources(session) == series
    assert exact_resources(session.copy().select(Modality="CT")) == series[:2]
    partly = session.copy().select("1.2.1.2.1")
    assert exact_resources(partly) == selected_keys(partly, "instance") == ["P1|1.2.1|1.2.1.2|1.2.1.2.1"]
    # The whole of one series and a part of another.
    mixed = session.copy().select(InstanceNumber=1, Modality="CT")
    assert exact_resources(mixed) == [series[0], "P1|1.2.1|1.2.1.2|1.2.1.2.1"]


@pytest.mark.parametrize(
    ("level", "counts", "left_out"),
    [
        ("patient", {"patient": 1, "study": 1, "series": 2, "instance": 3}, "1 series"),
        ("study", {"study": 1, "series": 2, "instance": 3}, "1 series"),
        ("series", {"series": 1, "instance": 2}, "1 instance"),
        ("instance", {"instance": 1}, ""),
    ],
)
def test_the_extent_of_whole_objects_lists_what_is_not_selected(
    level: Level, counts: dict[Level, int], left_out: str
) -> None:
    session = three_series().select("1.2.1.2.1")
    extent = whole_extent(session, level)
    assert (extent.counts, extent.left_out) == (counts, left_out)
    whole = three_series().select(PatientID="P1")
    assert whole_extent(whole, level).left_out == ""


def test_the_whole_archive_and_nothing_are_refused() -> None:
    session = three_series()
    with pytest.raises(SelectionError, match=r"the whole archive would be sent: .* everything=True"):
        check_narrowed(session, "sent", everything=False)
    check_narrowed(session, "sent", everything=True)
    quiet(lambda: session.select(Modality="US"))
    with pytest.raises(EmptySelectionError, match="Nothing is selected, so nothing was sent"):
        check_narrowed(session, "sent", everything=True)


def test_a_deletion_is_planned_and_then_done() -> None:
    session = deleting_session()
    with pytest.raises(SelectionError, match="the whole archive would be deleted"):
        plan_deletion(session, "study")
    session.select("1.2.1.2.1")
    with pytest.raises(SelectionError, match=r"1 series hold 1 instance that .*whole=True\. Nothing was deleted"):
        plan_deletion(session, "series")
    assert len(source_of(session).datasets) == 4
    assert plan_deletion(session, "series", whole=True) == {"series": 1, "instance": 2}
    assert plan_deletion(session, "instance") == {"instance": 1}
    delete(session, "instance")
    assert session.instance_count == 0
    assert session.reset().instance_count == 3
    assert plan_deletion(session, "patient", everything=True) == {"patient": 2, "study": 2, "series": 3, "instance": 3}
    delete(session, "patient")
    assert source_of(session).datasets == []


def test_an_archive_that_is_only_read_keeps_everything() -> None:
    session: Session = three_series().select("1.2.1.2.1")
    for act in (lambda: plan_deletion(session, "instance"), lambda: delete(session, "instance")):
        with pytest.raises(UnsupportedError, match="A Session is only read, so nothing was deleted: name a server"):
            act()
