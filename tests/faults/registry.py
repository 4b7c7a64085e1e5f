"""Every fault of the bench: what happens, how often, to which operations, and what must become of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults import acts
from tests.faults.acts import PAGE, SIGN_IN, refusal
from tests.faults.archive import is_listing
from tests.faults.messages import Request
from tests.faults.operations import OPERATIONS
from tests.faults.proxy import Act, Proxy

RIGHT, WARNING, ROWS = "right", "warning", "rows"
READS = ("connect", "table", "headers", "volume", "download")
FILES = ("headers", "volume", "download")
CHANGES = ("upload", "delete")
ALL = tuple(OPERATIONS)
# A listing that is not whole: it is said how much is missing.
INCOMPLETE = f"{WARNING} or SelectionError or TransportError"
# On the first contact it may as well be the wrong address.
NO_SERVER: Mapping[str, str] = {"connect": "TransportError"}
# Over DICOMweb a server tells no checksum, so a changed bit cannot be seen.
UNSEEN = frozenset(("DICOMweb", operation) for operation in ("volume", "download", "upload"))
# Where a stall must be noticed; a server that answers is never that slow.
SHORT: Mapping[str, Any] = {"timeout": (5, 8)}
# Longer than a session waits for the first answer of a server.
NO_ANSWER: Mapping[str, str] = {"connect": "RequestTimeout"}


@dataclass(frozen=True, eq=False)
class Fault:
    """A fault.

    Attributes
    ----------
    name : str
        What happens, and how often.
    act : callable, optional
        What becomes of the requests that are struck.
    begin : callable, optional
        What happens to the proxy as a whole, instead of `act`.
    times : int or None
        How many requests are struck; None for all.
    skip : int
        How many requests are spared first, where there are so many.
    early : bool
        Whether it begins with the first request of the session, and strikes listings.
    sticks : bool
        Whether it strikes only the object that it strikes first.
    operations : tuple of str
        Those that meet it.
    unless : set of (str, str)
        Protocols and operations where it cannot be noticed at all.
    needs_count : bool
        Whether it cannot be noticed unless the server counts all that it holds: no search shows anything.
    expected : str
        The outcome: "right", the name of an error, "rows" (the rows of an upload say it), or "warning".
    otherwise : mapping
        Other outcomes, by operation, by protocol and operation ("DICOMweb upload"), or by that and version.
    settings : mapping
        Arguments of the session.
    """

    name: str
    act: Act | None = None
    begin: Callable[[Proxy], None] | None = None
    times: int | None = None
    skip: int = 0
    early: bool = False
    sticks: bool = False
    operations: tuple[str, ...] = ALL
    unless: frozenset[tuple[str, str]] = frozenset()
    needs_count: bool = False
    expected: str = RIGHT
    otherwise: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def outcome(self, server: str, protocol: str, operation: str) -> str:
        """Return what must become of an operation."""
        for key in (f"{server} {protocol} {operation}", f"{protocol} {operation}", operation):
            if key in self.otherwise:
                return self.otherwise[key]
        if operation == "upload" and self.expected != RIGHT:
            # Files that the server refuses are rows; if it cannot be reached, that is an error with the rows.
            return f"{ROWS} or {self.expected}"
        return self.expected

    def aim(self, default: Callable[[Request], bool]) -> Callable[[Request], bool]:
        """Return which requests are meant; `default` are those of the operation."""
        aim = is_listing if self.early else default
        return lambda request: aim(request) or request.path == SIGN_IN

    @property
    def chosen(self) -> tuple[str, ...]:
        """The operations that meet it in the bench.

        For a fault that lasts these are two, other ones for each fault: no operation can survive it, and all of them
        end in the same way.
        """
        if self.expected == RIGHT or len(self.operations) <= 2:
            return self.operations
        turn = sum(self.name.encode())
        reads = [operation for operation in self.operations if operation in READS]
        others = [operation for operation in self.operations if operation in CHANGES] or reads[:0]
        chosen = [reads[turn % len(reads)], *([others[turn % len(others)]] if others else [])]
        return tuple(chosen)


def _once_and_always(name: str, act: Act, error: str = "TransportError", **options: Any) -> list[Fault]:
    """Return a fault that strikes one request, which is survived, and the one that strikes all."""
    once = {key.removeprefix("once_"): value for key, value in options.items() if not key.startswith("always_")}
    always = {key.removeprefix("always_"): value for key, value in options.items() if not key.startswith("once_")}
    return [
        Fault(f"{name}, once", act, times=1, **once),
        Fault(f"{name}, always", act, **{"expected": error, **always}),
    ]


FAULTS: tuple[Fault, ...] = (
    # Connections.
    Fault("refused for one second", begin=lambda proxy: proxy.go_down(1.0)),
    Fault("refused for good", begin=lambda proxy: proxy.go_down(None), expected="TransportError"),
    Fault("reset as soon as connected, twice", begin=lambda proxy: proxy.reset_connections(2)),
    Fault(
        "reset as soon as connected, always",
        begin=lambda proxy: proxy.reset_connections(10**6),
        expected="TransportError",
    ),
    Fault("connections closed while idle", begin=Proxy.close_after_answers),
    Fault("killed and back after one second", acts.restart, times=1),
    Fault("killed and back after one second, later", acts.restart, times=1, skip=2, operations=(*FILES, "upload")),
    *_once_and_always("reset in the request", acts.reset_in_request),
    *_once_and_always("reset before the answer", acts.reset_before_answer),
    *_once_and_always("closed before the answer", acts.hang_up_before_answer),
    *_once_and_always("reset in the head", acts.reset_in_head),
    *_once_and_always("reset in the body", acts.reset_in_body),
    # Lengths.
    *_once_and_always("cut, announced whole", acts.cut_announced_whole),
    *_once_and_always("cut, announced as long as it is", acts.cut_announced_cut),
    *_once_and_always("cut, chunks end cleanly", acts.cut_ended_cleanly),
    *_once_and_always("cut, chunks do not end", acts.cut_in_chunks),
    *_once_and_always("cut, no length", acts.cut_until_the_end),
    *_once_and_always("announced too short", acts.announced_too_short),
    *_once_and_always("announced too long", acts.announced_too_long),
    *_once_and_always("announced a negative length", acts.announced_negative),
    *_once_and_always("announced two lengths", acts.announced_twice),
    *_once_and_always("a malformed chunk", acts.malformed_chunk),
    *_once_and_always("not HTTP", acts.no_http),
    Fault("whole, in chunks", acts.whole_in_chunks),
    Fault("whole, no length", acts.whole_until_the_end),
    # Several in a row.
    Fault("reset before the answer, three times", acts.reset_before_answer, times=3, operations=ALL[1:]),
    Fault("cut, announced whole, three times", acts.cut_announced_whole, times=3, operations=ALL[1:]),
    Fault("503, three times", refusal(503), times=3, operations=ALL[1:]),
    # Time.
    Fault("each answer half a second late", acts.slow),
    Fault("one byte at a time, always", acts.drip, expected="RequestTimeout"),
    Fault("one header at a time, always", acts.drip_head, expected="RequestTimeout"),
    Fault("100 Continue without end", acts.continue_for_ever, expected="RequestTimeout"),
    *_once_and_always(
        "a stall before the head", acts.stall_before_head, "RequestTimeout", once_otherwise=NO_ANSWER, settings=SHORT
    ),
    *_once_and_always(
        "a stall after the work", acts.stall_after_work, "RequestTimeout", once_otherwise=NO_ANSWER, settings=SHORT
    ),
    *_once_and_always(
        "a stall in the body", acts.stall_in_body, "RequestTimeout", once_otherwise=NO_ANSWER, settings=SHORT
    ),
    # Refusals.
    *_once_and_always("500", refusal(500), "ServerError"),
    *_once_and_always("502 with a page", refusal(502, PAGE, Content_Type="text/html"), "ServerError"),
    *_once_and_always("503", refusal(503), "ServerError"),
    *_once_and_always("503, Retry-After 1", refusal(503, Retry_After="1"), "ServerError"),
    Fault("503, Retry-After longer than the patience", refusal(503, Retry_After="3600"), expected="ServerError"),
    *_once_and_always("504", refusal(504), "ServerError"),
    *_once_and_always("429, Retry-After 1", refusal(429, Retry_After="1"), "ServerError"),
    Fault("507, always", refusal(507), expected="ServerError"),
    Fault("413 with a page", refusal(413, PAGE, Content_Type="text/html"), expected="ServerError", operations=CHANGES),
    Fault("401 from the middle on", refusal(401), skip=2, expected="AuthenticationError"),
    Fault("403, always", refusal(403), expected="AuthenticationError"),
    Fault("404 for one object", refusal(404), times=1, skip=2, sticks=True, operations=FILES, expected="NotFoundError"),
    # Answers of something else.
    *_once_and_always("a page with 200", acts.page_for_success, once_otherwise=NO_SERVER),
    *_once_and_always("nothing with 200", acts.nothing_for_success, once_otherwise=NO_SERVER),
    *_once_and_always("JSON of another shape with 200", acts.other_shape, once_otherwise=NO_SERVER),
    *_once_and_always("cut JSON", acts.cut_json, operations=("connect", "table", "upload")),
    Fault("redirected in a circle", acts.redirect_in_circle, expected="TransportError"),
    Fault("redirected to another host", acts.redirect_elsewhere, expected="TransportError"),
    Fault("redirected to a page for signing in", acts.redirect_to_page, expected="TransportError"),
    Fault("redirected within the server", acts.redirect_within, otherwise={"upload": ROWS}),
    *_once_and_always("corrupt gzip", acts.corrupt_gzip),
    *_once_and_always("cut gzip", acts.cut_gzip),
    *_once_and_always(
        "what belongs to another object",
        acts.another_object,
        operations=(*FILES, "upload"),
        # The metadata of another series, which is not believed.
        once_otherwise={f"DICOMweb {operation}": "TransportError" for operation in FILES},
    ),
    *_once_and_always(
        "one flipped bit",
        acts.flip_bit,
        operations=("volume", "download", "upload"),
        unless=UNSEEN,
        settings={"checksums": True},
        once_otherwise={"upload": ROWS},
    ),
    # Listings.
    Fault("since and limit are ignored", acts.deaf_to_paging, early=True, operations=READS[1:]),
    Fault("every page is the first", acts.deaf_to_offset, early=True, operations=READS[1:], expected=INCOMPLETE),
    Fault("a listing has three rows at most", acts.capped, early=True, operations=READS[1:], expected=INCOMPLETE),
    Fault(
        "a listing lacks its last row", acts.last_one_missing, early=True, operations=("table",), expected=INCOMPLETE
    ),
    Fault(
        "a search lacks its last row",
        acts.last_one_missing,
        early=True,
        operations=FILES,
        # An Orthanc that finds nothing whenever it is asked is believed.
        unless=frozenset(("Orthanc", operation) for operation in FILES),
        expected=INCOMPLETE,
    ),
    Fault("an empty listing, once", acts.emptied, early=True, times=1, operations=READS[1:]),
    Fault(
        "empty listings, always",
        acts.emptied,
        early=True,
        operations=("table", "headers"),
        unless=frozenset({("DICOMweb", "headers")}),
        needs_count=True,
        expected=INCOMPLETE,
    ),
    Fault(
        "empty listings of studies, always",
        acts.studies_emptied,
        early=True,
        operations=READS[1:],
        # Orthanc's own searches of all levels have one address.
        unless=frozenset(("Orthanc", operation) for operation in READS[1:]),
        expected=INCOMPLETE,
    ),
    Fault(
        "each row of a listing twice",
        acts.each_twice,
        early=True,
        operations=READS[1:],
    ),
)
