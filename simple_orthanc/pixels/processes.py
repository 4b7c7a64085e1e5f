"""Decoding in helper processes, for the decoders that hold the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simple_orthanc.concurrency.helpers import (
    MOST_HELPERS,
    HelperEndedError,
    HelperPool,
    HelperTaskError,
    interpreter,
    processors,
)
from simple_orthanc.pixels import codecs

# Roughly the seconds that a decoder takes for a sample. They decide only whether helpers are worth starting, and how
# many.
_SECONDS = {"openjpeg": 100e-9, "gdcm": 25e-9, "charls": 20e-9}
# A helper takes up to a fifth of a second to start, so that each must have more than that to do.
_SECONDS_EACH = 0.25


class DecodingProcesses:
    """Decodes the codestreams of one read: in this process, or in helpers where these save time.

    It may be used from several threads at once, which is what makes helpers work side by side. None is started before
    the first codestream shows that the read is long enough, and none is left after the ``with`` block.

    Parameters
    ----------
    instances : int
        How many objects are about to be read.

    Attributes
    ----------
    width : int
        How many codestreams are worth decoding at once.

    Examples
    --------
    >>> from simple_orthanc.pixels.stored import stored_values
    >>> from pydicom import dcmread
    >>> from pydicom.data import get_testdata_file
    >>> with DecodingProcesses(instances=1) as processes:
    ...     stored_values(dcmread(get_testdata_file("JPEG2000.dcm")), processes).shape
    (1, 1024, 256)
    """

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self.width = min(processors(), MOST_HELPERS)
        self._pool = HelperPool(str(Path(codecs.__file__)))

    def __enter__(self) -> DecodingProcesses:
        """Return itself; helpers are started when they are needed."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the helpers."""
        self.close()

    def run(self, codec: str, stream: bytes, arguments: Sequence[Any], samples: int) -> bytes | bytearray:
        """Decode a codestream, as `codecs.run` does, with the same results.

        Parameters
        ----------
        codec, stream, arguments
            As there.
        samples : int
            How many samples the whole object has, all of its frames together.

        Raises
        ------
        ValueError
            The decoder refused the stream, or ended the process that it ran in.
        ImportError, MemoryError
            As they were raised.
        """
        try:
            reply = self._pool.call([codec, *arguments], stream) if self._start(codec, samples) else None
        except HelperEndedError as error:
            raise ValueError(f"the helper process that decoded it ended ({error})") from error
        except HelperTaskError as error:
            if error.kind not in ("ImportError", "ModuleNotFoundError"):
                raise (MemoryError if error.kind == "MemoryError" else ValueError)(str(error) or error.kind) from None
            # Packages can be found by more than a path, and that is known to this process alone.
            reply = None
        return codecs.run(codec, stream, arguments) if reply is None else reply[1]

    def close(self) -> None:
        """End the helpers."""
        self._pool.close()

    def _start(self, codec: str, samples: int) -> bool:
        """Start helpers if they are worth it, and return whether they were ever started."""
        if self._pool.is_started:
            return True
        count = min(self.width, int(self._instances * samples * _SECONDS[codec] / _SECONDS_EACH))
        return count >= 2 and bool(interpreter()) and self._pool.start(count, codecs.MODULES[codec])
