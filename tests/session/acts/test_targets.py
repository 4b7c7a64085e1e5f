"""What acting on a selection touches, over an archive in memory."""

from __future__ import annotations

import pytest

from simple_orthanc.dicom.levels import Level, depth
from simple_orthanc.errors import EmptySelectionError, SelectionError
from simple_orthanc.session.acts.targets import (
    check_narrowed,
    exact_targets,
    held_targets,
    selected_keys,
    whole_targets,
)
from simple_orthanc.session.base import Session
from tests.memory_source import instance
from tests.session.sessions import quiet, source_of, three_series


def resources(session: Session) -> list[str]:
    return [target.key for target in held_targets(session, "sent", everything=True)]


def test_resources_are_whole_series_and_single_instances_of_the_others() -> None:
    session = three_series()
    series = selected_keys(session, "series")
    assert resources(session) == series
    assert resources(session.copy().select(Modality="CT")) == series[:2]
    partly = session.copy().select("1.2.1.2.1")
    assert resources(partly) == selected_keys(partly, "instance") == ["P1|1.2.1|1.2.1.2|1.2.1.2.1"]
    # The whole of one series and a part of another.
    mixed = session.copy().select(InstanceNumber=1, Modality="CT")
    assert resources(mixed) == [series[0], "P1|1.2.1|1.2.1.2|1.2.1.2.1"]
    session.select(Modality=["CT", "PT"])
    source_of(session).datasets.pop()
    with pytest.raises(SelectionError, match="1 of 3 selected objects is not in the archive any more, so nothing was"):
        resources(session)


def test_targets_are_whole_series_and_single_instances_of_the_others() -> None:
    mixed = three_series().select(InstanceNumber=1, Modality="CT")
    whole, single = exact_targets(mixed, "sent", everything=False)
    assert (whole.level, whole.identifiers, len(whole.instances)) == ("series", ("P1", "1.2.1", "1.2.1.1"), 1)
    assert (single.level, single.identifiers) == ("instance", ("P1", "1.2.1", "1.2.1.2", "1.2.1.2.1"))
    assert single.instances == (single.key,)
    everything = exact_targets(three_series(), "sent", everything=True)
    assert [(target.level, len(target.instances)) for target in everything] == [
        ("series", 1),
        ("series", 2),
        ("series", 1),
    ]
    with pytest.raises(SelectionError, match="the whole archive would be sent"):
        exact_targets(three_series(), "sent", everything=False)


@pytest.mark.parametrize(
    ("level", "held", "left_out"),
    [
        ("patient", 3, r"The patient to be deleted holds 1 series that the selection left out \(1\.2\.1\.1\)"),
        ("study", 3, r"The study to be deleted holds 1 series that the selection left out \(1\.2\.1\.1\)"),
        ("series", 2, r"The series to be deleted holds 1 instance that the selection left out \(1\.2\.1\.2\.2\)"),
    ],
)
def test_whole_objects_that_hold_more_are_refused(level: Level, held: int, left_out: str) -> None:
    session = three_series().select("1.2.1.2.1")
    with pytest.raises(
        SelectionError, match=left_out + r", which would be deleted too: .*whole=True\. Nothing was del"
    ):
        whole_targets(session, level, "deleted", everything=False, whole=False)
    (target,) = whole_targets(session, level, "deleted", everything=False, whole=True)
    assert (target.level, len(target.instances), target.identifiers[-1]) == (
        level,
        held,
        {"patient": "P1", "study": "1.2.1", "series": "1.2.1.2"}[level],
    )
    (single,) = whole_targets(session, "instance", "deleted", everything=False, whole=False)
    assert single.instances == (single.key,)
    with pytest.raises(SelectionError, match="is not a level"):
        whole_targets(session, "image", "deleted", everything=False, whole=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["patient", "study", "series", "instance"])
def test_an_object_that_is_not_there_any_more_is_gone(level: Level) -> None:
    session = three_series().select(Modality=["CT", "PT"])
    count = len(session.table(level="instance"))
    source = source_of(session)
    source.datasets = [dataset for dataset in source.datasets if dataset.PatientID != "P2"]
    targets = whole_targets(session, level, "deleted", everything=False, whole=False)
    gone = [target for target in targets if target.is_gone]
    assert [target.identifiers[: 1 + depth(level)] for target in gone] == [
        ("P2", "1.2.7", "1.2.7.1", "1.2.7.1.1")[: 1 + depth(level)]
    ]
    assert sum(len(target.instances) for target in targets) == count - 1 == 3


def test_what_is_gone_is_named_at_the_level_that_was_looked_at() -> None:
    session = three_series().select(PatientID="P2")
    source_of(session).datasets.clear()
    (gone,) = whole_targets(session, "series", "deleted", everything=False, whole=False)
    assert (gone.level, gone.identifiers, gone.is_gone) == ("study", ("P2", "1.2.7"), True)
    assert exact_targets(session, "sent", everything=False) == [gone]


def test_what_arrived_after_the_selection_is_not_selected() -> None:
    session = three_series().select(PatientID="P1")
    assert len(session.table(level="instance")) == 3
    source_of(session).datasets.append(instance(9, series="2", Modality="CT"))
    source_of(session).datasets.append(instance(1, series="3", Modality="CT"))
    for level, more in (("study", r"1 series .*\(1\.2\.1\.3\)"), ("series", r"1 instance .*\(1\.2\.1\.2\.9\)")):
        with pytest.raises(SelectionError, match=more + r".*refresh\(\) shows it"):
            whole_targets(session, level, "deleted", everything=False, whole=False)  # type: ignore[arg-type]
    assert len(whole_targets(session, "instance", "deleted", everything=False, whole=False)) == 3
    exact = exact_targets(session, "sent", everything=False)
    assert [target.level for target in exact] == ["series", "instance", "instance"]
    assert len(exact_targets(session.refresh(), "sent", everything=False)) == 3


def test_the_whole_archive_and_nothing_are_refused() -> None:
    session = three_series()
    with pytest.raises(SelectionError, match=r"the whole archive would be sent: .* everything=True"):
        check_narrowed(session, "sent", everything=False)
    check_narrowed(session, "sent", everything=True)
    quiet(lambda: session.select(Modality="US"))
    with pytest.raises(EmptySelectionError, match="Nothing is selected by Modality == 'US', so nothing was sent"):
        check_narrowed(session, "sent", everything=True)
