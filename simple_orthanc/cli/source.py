"""The source of the images and the login, from the options before the command."""

from __future__ import annotations

import contextlib
import importlib
import netrc
import os
import stat
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from simple_orthanc.cli import terminal
from simple_orthanc.cli.selecting import criteria
from simple_orthanc.errors import OrthancError, SelectionError, TransportError
from simple_orthanc.files.paths import make_folders
from simple_orthanc.session import Session
from simple_orthanc.session.profiles import read_profile
from simple_orthanc.transport.address import parse_address
from simple_orthanc.transport.secret import Secret, hide, hide_url

SOURCE_HELP = """\
The source of the images comes before the command: --url, --dicomweb, --profile or --folder. Default: ORTHANC_URL,
then DICOMWEB_URL, then http://127.0.0.1:8042.

Keep passwords off the command line, where every user of the machine can read them. The first of these counts:
--password-file or --ask-password with --username; --token-file; ORTHANC_USERNAME and ORTHANC_PASSWORD, or
ORTHANC_TOKEN, which go to the server of ORTHANC_URL only (DICOMWEB_USERNAME, DICOMWEB_PASSWORD and DICOMWEB_TOKEN to
that of DICOMWEB_URL); ~/.netrc, with an entry for this host, if only its owner may read it; and with --username
alone, a question on the terminal.
"""

DEFAULT_URL = "http://127.0.0.1:8042"
# The options before the command, none of which is given.
_NOWHERE: dict[str, Any] = {
    **dict.fromkeys(("url", "dicomweb", "profile", "folder", "modality", "username", "password", "password_file")),
    **dict.fromkeys(("token_file", "cert", "key", "ca")),
    "ask_password": False,
    "insecure": False,
}
_VARIABLES = {"orthanc": "ORTHANC", "dicomweb": "DICOMWEB"}


@dataclass(frozen=True)
class Location:
    """The source of the images.

    Attributes
    ----------
    kind : {"orthanc", "dicomweb", "folder"}
    address : str or Secret
        URL or path; hidden if it may hold a password.
    is_named : bool
        Whether the user or the environment named it.
    is_own : bool
        Whether it is the server that the environment names, to which the credentials there belong.
    profile : str, optional
        The profile that names the server, and how to log in.
    """

    kind: str
    address: Any
    is_named: bool
    is_own: bool
    profile: str | None = None


def add_options(parser: ArgumentParser) -> None:
    """Add the options before the command."""
    where = parser.add_argument_group("where the images are").add_mutually_exclusive_group()
    where.add_argument("--url", metavar="URL", type=hide_url, help="an Orthanc server, as in http://127.0.0.1:8042")
    where.add_argument(
        "--dicomweb", metavar="URL", type=hide_url, help="a DICOMweb server, as in http://127.0.0.1:8042/dicom-web"
    )
    where.add_argument("--profile", metavar="NAME", help="a server of ~/.config/simple_orthanc/profiles.ini")
    where.add_argument("--folder", metavar="PATH", help="a folder of DICOM files; nothing in it is changed")
    parser.add_argument(
        "--modality",
        metavar="NAME",
        help="the PACS of this name that the Orthanc server knows: it is searched by C-FIND, and hands over no files",
    )
    login = parser.add_argument_group("logging in")
    login.add_argument("--username", metavar="NAME")
    secret = login.add_mutually_exclusive_group()
    secret.add_argument("--password-file", metavar="FILE", help="its first line is the password; - is standard input")
    secret.add_argument("--ask-password", action="store_true", help="ask for the password on the terminal")
    secret.add_argument(
        "--password", metavar="PASSWORD", type=Secret, help="visible to every user of this machine; avoid it"
    )
    secret.add_argument("--token-file", metavar="FILE", help="its first line is a bearer token, read for each request")
    login.add_argument("--cert", metavar="FILE", help="the client's certificate")
    login.add_argument("--key", metavar="FILE", help="its private key, if it is not in the same file")
    network = parser.add_argument_group("network")
    trust = network.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="FILE", help="certificates of the authorities to trust")
    trust.add_argument("--insecure", action="store_true", help="do not check the server's certificate")
    network.add_argument(
        "--timeout",
        type=float,
        default=300,
        metavar="SECONDS",
        help="to wait for each block of an answer (300)",
    )


@contextlib.contextmanager
def opened(args: Namespace) -> Iterator[Session]:
    """Open the session that the options name, narrowed to the selection of the command."""
    narrow = criteria(args)
    with open_session(args) as session:
        yield narrow(session)


def target_of(text: str) -> str | Namespace:
    """Read what is sent to: the name of a machine, or the options that say where another archive is."""
    kind, _, rest = text.partition(":")
    where: dict[str, Any] = {}
    if kind in ("folder", "profile"):
        where = {kind: rest}
    elif "://" in text:
        where = {"dicomweb": hide_url(rest)} if kind == "dicomweb" else {"url": hide_url(text)}
    return Namespace(**{**_NOWHERE, **where}) if where else text


def add_target_options(parser: ArgumentParser) -> None:
    """Add the options of a command that say how to log in to what is sent to."""
    login = parser.add_argument_group("logging in to a server that is sent to")
    login.add_argument("--to-username", metavar="NAME")
    login.add_argument("--to-password-file", metavar="FILE", help="its first line is the password")


@contextlib.contextmanager
def opened_target(args: Namespace) -> Iterator[str | Session]:
    """Open the archive that is sent to; the name of a machine is left as it is."""
    if isinstance(args.target, str):
        yield args.target
        return
    options = Namespace(**vars(args.target))
    options.username, options.password_file = args.to_username, args.to_password_file
    # Whether the certificate of another server need not be checked is not for this one to say.
    options.ca, options.timeout, options.usage = args.ca, args.timeout, args.usage
    if options.folder is not None:
        try:
            make_folders(Path(options.folder).expanduser())
        except (OSError, ValueError) as error:
            raise SelectionError(f"{options.folder}: there can be no such folder: {error}.") from None
    with warnings.catch_warnings():
        # What is to be filled may be empty.
        warnings.filterwarnings("ignore", "There is no DICOM object in")
        session = open_session(options)
    with session:
        yield session


def open_session(args: Namespace) -> Session:
    """Open the session that the options name."""
    location = find_location(args)
    if args.modality is not None and location.kind != "orthanc":
        args.usage("--modality is a PACS that an Orthanc server knows: name the server with --url or --profile")
    # Imported by name, so that the other kinds of session are not loaded.
    library: Any = importlib.import_module("simple_orthanc")
    if location.kind == "folder":
        session: Session = library.Folder(location.address)
        return session
    kind: Any = library.Orthanc if location.kind == "orthanc" else library.DicomWeb
    opener: Callable[..., Session] = kind if location.profile is None else kind.from_profile
    if args.key and not args.cert:
        args.usage("--key is the key of a certificate: give --cert too")
    options = {**credentials(args, location), "timeout": (min(3.0, args.timeout), args.timeout)}
    if args.ca or args.insecure:
        options["verify"] = args.ca or False
    if args.cert:
        options["cert"] = (args.cert, args.key) if args.key else args.cert
    try:
        session = opener(location.address if location.profile is None else location.profile, **options)
        return session if args.modality is None else _pacs(session, args.modality)
    except TransportError as error:
        if location.is_named:
            raise
        raise type(error)(
            f"{error.message} No other location was named: --url, --dicomweb or --folder before the command does."
        ) from None


def _pacs(session: Any, name: str) -> Session:
    """Open a session on a PACS that the server of a session knows."""
    pacs: Session = session.modality(name)
    return pacs


def find_location(args: Namespace) -> Location:
    """Find the source of the images: from an option, or else from the environment."""
    if args.folder is not None:
        return Location("folder", args.folder, True, False)
    if args.profile is not None:
        profile = read_profile(args.profile)
        return Location(profile.kind, profile.url, True, False, profile.name)
    for kind, given in (("orthanc", args.url), ("dicomweb", args.dicomweb)):
        if given is not None:
            return Location(kind, given, True, _same(given, hide_url(os.environ.get(f"{_VARIABLES[kind]}_URL"))))
    for kind, prefix in _VARIABLES.items():
        if address := hide_url(os.environ.get(f"{prefix}_URL")):
            return Location(kind, address, True, True)
    return Location("orthanc", DEFAULT_URL, False, False)


def _same(one: Any, other: Any) -> bool:
    try:
        return other is not None and parse_address(one).url == parse_address(other).url
    except OrthancError:
        return False


def credentials(args: Namespace, location: Location) -> dict[str, Any]:
    """Return the arguments of the session that log in."""
    if args.password is not None:
        warnings.warn(
            "Every user of this machine can read a password on the command line, and the shell keeps it: "
            "--password-file, --ask-password, the environment and ~/.netrc are better.",
            stacklevel=2,
        )
    if _holds_password(args.url or args.dicomweb):
        warnings.warn(
            "Every user of this machine can read the password in the URL on the command line: --password-file, "
            "--ask-password, the environment and ~/.netrc are better.",
            stacklevel=2,
        )
        return {}
    if args.token_file is not None:
        if args.username:
            args.usage("--token-file needs no --username: a token identifies its user")
        first = Secret(read_secret(args.token_file))
        return {"token": first if args.token_file == "-" else partial(read_secret, args.token_file)}
    password = given_password(args)
    if password is not None:
        if not args.username:
            args.usage("a password needs a --username")
        return {"username": args.username, "password": password}
    if location.profile is not None and not args.username:
        return {}
    if location.is_own and (login := _from_environment(location, args.username)) is not None:
        return login
    if location.is_named and (found := from_netrc(location.address, args.username)) is not None:
        return {"username": found[0], "password": found[1]}
    if args.username:
        return {"username": args.username, "password": hide(terminal.ask_secret(f"Password of {args.username}: "))}
    return {}


def _from_environment(location: Location, username: str | None) -> dict[str, Any] | None:
    """Return the login for the server that the environment names, or None if the environment has none."""
    prefix = _VARIABLES[location.kind]
    user, secret = os.environ.get(f"{prefix}_USERNAME"), hide(os.environ.get(f"{prefix}_PASSWORD"))
    token = hide(os.environ.get(f"{prefix}_TOKEN") or None)
    if secret is not None and (user or username):
        return {"username": username or user, "password": secret}
    if token is not None and not username:
        return {"token": token}
    return {} if _holds_password(location.address) else None


def given_password(args: Namespace) -> Secret | None:
    """Return the password that an option names, or None."""
    if args.password is not None:
        password: Secret = args.password
        return password
    if args.password_file is not None:
        return Secret(read_secret(args.password_file))
    if args.ask_password:
        return Secret(terminal.ask_secret(f"Password of {args.username or 'whom? --username names the user'}: "))
    return None


def _holds_password(url: Any) -> bool:
    """Check whether there is a user in a URL; one that is not hidden has none."""
    if isinstance(url, Secret):
        given = str(url.reveal())
        with contextlib.suppress(ValueError):
            return "@" in urlsplit(given if "://" in given else f"http://{given}").netloc
    return False


def read_secret(file: str) -> str:
    """Read the first line of a file; ``-`` is the standard input."""
    if file == "-":
        return sys.stdin.readline().rstrip("\r\n")
    path = Path(file).expanduser()
    try:
        with path.open(encoding="utf-8") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
                warnings.warn(f"Other users may read {file}, which holds a secret: chmod 600 {file}", stacklevel=2)
            secret = stream.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OrthancError(f"The secret in {file} cannot be read: {reason}.") from None
    if not secret:
        raise OrthancError(f"The first line of {file}, which was to be a secret, is empty.")
    return secret


def from_netrc(url: str | Secret, username: str | None) -> tuple[str, Secret] | None:
    """Look up the host of a URL in ``~/.netrc``; the default entry never counts.

    Returns
    -------
    (str, Secret), or None
        User and password.
    """
    host = parse_address(url).host
    try:
        # Python's own reader refuses a file with passwords that other users may read, or own.
        entry = netrc.netrc().hosts.get(host)
    except FileNotFoundError:
        return None
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
        reason = getattr(error, "msg", None) or getattr(error, "strerror", None) or "it is not UTF-8"
        warnings.warn(f"~/.netrc is not used: {reason}.", stacklevel=2)
        return None
    if entry is None or not entry[2] or (username is not None and entry[0] != username):
        return None
    return entry[0], Secret(entry[2])
