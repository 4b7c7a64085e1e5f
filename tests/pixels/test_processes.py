"""Helper processes: the same values as without, and none of them left behind, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file, get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless

from simple_orthanc.concurrency import helpers as helpers_module
from simple_orthanc.concurrency.threads import map_ordered
from simple_orthanc.errors import PixelDecodeError
from simple_orthanc.pixels import codecs
from simple_orthanc.pixels import processes as decoding_processes
from simple_orthanc.pixels.processes import DecodingProcesses
from simple_orthanc.pixels.stored import stored_values
from tests.command_line import environment
from tests.pixels.objects import jpeg_lossless

if not sys.platform.startswith("linux"):
    pytest.skip("child processes are counted in /proc", allow_module_level=True)

MANY = 1000
SHIPPED = [path for path in sorted(set(get_testdata_files())) if path.endswith(".dcm") and Path(path).is_file()]


def state_of(process: int) -> tuple[str, int]:
    """The state of a process and its parent; ("", 0) when it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[1])


def helpers(parent: int | None = None) -> list[int]:
    """The helper processes of this process, or of another; zombies count."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and state_of(int(entry.name))[1] == (parent or os.getpid()):
            command = (entry / "cmdline").read_bytes()
            if b"helper_main.py" in command or not command:
                found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def frames(count: int, rows: int = 70, columns: int = 66, kind: str = "int16") -> NDArray[Any]:
    low, high = (-1000, 3000) if kind == "int16" else (0, 250)
    return np.random.default_rng(7).integers(low, high, (count, rows, columns)).astype(kind)


def image(array: NDArray[Any], syntax: UID | None, number: int = 1) -> Dataset:
    """Make an object of frames, (frames, rows, columns), compressed unless there is no syntax."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", f"1.2.3.{number}"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = array.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * array.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(array.dtype.kind == "i")
    dataset.PixelData = array.tobytes()
    dataset["PixelData"].VR = "OB" if array.dtype.itemsize == 1 else "OW"
    if syntax is not None:
        dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def with_gdcm(dataset: Dataset, path: Path, syntax: int) -> Dataset:
    """Compress a file as GDCM does, for what pydicom cannot encode."""
    dataset.save_as(path, enforce_file_format=True)
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return dcmread(path)


def stored_or_failure(
    dataset: Dataset, processes: DecodingProcesses | None = None
) -> tuple[NDArray[Any] | None, str | None]:
    try:
        return stored_values(dataset, processes), None
    except PixelDecodeError as error:
        return None, str(error)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two helpers for any read, however short."""
    monkeypatch.setattr(decoding_processes, "_SECONDS_EACH", 1e-12)
    monkeypatch.setattr(decoding_processes, "processors", lambda: 2)


@pytest.fixture(autouse=True)
def _no_helper_remains() -> Iterator[None]:
    yield
    assert helpers() == []
    assert [thread for thread in threading.enumerate() if thread.name == "simple_orthanc helper"] == []


@pytest.mark.usefixtures("two")
class TestValues:
    def test_every_compressed_file_of_pydicom(self) -> None:
        compared = 0
        with DecodingProcesses(MANY) as processes, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path in SHIPPED:
                dataset = dcmread(path, force=True)
                syntax = getattr(dataset.file_meta, "TransferSyntaxUID", "")
                if "PixelData" not in dataset or not syntax.startswith("1.2.840.10008.1.2.4."):
                    continue
                expected, failure = stored_or_failure(dataset)
                array, same_failure = stored_or_failure(dataset, processes)
                assert same_failure == failure
                if expected is None or array is None:
                    assert expected is array
                    continue
                assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
                np.testing.assert_array_equal(array, expected)
                compared += 1
            assert len(helpers()) == 2
        assert compared > 20

    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=["JPEG 2000", "JPEG-LS"])
    @pytest.mark.parametrize("kind", ["int16", "uint16", "uint8"])
    def test_a_series_in_eight_threads(self, syntax: UID, kind: str) -> None:
        array = frames(24, kind=kind)
        # CharLS knows no sign, and pydicom encodes none.
        if syntax == JPEGLSLossless and kind == "int16":
            array = array.view("uint16")
        datasets = [image(frame[np.newaxis], syntax, number) for number, frame in enumerate(array)]
        with DecodingProcesses(len(datasets)) as processes:
            found = list(map_ordered(lambda one: stored_values(one, processes), datasets))
            assert len(helpers()) == 2
        np.testing.assert_array_equal(np.concatenate(found), array)
        assert found[0].dtype == array.dtype

    def test_frames_of_one_object_keep_their_order(self) -> None:
        array = frames(30)
        with DecodingProcesses(1) as processes:
            np.testing.assert_array_equal(stored_values(image(array, JPEG2000Lossless), processes), array)
            assert len(helpers()) == 2

    @pytest.mark.parametrize(
        "syntax", [gdcm.TransferSyntax.JPEGLosslessProcess14_1, gdcm.TransferSyntax.JPEGLosslessProcess14]
    )
    @pytest.mark.parametrize("kind", ["int16", "uint16", "uint8"])
    def test_jpeg_lossless(self, syntax: int, kind: str, tmp_path: Path) -> None:
        array = frames(12, kind=kind)
        datasets = [with_gdcm(image(one[np.newaxis], None), tmp_path / "one.dcm", syntax) for one in array]
        assert datasets[0].file_meta.TransferSyntaxUID in (JPEGLossless, JPEGLosslessSV1)
        with DecodingProcesses(len(datasets)) as processes:
            found = list(map_ordered(lambda one: stored_values(one, processes), datasets))
            assert len(helpers()) == 2
        np.testing.assert_array_equal(np.concatenate(found), array)
        assert found[0].dtype == array.dtype

    def test_from_a_thread(self) -> None:
        array, found = frames(6), []

        def read() -> None:
            with DecodingProcesses(1) as processes:
                found.append(stored_values(image(array, JPEG2000Lossless), processes))

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        np.testing.assert_array_equal(found[0], array)


class TestWhereItPays:
    def helpers_for(self, instances: int, side: int) -> int:
        dataset = image(frames(1, side, side), JPEG2000Lossless)
        with DecodingProcesses(instances) as processes:
            stored_values(dataset, processes)
            return len(helpers())

    def test_few_or_small_frames_start_no_helper(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding_processes, "processors", lambda: 4)
        assert self.helpers_for(3, 512) == 0
        assert self.helpers_for(100, 64) == 0
        assert self.helpers_for(100, 512) == 4

    def test_no_more_than_there_is_work_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding_processes, "processors", lambda: 64)
        assert self.helpers_for(30, 512) == 3
        monkeypatch.setattr(decoding_processes, "MOST_HELPERS", 5)
        assert self.helpers_for(1000, 512) == 5

    def test_one_processor_starts_no_helper(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoding_processes, "processors", lambda: 1)
        assert self.helpers_for(1000, 512) == 0

    def test_the_processors_that_this_process_may_use(self) -> None:
        program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        program += "from simple_orthanc.pixels.processes import processors; print(processors())"
        assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"1\n"

    @pytest.mark.usefixtures("two")
    @pytest.mark.parametrize(("name", "value"), [("frozen", True), ("executable", ""), ("executable", "/opt/blender")])
    def test_a_program_other_than_python_starts_no_helper(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: object
    ) -> None:
        monkeypatch.setattr(sys, name, value, raising=False)
        assert self.helpers_for(100, 64) == 0

    @pytest.mark.usefixtures("two")
    def test_uncompressed_and_pillow_start_no_helper(self) -> None:
        with DecodingProcesses(MANY) as processes:
            for name in ("CT_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_RLE.dcm"):
                stored_values(dcmread(str(get_testdata_file(name))), processes)
            assert helpers() == []


@pytest.mark.usefixtures("two")
class TestFailures:
    def test_a_corrupt_stream_is_the_error_that_it_is_without_helpers(self) -> None:
        whole, broken = image(frames(1), JPEG2000Lossless, 1), image(frames(1), JPEG2000Lossless, 2)
        # Behind the marker that this process reads itself.
        broken.PixelData = broken.PixelData[:80] + bytes(60) + broken.PixelData[140:]
        with pytest.raises(PixelDecodeError) as expected:
            stored_values(broken)
        with DecodingProcesses(MANY) as processes:
            with pytest.raises(PixelDecodeError) as found:
                stored_values(broken, processes)
            before = helpers()
            np.testing.assert_array_equal(stored_values(whole, processes), frames(1))
            assert helpers() == before
        assert str(found.value) == str(expected.value)
        assert "1.2.3.2" in str(found.value)

    def test_a_stream_that_ends_the_decoders_process(self) -> None:
        stream, arguments, samples = jpeg_lossless()
        # A restart marker where a table should be: GDCM throws what nobody catches.
        deadly = stream.replace(b"\xff\xc4", b"\xff\xd0", 1)
        with DecodingProcesses(MANY) as processes:
            for _ in range(5):
                with pytest.raises(ValueError, match=r"the helper process that decoded it ended \(SIGABRT\)"):
                    processes.run("gdcm", deadly, arguments, samples)
            found = processes.run("gdcm", stream, arguments, samples)
            assert bytes(found) == codecs.run("gdcm", stream, arguments)
            wait_for(lambda: len(helpers()) == 2)

    def test_a_helper_killed_in_the_middle_is_an_error_of_that_object_and_is_replaced(self) -> None:
        dataset = image(frames(1), JPEG2000Lossless, 9)
        with DecodingProcesses(MANY) as processes:
            stored_values(dataset, processes)
            # One that is killed while it starts is not replaced.
            wait_for(lambda: processes._pool._free.qsize() == 2)
            first = helpers()
            assert len(first) == 2
            for process in first:
                os.kill(process, signal.SIGSTOP)
            failures: list[str] = []

            def read() -> None:
                try:
                    stored_values(dataset, processes)
                except PixelDecodeError as error:
                    failures.append(str(error))

            threads = [threading.Thread(target=read) for _ in range(6)]
            for thread in threads:
                thread.start()
            wait_for(lambda: processes._pool._free.qsize() == 0)
            time.sleep(0.2)
            for process in first:
                os.kill(process, signal.SIGKILL)
            for thread in threads:
                thread.join(20)
            assert not any(thread.is_alive() for thread in threads)
            np.testing.assert_array_equal(stored_values(dataset, processes), frames(1))
            wait_for(lambda: len(helpers()) == 2)
            assert not set(helpers()) & set(first)
        assert len(failures) == 2
        assert all("1.2.3.9" in text and "SIGKILL" in text for text in failures)

    @pytest.mark.parametrize("program", ["raise SystemExit(3)", "print('hello')", "import time; time.sleep(0.1)"])
    def test_without_helpers_this_process_decodes(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
    ) -> None:
        (tmp_path / "program.py").write_text(program)
        monkeypatch.setattr(helpers_module, "_PROGRAM", tmp_path / "program.py")
        self.check_a_series()

    def test_where_no_process_can_be_started_this_one_decodes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(module: str, preload: str) -> subprocess.Popen[bytes]:
            raise BlockingIOError(11, "Resource temporarily unavailable")

        monkeypatch.setattr(helpers_module, "_popen", refuse)
        self.check_a_series()

    def test_where_no_thread_can_be_started_this_one_decodes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        dataset = image(frames(1), JPEG2000Lossless)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with DecodingProcesses(MANY) as processes:
            np.testing.assert_array_equal(stored_values(dataset, processes), frames(1))

    def test_a_decoder_that_only_this_process_finds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stored_values(image(frames(1), JPEG2000Lossless))
        monkeypatch.setattr(sys, "path", [])
        self.check_a_series()

    def check_a_series(self) -> None:
        array = frames(12)
        datasets = [image(frame[np.newaxis], JPEG2000Lossless) for frame in array]
        with DecodingProcesses(len(datasets)) as processes:
            found = list(map_ordered(lambda one: stored_values(one, processes), datasets))
        np.testing.assert_array_equal(np.concatenate(found), array)

    def test_an_error_in_the_block_ends_the_helpers(self) -> None:
        dataset = image(frames(1), JPEG2000Lossless)
        with pytest.raises(KeyError, match="mine"), DecodingProcesses(MANY) as processes:  # noqa: PT012
            stored_values(dataset, processes)
            assert helpers()
            raise KeyError("mine")
        assert helpers() == []

    def test_after_the_block_it_decodes_no_more(self) -> None:
        stream, arguments, samples = jpeg_lossless()
        with DecodingProcesses(MANY) as processes:
            processes.run("gdcm", stream, arguments, samples)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="were ended"):
                processes.run("gdcm", stream, arguments, samples)

    def test_closing_while_others_decode_leaves_nobody_waiting(self) -> None:
        stream, arguments, samples = jpeg_lossless()
        ends: list[str] = []

        def read() -> None:
            try:
                while True:
                    processes.run("gdcm", stream, arguments, samples)
            except (ValueError, RuntimeError) as error:
                ends.append(type(error).__name__)

        threads = [threading.Thread(target=read) for _ in range(5)]
        with DecodingProcesses(MANY) as processes:
            for thread in threads:
                thread.start()
            wait_for(lambda: len(helpers()) == 2)
        for thread in threads:
            thread.join(20)
        assert len(ends) == 5


READING = """
import sys, threading
print("began", flush=True)
from pydicom import dcmread
from simple_orthanc.pixels import processes as decoding_processes
from simple_orthanc.pixels.stored import stored_values
from tests.pixels.objects import jpeg_lossless
from simple_orthanc.concurrency.threads import map_ordered
decoding_processes._SECONDS_EACH = 1e-12
decoding_processes.processors = lambda: 2
dataset = dcmread(sys.argv[1])
count = int(sys.argv[2])
with decoding_processes.DecodingProcesses(count) as processes:
    for array in map_ordered(lambda one: stored_values(one, processes), [dataset] * count):
        print(array.sum(), flush=True)
"""


class TestPrograms:
    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
        """Start a script, without any guard, that reads so many times one object, and prints a line for each."""
        script, started = tmp_path / "script.py", []
        script.write_text(READING)

        def start(count: int) -> subprocess.Popen[str]:
            command = [sys.executable, str(script), str(get_testdata_file("JPEG2000.dcm")), str(count)]
            pipe = subprocess.PIPE
            settings: dict[str, Any] = {"stdout": pipe, "stderr": pipe, "text": True, "env": environment()}
            started.append(subprocess.Popen(command, start_new_session=True, **settings))
            return started[-1]

        yield start
        for program in started:
            program.kill()
            program.communicate()

    def test_a_script_without_a_guard_runs_once(self, start: Callable[[int], subprocess.Popen[str]]) -> None:
        expected = stored_values(dcmread(str(get_testdata_file("JPEG2000.dcm")))).sum()
        output, errors = start(20).communicate(timeout=60)
        assert errors == ""
        assert output.split() == ["began", *[str(expected)] * 20]

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_no_helper_outlives_its_program(
        self, start: Callable[[int], subprocess.Popen[str]], number: signal.Signals
    ) -> None:
        program = start(100_000)
        assert program.stdout is not None
        for _ in range(5):
            assert program.stdout.readline()
        running = wait_for(lambda: found if len(found := helpers(program.pid)) == 2 else [])
        # As a terminal does: to the whole group.
        os.killpg(program.pid, number)
        _, errors = program.communicate(timeout=20)
        assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
        wait_for(lambda: all(state_of(process)[0] in ("", "Z") for process in running), 5)


class TestSearchPath:
    def test_a_file_in_the_working_directory_replaces_no_module(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, two: None
    ) -> None:
        (tmp_path / "struct.py").write_text("raise SystemExit(1)")
        (tmp_path / "json.py").write_text("raise SystemExit(1)")
        monkeypatch.syspath_prepend(tmp_path)
        stream, arguments, samples = jpeg_lossless()
        with DecodingProcesses(MANY) as processes:
            processes.run("gdcm", stream, arguments, samples)
            assert len(helpers()) == 2
