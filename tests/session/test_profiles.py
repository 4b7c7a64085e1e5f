"""Named servers in a file that holds no passwords."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.errors
import pytest

from simple_orthanc import DicomWeb, Orthanc
from simple_orthanc.cli import build_parser, main, source
from simple_orthanc.errors import OrthancError, SelectionError, UnsupportedError
from simple_orthanc.session.profiles import Profile, profiles_path, read_profile
from simple_orthanc.transport.secret import reveal
from tests.http_stand_in import StandIn, always, reply
from tests.secrets_in_tracebacks import leaks

SECRET = "w0nderland"
HOSPITAL = """\
# My servers.
[hospital]
url = https://pacs.example.org/orthanc
username = alice
password = keyring

[trial]
kind = dicomweb
url = https://dicom.example.org/dicom-web
token = environment:TRIAL_TOKEN
verify = ca.pem
cert = me.pem
key = me.key
qido_prefix = search
"""
Write = Callable[[str], Path]


class Keyring(keyring.backend.KeyringBackend):
    """Passwords in memory; an error instead, if there is one."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.passwords: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None
        self.asked: list[tuple[str, str]] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        if self.error is not None:
            raise self.error
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.passwords[service, username]


@pytest.fixture
def ring() -> Iterator[Keyring]:
    before, made = keyring.get_keyring(), Keyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that writes the file of profiles."""
    path = tmp_path / "profiles.ini"
    monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", str(path))

    def write_text(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write_text


def opened(profile: Profile, **given: Any) -> dict[str, Any]:
    """Return the arguments of the session, with secrets revealed, none of which was open before."""
    arguments = profile.arguments(profile.kind, given)
    assert SECRET not in repr(arguments)
    return {name: reveal(value) for name, value in arguments.items()}


def test_a_profile_is_read(write: Write, ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(HOSPITAL).parent
    keyring.set_password("simple_orthanc:hospital", "alice", SECRET)
    monkeypatch.setenv("TRIAL_TOKEN", SECRET)
    hospital = read_profile("hospital")
    assert (hospital.kind, hospital.url) == ("orthanc", "https://pacs.example.org/orthanc")
    assert ring.asked == []
    assert opened(hospital) == {"username": "alice", "password": SECRET}
    assert opened(hospital, verify=False) == {"username": "alice", "password": SECRET, "verify": False}
    assert opened(read_profile("trial")) == {
        "token": SECRET,
        "verify": str(folder / "ca.pem"),
        "cert": (str(folder / "me.pem"), str(folder / "me.key")),
        "qido_prefix": "search",
    }


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        ({"password": "x"}, {"username": "alice", "password": "x"}),
        ({"username": "bob", "password": "x"}, {"username": "bob", "password": "x"}),
        ({"username": "bob"}, {"username": "bob"}),
        ({"token": "x"}, {"token": "x"}),
        ({"auth": ("bob", "x")}, {"auth": ("bob", "x")}),
    ],
)
def test_another_login_replaces_that_of_the_profile(
    write: Write, ring: Keyring, given: dict[str, Any], arguments: dict[str, Any]
) -> None:
    write(HOSPITAL)
    assert opened(read_profile("hospital"), **given) == arguments
    assert ring.asked == []


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("False", False), ("/etc/ca.pem", "/etc/ca.pem"), ("~/ca.pem", "HOME")]
)
def test_how_certificates_are_checked(write: Write, value: str, expected: Any) -> None:
    write(f"[a]\nurl = http://127.0.0.1\nverify = {value}\n")
    assert read_profile("a").options["verify"] == (str(Path.home() / "ca.pem") if expected == "HOME" else expected)


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SIMPLE_ORTHANC_PROFILES", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for base in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
        assert profiles_path() == tmp_path / ".config" / "simple_orthanc" / "profiles.ini"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert profiles_path() == tmp_path / "xdg" / "simple_orthanc" / "profiles.ini"
    with pytest.raises(SelectionError, match=r"is missing. Write a profile into it .*SIMPLE_ORTHANC_PROFILES"):
        read_profile("hospital")
    monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", "~/mine.ini")
    assert profiles_path() == tmp_path / "mine.ini"


# The text of the file, and the line that the message names.
REFUSED = {
    "password": (f"[a]\nurl = http://h\n\npassword = {SECRET}\n", 4, "password = keyring, or password = environment:"),
    "token": (f"[a]\nurl = http://h\ntoken={SECRET}\n", 3, "token = keyring, or token = environment:NAME"),
    "upper case": (f"[b]\npassword = keyring\n[a]\nurl = http://h\nPassword = {SECRET}\n", 5, "no passwords"),
    "next line": (f"[a]\nurl = http://h\npassword =\n  {SECRET}\n", 3, "no passwords"),
    "in the url": (f"[a]\nurl = http://alice:{SECRET}@h\n", 2, "username = NAME beside it"),
    "header": (f"[a]\nurl = http://h\nheaders = X-Key: {SECRET}\n", 3, "passwords do not belong here. It has kind"),
    "auth": (f"[a]\nurl = http://h\nauth = alice:{SECRET}\n", 3, "no option of this name"),
    "api key": (f"[a]\nurl = http://h\napi_key = {SECRET}\n", 3, "no option of this name"),
    "bad variable": (f"[a]\nurl = http://h\npassword = environment:{SECRET}!\n", 3, "environment:NAME"),
    "no equals sign": (f"[a]\nurl = http://h\npassword {SECRET}\n", 3, "cannot be read"),
    "no section": (f"password = {SECRET}\n", 1, "cannot be read"),
    "twice": (f"[a]\nurl = http://h\nusername = b\nusername = {SECRET}\n", 4, "repeats another"),
    "section twice": (f"[a]\nurl = http://h\n[a]\npassword = {SECRET}\n", 3, "repeats another"),
    "kind": (f"[a]\nurl = http://h\nkind = {SECRET}\n", 3, "kind is orthanc or dicomweb"),
    "prefix": (f"[a]\nurl = http://h\nqido_prefix = {SECRET}\n", 3, "a profile of kind orthanc has no option"),
    "key": (f"[a]\nurl = http://h\nkey = {SECRET}\n", 3, "write cert too"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_secret_in_the_file_is_refused_and_not_repeated(write: Write, case: str) -> None:
    text, line, message = REFUSED[case]
    path = write(text)
    with pytest.raises(SelectionError, match=re.escape(message)) as caught:
        Orthanc.from_profile("a")
    assert f"Line {line} of {path}" in str(caught.value)
    assert leaks(caught.value, SECRET) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HOSPITAL, r"There is no profile 'a' in .*\. The profiles there: 'hospital', 'trial'\."),
        ("", r"The profiles there: none\."),
        ("[a]\nusername = alice\n", r"'a' in .* has no url, as in url = https://"),
        ("[a]\nurl =\n", r"has no url"),
        ("[a]\nurl = http://h\npassword = keyring\ntoken = keyring\n", r"has a password and a token"),
    ],
)
def test_a_profile_that_is_missing_or_incomplete(write: Write, text: str, message: str) -> None:
    write(text)
    with pytest.raises(SelectionError, match=message):
        read_profile("a")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_change_is_refused(write: Write, mode: int) -> None:
    path = write(HOSPITAL)
    path.chmod(mode)
    with pytest.raises(
        SelectionError,
        match=re.escape(
            f"can be changed by other users, who could have your password sent elsewhere: chmod go-w {path}"
        ),
    ):
        read_profile("hospital")
    # It holds no secrets, so that others may read it.
    path.chmod(0o644)
    assert read_profile("hospital").name == "hospital"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(write: Write) -> None:
    os.chown(write(HOSPITAL), 65534, 65534)
    with pytest.raises(SelectionError, match="belongs to another user"):
        read_profile("hospital")


def test_what_is_no_file_of_text_is_refused(write: Write) -> None:
    path = write("")
    path.write_bytes(b"[a]\nurl = \xff\n")
    with pytest.raises(SelectionError, match="UTF-8"):
        read_profile("a")
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(SelectionError, match="is not a file"):
        read_profile("a")
    path.unlink()
    path.mkdir()
    with pytest.raises(SelectionError, match="cannot be read: Is a directory"):
        read_profile("a")


def test_the_keyring_says_how_to_store_what_it_lacks(write: Write, ring: Keyring) -> None:
    write(HOSPITAL)
    with pytest.raises(SelectionError, match="The keyring holds no password") as caught:
        Orthanc.from_profile("hospital")
    command = caught.value.message.rpartition(": ")[2]
    assert command == 'keyring set "simple_orthanc:hospital" "alice"'
    assert ring.asked == [("simple_orthanc:hospital", "alice")]
    write("[a]\nurl = http://h\ntoken = keyring\n")
    with pytest.raises(SelectionError, match='keyring set "simple_orthanc:a" "token"'):
        Orthanc.from_profile("a")


@pytest.mark.parametrize(
    "error",
    [keyring.errors.NoKeyringError("No backend."), keyring.errors.KeyringLocked(), keyring.errors.InitError("x")],
)
def test_a_keyring_that_cannot_be_asked(write: Write, ring: Keyring, error: Exception) -> None:
    write(HOSPITAL)
    ring.error = error
    with pytest.raises(UnsupportedError, match=r"cannot be asked .*password = environment:NAME"):
        Orthanc.from_profile("hospital")


def test_without_the_package_keyring_the_extra_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(HOSPITAL)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(UnsupportedError, match=r'pip install "simple-orthanc\[keyring\]"'):
        Orthanc.from_profile("hospital")
    assert read_profile("trial").name == "trial"


def test_a_variable_that_is_not_set_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(HOSPITAL)
    for value in (None, ""):
        monkeypatch.delenv("TRIAL_TOKEN", raising=False) if value is None else monkeypatch.setenv("TRIAL_TOKEN", value)
        with pytest.raises(SelectionError, match="environment variable TRIAL_TOKEN, which is not set"):
            DicomWeb.from_profile("trial")


def test_a_profile_of_the_other_kind_names_the_call(write: Write) -> None:
    write(HOSPITAL)
    with pytest.raises(SelectionError, match=re.escape("open it by DicomWeb.from_profile('trial')")):
        Orthanc.from_profile("trial")
    with pytest.raises(SelectionError, match=re.escape("open it by Orthanc.from_profile('hospital')")):
        DicomWeb.from_profile("hospital")


@pytest.mark.parametrize("options", [{}, {"token": SECRET}, {"auth": ("alice", SECRET)}, {"password": SECRET}])
def test_the_login_reaches_the_server_and_no_traceback(
    write: Write, ring: Keyring, options: dict[str, Any], tmp_path: Path
) -> None:
    keyring.set_password("simple_orthanc:a", "alice", SECRET)
    with StandIn(always(reply({"Message": "no"}, 401))) as server:
        write(f"[a]\nurl = {server.url}\nusername = alice\npassword = keyring\n")
        with pytest.raises(OrthancError, match="401") as caught:
            Orthanc.from_profile("a", **options)
        assert leaks(caught.value, SECRET) == []
        expected = f"Bearer {SECRET}" if "token" in options else "Basic YWxpY2U6dzBuZGVybGFuZA=="
        assert server.asked[0].headers["authorization"] == expected
    with pytest.raises(SelectionError) as caught_early:
        Orthanc.from_profile("b", **options)
    assert leaks(caught_early.value, SECRET) == []


@pytest.mark.parametrize(
    ("lines", "kind", "expected"),
    [
        (
            "username = alice\npassword = environment:TRIAL_SECRET",
            Orthanc,
            "from the environment variable TRIAL_SECRET.",
        ),
        ("kind = dicomweb\ntoken = environment:TRIAL_SECRET", DicomWeb, "from the environment variable TRIAL_SECRET."),
        ("username = alice\npassword = keyring", Orthanc, "from the keyring, under simple_orthanc:a."),
    ],
)
def test_a_refused_login_names_where_its_secret_was_read(
    write: Write, ring: Keyring, monkeypatch: pytest.MonkeyPatch, lines: str, kind: Any, expected: str
) -> None:
    keyring.set_password("simple_orthanc:a", "alice", SECRET)
    monkeypatch.setenv("TRIAL_SECRET", SECRET)
    with StandIn(always(reply({"Message": "no"}, 401))) as server:
        write(f"[a]\nurl = {server.url}\n{lines}\n")
        with pytest.raises(OrthancError, match=re.escape(f"is wrong. The secret was read {expected}")) as caught:
            kind.from_profile("a").select()
        assert leaks(caught.value, SECRET) == []
        with pytest.raises(OrthancError, match="401") as by_hand:
            Orthanc(server.url, username="alice", password=SECRET)
    assert "was read" not in str(by_hand.value)


def test_the_command_line_takes_a_profile(
    write: Write, ring: Keyring, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.set_password("simple_orthanc:a", "alice", SECRET)
    monkeypatch.setattr(source.terminal, "ask_secret", lambda question: "typed")
    with StandIn(always(reply({"Message": "no"}, 401))) as server:
        write(
            f"[a]\nurl = {server.url}\nusername = alice\npassword = keyring\n[b]\nkind = dicomweb\nurl = {server.url}\n"
        )
        assert main(["--profile", "a", "info"]) == 1
        assert main(["--profile", "b", "info"]) == 1
        assert main(["--profile", "a", "--username", "bob", "info"]) == 1
        sent = [asked.headers.get("authorization", "none").partition(" ")[2] for asked in server.asked]
        # An Orthanc is asked two questions at once.
        assert list(dict.fromkeys(sent)) == ["YWxpY2U6dzBuZGVybGFuZA==", "", "Ym9iOnR5cGVk"]
    assert main(["--profile", "c", "info"]) == 1
    shown = capsys.readouterr()
    assert "There is no profile 'c'" in shown.err
    assert SECRET not in shown.out + shown.err
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--profile", "a", "--url", "http://h", "info"])


@pytest.mark.parametrize("option", ["verify", "cert"])
def test_a_home_that_does_not_exist_is_no_raw_error(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "homes.ini"
    path.write_text(f"[a]\nurl = https://pacs\n{option} = ~no-such-user/ca.pem\n")
    path.chmod(0o600)
    monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", str(path))
    assert str(read_profile("a").options[option]).endswith("~no-such-user/ca.pem")
    monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", "~no-such-user/profiles.ini")
    with pytest.raises(SelectionError, match=r"~no-such-user/profiles\.ini is missing"):
        read_profile("a")
