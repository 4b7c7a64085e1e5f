"""The codecs that helper processes run, and what they answer."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_module_needs_the_standard_library_alone() -> None:
    program = f"import runpy; runpy.run_path({codecs.__file__!r}); import sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
