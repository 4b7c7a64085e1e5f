"""The codecs that helper processes run, and what they answer."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from openjpeg.utils import encode_array

from simple_orthanc.pixels import codecs
from tests.pixels.objects import jpeg_lossless

ARRAY = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)


def test_samples_of_jpeg_2000() -> None:
    stream = bytes(encode_array(ARRAY))
    samples = codecs.run("openjpeg", stream, ())
    np.testing.assert_array_equal(np.frombuffer(samples, "<u2").reshape(ARRAY.shape), ARRAY)
    assert codecs.answer(["openjpeg"], stream) == (None, samples)


def test_samples_of_jpeg_ls() -> None:
    from jpeg_ls.CharLS import encode_array as encode_jpeg_ls

    samples = codecs.run("charls", bytes(encode_jpeg_ls(ARRAY)), ())
    np.testing.assert_array_equal(np.frombuffer(samples, "<u2").reshape(ARRAY.shape), ARRAY)


def test_samples_of_lossless_jpeg() -> None:
    stream, arguments, samples = jpeg_lossless()
    assert len(codecs.run("gdcm", stream, arguments)) == samples
    with pytest.raises(ValueError, match="GDCM cannot decode"):
        codecs.run("gdcm", stream[:50], arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stderr is no variable of the C library")
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_lossless_jpeg_that_is_cut_off_before_its_end_marker_is_refused(share: float) -> None:
    stream, arguments, _ = jpeg_lossless()
    cut = stream[: int(share * len(stream))].rstrip(b"\xff") + b"\xff\xd9"
    with pytest.raises(ValueError, match="the stream ends before its pixels do"):
        codecs.run("gdcm", cut, arguments)


def write(line: bytes) -> None:
    """Print as C code does."""
    library = ctypes.CDLL(None)
    stream = ctypes.c_void_p.in_dll(library, "stderr")
    library.fputs(line, stream)
    library.fflush(stream)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stderr is no variable of the C library")
def test_what_c_code_prints_is_read_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        write(b"one")
        # Python's own stream is another.
        print("python", file=sys.stderr, flush=True)
        return 1

    def fail() -> None:
        write(b"two")
        raise ValueError("failed")

    stream = codecs._standard_error()
    assert stream.read_while(work) == (1, b"one")
    with pytest.raises(ValueError, match="failed"):
        stream.read_while(fail)
    assert stream.read_while(lambda: None) == (None, b"")
    write(b"three")
    assert capfd.readouterr().err == "python\nthree"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere stderr is no variable of the C library")
def test_threads_read_what_they_printed_themselves_and_leave_the_stream_as_it_was() -> None:
    variable = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr")
    before = variable.value

    def work(number: int) -> bool:
        line = str(number).encode()
        return all(codecs._standard_error().read_while(lambda: write(line))[1] == line for _ in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert variable.value == before


def test_the_module_needs_the_standard_library_alone() -> None:
    program = f"import runpy; runpy.run_path({codecs.__file__!r}); import sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
