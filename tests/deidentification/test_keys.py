"""Secret keys: refused where they could be found by trying, and shown nowhere."""

from __future__ import annotations

import pickle
import traceback

import pytest

from simple_orthanc.deidentification.keys import Key
from simple_orthanc.deidentification.pseudonyms import Pseudonyms
from simple_orthanc.errors import SelectionError
from tests.secrets_in_tracebacks import leaks

SECRET = "correct horse battery staple"


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (None, "none was given"),
        ("", "has 0 bytes"),
        ("short key", "has 9 bytes"),
        (b"fifteen bytes..", "has 15 bytes"),
        ("a" * 40, "repeats 1 characters"),
        ("abcd" * 10, "repeats 4 characters"),
        (1234567890123456789, "is a int"),
        (["a list"], "is a list"),
    ],
)
def test_weak_keys_are_refused(secret: object, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as raised:
        Pseudonyms(Key(secret))
    assert "secrets.token_hex(16)" in str(raised.value)


def test_a_key_is_shown_nowhere() -> None:
    key = Key(SECRET)
    assert f"{key} {key!r}" == "*** ***"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(key)
    weak = "hunter2-hunter2"
    with pytest.raises(SelectionError) as raised:
        Pseudonyms(Key(weak))
    assert not leaks(raised.value, weak)
    assert weak not in "".join(traceback.format_exception(raised.value))


def test_bytes_and_strings_are_one_key() -> None:
    secret = "schlüssel für die studie"
    keys = [Key(secret), Key(secret.encode()), Key(bytearray(secret.encode()))]
    assert len({key.digest("a") for key in keys}) == 1


def test_where_a_part_ends_counts() -> None:
    key = Key(SECRET)
    assert len({key.digest("ab", "c"), key.digest("a", "bc"), key.digest("abc"), key.digest("abc", "")}) == 4
