"""Headers over an archive in memory, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from simple_orthanc.errors import (
    AmbiguousSelectionError,
    EmptySelectionError,
    SelectionError,
)
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
