"""What the commands that change an archive have in common."""

from __future__ import annotations

import pandas as pd
import pytest

from simple_orthanc.cli.acts import options_named, report_others, server
from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.phantom import make_series
from tests.session.sessions import session_of


@pytest.mark.parametrize("option", ["everything", "whole"])
def test_an_argument_of_the_library_is_named_as_an_option(option: str) -> None:
    with pytest.raises(SelectionError, match=f"--{option}, and --where"), options_named():
        raise SelectionError(f"allow it with {option}=True.")
    with pytest.raises(SelectionError, match="else"), options_named():
        raise SelectionError("else")


def test_only_an_orthanc_is_a_server() -> None:
    with pytest.raises(UnsupportedError, match="were to be anonymized, which only an Orthanc server does"):
        server(session_of(*make_series((2, 4, 4))), "anonymized")


def test_a_failure_is_printed_and_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame(
        {
            "level": ["series"] * 3,
            "SeriesInstanceUID": ["1.1", "1.2", "1.3"],
            "status": ["deleted", "gone", "failed"],
            "message": ["", "not there any more", "in\nuse"],
        }
    )
    assert report_others(table, "deleted") == 1
    assert capsys.readouterr().err.splitlines()[0] == "gone: series 1.2: not there any more"
    assert report_others(table[:2], "deleted") == 0
