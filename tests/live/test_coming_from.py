"""Every call that docs/coming-from.md shows is made, and returns what it says."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from simple_orthanc import Orthanc, orthanc_sdk
from simple_orthanc.cli import main
from simple_orthanc.dicomweb import bulk_data_uris
from simple_orthanc.testing import wait_until
from tests.coming_from import ROWS, Row, calls_below
from tests.conftest import servers_of
from tests.http_stand_in import Asked, StandIn, always, reply
from tests.live.coming_from_checks import CHECKS, LINES
from tests.live.two_orthancs import SYSTEM, World, evaluated, newest_enough, two_orthancs, write_files

pytestmark = pytest.mark.live
EXECUTED = [row for row in ROWS if row.codes]


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    servers = servers_of(request.config)
    with two_orthancs(servers) as both:
        yield World(*both, lambda: servers.make(newest_enough(servers), {}))


@pytest.fixture
def names(world: World, tmp_path: Path) -> dict[str, Any]:
    world.restore(tmp_path)
    return world.names


@pytest.mark.parametrize("row", EXECUTED, ids=lambda row: f"{row.number} {row.what}")
def test_each_row(row: Row, names: dict[str, Any], certificate: tuple[Path, Path]) -> None:
    with contextlib.ExitStack() as stack:
        if row.number in SETUPS:
            names.update(SETUPS[row.number](names, stack, certificate))
        results = []
        for code in row.codes:
            results.append(evaluated(code, names))
            if code.endswith('("/tools/reset")'):
                # It answers before it begins.
                wait_until(lambda: names["third"].log.count("Orthanc has started") == 2, timeout=20)
        assert CHECKS[row.number](results, names), (row.codes, results)


@pytest.mark.parametrize("heading", LINES)
def test_line_by_line(heading: str, names: dict[str, Any], certificate: tuple[Path, Path]) -> None:
    with contextlib.ExitStack() as stack:
        names.update(_files(names, stack, certificate))
        names.update(_https(names, stack, certificate))
        for code in calls_below(heading):
            if "verify=False" in code:
                stack.enter_context(pytest.warns(UserWarning, match="not checked"))
            result = evaluated(code, names)
            assert not isinstance(result, Exception), (code, result)
            assert LINES[heading].get(code, lambda result, names: True)(result, names), (code, result)


Names = dict[str, Any]
Setup = Callable[[Names, contextlib.ExitStack, tuple[Path, Path]], Names]


def _token(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    tokens: list[str] = []

    def fresh_token() -> str:
        tokens.append("secret")
        return tokens[-1]

    return {"fresh_token": fresh_token, "fresh_tokens": tokens}


def _https(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    stand_in = stack.enter_context(StandIn(always(reply(SYSTEM)), certificate=certificate))
    # The certificate signs itself, and a client may show it too.
    return {
        "https_url": stand_in.url,
        "ca": str(certificate[0]),
        "certificate": str(certificate[0]),
        "key": str(certificate[1]),
    }


def _unchecked(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    stack.enter_context(pytest.warns(UserWarning, match="not checked"))
    return _https(names, stack, certificate)


def _proxy(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    stand_in = stack.enter_context(StandIn(always(reply(SYSTEM))))
    session = stack.enter_context(requests.Session())
    session.proxies = {"http": stand_in.url}
    return {"through_proxy": session}


def _hook(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    responses: list[Any] = []
    session = stack.enter_context(requests.Session())
    session.hooks["response"].append(lambda response, **options: responses.append(response.status_code))
    return {"hooked": session, "responses": responses}


def _pdf(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    body = {"Parent": names["study_id"], "Tags": {"SeriesDescription": "report"}, "Content": names["pdf_uri"]}
    return {"pdf_id": names["orthanc"].rest.post("/tools/create-dicom", body)["ID"]}


def _files(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    return write_files(names["path"])


def _job(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    job = names["orthanc"].rest.run_job("/tools/create-archive", {"Resources": [names["series_id"]]})
    return {"job_id": job["ID"]}


def _web(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    web = names["orthanc"].dicomweb
    item = web.rest.retrieve_instance_metadata(names["study_uid"], names["series_uid"], names["instance_uid"])
    return {"web": web, "uri": bulk_data_uris(item)["7FE00010"]}


def _dicomdir(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    media = names["orthanc"].rest.stream(f"/studies/{names['study_id']}/media", to=names["path"] / "setup.zip")
    with zipfile.ZipFile(media) as archive:
        archive.extractall(names["path"] / "media")
    return {"dicomdir": names["path"] / "media" / "DICOMDIR"}


def _seen(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    return {"seen": []}


def _labelled(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    path = f"/series/{names['series_id']}/labels/listed"
    names["orthanc"].rest.put(path)
    stack.callback(names["orthanc"].rest.delete, path)
    return {}


def _command(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    def run(command: str) -> str:
        arguments = shlex.split(command.replace("URL", f"{names['open_url']}/dicom-web"))[1:]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert main(arguments) == 0
        return printed.getvalue()

    return {"run": run}


def _session_on(stack: contextlib.ExitStack, answers: dict[str, Any]) -> Orthanc:
    """Open a session on a stand-in for a server with a plugin that no Debian has."""

    def answer(asked: Asked, count: int) -> bytes:
        known = answers.get(f"{asked.method} {asked.path.partition('?')[0]}", SYSTEM)
        return reply(known(asked) if callable(known) else known)

    return Orthanc(stack.enter_context(StandIn(answer)).url)


def _education(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    return {"orthanc": _session_on(stack, {"GET /education/api/projects": [{"id": "p1"}]})}


def _transfers(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    job = {"ID": "j1", "Path": "/jobs/j1"}
    answers = {
        "GET /peers": ["far"],
        "GET /transfers/peers": {"far": "installed"},
        "POST /transfers/send": job,
        "POST /transfers/pull": job,
        "POST /tools/bulk-content": [{"ID": names["study_id"], "Type": "Study"}],
        "GET /jobs/j1": {"ID": "j1", "State": "Success", "Content": {"TotalInstances": 3}},
    }
    return {"orthanc": _session_on(stack, answers)}


def _worklist(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    step = {"Modality": "CT", "ScheduledStationAETitle": "CT1"}
    entries = [{"PatientID": "P7", "PatientName": "Doe^Jane", "ScheduledProcedureStepSequence": [step]}]
    answers = {
        "GET /modalities": ["OTHER"],
        "GET /modalities/OTHER/configuration": {"AET": "OTHER", "Host": "127.0.0.1", "Port": 104},
        "POST /modalities/OTHER/find-worklist": entries,
    }
    return {"orthanc": _session_on(stack, answers)}


def _worklists(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    entries: dict[str, Any] = {}

    def create(asked: Asked) -> Any:
        entries["w1"] = json.loads(asked.body)["Tags"]
        return {"ID": "w1", "Path": "/worklists/w1"}

    answers = {
        "GET /worklists": lambda asked: [{"ID": key, "Tags": tags} for key, tags in entries.items()],
        "POST /worklists/create": create,
        "DELETE /worklists/w1": lambda asked: entries.pop("w1"),
    }
    return {"orthanc": _session_on(stack, answers)}


def _plugin(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    """Stand in for the module of the plugin; a script in the real one is run by test_plugin."""
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    configuration = json.dumps({"HttpPort": urlsplit(names["open_url"]).port})
    patch.setattr(orthanc_sdk, "GenerateRestApiAuthorizationToken", lambda: "Bearer none")
    patch.setattr(orthanc_sdk, "GetConfiguration", lambda: configuration)
    return {"orthanc_sdk": orthanc_sdk}


def _third(names: Names, stack: contextlib.ExitStack, certificate: tuple[Path, Path]) -> Names:
    third = stack.enter_context(names["third"])
    return {"orthanc": third.connect()}


SETUPS: dict[int, Setup] = {
    **{4: _token, 5: _https, 6: _unchecked, 7: _proxy, 13: _hook, 67: _pdf},
    **dict.fromkeys((79, 80, 81, 82, 84, 85, 86, 95, 126), _files),
    **dict.fromkeys((97, 98, 99), _job),
    **dict.fromkeys((*range(115, 124), 125), _web),
    **{
        127: _dicomdir,
        129: _seen,
        135: _labelled,
        108: _worklist,
        109: _worklists,
        112: _transfers,
        143: _third,
        144: _education,
        145: _plugin,
        146: _plugin,
        152: _command,
    },
}
