"""What is copied with one request."""

from __future__ import annotations

from dataclasses import replace

from simple_orthanc.session.acts.copy_groups import CopyGroup, CopyOrder, group_by_patient
from simple_orthanc.session.acts.targets import selected_targets
from tests.session.sessions import three_series

FIELDS = {"Keep": ["0010,0020", "0010,0010"], "Replace": {"0008,1030": "x"}, "Level": "Study"}
ORDER = CopyOrder("modified", "/tools/bulk-modify", FIELDS, "ModifiedFrom")


def groups_of(level: str, **selected: object) -> list[CopyGroup]:
    session = three_series().select(**selected)
    targets = selected_targets(session, level, "modified", everything=True, whole=False)  # type: ignore[arg-type]
    return group_by_patient(session._index, targets)


def test_there_is_one_request_per_patient_with_whole_series() -> None:
    for level in ("patient", "study", "series", "instance"):
        groups = groups_of(level)
        assert len(groups) == 2
        resources = [key for group in groups for key in group.resources]
        assert len(resources) == 3
        assert all(key.count("|") == 2 for key in resources)
        assert sum(len(group.instances) for group in groups) == 4


def test_parts_of_series_are_sent_as_instances() -> None:
    (group,) = groups_of("study", SOPInstanceUID=groups_of("instance")[0].targets[0].identifiers[-1])
    assert len(group.instances) == 1
    assert group.resources == ([*group.series] if group.whole else group.instances)


def test_a_mark_is_of_the_order_and_of_the_instances() -> None:
    first, second = groups_of("series")
    assert first.mark(ORDER) != second.mark(ORDER)
    assert first.mark(ORDER) == replace(first, targets=()).mark(ORDER)
    assert first.mark(ORDER) != first.mark(replace(ORDER, fields={}))
    assert first.mark(ORDER).startswith(ORDER.fingerprint)
    assert first.without(first.instances[:1]).mark(ORDER) != first.mark(ORDER)


def test_what_is_gone_is_left_out_with_its_row() -> None:
    group = groups_of("series")[0]
    gone = group.targets[0].instances
    rest = group.without(gone)
    assert [target.key for target in rest.targets] == [target.key for target in group.targets[1:]]
    assert not set(rest.instances).intersection(gone)


def test_a_patient_is_kept_by_its_own_identifier() -> None:
    group = groups_of("series")[0]
    assert ORDER.body(group, "P1")["Replace"] == {"0008,1030": "x"}
    kept = replace(ORDER, keeps_patient=True).body(group, "P1")
    assert kept["Replace"] == {"0008,1030": "x", "0010,0020": "P1"}
    assert kept["Keep"] == ["0010,0010"]
    assert (kept["Force"], kept["KeepSource"], kept["Resources"]) == (True, True, group.resources)
    assert ORDER.fields["Replace"] == {"0008,1030": "x"}
