"""Metadata of one object as a mapping."""

from __future__ import annotations

from typing import Any

import pytest

from simple_orthanc import AuthenticationError, NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.errors import UnknownNameError
from simple_orthanc.rest.objects import Metadata, Study
from tests.http_stand_in import Asked, reply
from tests.rest.objects.server import KEY, STUDY, In, ObjectServer, data, revision, text

ROUTE = f"/studies/{KEY}/metadata"
HELD = {f"GET /studies/{KEY}": STUDY}
CONFLICT = reply({"Message": "Conflict"}, 409)


def metadata_of(server: ObjectServer) -> Metadata:
    return Study(server.rest, KEY).metadata


def test_metadata_are_a_mapping() -> None:
    routes = {f"GET {ROUTE}": ["LastUpdate", "1024"], f"GET {ROUTE}/1024": data("bä".encode())}
    with ObjectServer({**HELD, **routes}) as server:
        metadata = metadata_of(server)
        assert (list(metadata), len(metadata)) == (["LastUpdate", "1024"], 2)
        assert metadata["1024"] == metadata[1024] == "bä"
        assert ("1024" in metadata, 1024 in metadata, "1025" in metadata, None in metadata) == (
            True,
            True,
            False,
            False,
        )
        assert (metadata.get("1025"), metadata.get("1025", "x")) == (None, "x")
        assert repr(metadata) == f"<metadata of study {KEY}>"


def test_all_entries_take_one_request() -> None:
    with ObjectServer({f"GET {ROUTE}?expand=": {"LastUpdate": "x", "1024": ""}}) as server:
        metadata = metadata_of(server)
        assert metadata.to_dict() == dict(metadata.items()) == {"LastUpdate": "x", "1024": ""}
        assert sorted(metadata.values()) == ["", "x"]
        assert server.calls == [f"GET {ROUTE}?expand="] * 3


def test_a_missing_entry_is_a_key_error_that_names_it() -> None:
    with ObjectServer(HELD) as server:
        metadata = metadata_of(server)
        for use in (metadata.__getitem__, metadata.__delitem__, metadata.pop, metadata.read):
            with pytest.raises(UnknownNameError, match=r"has no metadata of the name '1030': list\(study.metadata\)"):
                use("1030")
        with pytest.raises(KeyError):
            metadata["Foo"]


def test_metadata_of_an_unknown_object() -> None:
    with ObjectServer({}) as server:
        metadata = metadata_of(server)
        uses: list[Any] = [
            lambda: metadata["1024"],
            lambda: metadata.__setitem__("1024", "x"),
            lambda: metadata.__delitem__("1024"),
            lambda: metadata.write("1024", "x"),
            lambda: metadata.remove("1024"),
            lambda: "1024" in metadata,
            lambda: list(metadata),
            metadata.to_dict,
        ]
        for use in uses:
            with pytest.raises(NotFoundError, match=f"holds no study with the id '{KEY}'"):
                use()


@pytest.mark.parametrize(("value", "sent"), [("bä", "bä".encode()), (b"\x00\xff", b"\x00\xff"), ("", b"")])
def test_a_value_is_written(value: Any, sent: bytes) -> None:
    with ObjectServer({f"PUT {ROUTE}/1024": text("")}) as server:
        metadata_of(server)[1024] = value
        assert [asked.body for asked in server.asked] == [sent]
        assert "if-match" not in server.asked[0].headers


def test_a_number_has_no_leading_zeros() -> None:
    with ObjectServer({f"PUT {ROUTE}/1024": text("")}) as server:
        metadata_of(server)["01024"] = "a"
        assert [asked.body for asked in server.asked] == [b"a"]


@pytest.mark.parametrize("name", ["10", "00", "0010", 1023, "65536", 10**30, "0", -1, "-1025"])
def test_a_number_of_orthanc_is_refused_before_any_request(name: Any) -> None:
    with ObjectServer({}) as server:
        metadata = metadata_of(server)
        for use in (
            lambda: metadata.__setitem__(name, "x"),
            lambda: metadata.__delitem__(name),
            lambda: metadata.write(name, "x"),
            lambda: metadata.remove(name),
        ):
            with pytest.raises(SelectionError, match=r"cannot be used for metadata of your own.*1024 to 65535"):
                use()
        assert server.calls == []


@pytest.mark.parametrize("name", ["", None, 1.5, True, b"1024"])
def test_what_names_no_entry(name: Any) -> None:
    with ObjectServer({}) as server, pytest.raises(SelectionError, match="does not name an entry of the metadata"):
        metadata_of(server)[name]


@pytest.mark.parametrize("value", [None, 7, ["a"], {"a": 1}])
def test_a_value_of_another_type_is_refused_before_any_request(value: Any) -> None:
    with ObjectServer({}) as server:
        with pytest.raises(SelectionError, match="give a string or bytes"):
            metadata_of(server)["1024"] = value
        assert server.calls == []


@pytest.mark.parametrize("value", ["\udc80", "a\ud800b"])
def test_a_string_that_is_no_utf_8_is_refused_before_any_request(value: str) -> None:
    with ObjectServer({}) as server:
        metadata = metadata_of(server)
        for write in (metadata.__setitem__, metadata.write):
            with pytest.raises(SelectionError, match=r"cannot be written as UTF-8.*give it as bytes"):
                write("1024", value)
        assert server.calls == []


def test_a_name_that_the_server_does_not_know() -> None:
    with (
        ObjectServer(HELD) as server,
        pytest.raises(NotFoundError, match=r"no metadata 'Foo' of study .*UserMetadata.*number from 1024 to 65535"),
    ):
        metadata_of(server)["Foo"] = "x"


def test_an_entry_of_orthanc_itself() -> None:
    routes = {f"{verb} {ROUTE}/LastUpdate": reply(b"", 403) for verb in ("PUT", "DELETE")}
    with ObjectServer({**HELD, **routes, f"GET {ROUTE}/LastUpdate": text("x")}) as server:
        metadata = metadata_of(server)
        with pytest.raises(AuthenticationError, match="Orthanc keeps this itself"):
            metadata["LastUpdate"] = "x"
        with pytest.raises(AuthenticationError, match="Orthanc keeps this itself"):
            del metadata["LastUpdate"]


def test_a_user_who_may_not_write() -> None:
    with ObjectServer({**HELD, f"PUT {ROUTE}/1024": reply(b"", 403)}) as server, pytest.raises(AuthenticationError):
        metadata_of(server)["1024"] = "x"


def test_a_value_that_is_not_utf_8_is_read_as_bytes() -> None:
    with ObjectServer({f"GET {ROUTE}/1024": data(b"\xff\x00", 3)}) as server:
        metadata = metadata_of(server)
        with pytest.raises(
            SelectionError, match=r"2 bytes that are not UTF-8: read them with .metadata.read\('1024'\)"
        ):
            metadata["1024"]
        read = metadata.read("1024")
        assert (read.value, read.revision, read.string) == (b"\xff\x00", revision(b"\xff\x00", 3), "\ufffd\x00")


def test_a_value_that_contradicts_its_revision() -> None:
    wrong = reply(b"of another", 200, {"Content-Type": "text/plain", "ETag": f'"{revision(b"this")}"'})
    with (
        ObjectServer({f"GET {ROUTE}/1024": wrong}) as server,
        pytest.raises(TransportError, match="returned another value than its revision says"),
    ):
        metadata_of(server)["1024"]


# Revisions


def test_assigning_overwrites_where_the_server_checks_revisions() -> None:
    def put(asked: Asked) -> bytes:
        return text("") if asked.headers.get("if-match") == f'"{revision(b"old", 4)}"' else CONFLICT

    with ObjectServer(
        {f"PUT {ROUTE}/1024": put, f"DELETE {ROUTE}/1024": put, f"GET {ROUTE}/1024": data(b"old", 4)}
    ) as server:
        metadata = metadata_of(server)
        metadata["1024"] = "new"
        assert [asked.method for asked in server.asked if asked.method != "GET"] == ["PUT", "PUT"]
        del metadata["1024"]


def test_assigning_ends_if_others_always_come_first() -> None:
    with ObjectServer({f"PUT {ROUTE}/1024": CONFLICT, f"GET {ROUTE}/1024": data(b"old")}) as server:
        with pytest.raises(ServerError, match="somebody else") as caught:
            metadata_of(server)["1024"] = "new"
        assert caught.value.status == 409
        assert [asked.method for asked in server.asked].count("PUT") == 5


def test_a_written_value_has_the_revision_that_get_returns() -> None:
    # What the response to PUT says is 1 too high in older versions.
    routes = {
        f"PUT {ROUTE}/1024": reply(b"", 200, {"ETag": f'"{revision(b"new", 6)}"'}),
        f"GET {ROUTE}/1024": data(b"new", 5),
    }
    with ObjectServer(routes) as server:
        assert metadata_of(server).write("1024", "new", revision=revision(b"old", 4)) == revision(b"new", 5)
        assert server.asked[0].headers["if-match"] == f'"{revision(b"old", 4)}"'


def test_a_value_that_somebody_else_changed_is_not_overwritten() -> None:
    with ObjectServer({**HELD, f"PUT {ROUTE}/1024": CONFLICT, f"DELETE {ROUTE}/1024": CONFLICT}) as server:
        metadata = metadata_of(server)
        for use in (
            lambda: metadata.write("1024", "x", revision=revision(b"old")),
            lambda: metadata.remove("1024", revision=revision(b"old")),
        ):
            with pytest.raises(ServerError, match="somebody else") as caught:
                use()
            assert caught.value.status == 409


def test_a_server_without_revisions() -> None:
    with ObjectServer({f"PUT {ROUTE}/1024": text(""), f"GET {ROUTE}/1024": In(text("new"))}) as server:
        assert metadata_of(server).write("1024", "new") is None


def test_an_entry_is_removed() -> None:
    with ObjectServer({f"GET {ROUTE}/1024": data(b"old"), f"DELETE {ROUTE}/1024": text("")}) as server:
        metadata = metadata_of(server)
        assert metadata.pop("1024") == "old"
        metadata.remove("1024", revision=revision(b"old"))
        assert server.asked[-1].headers["if-match"] == f'"{revision(b"old")}"'
