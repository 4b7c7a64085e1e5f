"""The MD5 in a revision."""

from __future__ import annotations

import pytest

from simple_orthanc.rest.objects.entries import differs
from tests.rest.objects.server import revision


@pytest.mark.parametrize(
    ("content", "named", "expected"),
    [
        (b"hello", revision(b"hello"), False),
        (b"hello", revision(b"hello", 12), False),
        (b"hallo", revision(b"hello"), True),
        (b"", revision(b""), False),
        # A server that keeps no MD5.
        (b"hello", "3-", False),
        (b"hello", "abc", False),
        (b"hello", "", False),
        (b"hello", None, False),
    ],
)
def test_the_content_is_compared_with_its_revision(content: bytes, named: str | None, expected: bool) -> None:
    assert differs(content, named) is expected


def test_an_md5_that_is_known_already() -> None:
    assert differs(None, revision(b"a"), revision(b"b").partition("-")[2])
    assert not differs(None, revision(b"a"), revision(b"a").partition("-")[2])
