"""Storage commitment: the report, or the lack of one."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc.errors import JobError, RequestTimeout
from simple_orthanc.rest.remote.commitment import Commitment
from tests.rest.remote.stand_in import Server, serving

KEPT = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": "1.2.1"}
LOST = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": "1.2.2", "Description": "not available"}
PENDING = {"Status": "Pending"}
SUCCESS = {"Status": "Success", "Success": [KEPT], "Failures": []}
FAILURE = {"Status": "Failure", "Success": [KEPT], "Failures": [LOST]}


def reporting(*reports: dict[str, Any]) -> Server:
    waiting = list(reports)
    return Server(
        {
            "GET /storage-commitment/2.25.1": lambda body: waiting.pop(0) if len(waiting) > 1 else waiting[0],
            "POST /storage-commitment/2.25.1/remove": lambda body: {},
        }
    )


def test_a_report_of_success_is_waited_for() -> None:
    stand_in = reporting(PENDING, SUCCESS)
    with serving(stand_in) as rest:
        commitment = Commitment(rest, "2.25.1", "PACS")
        assert commitment.wait() is commitment
        assert commitment.status == "Success"
        assert len(commitment.failures()) == 0
        commitment.remove()
    assert stand_in.requests("POST") == ["/storage-commitment/2.25.1/remove"]
    assert repr(commitment) == "<Commitment 2.25.1 of 'PACS'>"


def test_objects_that_are_not_kept_are_an_error_and_nothing_is_removed() -> None:
    stand_in = reporting(FAILURE)
    with serving(stand_in) as rest:
        commitment = Commitment(rest, "2.25.1", "PACS")
        with pytest.raises(JobError, match=r"does not keep 1 of 2 objects .*: 1\.2\.2: not available"):
            commitment.wait()
        assert commitment.failures().to_dict("records") == [
            {"SOPClassUID": KEPT["SOPClassUID"], "SOPInstanceUID": "1.2.2", "reason": "not available"}
        ]
        with pytest.raises(JobError):
            commitment.remove()
    assert stand_in.requests("POST") == []


@pytest.mark.parametrize("kept", [[], [KEPT]])
def test_what_a_report_of_success_leaves_out_is_not_kept(kept: list[dict[str, Any]]) -> None:
    stand_in = reporting({"Status": "Success", "Success": kept, "Failures": []})
    with serving(stand_in) as rest:
        commitment = Commitment(rest, "2.25.1", "PACS", ["1.2.1", "1.2.3"])
        count = 2 - len(kept)
        with pytest.raises(JobError, match=rf"does not keep {count} of 2 objects .*1\.2\.3: not in the report"):
            commitment.wait()
        assert commitment.failures()["SOPInstanceUID"].tolist() == ["1.2.1", "1.2.3"][len(kept) :]
        with pytest.raises(JobError):
            commitment.remove()
    assert stand_in.requests("POST") == []


def test_nothing_has_failed_before_the_report() -> None:
    with serving(reporting(PENDING)) as rest:
        assert Commitment(rest, "2.25.1", "PACS", ["1.2.1"]).failures().empty


def test_a_modality_that_does_not_report_is_not_waited_for_without_end() -> None:
    stand_in = reporting(PENDING)
    with serving(stand_in) as rest:
        commitment = Commitment(rest, "2.25.1", "PACS")
        with pytest.raises(RequestTimeout, match=r"no report of storage commitment within 0\.01 s.*AE title"):
            commitment.wait(timeout=0.01)
        with pytest.raises(RequestTimeout):
            commitment.remove()
    assert stand_in.requests("POST") == []
