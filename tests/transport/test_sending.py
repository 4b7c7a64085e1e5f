"""What the transport sends again and what it never does, how long it waits, and which redirects it follows."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from simple_orthanc.concurrency import interruption
from simple_orthanc.concurrency.threads import ReusableBuffer
from simple_orthanc.errors import NotFoundError, RequestTimeout, ServerError, TransportError
from simple_orthanc.transport import HttpResponse, Transport, UnusableError
from tests.http_stand_in import Asked, QuickClock, StandIn, always, free_port, in_turn, reply


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_idempotent_requests_survive_drops_and_busy_servers(method: str) -> None:
    answers = in_turn(None, reply(b"", 503), reply(b"", 502, {"Retry-After": "0"}), reply(b""))
    with StandIn(answers) as server:
        transport = Transport(server.url)
        assert transport.content(method, "/x") == b""
        assert transport.requests == len(server.asked) == 4
    with StandIn(always(reply(b"late")), deaf=2) as server:
        assert Transport(server.url).content("GET", "/x") == b"late"


def test_a_cut_body_is_requested_again_and_finally_an_error() -> None:
    cut = reply(b"abc", length=9, headers={"X-Close": "yes"})
    with StandIn(in_turn(cut, reply(b"whole"))) as server:
        assert Transport(server.url).content("GET", "/") == b"whole"
    with StandIn(always(cut)) as server:
        transport = Transport(server.url)
        with pytest.raises(TransportError, match=r"tried \d+ times in .* patience=20"):
            transport.content("GET", "/")
        # 0.05, 0.1, 0.2 ... 2 s, each by up to a half shorter, until 20 s are over.
        assert 14 <= transport.requests <= 30
    ends = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Close: yes\r\n\r\n5\r\nabc"
    with StandIn(always(ends)) as server, pytest.raises(TransportError, match="broke"):
        Transport(server.url).content("GET", "/")


@pytest.mark.parametrize("answer", [None, reply(b"", 503), reply(b"", 504)])
def test_a_post_that_may_have_been_carried_out_is_not_repeated(answer: bytes | None) -> None:
    with StandIn(always(answer)) as server:
        transport = Transport(server.url)
        with pytest.raises((TransportError, ServerError)) as caught:
            transport.json("POST", "/instances", data=b"DICM")
        assert len(server.asked) == 1
        assert answer is not None or "may have been carried out" in str(caught.value)


def test_a_post_called_idempotent_is_repeated_with_its_whole_body() -> None:
    with StandIn(in_turn(None, reply([1]))) as server:
        file = io.BytesIO(b"skip" + bytes(100_000))
        file.seek(4)
        assert Transport(server.url).json("POST", "/tools/find", data=file, idempotent=True) == [1]
        assert [asked.body for asked in server.asked] == [bytes(100_000)] * 2
    with StandIn(always(None)) as server:
        with pytest.raises(TransportError):
            Transport(server.url).json("POST", "/tools/find", data=iter([b"once"]), idempotent=True)
        assert len(server.asked) == 1


def test_an_error_after_a_lost_response_warns_that_the_first_attempt_may_have_worked() -> None:
    answers = in_turn(None, reply({"Message": "In use"}, 409))
    with StandIn(answers) as server, pytest.raises(ServerError, match="may have been carried out"):
        Transport(server.url).json("DELETE", "/series/x")


CUT = reply(b"{", length=9, headers={"X-Close": "yes"})


@pytest.mark.parametrize("lost", [None, reply(b"", 502), reply(b"<html>", 504), CUT])
def test_what_is_gone_after_a_lost_deletion_was_deleted(lost: bytes | None) -> None:
    with StandIn(in_turn(lost, reply({"Message": "Unknown resource"}, 404))) as server:
        assert Transport(server.url).json("DELETE", "/series/x") is None
    with StandIn(in_turn(lost, reply({"Message": "Unknown resource"}, 404))) as server:
        assert Transport(server.url).request("DELETE", "/series/x").status == 204


@pytest.mark.parametrize("before", [[], [reply(b"", 503)], [reply(b"", 429)]])
def test_what_was_gone_before_a_deletion_is_an_error(before: list[bytes]) -> None:
    with StandIn(in_turn(*before, reply(b"", 404))) as server, pytest.raises(NotFoundError):
        Transport(server.url).json("DELETE", "/series/x")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("wanted", ["3600", "20.5", "Fri, 31 Dec 2999 23:59:59 GMT"])
def test_a_retry_after_beyond_the_patience_is_not_waited_for(status: int, wanted: str) -> None:
    with StandIn(always(reply(b"", status, {"Retry-After": wanted}))) as server:
        if "." in wanted:
            # Not a number by RFC 9110, so that it asks for nothing.
            with pytest.raises(ServerError, match="tried"):
                Transport(server.url).content("GET", "/")
            return
        with pytest.raises(ServerError, match=r"asks to wait for \d+ s, longer than patience=20") as caught:
            Transport(server.url).content("GET", "/")
        assert caught.value.status == status
        assert len(server.asked) == 1


PAGE = reply(b"<html>Sign in</html>", headers={"Content-Type": "text/html"})


@pytest.mark.parametrize("odd", [PAGE, reply(b""), reply(b'[{"ID": "5'), reply(b"[1, 2", chunked=True)])
def test_a_response_that_is_not_json_is_asked_for_a_few_times_more(odd: bytes) -> None:
    with StandIn(in_turn(odd, odd, reply([1]))) as server:
        assert Transport(server.url).json("GET", "/series") == [1]
    with StandIn(always(odd)) as server:
        with pytest.raises(TransportError, match="but not with JSON"):
            Transport(server.url).json("GET", "/series")
        assert len(server.asked) == 4
    with StandIn(always(reply(b"<html>"))) as server:
        with pytest.raises(TransportError, match="but not with JSON"):
            Transport(server.url).json("POST", "/instances")
        assert len(server.asked) == 1


def test_what_does_not_parse_is_asked_for_a_few_times_more() -> None:
    def parse(response: HttpResponse) -> bytes:
        if response.content != b"good":
            raise TransportError("another object")
        return response.content

    with StandIn(in_turn(reply(b"bad"), reply(b"good"))) as server:
        assert Transport(server.url).read("GET", "/", parse) == b"good"
    with StandIn(always(reply(b"bad"))) as server:
        with pytest.raises(TransportError, match="another object"):
            Transport(server.url).read("GET", "/", parse)
        assert len(server.asked) == 4
    with StandIn(always(reply(b"bad"))) as server:
        with pytest.raises(TransportError, match="another object"):
            Transport(server.url, patience=0).read("GET", "/", parse)
        assert len(server.asked) == 1


def test_a_check_of_several_requests_is_repeated(clock: QuickClock) -> None:
    transport = Transport("http://127.0.0.1:8042")
    calls = []

    def read() -> str:
        calls.append(1)
        if len(calls) < needed:
            raise UnusableError(TransportError("another object"))
        return "good"

    needed = 4
    assert transport.repeat(read) == "good"
    needed = 9
    calls.clear()
    with pytest.raises(TransportError, match="another object"):
        transport.repeat(read)
    assert len(calls) == 4
    assert len(clock.waited) == 6


def test_a_deletion_with_an_unreadable_answer_is_confirmed() -> None:
    with StandIn(in_turn(reply(b'{"Rem'), reply(b"", 404))) as server:
        assert Transport(server.url).json("DELETE", "/series/x") is None


def test_one_patience_is_spent_for_a_server_that_is_gone(clock: QuickClock) -> None:
    with StandIn(always(reply(b"", 502))) as server:
        transport = Transport(server.url)
        for _ in range(20):
            with pytest.raises(ServerError):
                transport.content("GET", "/")
        assert sum(clock.waited) == pytest.approx(20)
        assert len(server.asked) < 60
        # Later the server is worth another trial.
        clock.waited.append(60)
        with pytest.raises(ServerError):
            transport.content("GET", "/")
        assert sum(clock.waited) == pytest.approx(100)


def test_eight_threads_survive_a_server_that_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    def script(asked: Asked, count: int) -> bytes | None:
        if count == 30:
            stopped.set()
        return None if stopped.is_set() else reply(asked.path.encode() * 500)

    def restart() -> StandIn:
        stopped.wait(10)
        first.close()
        time.sleep(0.2)
        return StandIn(lambda asked, count: reply(asked.path.encode() * 500), port=first.port)

    stopped = threading.Event()
    buffer = ReusableBuffer()
    reads: list[Callable[[str], bytes]] = [
        lambda path: transport.content("GET", path),
        lambda path: bytes(transport.read_into(path, buffer)),
        lambda path: transport.content("POST", path, idempotent=True),
    ]
    first = StandIn(script)
    transport = Transport(first.url)
    with ThreadPoolExecutor(9) as pool:
        restarted = pool.submit(restart)
        paths = [f"/{number}" for number in range(200)]
        answers = list(pool.map(lambda path: reads[int(path[1:]) % 3](path), paths))
        restarted.result().close()
    assert answers == [path.encode() * 500 for path in paths]
    # Each thread pauses for longer and longer, and none of them hammers.
    assert transport.requests < 200 + 8 * 20


def test_a_server_that_answers_in_between_is_waited_for_each_time(clock: QuickClock) -> None:
    def script(asked: Asked, count: int) -> bytes:
        return reply(b"", 502 if asked.path == "/bad" else 200)

    with StandIn(script) as server:
        transport = Transport(server.url)
        for _ in range(2):
            with pytest.raises(ServerError):
                transport.content("GET", "/bad")
            transport.content("GET", "/good")
    assert sum(clock.waited) == pytest.approx(40)


def test_a_connection_that_is_reset_at_once_is_tried_for_the_first_seconds(clock: QuickClock) -> None:
    with StandIn(always(reply(b"late")), deaf=4) as server:
        assert Transport(server.url).content("GET", "/x") == b"late"
    with StandIn(always(reply(b"late")), deaf=10**6) as server, pytest.raises(TransportError):
        Transport(server.url).content("GET", "/x")
    assert sum(clock.waited) < 6


def test_a_silent_server_is_asked_once_more_within_the_patience() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(5, 0.1))
        with pytest.raises(RequestTimeout, match=r"nothing for 0.1 s; asked for GET /slow") as caught:
            transport.json("GET", "/slow")
        assert isinstance(caught.value, TimeoutError)
        assert transport.requests == 2
        assert transport.json("GET", "/slow", timeout=5) == []


def test_silence_of_one_request_costs_the_others_no_patience(clock: QuickClock) -> None:
    drops = iter([None, None])

    def script(asked: Asked, count: int) -> bytes | None:
        if asked.path == "/slow":
            time.sleep(0.3)
        return next(drops, reply([])) if asked.path == "/other" else reply([])

    with StandIn(script) as server:
        transport = Transport(server.url, timeout=(5, 0.1), patience=0.05)
        with pytest.raises(RequestTimeout):
            transport.json("GET", "/slow")
        assert transport.json("GET", "/other", patience=0.08, timeout=5) == []


def test_silence_that_was_longer_than_the_patience_is_an_error_at_once() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(5, 0.1), patience=0.05)
        with pytest.raises(RequestTimeout):
            transport.json("GET", "/slow")
        assert transport.requests == 1


def test_a_post_that_met_silence_is_not_repeated() -> None:
    with StandIn(always(reply([])), slow=0.4) as server:
        transport = Transport(server.url, timeout=(5, 0.1))
        with pytest.raises(RequestTimeout, match="may have been carried out"):
            transport.json("POST", "/instances", data=b"DICM")
        assert transport.requests == 1


def test_a_body_that_stalls_is_read_again_and_finally_a_timeout() -> None:
    stalled = reply(bytes(10), length=20)
    with StandIn(in_turn(stalled, stalled, reply(b"whole"))) as server:
        assert Transport(server.url, timeout=(5, 0.1)).content("GET", "/") == b"whole"
    with StandIn(always(stalled)) as server, pytest.raises(RequestTimeout):
        Transport(server.url, timeout=(5, 0.1), patience=0.15).content("GET", "/")


BUSY = {"HttpStatus": 500, "OrthancStatus": 36, "Message": "The database is currently not available"}
UNKNOWN = {"HttpStatus": 500, "OrthancStatus": 27, "Message": "Unknown DICOM tag"}


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"{", {"error": "busy"}, BUSY])
def test_an_error_of_the_server_without_a_definite_reason_is_tried_again(body: object) -> None:
    with StandIn(in_turn(reply(body, 500), reply([]))) as server:
        assert Transport(server.url).json("GET", "/") == []
    with StandIn(in_turn(reply(body, 500), reply([]))) as server, pytest.raises(ServerError):
        Transport(server.url, patience=0).json("GET", "/")
    with StandIn(in_turn(reply(body, 500), reply([]))) as server, pytest.raises(ServerError):
        Transport(server.url).json("POST", "/instances")


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, UNKNOWN), (507, b""), (400, b""), (401, b""), (403, b""), (404, b""), (413, b""), (501, b"")],
)
def test_a_definite_refusal_is_told_at_once(status: int, body: object) -> None:
    with StandIn(always(reply(body, status))) as server:
        with pytest.raises(ServerError):
            Transport(server.url).json("GET", "/")
        assert len(server.asked) == 1


def test_requests_of_the_same_transport_may_differ_in_patience() -> None:
    with StandIn(always(reply(b"", 503))) as server:
        transport = Transport(server.url)
        with pytest.raises(ServerError):
            transport.content("GET", "/", patience=0)
        assert transport.requests == 1


def test_the_first_connection_is_given_up_soon(clock: QuickClock) -> None:
    transport = Transport(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TransportError, match="No server answers"):
        transport.content("GET", "/")
    assert sum(clock.waited) == pytest.approx(3)
    with StandIn(always(reply(b""))) as server:
        transport = Transport(server.url)
        transport.content("GET", "/")
    clock.waited.clear()
    with pytest.raises(TransportError, match="No server answers"):
        transport.content("POST", "/")
    assert sum(clock.waited) == pytest.approx(20)


def test_an_unknown_name_is_told_at_once(clock: QuickClock) -> None:
    with pytest.raises(TransportError, match="cannot be reached"):
        Transport("http://name.invalid").content("GET", "/")
    assert clock.waited == []


@pytest.mark.parametrize("answer", [None, reply(b"", 503)])
def test_an_interrupted_call_makes_no_further_attempt(answer: bytes | None) -> None:
    call = interruption.Interruption()

    def script(asked: Asked, count: int) -> bytes | None:
        call.interrupt()
        return answer

    with StandIn(script) as server, call:
        transport = Transport(server.url)
        with pytest.raises(KeyboardInterrupt):
            transport.content("GET", "/")
        assert transport.requests == 1


def test_a_deletion_is_redirected_within_the_server() -> None:
    with StandIn(in_turn(reply(b"", 308, {"Location": "/b"}), reply({}))) as server:
        assert Transport(server.url).json("DELETE", "/a") == {}
        assert [(asked.method, asked.path) for asked in server.asked] == [("DELETE", "/a"), ("DELETE", "/b")]


@pytest.mark.parametrize("status", [307, 308])
def test_a_post_that_reads_is_redirected_with_its_body(status: int) -> None:
    moved = reply(b"", status, {"Location": "/pacs/tools/find"})
    for body in (b'{"Level": "Study"}', io.BytesIO(b'{"Level": "Study"}')):
        with StandIn(in_turn(moved, reply([1]))) as server:
            assert Transport(server.url).json("POST", "/tools/find", data=body, idempotent=True) == [1]
            assert [(asked.method, asked.path) for asked in server.asked] == [
                ("POST", "/tools/find"),
                ("POST", "/pacs/tools/find"),
            ]
            assert server.asked[1].body == b'{"Level": "Study"}'


@pytest.mark.parametrize(
    ("method", "status", "idempotent"),
    [("POST", 307, False), ("POST", 302, True), ("POST", 303, True), ("PUT", 302, None), ("DELETE", 301, None)],
)
def test_what_may_change_something_is_not_redirected(method: str, status: int, idempotent: bool | None) -> None:
    with StandIn(always(reply(b"", status, {"Location": "/b"}))) as server:
        with pytest.raises(TransportError, match="safe to repeat"):
            Transport(server.url).json(method, "/a", idempotent=idempotent)
        assert len(server.asked) == 1


def test_redirects_on_the_same_server_are_followed() -> None:
    with StandIn(in_turn(reply(b"", 302, {"Location": "/b?c=1"}), reply(["b"]))) as server:
        assert Transport(server.url, token="abcdefgh").json("GET", "/a", params={"x": 1}) == ["b"]
        assert [asked.path for asked in server.asked] == ["/a?x=1", "/b?c=1"]
        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer abcdefgh"}
    moved = always(reply(b"", 307, {"Location": "/b"}))
    with StandIn(moved) as server, pytest.raises(TransportError, match="more than 5 times"):
        Transport(server.url).json("GET", "/a")


@pytest.mark.parametrize(
    "location",
    ["http://localhost:{port}/b", "http://u:p@127.0.0.1:{own}/b", "https://127.0.0.1:{own}/", ""],
)
def test_redirects_to_another_server_are_not_followed(location: str) -> None:
    with StandIn(always(reply([]))) as other, StandIn(lambda asked, count: answer) as server:
        answer = reply(b"", 302, {"Location": location.format(port=other.port, own=server.port)})
        with pytest.raises(TransportError, match="redirect to"):
            Transport(server.url, auth=("alice", "wonderland")).json("GET", "/a")
        assert other.asked == []
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "/a\x01b",
        "/\u00fc%zz",
        "http:///",
        "http://127.0.0.1:{own}\\@h/",
    ],
)
def test_a_redirect_that_cannot_be_read_is_not_a_fault_of_the_request(location: str) -> None:
    answer = b""
    with StandIn(lambda asked, count: answer if asked.path == "/a" else reply(b"", 404)) as server:
        answer = reply(b"", 302, {"Location": location.format(own=server.port)})
        with pytest.raises((TransportError, ServerError)) as caught:
            Transport(server.url, patience=0).json("GET", "/a")
        assert "cannot be sent" not in str(caught.value)
