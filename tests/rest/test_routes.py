"""Every route by name: what is sent, what completes, and what is refused."""

from __future__ import annotations

import inspect
import io
import pydoc
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jedi
import numpy as np
import pytest

from simple_orthanc import Orthanc
from simple_orthanc.errors import SelectionError, TransportError
from simple_orthanc.phantom import make_series
from simple_orthanc.rest import Rest
from simple_orthanc.rest.route_table import routes
from simple_orthanc.rest.routes import Routes
from simple_orthanc.transport import Transport
from tests.http_stand_in import StandIn, always, reply
from tests.orthanc_stand_in import OrthancServer
from tests.secrets_in_tracebacks import leaks


def routes_of(server: StandIn) -> Routes:
    return Rest(Transport(server.url, patience=0)).routes


# A connection to nowhere: nothing may be asked.
NOWHERE = Rest(Transport("http://127.0.0.1:9", patience=0)).routes


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda r: r.get_series_id_ordered_slices("a"), "GET", "/series/a/ordered-slices", b""),
        (lambda r: r.get_series_id("a b/c?d#e"), "GET", "/series/a%20b%2Fc%3Fd%23e", b""),
        (lambda r: r.get_series_id(id="ä"), "GET", "/series/%C3%A4", b""),
        (lambda r: r.get_series({"limit": 5, "expand": True}), "GET", "/series?limit=5&expand=true", b""),
        (lambda r: r.get_instances_id_frames_frame_raw("a", 3), "GET", "/instances/a/frames/3/raw", b""),
        (lambda r: r.get_instances_id_frames_frame_raw("a", "3"), "GET", "/instances/a/frames/3/raw", b""),
        (lambda r: r.get_instances_id_frames_frame_raw("a", np.int64(0)), "GET", "/instances/a/frames/0/raw", b""),
        (
            lambda r: r.get_instances_id_content_path("a", "/0008-1140/0/0008-1155"),
            "GET",
            "/instances/a/content/0008-1140/0/0008-1155",
            b"",
        ),
        (lambda r: r.get_studies_id_metadata_name("a", 1024), "GET", "/studies/a/metadata/1024", b""),
        (lambda r: r.put_studies_id_metadata_name("a", "b", "c"), "PUT", "/studies/a/metadata/b", b"c"),
        (lambda r: r.put_patients_id_protected("a", "1"), "PUT", "/patients/a/protected", b"1"),
        (lambda r: r.post_tools_find({"Level": "a"}), "POST", "/tools/find", b'{"Level": "a"}'),
        (lambda r: r.post_tools_lookup(body="1.2", params={"a": 1}), "POST", "/tools/lookup?a=1", b"1.2"),
        (lambda r: r.post_instances(io.BytesIO(b"DICM")), "POST", "/instances", b"DICM"),
        (lambda r: r.delete_jobs_id_key("5", "archive"), "DELETE", "/jobs/5/archive", b""),
        (lambda r: r.delete_series_id("a", {"b": 1}), "DELETE", "/series/a?b=1", b""),
    ],
)
def test_what_is_sent(call: Callable[[Routes], Any], method: str, path: str, body: bytes) -> None:
    with StandIn(always(reply({"a": 1}))) as server:
        assert call(routes_of(server)) == {"a": 1}
        (asked,) = server.asked
    assert (asked.method, asked.path, asked.body) == (method, path, body)


def test_the_options_are_those_of_the_verbs() -> None:
    with StandIn(always(reply({}))) as server:
        rest = routes_of(server)
        rest.get_system(headers={"X-A": "b"}, timeout=3, patience=0, deadline=9)
        rest.put_series_id_metadata_name("a", 1024, "b", revision="0-abc")
        rest.delete_series_id_attachments_name("a", 1024, revision="0-abc")
        first, *others = server.asked
    assert first.headers["x-a"] == "b"
    assert [asked.headers["if-match"] for asked in others] == ['"0-abc"', '"0-abc"']


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (lambda r: r.post_tools_find({}), 2),
        (lambda r: r.post_tools_lookup("1"), 2),
        (lambda r: r.post_modalities_id_find_study("a", {}), 2),
        (lambda r: r.post_tools_create_archive([]), 1),
        (lambda r: r.post_instances(b"a"), 1),
        (lambda r: r.post_tools_bulk_delete({}), 1),
    ],
)
def test_only_what_reads_is_sent_again(call: Callable[[Routes], Any], asked: int) -> None:
    with StandIn(lambda request, count: None if count == 1 else reply({})) as server:
        rest = Rest(Transport(server.url)).routes
        # The first contact is another request.
        rest.get_system()
        if asked == 1:
            with pytest.raises(TransportError, match="broke"):
                call(rest)
        else:
            call(rest)
        assert len(server.asked) == 1 + asked


@pytest.mark.parametrize(
    ("call", "method"),
    [
        (lambda r, to: r.get_instances_id_file("a", to=to), "GET"),
        (lambda r, to: r.get_studies_id_archive("a", {"b": 1}, to=str(to), timeout=5), "GET"),
        (lambda r, to: r.post_studies_id_media("a", {}, to=to), "POST"),
        (lambda r, to: r.post_instances_id_modify("a", to=to), "POST"),
        (lambda r, to: r.get_series_id_attachments_name_data("a", "b", to=to), "GET"),
        (lambda r, to: r.get_jobs_id_key("5", "archive", to=to), "GET"),
    ],
)
def test_long_answers_go_to_a_file(tmp_path: Path, call: Callable[[Routes, Path], Any], method: str) -> None:
    with StandIn(always(reply(b"content"))) as server:
        assert call(routes_of(server), tmp_path / "a") == tmp_path / "a"
        assert server.asked[0].method == method
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda r: r.get_series_id(), r"get_series_id\(\): missing a required argument: 'id'"),
        (lambda r: r.get_series_id("a", {}, 5), r"get_series_id\(\): too many positional arguments"),
        (lambda r: r.get_series_id("a", since=0), r"get_series_id\(\): got an unexpected keyword argument 'since'"),
        (lambda r: r.get_system(to="a"), "unexpected keyword argument 'to'"),
        (lambda r: r.put_modalities_id("a", {}, revision="0-a"), "unexpected keyword argument 'revision'"),
        (lambda r: r.get_series_id("a", body=5), "unexpected keyword argument 'body'"),
    ],
)
def test_other_arguments_are_a_type_error(call: Callable[[Routes], Any], says: str) -> None:
    with pytest.raises(TypeError, match=says):
        call(NOWHERE)


@pytest.mark.parametrize("given", [None, "", " ", 5, True, ["a"], "..", ".", b"a"])
def test_an_unusable_id_is_refused(given: Any) -> None:
    with pytest.raises(SelectionError, match=r"get_series_id\(\): id is .*; give a value of type str\. Orthanc's id"):
        NOWHERE.get_series_id(given)


@pytest.mark.parametrize("given", [None, "", -1, 1.5, True, "a", "-1", "²"])
def test_an_unusable_number_of_a_frame_is_refused(given: Any) -> None:
    with pytest.raises(SelectionError, match=r"frame is .*; give a value of type int\. The number of the frame"):
        NOWHERE.get_instances_id_frames_frame_raw("a", given)


@pytest.mark.parametrize("given", ["", "/", "a//b", "../b", "a/./b", 5])
def test_a_path_into_sequences_that_leads_elsewhere_is_refused(given: Any) -> None:
    with pytest.raises(SelectionError, match=r"path is .*; give a value of type str\. Tags and numbers of items"):
        NOWHERE.get_instances_id_content_path("a", given)


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("get_series_id_orderd_slices", "get_series_id_ordered_slices"),
        ("get_study_id", "get_studies_id"),
        ("get_tools_generate_uid_", "get_tools_generate_uid"),
        ("post_tools_invalid_ate_tags", "post_tools_invalidate_tags"),
        ("nonsense", "dir(rest.routes) lists all of them"),
    ],
)
def test_an_unknown_name_is_an_attribute_error_with_similar_ones(name: str, similar: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(NOWHERE, name)
    assert f"There is no route {name!r}" in str(caught.value)
    assert similar in str(caught.value)
    assert caught.value.name == name
    assert not hasattr(NOWHERE, name)


def test_all_names_complete() -> None:
    assert set(routes()) <= set(dir(NOWHERE))
    assert list(NOWHERE) == list(routes())
    assert len(NOWHERE) == len(routes())
    assert "get_system" in NOWHERE
    assert "get_nothing" not in NOWHERE
    assert repr(NOWHERE).startswith("<300 routes by name")
    assert not hasattr(NOWHERE, "__array__")


@pytest.mark.parametrize("before", ["orthanc.rest.routes", "rest.routes", "by_name"])
def test_tab_completes_names_in_a_notebook_and_asks_nothing(before: str) -> None:
    with OrthancServer(make_series((1, 4, 4))) as server, Orthanc(server.url) as orthanc:
        asked = len(server.asked)
        names = {"orthanc": orthanc, "rest": orthanc.rest, "by_name": orthanc.rest.routes}
        found = jedi.Interpreter(f"{before}.get_series_id_o", [names]).complete()
        assert [completion.name for completion in found] == ["get_series_id_ordered_slices"]
        (signature,) = jedi.Interpreter(f"{before}.get_series_id_ordered_slices(", [names]).get_signatures()
        assert [parameter.name for parameter in signature.params][:2] == ["id", "params"]
        assert len(server.asked) == asked


def test_every_route_has_a_signature_and_a_docstring() -> None:
    for name, route in routes().items():
        function = getattr(NOWHERE, name)
        parameters = inspect.signature(function).parameters
        expected = [*route.parameters, *(["body"] if route.method in ("POST", "PUT") else []), "params"]
        positional = [entry.name for entry in parameters.values() if entry.kind is entry.POSITIONAL_OR_KEYWORD]
        assert positional == expected, name
        assert all(parameters[key].default is inspect.Parameter.empty for key in route.parameters), name
        assert function.__name__ == name
        documentation = function.__doc__
        assert documentation.startswith(f"{route.summary}\n\n``{route.method} {route.path}``\n\n"), name
        missing = [key for key in parameters if f"{key} : " not in documentation and f"{key}, " not in documentation]
        assert missing in (["deadline"], []), name


def test_help_shows_what_a_route_takes_and_since_when() -> None:
    shown = pydoc.render_doc(NOWHERE.put_series_id_labels_label, renderer=pydoc.plaintext)
    # From Python 3.13 on each argument has a line of its own.
    assert "put_series_id_labels_label(id:'str',label:'str',body:'Any'=None" in re.sub(r"\s", "", shown)
    assert "Add a label to one series" in shown
    assert "Orthanc 1.12.0 and later have this route." in shown
    assert "and later have this route" not in NOWHERE.get_system.__doc__


def test_no_traceback_shows_headers() -> None:
    with StandIn(always(reply({}, 500))) as server, pytest.raises(Exception, match="500") as caught:
        routes_of(server).get_series_id("a", headers={"X-Token": "wonderland"})
    assert leaks(caught.value, "wonderland") == []
    with pytest.raises(TypeError) as wrong:
        NOWHERE.get_series_id(headers={"X-Token": "wonderland"})
    assert leaks(wrong.value, "wonderland") == []
