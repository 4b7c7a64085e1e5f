"""What goes wrong between a client and a server, each kind as a function of one exchange."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.faults.messages import Answer
from tests.faults.proxy import Act, Exchange

PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Please sign in</form></body></html>"
SIGN_IN = "/sign-in"
DRIP_SECONDS = 0.5


def reset_in_request(exchange: Exchange) -> None:
    """Reset the connection when a part of the request has come."""
    exchange.reset()


def reset_before_answer(exchange: Exchange) -> None:
    """Reset the connection when the server has carried out the request."""
    exchange.answer()
    exchange.reset()


def hang_up_before_answer(exchange: Exchange) -> None:
    """Close the connection when the server has carried out the request."""
    exchange.answer()
    exchange.hang_up()


def reset_in_head(exchange: Exchange) -> None:
    """Reset the connection inside the head of the answer."""
    exchange.send(exchange.answer().head()[:25])
    exchange.reset()


def reset_in_body(exchange: Exchange) -> None:
    """Reset the connection inside the body of the answer."""
    answer = exchange.answer()
    exchange.send(answer.whole()[: -(len(answer.body) + 1) // 2])
    exchange.reset()


def _then_hung_up(write: Callable[[Answer], bytes]) -> Act:
    """Return the fault that sends what `write` makes of an answer, and ends the connection."""

    def act(exchange: Exchange) -> None:
        exchange.send(write(exchange.answer()))
        exchange.hang_up()

    return act


cut_announced_whole = _then_hung_up(lambda answer: answer.cut().whole(len(answer.body)))
cut_in_chunks = _then_hung_up(lambda answer: answer.cut().chunked(ended=False))
cut_until_the_end = _then_hung_up(lambda answer: answer.cut().head("Connection: close") + answer.cut().body)
whole_until_the_end = _then_hung_up(lambda answer: answer.head("Connection: close") + answer.body)
announced_too_long = _then_hung_up(lambda answer: answer.whole(len(answer.body) + 100))
announced_negative = _then_hung_up(lambda answer: answer.whole(-5))
announced_twice = _then_hung_up(
    lambda answer: (
        answer.head(f"Content-Length: {len(answer.body)}", f"Content-Length: {len(answer.body) // 2}") + answer.body
    )
)
malformed_chunk = _then_hung_up(
    lambda answer: answer.head("Transfer-Encoding: chunked") + b"zz\r\n" + answer.body + b"\r\n0\r\n\r\n"
)
no_http = _then_hung_up(lambda answer: b"SSH-2.0-OpenSSH_9.2\r\n" + answer.body)


def _passed_on(write: Callable[[Answer], bytes]) -> Act:
    """Return the fault that sends what `write` makes of an answer, and keeps the connection."""

    def act(exchange: Exchange) -> None:
        exchange.send(write(exchange.answer()))

    return act


cut_announced_cut = _passed_on(lambda answer: answer.cut().whole())
cut_ended_cleanly = _passed_on(lambda answer: answer.cut().chunked())
whole_in_chunks = _passed_on(Answer.chunked)
announced_too_short = _passed_on(lambda answer: answer.whole(len(answer.body) * 2 // 3))
page_for_success = _passed_on(lambda answer: Answer(200, PAGE, {"Content-Type": "text/html"}).whole())
nothing_for_success = _passed_on(lambda answer: replace(answer, status=200, body=b"").whole())
other_shape = _passed_on(lambda answer: Answer(200, b'{"a": 1}', {"Content-Type": "application/json"}).whole())
corrupt_gzip = _passed_on(
    lambda answer: (
        replace(answer, body=_corrupted(gzip.compress(answer.body))).with_headers(Content_Encoding="gzip").whole()
    )
)
cut_gzip = _passed_on(
    lambda answer: (
        replace(answer, body=gzip.compress(answer.body)).cut(0.7).with_headers(Content_Encoding="gzip").whole()
    )
)


def _corrupted(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 8]) + content[middle + 8 :]


def cut_json(exchange: Exchange) -> None:
    """Cut an answer inside its JSON."""
    answer = exchange.answer()
    exchange.reply(replace(answer, body=answer.body.rstrip()[:-2]))


def drip(exchange: Exchange) -> None:
    """Send the answer byte by byte, without end."""
    answer = exchange.answer()
    exchange.send(answer.head("Content-Length: 1000000"))
    for byte in answer.body * 1000:
        exchange.send(bytes([byte]))
        exchange.pause(DRIP_SECONDS)


def drip_head(exchange: Exchange) -> None:
    """Send header after header, slowly and without end."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(10**6):
        exchange.send(b"X-%d: a\r\n" % number)
        exchange.pause(DRIP_SECONDS)


def continue_for_ever(exchange: Exchange) -> None:
    """Answer 100 Continue, slowly and without end."""
    while True:
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        exchange.pause(DRIP_SECONDS)


def stall_before_head(exchange: Exchange) -> None:
    """Take the request, and never answer."""
    exchange.connection.read_body(exchange.request)
    exchange.pause(600)


def stall_after_work(exchange: Exchange) -> None:
    """Have the request carried out, and never answer."""
    exchange.answer()
    exchange.pause(600)


def stall_in_body(exchange: Exchange) -> None:
    """Send a part of the answer, and then nothing."""
    answer = exchange.answer()
    exchange.send(answer.whole()[: -(len(answer.body) + 1) // 2])
    exchange.pause(600)


def slow(exchange: Exchange) -> None:
    """Answer after half a second."""
    answer = exchange.answer()
    exchange.pause(0.5)
    exchange.reply(answer)


def refusal(status: int, body: bytes = b"", **headers: str) -> Act:
    """Return the fault that answers with a status, and does not ask the server."""

    def act(exchange: Exchange) -> None:
        exchange.reply(Answer(status, body).with_headers(**headers))

    return act


def redirect_in_circle(exchange: Exchange) -> None:
    """Redirect to the same address."""
    exchange.reply(Answer(302, b"", {"Location": exchange.request.target}))


def redirect_elsewhere(exchange: Exchange) -> None:
    """Redirect to another host."""
    exchange.reply(Answer(302, b"", {"Location": "http://other.example.invalid/login"}))


def redirect_to_page(exchange: Exchange) -> None:
    """Redirect to a page for signing in on the same server."""
    if exchange.request.path == SIGN_IN:
        exchange.reply(Answer(200, PAGE, {"Content-Type": "text/html"}))
    else:
        exchange.reply(Answer(302, b"", {"Location": SIGN_IN}))


def redirect_within(exchange: Exchange) -> None:
    """Redirect once to a longer address of the same object on the same server."""
    separator = "&" if "?" in exchange.request.target else "?"
    if "moved=1" in exchange.request.target:
        exchange.request.target = exchange.request.target.replace("&moved=1", "").replace("?moved=1", "")
        exchange.reply(exchange.answer())
    else:
        exchange.reply(Answer(307, b"", {"Location": f"{exchange.request.target}{separator}moved=1"}))


def restart(exchange: Exchange) -> None:
    """End all connections, and refuse new ones for a second."""
    exchange.proxy.go_down(1.0)
    exchange.is_over = True


def flip_bit(exchange: Exchange) -> None:
    """Change one bit of the pixels of an object, on its way to the client or to the server."""
    request = exchange.request
    if request.method == "POST":
        body = bytearray(exchange.connection.read_body(request))
        # Behind the pixels only the padding of a multipart message follows.
        body[-120] ^= 4
        request.body = bytes(body)
        exchange.reply(exchange.answer())
        return
    answer = exchange.answer()
    body = bytearray(answer.body)
    if len(body) > 1000:
        body[-120] ^= 4
    exchange.reply(replace(answer, body=bytes(body)))


def another_object(exchange: Exchange) -> None:
    """Answer with what belongs to another object."""
    request = exchange.request
    if request.method == "GET":
        request.target = exchange.proxy.swap(request.target)
        exchange.reply(exchange.answer())
        return
    answer = exchange.answer()
    body = re.sub(rb'"ID" : "[0-9a-f]{8}', b'"ID" : "00000000', answer.body)
    body = re.sub(rb"(\d+\.\d+)(?=\"\s*\])", lambda match: match[1] + b"9", body)
    exchange.reply(replace(answer, body=body))


def _listing(change: Callable[[list[object]], list[object]]) -> Act:
    """Return the fault that changes the elements of a JSON list."""

    def act(exchange: Exchange) -> None:
        answer = exchange.answer()
        with_list = answer.status == 200 and answer.body.lstrip().startswith(b"[")
        if with_list:
            answer = replace(answer, body=json.dumps(change(json.loads(answer.body))).encode())
        exchange.reply(answer)

    return act


capped = _listing(lambda items: items[:3])
emptied = _listing(lambda items: [])
last_one_missing = _listing(lambda items: items[:-1])
each_twice = _listing(lambda items: [item for item in items for _ in range(2)])


def studies_emptied(exchange: Exchange) -> None:
    """Empty each listing of studies, and pass on those of other levels."""
    if exchange.request.path.endswith("/studies"):
        emptied(exchange)
    else:
        exchange.reply(exchange.answer())


_PAGING = {"since", "limit", "offset"}


def _without_paging(exchange: Exchange) -> None:
    request = exchange.request
    parts = urlsplit(request.target)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in _PAGING]
    request.target = parts.path + ("?" + urlencode(query) if query else "")
    body = exchange.connection.read_body(request)
    if body.startswith(b"{") and b'"Level"' in body:
        asked = json.loads(body)
        request.body = json.dumps({name: asked[name] for name in asked if name.lower() not in _PAGING}).encode()


def deaf_to_paging(exchange: Exchange) -> None:
    """Ignore the limits of a page, and answer with everything."""
    _without_paging(exchange)
    exchange.reply(exchange.answer())


_first_two = _listing(lambda items: items[:2])


def deaf_to_offset(exchange: Exchange) -> None:
    """Answer with the first two rows of each listing, whatever page is asked for."""
    _without_paging(exchange)
    _first_two(exchange)
