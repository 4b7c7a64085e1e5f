"""Where the images are, and with which credentials they are asked for."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import pytest

import simple_orthanc
from simple_orthanc.cli import build_parser, main, source
from simple_orthanc.errors import OrthancError, TransportError
from simple_orthanc.transport.secret import reveal
from tests import stand_ins
from tests.dicomweb_stand_in import DicomServer
from tests.http_stand_in import make_environment_plain
from tests.memory_source import instance
from tests.sources.contract import make_archive
from tests.sources.pacs.stand_in import PacsServer

VARIABLES = [f"{kind}_{what}" for kind in ("ORTHANC", "DICOMWEB") for what in ("URL", "USERNAME", "PASSWORD", "TOKEN")]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def parsed(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args([*arguments, "info"])


def login(*arguments: str) -> dict[str, Any]:
    args = parsed(*arguments)
    given = source.credentials(args, source.find_location(args))
    assert not any(isinstance(value, str) for name, value in given.items() if name != "username")
    return {name: reveal(value) for name, value in given.items()}


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def location(*arguments: str) -> tuple[str, str]:
        found = source.find_location(parsed(*arguments))
        return found.kind, found.address

    assert location() == ("orthanc", "http://127.0.0.1:8042")
    monkeypatch.setenv("DICOMWEB_URL", "http://web")
    assert location() == ("dicomweb", "http://web")
    monkeypatch.setenv("ORTHANC_URL", "http://env")
    assert location() == ("orthanc", "http://env")
    assert location("--url", "http://given") == ("orthanc", "http://given")
    assert location("--dicomweb", "http://given") == ("dicomweb", "http://given")
    assert location("--folder", "scans") == ("folder", "scans")


def test_an_unreachable_default_address_shows_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_environment_plain(monkeypatch)
    monkeypatch.setattr(source, "DEFAULT_URL", "http://127.0.0.1:1")
    with pytest.raises(TransportError, match="--url, --dicomweb or --folder before the command"):
        source.open_session(parsed())
    with pytest.raises(TransportError) as error:
        source.open_session(parsed("--url", "http://127.0.0.1:1"))
    assert "--folder" not in str(error.value)


def test_the_credentials_of_the_environment_go_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHANC_URL", "https://pacs.example.org:443/")
    monkeypatch.setenv("ORTHANC_USERNAME", "jane")
    monkeypatch.setenv("ORTHANC_PASSWORD", "secret")
    own = {"username": "jane", "password": "secret"}
    assert login() == own
    assert login("--url", "https://PACS.example.org") == own
    assert login("--url", "https://elsewhere.example.org") == {}
    assert login("--dicomweb", "https://pacs.example.org") == {}
    assert login("--url", "http://pacs.example.org") == {}
    monkeypatch.delenv("ORTHANC_PASSWORD")
    monkeypatch.setenv("ORTHANC_TOKEN", "abc")
    assert login() == {"token": "abc"}
    assert login("--url", "https://elsewhere.example.org") == {}
    monkeypatch.setenv("DICOMWEB_URL", "https://web.example.org")
    monkeypatch.setenv("DICOMWEB_TOKEN", "def")
    assert login("--dicomweb", "https://web.example.org") == {"token": "def"}


def secret_file(tmp_path: Path, text: str, mode: int = 0o600) -> str:
    path = tmp_path / "secret"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def test_a_password_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = secret_file(tmp_path, " pässword \nmore\n")
    assert login("--username", "jane", "--password-file", file) == {"username": "jane", "password": " pässword "}
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
    assert login("--username", "jane", "--password-file", "-")["password"] == "typed"
    with pytest.warns(UserWarning, match="chmod 600"):
        login("--username", "jane", "--password-file", secret_file(tmp_path, "x", 0o644))
    for text, reason in (("", "empty"), ("\nx", "empty")):
        with pytest.raises(OrthancError, match=reason):
            login("--username", "jane", "--password-file", secret_file(tmp_path, text))
    with pytest.raises(OrthancError, match="No such file"):
        login("--username", "jane", "--password-file", str(tmp_path / "none"))


def test_a_token_is_read_for_each_request(tmp_path: Path) -> None:
    file = secret_file(tmp_path, "first\n")
    token = login("--token-file", file)["token"]
    assert token() == "first"
    secret_file(tmp_path, "second\n")
    assert token() == "second"


def test_a_token_from_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed\n"))
    assert login("--token-file", "-") == {"token": "typed"}


def test_a_password_on_the_command_line_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Every user of this machine can read a password"):
        assert login("--username", "jane", "--password", "x") == {"username": "jane", "password": "x"}
    with pytest.warns(UserWarning, match="Every user of this machine can read the password in the URL"):
        assert login("--url", "http://jane:x@127.0.0.1:8042") == {}


def test_netrc_counts_for_the_named_host_only(tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(
        "machine pacs.example.org login jane password secret\ndefault login other password other\n", encoding="utf-8"
    )
    netrc.chmod(0o600)
    found = {"username": "jane", "password": "secret"}
    assert login("--url", "https://pacs.example.org:8443/x") == found
    assert login("--dicomweb", "https://pacs.example.org/dicom-web") == found
    assert login("--url", "https://pacs.example.org", "--username", "jane") == found
    assert login("--url", "https://example.org") == {}
    assert login() == {}
    netrc.chmod(0o640)
    with pytest.warns(UserWarning, match="netrc is not used"):
        assert login("--url", "https://pacs.example.org") == {}


def test_a_username_alone_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(source.terminal, "ask_secret", lambda question: asked.append(question) or "typed")
    typed = {"username": "jane", "password": "typed"}
    assert login("--url", "http://127.0.0.1:1", "--username", "jane") == typed
    assert login("--username", "jane", "--ask-password") == typed
    assert asked == ["Password of jane: "] * 2


def test_a_session_is_opened_as_the_options_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(simple_orthanc, "DicomWeb", stand_ins.DicomWeb, raising=False)
    monkeypatch.setattr(stand_ins.DicomWeb, "opened", [])
    monkeypatch.setenv("STAND_IN_FOLDER", str(tmp_path / "nothing"))
    (tmp_path / "nothing").mkdir()
    source.open_session(
        parsed("--dicomweb", "http://a", "--ca", "ca.pem", "--cert", "c", "--key", "k", "--timeout", "9")
    )
    source.open_session(parsed("--dicomweb", "http://a", "--insecure", "--cert", "c", "--timeout", "2"))
    assert stand_ins.DicomWeb.opened == [
        ("http://a", {"verify": "ca.pem", "cert": ("c", "k"), "timeout": (3.0, 9.0)}),
        ("http://a", {"verify": False, "cert": "c", "timeout": (2.0, 2.0)}),
    ]


def test_no_token_is_no_header() -> None:
    with DicomServer([instance(1)]) as server:
        assert main(["--dicomweb", server.root, "find", "studies", "--format", "csv"]) == 0
        assert len(server.asked) > 1
        assert all("authorization" not in asked.headers for asked in server.asked)


def test_a_modality_is_searched_in_place_of_its_server(capsys: pytest.CaptureFixture[str]) -> None:
    with PacsServer(make_archive()) as server:
        asked = ["--url", server.url, "--modality", "PACS", "find", "study", "--columns", "PatientID,instance_count"]
        assert main([*asked, "--where", "PatientName=doe*", "--format", "csv"]) == 0
        assert capsys.readouterr().out.splitlines() == ["PatientID,instance_count", "p1,5"]
        assert main(["--url", server.url, "--modality", "PAX", "info"]) == 1
        assert "it knows other, PACS" in capsys.readouterr().err
        assert main(["--url", server.url, "--modality", "PACS", "volume", "v.nii.gz", "--where", "PatientID=p1"]) == 1
        assert "retrieve()" in capsys.readouterr().err


@pytest.mark.parametrize("where", [["--folder", "scans"], ["--dicomweb", "http://web"]])
def test_a_modality_needs_an_orthanc_server(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*where, "--modality", "PACS", "info"]) == 2
    assert "--modality is a PACS that an Orthanc server knows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("PACS", None),
        ("modality:PACS", None),
        ("dicomweb:archive", None),
        ("folder:/scans", {"folder": "/scans"}),
        ("profile:hospital", {"profile": "hospital"}),
        ("http://host:8042", {"url": "http://host:8042"}),
        ("https://jane:wonderland@host/orthanc", {"url": "https://jane:wonderland@host/orthanc"}),
        ("dicomweb:https://host/dicom-web", {"dicomweb": "https://host/dicom-web"}),
    ],
)
def test_what_is_sent_to_is_a_name_or_another_archive(text: str, given: dict[str, str] | None) -> None:
    target = source.target_of(text)
    if given is None:
        assert target == text
    else:
        assert isinstance(target, argparse.Namespace)
        assert "wonderland" not in repr(target)
        options = {name: reveal(value) for name, value in vars(target).items() if value}
        assert options == given


def test_the_login_of_what_is_sent_to_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[Any, dict[str, Any]]] = []

    class Recording:
        def __init__(self, address: Any, **options: Any) -> None:
            opened.append((reveal(address), {name: reveal(value) for name, value in options.items()}))

        def __enter__(self) -> Recording:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(simple_orthanc, "Orthanc", Recording, raising=False)
    (tmp_path / "password").write_text("wonderland\n")
    (tmp_path / "password").chmod(0o600)
    before = ["--folder", "scans", "--username", "tweedledee", "--password-file", "elsewhere", "--insecure"]
    login = ["--to-username", "alice", "--to-password-file", str(tmp_path / "password")]
    args = build_parser().parse_args([*before, "send", "http://host", *login])
    with source.opened_target(args):
        pass
    args = build_parser().parse_args([*before, "send", "http://host"])
    with source.opened_target(args):
        pass
    timeout = {"timeout": (3.0, 300)}
    assert opened == [
        ("http://host", {"username": "alice", "password": "wonderland", **timeout}),
        ("http://host", timeout),
    ]
