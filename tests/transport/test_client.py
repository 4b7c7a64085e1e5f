"""What the transport sends and what comes back, whole, in chunks and into files, from threads and processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from simple_orthanc.errors import NotFoundError, TransportError
from simple_orthanc.transport import Transport
from simple_orthanc.transport.patience import Patience
from tests.http_stand_in import Asked, StandIn, always, in_turn, reply


def test_json_is_sent_and_parsed_with_prefix_and_parameters() -> None:
    with StandIn(always(reply({"ä": [1, None]}))) as server:
        transport = Transport(server.url + "/pre/fix/")
        assert transport.json(
            "post", "/tools/find", params={"expand": True, "short": None, "x": "a b"}, body={"Level": "Study"}
        ) == {"ä": [1, None]}
        asked = server.asked[0]
        assert (asked.method, asked.path) == ("POST", "/pre/fix/tools/find?expand=true&x=a+b")
        assert json.loads(asked.body) == {"Level": "Study"}
        assert asked.headers["content-type"] == asked.headers["accept"] == "application/json"
        # On the loopback interface packing costs more than it saves.
        assert asked.headers["accept-encoding"] == "identity"
        assert transport.requests == 1


def test_empty_responses_are_none_except_for_get() -> None:
    with StandIn(always(reply(b""))) as server:
        transport = Transport(server.url)
        assert transport.json("PUT", "/x", data="text") is None
        assert server.asked[0].body == b"text"
        with pytest.raises(TransportError, match="empty answer"):
            transport.json("GET", "/x")


def test_request_returns_status_headers_and_content() -> None:
    with StandIn(always(reply(b"x", 206, {"ETag": '"0-1"'}))) as server:
        answer = Transport(server.url).request("GET", "/a", headers={"Range": "bytes=0-0"})
        assert (answer.status, answer.headers["etag"], answer.content) == (206, '"0-1"', b"x")
        assert server.asked[0].headers["range"] == "bytes=0-0"
        assert "content" not in repr(answer)


def test_download_is_atomic_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.dcm"
    target.write_bytes(b"old")
    content = os.urandom(3_000_000)
    cut = reply(content[:5000], length=9000, headers={"X-Close": "yes"})
    with StandIn(in_turn(cut, cut, reply(content), reply({}, 404), cut)) as server:
        transport = Transport(server.url)
        transport.download("/f", target)
        assert target.read_bytes() == content
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
        with pytest.raises(NotFoundError):
            transport.download("/f", tmp_path / "b.dcm")
        with pytest.raises(TransportError):
            transport.download("/f", target)
        monkeypatch.setattr(server, "script", always(reply(content)))

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            transport.download("/f", target)
    assert target.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.dcm"]


def test_errors_of_the_disk_are_not_taken_for_the_network(tmp_path: Path) -> None:
    with StandIn(always(reply(b"abc"))) as server:
        transport = Transport(server.url)
        with pytest.raises(FileNotFoundError):
            transport.download("/f", tmp_path / "no" / "a.dcm")
        assert transport.requests == 1


def test_the_session_of_a_user_is_used_as_it_is() -> None:
    with StandIn(always(reply([]))) as server, requests.Session() as http:
        http.auth = ("bob", "builder")
        http.headers["X-Mine"] = "kept"
        before = (dict(http.headers), dict(http.proxies), dict(http.adapters), http.auth, http.verify, http.cert)
        transport = Transport(server.url, http=http, headers={"X-Ours": "added"})
        transport.json("GET", "/")
        Transport(server.url, http=http, token="abcdefgh").json("GET", "/")
        first, second = (asked.headers for asked in server.asked)
        assert (first["x-mine"], first["x-ours"]) == ("kept", "added")
        assert first["authorization"] == "Basic Ym9iOmJ1aWxkZXI="
        assert second["authorization"] == "Bearer abcdefgh"
        assert before == (
            dict(http.headers),
            dict(http.proxies),
            dict(http.adapters),
            http.auth,
            http.verify,
            http.cert,
        )
        transport.close()
        assert pickle.loads(pickle.dumps(transport)).json("GET", "/") == []


def test_eight_threads_get_their_own_answers() -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(asked.path.encode() * 1000)

    with StandIn(script) as server:
        transport = Transport(server.url)
        with ThreadPoolExecutor(8) as pool:
            paths = [f"/{number}" for number in range(200)]
            answers = list(pool.map(lambda path: transport.content("GET", path), paths))
        assert answers == [path.encode() * 1000 for path in paths]
        assert transport.requests == 200
        assert server.connections <= 8


def test_pickling_keeps_credentials_and_no_sockets() -> None:
    with StandIn(always(reply([]))) as server:
        transport = Transport(
            server.url, auth=("alice", "wonderland"), headers={"X-A": "b"}, timeout=(1, 2), patience=7
        )
        transport.json("GET", "/")
        again = pickle.loads(pickle.dumps(transport))
        assert again.requests == 0
        assert again.patience == transport.patience == Patience(7)
        again.json("GET", "/")
        assert [asked.connection for asked in server.asked] == [0, 1]
        for name in ("authorization", "x-a"):
            assert server.asked[0].headers[name] == server.asked[1].headers[name]


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(own: bool) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(asked.path)

    with StandIn(script) as server, requests.Session() as http:
        transport = Transport(server.url, http=None if own else http)
        transport.json("GET", "/parent")
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe()
        child = context.Process(target=lambda: sender.send(transport.json("GET", "/child")))
        child.start()
        assert receiver.poll(20)
        assert receiver.recv() == "/child"
        child.join(20)
        assert transport.json("GET", "/parent") == "/parent"
        by_path = {asked.path: asked.connection for asked in server.asked}
        assert by_path["/child"] != by_path["/parent"]
