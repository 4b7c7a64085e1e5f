"""Machines in the configuration of a stand_in: listed, added, removed, and never with their passwords."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simple_orthanc.errors import SelectionError, ServerError, UnknownNameError
from simple_orthanc.rest import Rest
from simple_orthanc.rest.remote.configured import ConfiguredMachines, shown_configuration
from simple_orthanc.rest.remote.dicomweb_servers import DicomWebServers
from simple_orthanc.rest.remote.modalities import Modalities
from simple_orthanc.rest.remote.peers import Peers
from simple_orthanc.rest.remote.resources import orthanc_ids
from tests.rest.remote.stand_in import Server, serving, unreachable
from tests.secrets_in_tracebacks import leaks

PASSWORD = "wonder-land-4711"
PACS = {"AET": "PACS", "Host": "10.0.0.7", "Port": 104}
ARCHIVE = {"Url": "http://10.0.0.8:8042/", "Username": "jane", "Password": PASSWORD}
KINDS: list[tuple[type[ConfiguredMachines[Any]], str, dict[str, Any]]] = [
    (Modalities, "modalities", PACS),
    (Peers, "peers", ARCHIVE),
    (DicomWebServers, "dicom-web/servers", ARCHIVE),
]
each_kind = pytest.mark.parametrize(("kind", "route", "fields"), KINDS, ids=[kind[1] for kind in KINDS])


@pytest.fixture
def stand_in() -> Server:
    return Server()


@pytest.fixture
def rest(stand_in: Server) -> Iterator[Rest]:
    with serving(stand_in) as rest:
        yield rest


def ids_of(what: Any, everything: bool) -> list[str]:
    return orthanc_ids(what)


@each_kind
def test_machines_are_a_mapping(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], stand_in: Server, rest: Rest
) -> None:
    machines = kind(rest, ids_of)
    assert list(machines) == []
    machines["first"] = fields
    machines["second"] = list(fields.values())
    assert stand_in.configured[route] == {"first": fields, "second": fields}
    assert list(machines) == ["first", "second"]
    assert len(machines) == 2
    assert "first" in machines
    assert "third" not in machines
    assert machines.get("third") is None
    assert machines["first"].name == "first"
    assert machines["first"] == machines["first"] != machines["second"]
    assert len({*machines.values(), machines["first"]}) == 2
    before = len(stand_in.asked)
    assert [(name, machine.name) for name, machine in machines.items()] == [("first", "first"), ("second", "second")]
    assert len(stand_in.asked) == before + 1
    del machines["first"]
    assert stand_in.configured[route] == {"second": fields}
    assert machines.pop("second").name == "second"
    assert stand_in.configured[route] == {}


@each_kind
def test_an_unknown_name_lists_the_known_ones(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], stand_in: Server, rest: Rest
) -> None:
    machines = kind(rest, ids_of)
    stand_in.configured[route] = {"one": fields, "two": fields}
    with pytest.raises(UnknownNameError, match=r"no .* 'three'; it knows one, two") as caught:
        machines["three"]
    assert isinstance(caught.value, KeyError)
    assert f".{kind._attribute}.configure('three', ...) adds it" in str(caught.value)
    with pytest.raises(UnknownNameError) as caught:
        machines["not a name"]
    assert "configure" not in str(caught.value)
    with pytest.raises(UnknownNameError, match="'three'; it knows one, two"):
        del machines["three"]
    assert stand_in.requests("DELETE") == []
    stand_in.configured[route] = {}
    with pytest.raises(UnknownNameError, match="it knows none"):
        machines["three"]


@each_kind
def test_options_are_taken_by_keyword_in_any_spelling(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], stand_in: Server, rest: Rest
) -> None:
    keywords = {name.lower(): value for name, value in fields.items()}
    machine = kind(rest, ids_of).configure("one", **keywords, timeout=5)
    assert stand_in.configured[route] == {"one": {**fields, "Timeout": 5}}
    assert machine.name == "one"
    kind(rest, ids_of).configure("one", fields, TIMEOUT=7)
    assert stand_in.configured[route]["one"]["Timeout"] == 7


@each_kind
@pytest.mark.parametrize("name", ["", "with space", "a/b", "Müller", "a.b", "a\n"])
def test_a_name_that_the_server_refuses_is_refused_here(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], name: str
) -> None:
    with pytest.raises(SelectionError, match="a name consists of ASCII letters, digits, - and _"):
        kind(unreachable(), ids_of)[name] = fields


@each_kind
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"Time_Outs": 5}, "'Time_Outs' is no option of it; near to it: Timeout"),
        ({"Zzz": 5}, "'Zzz' is no option of it: .*Timeout"),
        ({"Timeout": -1}, "Timeout is a whole number of seconds"),
        ({"Timeout": "5"}, "Timeout is a whole number of seconds"),
    ],
)
def test_an_option_that_is_none_is_refused_before_any_request(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(SelectionError, match=says):
        kind(unreachable(), ids_of).configure("one", fields, **options)


@each_kind
@pytest.mark.parametrize("given", [5, "http://host/", None, ["a"] * 5])
def test_what_is_no_configuration_is_refused(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], given: Any
) -> None:
    with pytest.raises(SelectionError, match="cannot be configured: "):
        kind(unreachable(), ids_of)["one"] = given


@pytest.mark.parametrize("kind", [Peers, DicomWebServers])
@pytest.mark.parametrize("url", ["notaurl", "", None, 5, "ftp://host/", "http://", "http://a b/", "http://[::1/"])
def test_an_http_server_needs_a_url(kind: type[ConfiguredMachines[Any]], url: Any) -> None:
    with pytest.raises(SelectionError, match="it needs the URL of its server"):
        kind(unreachable(), ids_of).configure("one", url=url)


@pytest.mark.parametrize("kind", [Peers, DicomWebServers])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": f"http://jane:{PASSWORD}@host/"}, "give username=... and password=... instead"),
        ({**ARCHIVE, "Username": 5}, "Username and Password are strings"),
        ({**ARCHIVE, "HttpHeaders": {"Authorization": 5, "X": PASSWORD}}, "HttpHeaders is a dict of strings"),
        ({**ARCHIVE, "Timeout": -1}, "Timeout"),
        ({**ARCHIVE, "HttpHeaders": {"a", PASSWORD}}, "cannot be written as JSON"),
    ],
)
def test_no_error_shows_a_password(
    kind: type[ConfiguredMachines[Any]], options: dict[str, Any], says: str, rest: Rest
) -> None:
    machines = kind(rest, ids_of)
    with pytest.raises(SelectionError, match=says) as caught:
        machines.configure("one", options)
    assert leaks(caught.value, PASSWORD) == []
    with pytest.raises(SelectionError, match=says) as caught:
        machines["one"] = options
    assert leaks(caught.value, PASSWORD) == []
    with pytest.raises(SelectionError, match=says) as caught:
        machines.configure("one", **options)
    assert leaks(caught.value, PASSWORD) == []


@pytest.mark.parametrize("kind", [Peers, DicomWebServers])
def test_a_server_that_refuses_gives_no_password_away(kind: type[ConfiguredMachines[Any]]) -> None:
    route = f"PUT {kind._machine.route}/one"
    stand_in = Server({route: lambda body: ({"Message": "Bad request", "Details": "No such thing"}, 400)})
    with serving(stand_in) as rest:
        with pytest.raises(ServerError, match="No such thing") as caught:
            kind(rest, ids_of)["one"] = ARCHIVE
        assert stand_in.asked[-1][2] == ARCHIVE
        assert leaks(caught.value, PASSWORD) == []


@each_kind
def test_neither_the_representation_nor_the_table_has_a_password(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], stand_in: Server, rest: Rest
) -> None:
    machines = kind(rest, ids_of)
    assert machines.table().columns[0] == "name"
    assert len(machines.table()) == 0
    machines["one"] = fields
    frame = machines.table()
    assert frame.loc[0, "name"] == "one"
    assert "Password" not in frame.columns
    configuration = machines["one"].configuration
    assert configuration == {name: value for name, value in fields.items() if name != "Password"}
    before = len(stand_in.asked)
    assert repr(machines) == f"<{kind.__name__} of {rest.url}>"
    assert repr(machines._open("one")) == f"<{machines['one'].kind} 'one' of {rest.url}>"
    assert len(stand_in.asked) == before + 1
    shown = machines._repr_html_()
    assert "<td>one</td>" in shown
    assert len(stand_in.asked) == before + 1
    assert PASSWORD not in f"{frame}{configuration}{machines!r}{shown}"


@each_kind
def test_before_a_list_was_asked_for_its_call_is_shown(
    kind: type[ConfiguredMachines[Any]], route: str, fields: dict[str, Any], stand_in: Server, rest: Rest
) -> None:
    before = len(stand_in.asked)
    assert f"orthanc.{kind._attribute}.table() lists them" in kind(rest, ids_of)._repr_html_()
    assert len(stand_in.asked) == before
    machines = kind(rest, ids_of)
    machines.table()
    assert "none, as listed last" in machines._repr_html_()


def test_a_password_in_a_url_of_the_servers_own_configuration_is_not_shown() -> None:
    shown = shown_configuration({"Url": f"https://jane:{PASSWORD}@host:8042/a", "CertificateKeyPassword": PASSWORD})
    assert shown == {"Url": "https://host:8042/a"}
