"""Keys are read as they were written, and identifiers are told from strings that servers read differently."""

from __future__ import annotations

import pytest

from simple_orthanc.sources.keys import Key, is_plain, is_plain_identifier, is_uid


@pytest.mark.parametrize(
    "key",
    [Key("p1"), Key("a/b%2F c", "1.2"), Key("", "1.2", "1.3"), Key("é", "1.2", "1.3", "1.4"), Key("", "1/2", "3")],
)
def test_a_key_is_read_as_it_was_written(key: Key) -> None:
    assert Key.parse(str(key)) == key


@pytest.mark.parametrize(
    ("value", "plain", "uid"),
    [
        ("1.2.840", True, True),
        ("A-17.b", True, False),
        ("A*", False, False),
        ("Müller", False, False),
        ("", False, False),
    ],
)
def test_values_that_every_server_reads_in_the_same_way(value: str, plain: bool, uid: bool) -> None:
    assert (is_plain(value), is_uid(value)) == (plain, uid)
    assert is_plain_identifier("PatientID", {"PatientID": (value,)}) == plain
    assert not is_plain_identifier("StudyDescription", {"StudyDescription": (value,)})
    assert not is_plain_identifier("PatientID", {})


def test_the_parent_of_a_key_is_one_level_up() -> None:
    key = Key("p", "1", "2", "3")
    assert [str(key), str(key.parent), str(key.parent.parent), str(key.parent.parent.parent)] == [
        "1/2/3/p",
        "1/2/p",
        "1/p",
        "p",
    ]
