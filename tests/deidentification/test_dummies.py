"""A dummy value is valid in its VR."""

from __future__ import annotations

import pytest
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.valuerep import VR, validate_value

from simple_orthanc.deidentification.dummies import dummy_content_item, dummy_value

VRS = sorted(str(vr.value) for vr in VR if vr not in (VR.SQ, VR.UI))


@pytest.mark.parametrize("vr", VRS)
def test_each_vr_has_one(vr: str) -> None:
    single = vr.partition(" ")[0]
    value = dummy_value(vr)
    validate_value(single, value, config.RAISE)
    assert not DataElement(0x00091001, single, value).is_empty


def test_the_content_of_a_report_is_one_comment() -> None:
    item = dummy_content_item()
    assert item.ConceptNameCodeSequence[0].CodeMeaning == "Comment"
    assert (item.ValueType, item.TextValue) == ("TEXT", "REMOVED")
