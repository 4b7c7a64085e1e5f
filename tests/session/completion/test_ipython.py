"""Tab in IPython, with and without jedi, and at the plain prompt of Python."""

from __future__ import annotations

import importlib
import rlcompleter
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import simple_orthanc.session
from simple_orthanc import Orthanc, Session
from simple_orthanc.session.completion.ipython import Matcher, offer_completions
from simple_orthanc.session.containers import LazyVolumes
from tests.session.sessions import source_of, three_series


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    """Run an IPython in this process, without its history."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture(params=[True, False], ids=["jedi", "no jedi"])
def known(shell: InteractiveShell, request: pytest.FixtureRequest) -> Session:
    """Return a session whose archive has been listed, under its name in IPython; it answers no request any more."""
    session = three_series()
    session.describe()
    source = source_of(session)
    source.break_at(source.requests + 1, AssertionError("asked"))
    shell.Completer.use_jedi = request.param
    shell.user_ns.update(session=session, Session=Session)
    return session


def completed(shell: InteractiveShell, code: str) -> list[str]:
    """Return the code with each completion, in the order in which IPython lists them."""
    with provisionalcompleter():
        found = list(rectify_completions(code, shell.Completer.completions(code, len(code))))
    return [code[: one.start] + one.text + code[one.end :] for one in found]


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("session.", ["session.close", "session.copy"]),
        ("session.SliceThickn", ["session.SliceThickness"]),
        ("x = 1\nsession.get_vol", ["x = 1\nsession.get_volume", "x = 1\nsession.get_volumes"]),
        ("session.select(", ["session.select(Modality=", "session.select(SeriesDescription="]),
        ('session.select(Modality="', ['session.select(Modality="CT', 'session.select(Modality="PT']),
        ('session.select(PatientName="Roe^', ['session.select(PatientName="Roe^Rick']),
        ("session.select(Modality=", ['session.select(Modality="CT"', 'session.select(Modality="PT"']),
        ('session.select(Modality="CT").table("', ['session.select(Modality="CT").table("Modality']),
        ('session.get_volume(units="SUVb', ['session.get_volume(units="SUVbw', 'session.get_volume(units="SUVbsa']),
        ('%time session.select(Modality="P', ['%time session.select(Modality="PT']),
    ],
)
def test_completions(shell: InteractiveShell, code: str, first: list[str]) -> None:
    assert completed(shell, code)[: len(first)] == first


@pytest.mark.usefixtures("known")
def test_verbs_come_before_tags(shell: InteractiveShell) -> None:
    names = [code.rpartition(".")[2] for code in completed(shell, "session.")]
    are_verbs = [name.islower() for name in names]
    assert are_verbs == sorted(are_verbs, reverse=True)
    assert {"select", "Modality", "PatientName", "SliceThickness"} < set(names)
    assert len(names) < 200


@pytest.mark.parametrize("use_jedi", [True, False])
@pytest.mark.parametrize(
    "code",
    [
        *("cold.", "cold.series.", "cold.series[0].", "cold.series_count.", "cold.PatientNames[0].", "cold.KVP"),
        *("cold.patients[0].table(", "for child in cold.studies: child.", "cold.series[0].nonsense"),
        *("cold.table().", "cold.series[0].get_volume().arr", 'cold.select(Modality="', "cold.series[0].get_header()."),
        "cold.select(1 + c",
    ],
)
def test_nothing_is_asked_of_an_archive(shell: InteractiveShell, code: str, use_jedi: bool) -> None:
    shell.Completer.use_jedi = use_jedi
    shell.user_ns["cold"] = session = three_series()
    assert completed(shell, code)
    assert source_of(session).requests == 0


@pytest.mark.usefixtures("known")
def test_the_older_way_to_ask_for_completions(shell: InteractiveShell) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        text, found = shell.complete("", 'session.select(Modality="', len('session.select(Modality="'))
    assert (text, list(found)) == ("", ["CT", "PT"])


@pytest.mark.usefixtures("known")
def test_what_is_not_of_this_library_is_completed_as_ever(shell: InteractiveShell) -> None:
    shell.user_ns["text"] = "x"
    assert "text.upper" in completed(shell, "text.upp")
    assert any(code.startswith("print(text") for code in completed(shell, "print(tex"))
    assert any("session" in code for code in completed(shell, "session.select(sess"))


def test_volumes_by_their_labels(shell: InteractiveShell) -> None:
    shell.user_ns["volumes"] = LazyVolumes(["ct_scan", "localizer"], pytest.fail, pytest.fail)
    assert 'volumes["ct_scan' in "".join(completed(shell, 'volumes["ct'))


def test_it_is_registered_once(shell: InteractiveShell) -> None:
    for _ in range(2):
        offer_completions()
        three_series()
    assert sum(isinstance(matcher, Matcher) for matcher in shell.Completer.custom_matchers) == 1


def test_an_error_is_not_shown_amid_what_the_user_writes(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(code: str, namespace: Any) -> None:
        raise RuntimeError(code)

    monkeypatch.setattr("simple_orthanc.session.completion.offers.complete", fail)
    completed(shell, "session.")
    shown = capsys.readouterr()
    assert shown.out + shown.err == ""


def test_help_shows_the_docstring(shell: InteractiveShell) -> None:
    shell.user_ns["session"] = three_series()
    info = shell.object_inspect("session.select")
    assert info["found"]
    assert "Narrow the selection" in info["docstring"]
    assert "**tags" in info["definition"]
    assert "Return a table of tags" in shell.object_inspect("session.table")["docstring"]


def test_it_is_registered_when_the_package_is_imported(shell: InteractiveShell) -> None:
    shell.Completer.custom_matchers.clear()
    importlib.reload(simple_orthanc.session)
    assert [type(matcher) for matcher in shell.Completer.custom_matchers] == [Matcher]
    shell.user_ns["Orthanc"] = Orthanc
    assert completed(shell, "Orthanc().select(Modali")[0] == "Orthanc().select(Modality="


def test_an_older_ipython_is_left_alone(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.Completer.custom_matchers.clear()
    with monkeypatch.context() as patch:
        patch.delattr("IPython.core.completer.SimpleMatcherResult")
        offer_completions()
        assert shell.Completer.custom_matchers == []
    offer_completions()
    assert len(shell.Completer.custom_matchers) == 1


def test_the_prompt_of_python_sends_no_request() -> None:
    session = three_series()
    completer = rlcompleter.Completer({"session": session})
    found = completer.attr_matches("session.")
    assert {"session.select(", "session.PatientName", "session.SliceThickness"} < set(found)
    assert completer.attr_matches("session.Modal") == ["session.Modality"]
    assert source_of(session).requests == 0
    assert session.Modality == ["CT", "PT"]
