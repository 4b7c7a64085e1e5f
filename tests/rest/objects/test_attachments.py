"""Attachments of one object as a mapping."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from simple_orthanc import AuthenticationError, NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.errors import UnknownNameError
from simple_orthanc.rest.objects import Attachments, Study
from tests.http_stand_in import Asked, reply
from tests.rest.objects.server import KEY, STUDY, ObjectServer, data, revision, text

ROUTE = f"/studies/{KEY}/attachments"
HELD = {f"GET /studies/{KEY}": STUDY}
CONTENT = bytes(range(256)) * 600


def md5(content: bytes) -> str:
    return revision(content).partition("-")[2]


def served(content: bytes = CONTENT, *, ranges: bool = True) -> dict[str, Any]:
    def send(asked: Asked) -> bytes:
        span = asked.headers.get("range", "").removeprefix("bytes=")
        if not span or not ranges:
            return data(content)
        first, _, last = span.partition("-")
        # Orthanc refuses a range that ends beyond the content, and does not cut it.
        if max(int(first), int(last or 0)) >= len(content):
            return reply(b"", 416)
        part = content[int(first) : int(last) + 1 if last else None]
        return reply(part, 206, {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"})

    return {
        **HELD,
        f"GET {ROUTE}": ["1024"],
        f"GET {ROUTE}/1024/data": send,
        f"GET {ROUTE}/1024/size": text(str(len(content))),
        f"GET {ROUTE}/1024/compressed-size": text("17"),
        f"GET {ROUTE}/1024/md5": text(md5(content), ETag=f'"{revision(content)}"'),
        f"GET {ROUTE}/1024/is-compressed": text("1"),
    }


def attachments_of(server: ObjectServer) -> Attachments:
    return Study(server.rest, KEY).attachments


def test_attachments_are_a_mapping() -> None:
    with ObjectServer(served()) as server:
        attachments = attachments_of(server)
        assert (list(attachments), len(attachments)) == (["1024"], 1)
        assert ("1024" in attachments, 1024 in attachments, "dicom" in attachments) == (True, True, False)
        assert [(name, item.name) for name, item in attachments.items()] == [("1024", "1024")]
        assert [item.name for item in attachments.values()] == ["1024"]
        assert repr(attachments) == f"<attachments of study {KEY}>"
        attachment = attachments[1024]
        assert repr(attachment) == f"<attachment '1024' of study {KEY}>"
        assert (attachment.size, attachment.stored_size, attachment.is_compressed) == (len(CONTENT), 17, True)
        assert (attachment.md5, attachment.revision) == (md5(CONTENT), revision(CONTENT))
        assert attachments.get("dicom") is None


def test_a_named_attachment_by_its_number() -> None:
    with ObjectServer({**served(), f"GET {ROUTE}": ["report"]}) as server:
        assert attachments_of(server)["1024"].read() == CONTENT


@pytest.mark.parametrize("name", ["1030", "foo", 1030])
def test_a_missing_attachment_is_a_key_error(name: Any) -> None:
    with ObjectServer(served()) as server:
        attachments = attachments_of(server)
        for use in (attachments.__getitem__, attachments.pop):
            with pytest.raises(UnknownNameError, match=f"has no attachments of the name '?{name}'?: list"):
                use(name)


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (0, 5),
        (5, 9),
        (100_000, 140_000),
        (153_590, None),
        (153_590, 10**9),
        (0, 153_601),
        (0, 153_600),
        (153_599, 153_601),
        (153_600, None),
        (10**9, 10**9 + 1),
        (7, 7),
        (9, 3),
    ],
)
def test_parts_are_those_of_a_slice(ranges: bool, start: int, stop: int | None) -> None:
    with ObjectServer(served(ranges=ranges)) as server:
        assert attachments_of(server)["1024"].read(start, stop) == CONTENT[start:stop]


@pytest.mark.parametrize("position", [-1, 1.5, "3", True])
def test_an_invalid_position(position: Any) -> None:
    with ObjectServer(served()) as server:
        attachment = attachments_of(server)["1024"]
        for arguments in ((position,), (0, position)):
            with pytest.raises(SelectionError, match="give a position in bytes from 0 on"):
                attachment.read(*arguments)
        with pytest.raises(SelectionError, match="start is None"):
            attachment.read(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [io.StringIO("report"), io.StringIO("")])
def test_a_file_of_characters_is_refused_before_any_request(content: Any) -> None:
    with ObjectServer(served()) as server:
        attachments = attachments_of(server)
        for write in (attachments.__setitem__, attachments.write):
            with pytest.raises(SelectionError, match="open for reading bytes"):
                write("1024", content)
        assert server.calls == []


def test_a_part_of_another_place() -> None:
    other = reply(b"xyz", 206, {"Content-Range": "bytes 0-2/9"})
    with (
        ObjectServer({**served(), f"GET {ROUTE}/1024/data": other}) as server,
        pytest.raises(TransportError, match="returned other bytes than it lists"),
    ):
        attachments_of(server)["1024"].read(3, 6)


def test_content_with_another_md5_is_an_error_and_no_file(tmp_path: Path) -> None:
    wrong = reply(b"changed", 200, {"ETag": f'"{revision(CONTENT)}"'})
    with ObjectServer({**served(), f"GET {ROUTE}/1024/data": wrong}) as server:
        attachment = attachments_of(server)["1024"]
        with pytest.raises(TransportError, match="returned other bytes than it lists"):
            attachment.read()
        with pytest.raises(TransportError, match="returned other bytes than it lists"):
            attachment.save(tmp_path / "file")
        assert list(tmp_path.iterdir()) == []


def test_an_attachment_is_saved(tmp_path: Path) -> None:
    with ObjectServer(served()) as server:
        assert attachments_of(server)["1024"].save(tmp_path / "file") == tmp_path / "file"
        assert (tmp_path / "file").read_bytes() == CONTENT


def test_an_attachment_without_an_md5(tmp_path: Path) -> None:
    routes = {
        **served(),
        f"GET {ROUTE}/1024/md5": text(""),
        f"GET {ROUTE}/1024/data": reply(CONTENT, 200, {"ETag": '"0-"'}),
    }
    with ObjectServer(routes) as server:
        attachment = attachments_of(server)["1024"]
        assert attachment.md5 is None
        assert attachment.read() == CONTENT
        assert attachment.save(tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "path", "string", "file"])
def test_what_is_attached(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(CONTENT)
    given: Any = {
        "bytes": CONTENT,
        "bytearray": bytearray(CONTENT),
        "path": path,
        "string": str(path),
        "file": io.BytesIO(CONTENT),
    }[kind]
    with ObjectServer({**served(), f"PUT {ROUTE}/1024": {}}) as server:
        attachments_of(server)["1024"] = given
        assert [asked.body for asked in server.asked if asked.method == "PUT"] == [CONTENT]
    assert kind != "file" or not given.closed


def test_what_is_empty_is_attached_with_its_length(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    contents: list[Any] = [b"", tmp_path / "empty", io.BytesIO()]
    for content in contents:
        with ObjectServer({**served(b""), f"PUT {ROUTE}/1024": {}}) as server:
            attachments_of(server)["1024"] = content
            attachments_of(server).write("1024", content)
            assert [asked.headers.get("content-length") for asked in server.asked if asked.method == "PUT"] == [
                "0",
                "0",
            ]


@pytest.mark.parametrize("content", [None, 7, "", ["a"], "no-such-file.pdf"])
def test_what_cannot_be_attached(content: Any) -> None:
    with ObjectServer({}) as server:
        with pytest.raises(SelectionError, match=r"[Nn]othing was sent"):
            attachments_of(server)["1024"] = content
        assert server.calls == []


def test_what_is_stored_otherwise_is_an_error() -> None:
    with ObjectServer({**served(b"something else"), f"PUT {ROUTE}/1024": {}}) as server:
        attachments = attachments_of(server)
        with pytest.raises(TransportError, match=r"was sent the attachment '1024' .* and holds other bytes"):
            attachments["1024"] = CONTENT
        with pytest.raises(TransportError, match="holds other bytes"):
            attachments.write("1024", CONTENT)


def test_a_revision_is_given_and_returned() -> None:
    with ObjectServer({**served(), f"PUT {ROUTE}/1024": {}}) as server:
        assert attachments_of(server).write("1024", CONTENT, revision=revision(b"old")) == revision(CONTENT)
        assert server.asked[0].headers["if-match"] == f'"{revision(b"old")}"'


def test_overwriting_sends_a_file_from_its_beginning_again(tmp_path: Path) -> None:
    def put(asked: Asked) -> bytes:
        return reply({}) if "if-match" in asked.headers else reply({"Message": "Conflict"}, 409)

    (tmp_path / "file").write_bytes(CONTENT)
    with ObjectServer({**served(), f"PUT {ROUTE}/1024": put}) as server:
        attachments_of(server)["1024"] = tmp_path / "file"
        assert [asked.body for asked in server.asked if asked.method == "PUT"] == [CONTENT, CONTENT]


@pytest.mark.parametrize("name", ["7", 1023, 70_000])
def test_a_number_of_orthanc(name: Any) -> None:
    with ObjectServer({}) as server:
        attachments = attachments_of(server)
        for use in (lambda: attachments.__setitem__(name, b""), lambda: attachments.__delitem__(name)):
            with pytest.raises(SelectionError, match="cannot be used for attachments of your own"):
                use()
        assert server.calls == []


def test_the_file_of_an_instance_cannot_be_replaced() -> None:
    routes = {f"{verb} {ROUTE}/dicom": reply(b"", 403) for verb in ("PUT", "DELETE")}
    with ObjectServer({**HELD, **routes, f"GET {ROUTE}": ["dicom"]}) as server:
        attachments = attachments_of(server)
        with pytest.raises(AuthenticationError, match="Orthanc keeps this itself"):
            attachments["dicom"] = b""
        with pytest.raises(AuthenticationError, match="Orthanc keeps this itself"):
            del attachments["dicom"]


def test_actions_on_an_attachment() -> None:
    routes = {f"POST {ROUTE}/1024/{action}": {} for action in ("verify-md5", "compress", "uncompress")}
    with ObjectServer({**served(), **routes, f"DELETE {ROUTE}/1024": text("")}) as server:
        attachment = attachments_of(server)["1024"]
        attachment.verify()
        attachment.compress()
        attachment.uncompress()
        del attachments_of(server)["1024"]
        assert [call for call in server.calls if "GET" not in call] == [
            *(f"POST {ROUTE}/1024/{action}" for action in ("verify-md5", "compress", "uncompress")),
            f"DELETE {ROUTE}/1024",
        ]


@pytest.mark.parametrize("status", [400, 500])
def test_a_damaged_file_of_the_server(status: int) -> None:
    refusal = reply({"Message": "Corrupted file"}, status)
    with (
        ObjectServer({**served(), f"POST {ROUTE}/1024/verify-md5": refusal}) as server,
        pytest.raises(TransportError, match=r"is damaged or missing on the disk .*Corrupted file"),
    ):
        attachments_of(server)["1024"].verify()


def test_attachments_of_an_unknown_object(tmp_path: Path) -> None:
    with ObjectServer({}) as server:
        attachments = attachments_of(server)
        uses: list[Any] = [
            lambda: list(attachments),
            lambda: attachments["1024"],
            lambda: attachments.__setitem__("1024", b"x"),
            lambda: attachments.write("1024", b"x"),
            lambda: attachments.__delitem__("1024"),
        ]
        for use in uses:
            with pytest.raises(NotFoundError, match=f"holds no study with the id '{KEY}'"):
                use()


def test_a_server_that_takes_an_attachment_of_an_unknown_object() -> None:
    # Orthanc 1.10.1 reports success.
    with ObjectServer({f"PUT {ROUTE}/1024": {}}) as server:
        attachments = attachments_of(server)
        for use in (lambda: attachments.__setitem__("1024", b"x"), lambda: attachments.write("1024", b"x")):
            with pytest.raises(NotFoundError, match=f"holds no study with the id '{KEY}'"):
                use()


def test_a_stale_revision_of_an_attachment() -> None:
    with ObjectServer({**served(), f"PUT {ROUTE}/1024": reply({"Message": "Conflict"}, 409)}) as server:
        with pytest.raises(ServerError, match="somebody else") as caught:
            attachments_of(server).write("1024", b"x", revision=revision(b"old"))
        assert caught.value.status == 409
