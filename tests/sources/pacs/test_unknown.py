"""What a PACS does not know is an error for a condition, and one warning for a table."""

from __future__ import annotations

import warnings

import pytest

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import UnsupportedError
from simple_orthanc.sources.pacs.unknown import collecting_unknown, deciding
from tests.sources.pacs.stand_in import DCMQRSCP, Habits, serving


@pytest.mark.parametrize("name", ["SeriesDescription", "OperatorsName"])
def test_a_condition_on_what_is_unknown_raises_and_a_table_warns(name: str) -> None:
    with serving(Habits(ignored=set(DCMQRSCP))) as (source, _):
        rows = list(source.listing("series"))
        with deciding(), pytest.raises(UnsupportedError, match=rf"^{name}: .*retrieve\(\)"):
            list(source.reload_from_files("series", rows, parse_tag(name)))
        with pytest.warns(UserWarning, match=rf"^{name}: .* unknown here, and not missing.*retrieve\(\)"):
            assert list(source.reload_from_files("series", rows, parse_tag(name))) == rows


def test_a_block_warns_once_of_all_that_is_unknown() -> None:
    with serving(Habits(ignored=set(DCMQRSCP))) as (source, _):
        rows = list(source.listing("series"))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with collecting_unknown("'PACS'"):
                for name in ("SeriesDescription", "OperatorsName", "Modality"):
                    list(source.reload_from_files("series", rows, parse_tag(name)))
        (warning,) = caught
        assert str(warning.message).startswith("OperatorsName, SeriesDescription: 'PACS' does not answer")


def test_a_block_that_fails_does_not_warn() -> None:
    with pytest.raises(KeyError), collecting_unknown("'PACS'"):
        raise KeyError
