"""The Orthanc servers that live tests run against, and what all tests share.

Every Orthanc found is used: this system's own, or the one that ``ORTHANC_PROGRAM`` names, and those that
``make servers`` put beside it. One process of each version, started when a test first needs it, serves the whole run.
A live test takes the fixture `orthanc`, and thereby runs once per version, each time on an empty server. Those marked
`on_postgresql` run once more for each version whose plugin for PostgreSQL is installed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

import simple_orthanc
from simple_orthanc.errors import OrthancError
from simple_orthanc.local.program import PLUGINS, find_plugins, find_program
from simple_orthanc.local.server import LocalOrthanc
from tests.examples import THOROUGH, examples
from tests.postgresql import Cluster, find_postgresql

if TYPE_CHECKING:
    from simple_orthanc import Orthanc

os.environ.setdefault("MPLBACKEND", "Agg")
# A shell starts a run in the background with Ctrl-C ignored, which the programs of the tests would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SERVERS_FOLDER = Path(os.environ.get("SIMPLE_ORTHANC_SERVERS", "/opt/simple-orthanc"))
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
# Programs of this system are Debian 12's, and those of make servers Debian 13's and sid's; the plugin for PostgreSQL is
# tested with the first two.
VERSIONS_IN_CI = 3
DATABASES_IN_CI = 2
NO_SERVER = "no-orthanc"
# They begin first, so that all processes end at about the same time.
LONGEST = (
    *("tests/faults/test_bench.py", "tests/live/test_parity.py", "tests/live/test_queries.py"),
    *("tests/live/test_sending.py", "tests/test_doctests.py"),
    "tests/test_notebooks.py",
    *("tests/live/test_documents.py", "tests/live/test_dicomweb", "tests/live/test_cli.py", "tests/live/test_folder"),
)
HOW_TO_GET_ONE = "install Orthanc (sudo apt install orthanc orthanc-dicomweb orthanc-gdcm), or run: sudo make servers"
INDEX_PLUGIN = "libOrthancPostgreSQLIndex.so"
ON_POSTGRESQL = "-postgresql"
TWIN = "-twin"

hypothesis.settings.register_profile(
    "house",
    deadline=None,
    max_examples=examples(60),
    # How slow a test is depends on the machine.
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    # A run that decides whether a change is accepted must not fail by chance; a thorough one looks for new failures.
    derandomize=bool(os.environ.get("CI")) and not THOROUGH,
)
hypothesis.settings.load_profile("house")

MakeServer = Callable[..., LocalOrthanc]


def _without_password(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return options for a server that tests ask in many ways, most of which know no password."""
    return dict(config) if "RegisteredUsers" in config else {"AuthenticationEnabled": False, **config}


class Servers:
    """The versions of Orthanc on this machine, and one server of each, started when a test first needs it."""

    def __init__(self) -> None:
        self.recipes: dict[str, dict[str, Any]] = {}
        self.on_postgresql: dict[str, dict[str, Any]] = {}
        self.complaints: list[str] = []
        self._started: dict[str, LocalOrthanc] = {}
        self._postgresql = find_postgresql()
        self._cluster: Cluster | None = None
        try:
            self._add(find_program(), find_plugins(), Path("/"))
        except OrthancError as error:
            self.complaints.append(str(error))
        for program in sorted((SERVERS_FOLDER / "bin").glob("orthanc-*")):
            # Paths inside the server's own system.
            inside = SERVERS_FOLDER / program.name.removeprefix("orthanc-")
            files = sorted(inside.glob("usr/share/orthanc/plugins/*.so"))
            plugins = [f"/{file.relative_to(inside)}" for file in files if any(name in file.name for name in PLUGINS)]
            self._add([str(program)], plugins, inside)

    def _add(self, command: list[str], plugins: list[str], root: Path) -> None:
        """Add a program under the version that it prints, with plugins by their paths in the system at `root`."""
        try:
            answer = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.complaints.append(f"{command[0]} --version: {error}")
            return
        # The first line begins with the program as it was called: "/usr/sbin/Orthanc 1.10.1".
        version = re.search(r"^.+ (\d+\.\d[\w.]*)$", answer.stdout, re.MULTILINE)
        if version is None:
            self.complaints.append(
                f"{command[0]} --version printed no version: {(answer.stdout + answer.stderr)[:200]!r}"
            )
            return
        name = f"orthanc-{version[1]}"
        if name in self.recipes:
            return
        self.recipes[name] = {"program": command, "config": {"Plugins": plugins}}
        index = next((path for path in _beside(plugins, INDEX_PLUGIN) if (root / path.lstrip("/")).exists()), None)
        if index is not None and self._postgresql is not None:
            self.on_postgresql[name + ON_POSTGRESQL] = {"program": command, "config": {"Plugins": [*plugins, index]}}

    @property
    def for_pairs(self) -> list[str]:
        """The names of servers for tests of two: one of each version, or a twin beside the only one."""
        names = list(self.recipes)
        return [*names, names[0] + TWIN] if len(names) == 1 else names

    def recipe(self, name: str) -> dict[str, Any]:
        """Return the options of a server by its name."""
        return {**self.recipes, **self.on_postgresql}[name.removesuffix(TWIN)]

    def started(self, name: str) -> LocalOrthanc:
        """Return the running server that tests of one version share."""
        if name not in self._started:
            self._started[name] = self.make(name, {}).start()
        return self._started[name]

    def make(self, name: str, config: Mapping[str, Any], **options: Any) -> LocalOrthanc:
        """Return another server of the same version, not started yet, with `config` over its own.

        It asks for no password, except with RegisteredUsers, or with AuthenticationEnabled as True, which is the
        default outside of tests.
        """
        recipe = self.recipe(name)
        database = {"PostgreSQL": self._made_database()} if name in self.on_postgresql else {}
        return LocalOrthanc(
            **{**recipe, **options, "config": {**recipe["config"], **database, **_without_password(config)}}
        )

    def _made_database(self) -> dict[str, Any]:
        if self._cluster is None:
            assert self._postgresql is not None
            self._cluster = Cluster(self._postgresql)
        return self._cluster.make_database()

    def stop(self) -> None:
        for server in self._started.values():
            server.stop()
        if self._cluster is not None:
            self._cluster.stop()


def _beside(plugins: list[str], name: str) -> list[str]:
    return list(dict.fromkeys(f"{plugin.rpartition('/')[0]}/{name}" for plugin in plugins))


SERVERS = pytest.StashKey[Servers]()
PYTORCH = ("torch", "torchio", "monai")
MISSING_PYTORCH = [name for name in PYTORCH if importlib.util.find_spec(name) is None]


def share_of_version(server: LocalOrthanc, config: pytest.Config) -> slice:
    """Return which of many things are tried on one version: together the versions try all, in a thorough run each."""
    versions = list(servers_of(config).recipes)
    return slice(None) if THOROUGH else slice(versions.index(f"orthanc-{server.version}"), None, len(versions))


def servers_of(config: pytest.Config) -> Servers:
    if SERVERS not in config.stash:
        config.stash[SERVERS] = Servers()
    return config.stash[SERVERS]


def pytest_report_header(config: pytest.Config) -> list[str]:
    servers = servers_of(config)
    names = [*servers.recipes, *servers.on_postgresql]
    lines = [f"live tests: {', '.join(names) or 'no Orthanc found: ' + HOW_TO_GET_ONE}"]
    lines += [f"not used: {complaint}" for complaint in servers.complaints]
    if MISSING_PYTORCH:
        lines.append(f"left out: tests marked pytorch, since {', '.join(MISSING_PYTORCH)} cannot be imported")
    return lines


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Measure no coverage of collecting the tests, only of the imports that this would make."""
    # The process that hands out the tests to others collects none itself.
    if coverage_of(session.config) is not None and getattr(session.config.option, "dist", "no") == "no":
        for module in pkgutil.walk_packages(simple_orthanc.__path__, "simple_orthanc."):
            # Some need an extra.
            with contextlib.suppress(ImportError):
                if not module.name.endswith("__main__"):
                    importlib.import_module(module.name)
    with unmeasured(session.config):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Mark the tests that need a server, and keep together what shares fixtures when several processes run tests.

    The tests of a module for one version run in one process, so that a fixture of the module is made once. Every
    process has servers of its own. What the tests execute on another version than the first is measured there already.
    """
    for item in items:
        group = item.nodeid.partition("::")[0]
        if "server" in getattr(item, "fixturenames", ()):
            item.add_marker("live")
        callspec = getattr(item, "callspec", None)
        if callspec is not None and "server" in callspec.params:
            name = callspec.params["server"]
            group = f"{group}-{name}"
            if name not in (NO_SERVER, *list(servers_of(item.config).recipes)[:1]):
                item.add_marker("unmeasured")
        if item.get_closest_marker("pytorch"):
            # In one process, since each would take seconds to import it.
            group = "pytorch"
        item.add_marker(pytest.mark.xdist_group(group))
    yield
    if MISSING_PYTORCH and not os.environ.get("CI"):
        left_out = [item for item in items if item.get_closest_marker("pytorch")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of tests marked `unmeasured`, and of those with random examples."""
    is_measured = not any(item.get_closest_marker(name) for name in ("unmeasured", "hypothesis"))
    with contextlib.nullcontext() if is_measured else unmeasured(item.config):
        return (yield)


def coverage_of(config: pytest.Config) -> Any:
    """Return what measures coverage in this process, or None."""
    plugin = config.pluginmanager.get_plugin("_cov")
    return (plugin.cov_controller or None) if plugin is not None else None


@contextlib.contextmanager
def unmeasured(config: pytest.Config) -> Iterator[None]:
    """Measure no coverage inside a block, where that doubles the time and shows nothing new."""
    coverage = coverage_of(config)
    if coverage is None:
        yield
        return
    coverage.pause()
    try:
        yield
    finally:
        coverage.resume()


def pytest_collection_finish(session: pytest.Session) -> None:
    # The garbage collector need not look through thousands of collected tests again and again.
    gc.freeze()
    is_grouped = all("@" in item.nodeid.rpartition("]")[2] for item in session.items)
    if getattr(session.config.option, "loadgroup", False) and not is_grouped:
        raise pytest.UsageError("This pytest-xdist does not keep together the tests that share fixtures.")
    if not os.environ.get("CI") or session.config.option.collectonly:
        return
    if MISSING_PYTORCH and any(item.get_closest_marker("pytorch") for item in session.items):
        raise pytest.UsageError(
            f"CI is set, so {', '.join(PYTORCH)} are needed, but {', '.join(MISSING_PYTORCH)} cannot be imported. "
            "Run: rm .venv/installed; make check. Or leave them out: -m 'not pytorch'."
        )
    servers = servers_of(session.config)
    is_live = any(item.get_closest_marker("live") for item in session.items)
    if is_live and len(servers.recipes) < VERSIONS_IN_CI:
        raise pytest.UsageError(
            f"CI is set, so {VERSIONS_IN_CI} versions of Orthanc are needed; found: "
            f"{', '.join(servers.recipes) or 'none'}. Run: sudo make servers. {' '.join(servers.complaints)}"
        )
    needs_postgresql = any(item.get_closest_marker("on_postgresql") for item in session.items)
    if needs_postgresql and len(servers.on_postgresql) < DATABASES_IN_CI:
        raise pytest.UsageError(
            f"CI is set, so {DATABASES_IN_CI} versions of Orthanc with PostgreSQL are needed; found: "
            f"{', '.join(servers.on_postgresql) or 'none'}. Run: sudo make servers."
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVERS in config.stash:
        config.stash[SERVERS].stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        # Without a server a live test fails; an empty list of parameters would skip it.
        servers = servers_of(metafunc.config)
        names = list(servers.recipes) or [NO_SERVER]
        if metafunc.definition.get_closest_marker("one_version"):
            names = names[:1]
        elif (marker := metafunc.definition.get_closest_marker("on_postgresql")) is not None:
            names = [*([] if marker.kwargs.get("only") else names), *servers.on_postgresql]
        metafunc.parametrize("server", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> LocalOrthanc:
    """The running server of one version; tests of that version share it, so it may hold anything."""
    if request.param == NO_SERVER:
        pytest.fail(f"No Orthanc server was found: {HOW_TO_GET_ONE}.")
    return servers_of(request.config).started(request.param)


@pytest.fixture
def empty_server(server: LocalOrthanc) -> LocalOrthanc:
    """The running server of one version, with nothing in it."""
    # A test may have ended it.
    server.start()
    empty(server)
    return server


@pytest.fixture
def orthanc(empty_server: LocalOrthanc) -> Iterator[Orthanc]:
    """A fresh session on an empty server."""
    with empty_server.connect() as session:
        yield session


@pytest.fixture
def make_server(request: pytest.FixtureRequest, server: LocalOrthanc) -> Iterator[MakeServer]:
    """Yield a function, ``make_server(config={}, **options of LocalOrthanc)``, that starts a server of the version.

    ``make_server({"LimitFindResults": 4}).connect()``. It ends with the test.
    """
    name = request.node.callspec.params["server"]
    with contextlib.ExitStack() as stack:

        def make(config: Mapping[str, Any] | None = None, **options: Any) -> LocalOrthanc:
            return stack.enter_context(servers_of(request.config).make(name, config or {}, **options))

        yield make


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real studies beside the project; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"{SHARED_DATA} is not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made = (folder / "cert.pem", folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made[0]), "-keyout", str(made[1])]
    subprocess.run(command, check=True, capture_output=True)
    return made


@pytest.fixture(autouse=True)
def _no_figure_left_open() -> Iterator[None]:
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture(autouse=True)
def _no_server_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORTHANC_URL", "ORTHANC_USERNAME", "ORTHANC_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _nothing_kept_of_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPLE_ORTHANC_CACHE", "")


def ask(server: LocalOrthanc, path: str, method: str = "GET", body: bytes | None = None) -> Any:
    """Send a request to a server without authentication, without the library under test, and return its JSON."""
    request = urllib.request.Request(server.url + path, data=body, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        content = answer.read()
    return json.loads(content) if content else None


def empty(server: LocalOrthanc) -> None:
    """Delete every patient."""
    for identifier in ask(server, "/patients"):
        ask(server, f"/patients/{identifier}", "DELETE")
