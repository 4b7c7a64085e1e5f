"""Connection profiles: named servers in a file of the user's own, which holds no passwords.

::

    [hospital]
    url = https://pacs.example.org/orthanc
    username = alice
    password = keyring

    [trial]
    kind = dicomweb
    url = https://dicom.example.org/dicom-web
    token = environment:TRIAL_TOKEN
    verify = ca.pem

The file is ``~/.config/simple_orthanc/profiles.ini`` (below ``XDG_CONFIG_HOME`` if that is set), or the one that the
environment variable ``SIMPLE_ORTHANC_PROFILES`` names. ``password`` and ``token`` say where the secret is: in the
keyring of the operating system, or in an environment variable.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from simple_orthanc.errors import SelectionError, UnsupportedError
from simple_orthanc.extras import import_extra
from simple_orthanc.transport.secret import KeptElsewhere, Secret, hide, hide_arguments, variable_text

if TYPE_CHECKING:
    from typing_extensions import Self

VARIABLE = "SIMPLE_ORTHANC_PROFILES"
_SECRETS = ("password", "token")
_PREFIXES = ("qido_prefix", "wado_prefix", "stow_prefix", "delete_prefix")
_KEYS = ("kind", "url", "username", *_SECRETS, "verify", "cert", "key")
_KINDS = {"orthanc": "Orthanc", "dicomweb": "DicomWeb"}
_ENVIRONMENT = re.compile(r"environment:\s*(\w+)")
_EXAMPLE = "[hospital], url = https://pacs.example.org/orthanc, username = alice and password = keyring, each on a line"


@dataclass(frozen=True)
class Profile:
    """One section of the file.

    Attributes
    ----------
    name : str
    kind : {"orthanc", "dicomweb"}
    url : str
    options : mapping
        The other arguments of the session, without secrets.
    login : mapping
        ``password`` or ``token`` to where it is: ``"keyring"`` or ``"environment:NAME"``.
    """

    name: str
    kind: str
    url: str
    options: Mapping[str, Any]
    login: Mapping[str, str]

    def arguments(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of the session, beside its URL, with secrets hidden.

        Parameters
        ----------
        kind : {"orthanc", "dicomweb"}
            The session to be opened.
        given : mapping
            Arguments that replace those of the profile. A password, a token or another authentication among them
            replaces the login as a whole, so that the profile's own is not asked for.

        Raises
        ------
        SelectionError
            The profile is of the other kind, or its password or token is not where it says.
        UnsupportedError
            The package ``keyring`` is needed and missing, or there is no keyring.
        """
        if kind != self.kind:
            raise SelectionError(
                f"The profile {self.name!r} is of kind {self.kind}: open it by "
                f"{_KINDS[self.kind]}.from_profile({self.name!r})."
            )
        arguments = dict(self.options)
        if given.keys() & {"auth", "token"}:
            arguments.pop("username", None)
        elif "password" not in given and "username" not in given:
            for name, where in self.login.items():
                arguments[name] = self._secret(name, where)
        return {**arguments, **given}

    def _secret(self, name: str, where: str) -> Secret:
        variable = _ENVIRONMENT.fullmatch(where)
        if variable is None:
            read = partial(_from_keyring, self.name, name, str(self.options.get("username", name)))
            place = f"the keyring, under simple_orthanc:{self.name}"
        else:
            read = partial(_from_environment, self.name, name, variable[1])
            place = variable_text(variable[1])
        secret = KeptElsewhere(read, place)
        # What is missing is told at once.
        _ = secret.reveal()
        return secret


class OpensProfiles:
    """The part of a session class that opens profiles of its kind."""

    _profile_kind: ClassVar[str]

    @classmethod
    def from_profile(cls, name: str, **options: Any) -> Self:
        """Open a session on a server that the user's file of profiles describes.

        Parameters
        ----------
        name : str
            The profile, a section of ``~/.config/simple_orthanc/profiles.ini`` or of the file that the environment
            variable ``SIMPLE_ORTHANC_PROFILES`` names. The file holds no passwords: it says that they are in the
            keyring, or in an environment variable.
        **options
            Other arguments of the session. They replace those of the profile.

        Returns
        -------
        Session
            As the constructor returns it.

        Raises
        ------
        SelectionError
            There is no such profile, it is of another kind, or something in it is wrong. The message names the line.
        UnsupportedError
            The package ``keyring`` is needed and missing, or there is no keyring.

        Examples
        --------
        >>> import os
        >>> from pathlib import Path
        >>> from simple_orthanc import Orthanc
        >>> from simple_orthanc.testing import OrthancStandIn, make_series
        >>> server = OrthancStandIn(make_series((3, 8, 8), PatientID="P1")).start()
        >>> lines = ["[hospital]", f"url = {server.url}", "username = jane", "password = environment:WORD"]
        >>> _ = Path("profiles.ini").write_text(os.linesep.join(lines))
        >>> os.environ.update(SIMPLE_ORTHANC_PROFILES="profiles.ini", WORD="a secret")
        >>> Orthanc.from_profile("hospital").PatientIDs
        ['P1']
        >>> server.stop()
        """
        options = hide_arguments(options)
        profile = read_profile(name)
        constructor: Any = cls
        session: Self = constructor(profile.url, **profile.arguments(cls._profile_kind, options))
        return session


def profiles_path() -> Path:
    """Return the path of the file of profiles, which need not exist."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(os.path.expanduser(named))
    # A relative one is to be ignored (XDG Base Directory Specification).
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path("~/.config").expanduser()) / "simple_orthanc" / "profiles.ini"


def read_profile(name: str) -> Profile:
    """Read a profile from the file of profiles.

    Parameters
    ----------
    name : str
        The name of its section.

    Returns
    -------
    Profile
        What the file says. Neither a keyring nor the environment is asked for the password.

    Raises
    ------
    SelectionError
        There is no such file or profile, other users may change the file, or it holds a password or something else that
        does not belong there. The message names the line, and repeats nothing of it.
    """
    path = profiles_path()
    profile = _parsed(name, path, _read(path))
    if isinstance(profile, Profile):
        return profile
    raise SelectionError(profile)


def _read(path: Path) -> Secret:
    try:
        # Without waiting, should it be a pipe.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, encoding="utf-8-sig") as stream:
            fault = _file_fault(os.fstat(descriptor), path)
            if not fault:
                return Secret(stream.read())
    except FileNotFoundError:
        fault = f"is missing. Write a profile into it ({_EXAMPLE}), or name another file by {VARIABLE}"
    except OSError as error:
        fault = f"cannot be read: {error.strerror or error}"
    except ValueError:
        fault = "is not a text file in UTF-8"
    raise SelectionError(f"The file of profiles {path} {fault}.")


def _file_fault(status: os.stat_result, path: Path) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a file"
    if os.name == "posix" and status.st_uid not in (os.geteuid(), 0):
        return "belongs to another user, who could have your password sent elsewhere. Make a copy of your own"
    if os.name == "posix" and status.st_mode & 0o022:
        return f"can be changed by other users, who could have your password sent elsewhere: chmod go-w {path}"
    return ""


def _parsed(name: str, path: Path, text: Secret) -> Profile | str:
    """Return a profile, or what is wrong with it. It raises nothing, since the file may hold a password."""
    # Imported here, since few sessions are opened from a profile.
    import configparser

    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="")
    try:
        parser.read_string(text.reveal())
    except configparser.Error as error:
        line = error.errors[0][0] if type(error) is configparser.ParsingError else getattr(error, "lineno", "?")
        return f"Line {line} of {path} cannot be read, or repeats another. A profile looks so: {_EXAMPLE}."
    if name not in parser:
        names = ", ".join(map(repr, parser.sections())) or "none"
        return f"There is no profile {name!r} in {path}. The profiles there: {names}."
    options = dict(parser[name])
    for key in options:
        fault = _option_fault(key, options)
        if fault:
            return f"Line {_line(text.reveal(), name, key)} of {path}: {fault}."
    if not options.get("url"):
        return f"The profile {name!r} in {path} has no url, as in url = https://pacs.example.org/orthanc."
    if all(key in options for key in _SECRETS):
        return f"The profile {name!r} in {path} has a password and a token: remove the one or the other."
    arguments = {key: options[key] for key in ("username", *_PREFIXES) if key in options}
    login = {key: options[key] for key in _SECRETS if key in options}
    certificates = _certificates(options, path.parent)
    return Profile(name, options.get("kind", "orthanc"), options["url"], {**arguments, **certificates}, login)


def _option_fault(key: str, options: Mapping[str, str]) -> str:
    """Return what is wrong with one option. It raises nothing, since its variables may hold a password."""
    value, kind = options[key], options.get("kind", "orthanc")
    if key in _SECRETS:
        if value == "keyring" or _ENVIRONMENT.fullmatch(value):
            return ""
        return (
            f"profiles hold no passwords or tokens. Write {key} = keyring, or {key} = environment:NAME with the name "
            "of an environment variable"
        )
    if key == "url" and "@" in value:
        return "profiles hold no passwords. Write the url without user and password, and username = NAME beside it"
    if key == "kind" and value not in _KINDS:
        return "kind is orthanc or dicomweb"
    if key in _PREFIXES and kind == "dicomweb":
        return ""
    if key not in _KEYS:
        known = ", ".join((*_KEYS, *_PREFIXES) if kind == "dicomweb" else _KEYS)
        return f"a profile of kind {kind} has no option of this name, and passwords do not belong here. It has {known}"
    if key == "key" and "cert" not in options:
        return "key is the private key of a certificate: write cert too"
    return ""


def _certificates(options: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the arguments for TLS; paths are relative to the folder of the file."""
    paths = {key: str(folder / os.path.expanduser(options[key])) for key in ("verify", "cert", "key") if key in options}
    arguments: dict[str, Any] = {}
    if "verify" in options:
        truth = {"true": True, "false": False}
        arguments["verify"] = truth.get(options["verify"].lower(), paths["verify"])
    if "cert" in options:
        arguments["cert"] = (paths["cert"], paths["key"]) if "key" in paths else paths["cert"]
    return arguments


def _line(text: str, section: str, key: str) -> int:
    """Return the number of the line of an option."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\[(.+)\]", line.strip())
        if header:
            current = header[1]
        elif current == section and line.partition("=")[0].strip().lower() == key:
            return number
    return 0


def _from_environment(profile: str, name: str, variable: str) -> str:
    if not os.environ.get(variable):
        raise SelectionError(
            f"The profile {profile!r} takes its {name} from the environment variable {variable}, which is not set. Set "
            "it before Python starts, in each process that works with the session, or use the keyring."
        )
    return os.environ[variable]


def _from_keyring(profile: str, name: str, user: str) -> Any:
    service = f"simple_orthanc:{profile}"
    how = f'keyring set "{service}" "{user}"'
    keyring = import_extra(
        "keyring",
        "keyring",
        f"The {name} of the profile {profile!r}",
        f", then {how}; or write {name} = environment:NAME",
    )
    try:
        secret: Secret | None = hide(keyring.get_password(service, user))
    except keyring.errors.KeyringError as error:
        reason = str(error) or type(error).__name__
    else:
        if secret is not None:
            return secret.reveal()
        raise SelectionError(f"The keyring holds no {name} for the profile {profile!r}. Store it in a shell: {how}")
    # Raised here, so that the frames of the keyring are not kept.
    raise UnsupportedError(
        f"The keyring cannot be asked for the {name} of the profile {profile!r}: {reason} Or write "
        f"{name} = environment:NAME in the profile."
    )
