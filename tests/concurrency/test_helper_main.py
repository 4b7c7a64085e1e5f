"""Messages between a process and its helpers, and the helper's end of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simple_orthanc.concurrency import helper_main
from simple_orthanc.pixels import codecs
from tests.pixels.objects import jpeg_lossless


class TestHelper:
    @pytest.fixture
    def pipes(self) -> Iterator[tuple[FileIO, FileIO, threading.Thread]]:
        """The two ends of a helper that is a thread of this process: where to write, where to read."""
        (theirs, ours), (answers, outgoing) = os.pipe(), os.pipe()
        ends = [FileIO(theirs), FileIO(outgoing, "w")]
        thread = threading.Thread(target=helper_main.serve, args=(*ends, codecs.answer))
        thread.start()
        with FileIO(ours, "w") as questions, FileIO(answers) as replies:
            yield questions, replies, thread
        thread.join()
        for end in ends:
            end.close()

    def test_it_answers_until_the_pipe_closes(self, pipes: tuple[FileIO, FileIO, threading.Thread]) -> None:
        questions, replies, thread = pipes
        assert helper_main.receive(replies) == ("ready", b"")
        stream, arguments, _ = jpeg_lossless()
        helper_main.send(questions, ["gdcm", *arguments], stream)
        head, content = helper_main.receive(replies)
        assert head == [None, None]
        assert content == codecs.run("gdcm", stream, arguments)
        helper_main.send(questions, ["gdcm", *arguments], stream[:50])
        assert helper_main.receive(replies) == (["ValueError", "GDCM cannot decode the stream"], b"")
        helper_main.send(questions, ["charls"], b"")
        (kind, _), content = helper_main.receive(replies)
        assert kind != "ValueError" or content == b""
        questions.close()
        thread.join(20)
        assert not thread.is_alive()

    @given(st.lists(st.one_of(st.none(), st.integers(), st.text())), st.binary(max_size=200_000))
    def test_a_message_arrives_as_it_was_sent(self, head: list[Any], body: bytes) -> None:
        reading, writing = os.pipe()
        with FileIO(reading) as source, FileIO(writing, "w") as target:
            thread = threading.Thread(target=helper_main.send, args=(target, head, body))
            thread.start()
            assert helper_main.receive(source) == (head, body)
            thread.join()
            target.close()
            with pytest.raises(EOFError):
                helper_main.receive(source)

    def test_a_module_is_loaded_by_its_name_or_its_file(self, tmp_path: Path) -> None:
        (tmp_path / "alone.py").write_text("def answer(head, body):\n    return head, body[::-1]\n")
        assert helper_main.load(str(tmp_path / "alone.py")).answer(1, b"ab") == (1, b"ba")
        assert helper_main.load("simple_orthanc.pixels.codecs") is codecs
