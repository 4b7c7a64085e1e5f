"""The program of a helper process, and the messages that it exchanges with the process that started it.

`helpers` starts this file as a script. It imports the standard library alone, so that a helper is ready in a fraction
of the time that the package would take, and then loads one module, whose function ``answer`` it calls for each message.

A message is a head, in JSON, and a body of bytes. A question holds the arguments of ``answer``. A reply holds its
result, with null before the head, or the type and the message of the exception that it raised.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import struct
import sys
from collections.abc import Callable
from io import FileIO
from typing import Any, TypeAlias

Answer: TypeAlias = Callable[[Any, bytes], tuple[Any, "bytes | bytearray"]]

_LENGTHS = struct.Struct("<QQ")


def send(pipe: FileIO, head: Any, body: bytes | bytearray = b"") -> None:
    """Write a message to a pipe.

    Raises
    ------
    BrokenPipeError
        Nobody reads the pipe.
    """
    encoded = json.dumps(head).encode("ascii")
    for part in (_LENGTHS.pack(len(encoded), len(body)) + encoded, body):
        view = memoryview(part)
        while view:
            view = view[pipe.write(view) :]


def receive(pipe: FileIO) -> tuple[Any, bytearray]:
    """Read a message from a pipe: its head and its body.

    Raises
    ------
    EOFError
        The other end of the pipe is closed.
    """
    length, size = _LENGTHS.unpack(_read_exactly(pipe, _LENGTHS.size))
    return json.loads(_read_exactly(pipe, length)), _read_exactly(pipe, size)


def _read_exactly(pipe: FileIO, size: int) -> bytearray:
    content = bytearray(size)
    view = memoryview(content)
    while view:
        count = pipe.readinto(view)
        if not count:
            raise EOFError
        view = view[count:]
    return content


def serve(incoming: FileIO, outgoing: FileIO, answer: Answer) -> None:
    """Report that the helper is ready, then answer each message until the other end closes the pipe."""
    with contextlib.suppress(EOFError, BrokenPipeError):
        send(outgoing, "ready")
        while True:
            question, content = receive(incoming)
            body: bytes | bytearray = b""
            try:
                result, body = answer(question, bytes(content))
                head = [None, result]
            except Exception as error:
                head = [type(error).__name__, str(error)]
            send(outgoing, head, body)


def load(module: str) -> Any:
    """Import a module by its name, or load it from its file, without the packages that it is in."""
    if not module.endswith(".py"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location("helper_module", module)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def main(module: str, preload: str, path: list[str]) -> None:
    """Serve the standard streams.

    Parameters
    ----------
    module : str
        The name or the file of the module whose function ``answer`` is called.
    preload : str
        A module to import before the helper is ready; empty for none.
    path : list of str
        ``sys.path`` of the process that started this one.
    """
    # The standard library of this process comes first, so that no file in a user's folder takes its place.
    sys.path += [entry for entry in path if entry not in sys.path]
    # GDCM tries these modules of Python 2, and would take a user's folder of that name for one.
    sys.modules.update(dict.fromkeys(("dl", "DLFCN")))  # type: ignore[arg-type]
    # What libraries print must not come between the messages, and programs that they start must not read them.
    incoming, outgoing = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    answer = load(module).answer
    if preload:
        # Each message is then answered with the same error.
        with contextlib.suppress(ImportError):
            importlib.import_module(preload)
    serve(FileIO(incoming), FileIO(outgoing, "w"), answer)
    # Nothing is left to do, and an orderly end of the interpreter takes time.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
