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
def test_c_code_prints_nothing_inside_and_again_after(capfd: pytest.CaptureFixture[str]) -> None:
    library = ctypes.CDLL(None)

    def write(line: bytes) -> None:
        stream = ctypes.c_void_p.in_dll(library, "stderr")
        library.fputs(line, stream)
        library.fflush(stream)

    with codecs._quiet_c_library():
        write(b"one ")
        with codecs._quiet_c_library():
            write(b"two ")
        write(b"three ")
        # Python's own stream is another.
        print("python", file=sys.stderr, flush=True)
    write(b"four")
    assert capfd.readouterr().err == "python\nfour"


def test_threads_leave_the_stream_as_it_was() -> None:
    variable = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "stderr") if sys.platform == "linux" else ctypes.c_void_p()
    before = variable.value

    def enter(_: int) -> None:
        for _ in range(200):
            with codecs._quiet_c_library():
                pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(enter, range(8)))
    assert variable.value == before


def test_the_module_needs_the_standard_library_alone() -> None:
    program = f"import runpy; runpy.run_path({codecs.__file__!r}); import sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
