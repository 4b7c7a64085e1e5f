"""Every command of the command line against Orthanc: in this process, and on a terminal where that differs.

How the program behaves in a pipe is in `tests.cli.test_program`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from simple_orthanc import LocalOrthanc, Orthanc
from simple_orthanc.cli import build_parser
from simple_orthanc.dicomweb import bulk_data_uris
from simple_orthanc.phantom import as_bytes, make_series
from tests.command_line import PATIENCE, PROGRAM, Ended, Terminal, environment, in_process, on_terminal
from tests.conftest import MakeServer, servers_of

RUNNERS: dict[str, Callable[..., Ended]] = {"terminal": on_terminal, "process": in_process}
# For commands whose output a terminal does not change.
OFF_TERMINAL = pytest.mark.parametrize("archive", ["process"], indirect=True)


def commands() -> set[str]:
    """The commands that ``--help`` lists."""
    return set(re.findall(r"^    ([a-z]+) {2,}", build_parser().format_help(), re.MULTILINE))


@dataclass
class Archive:
    """A server with known series, and a folder to work in."""

    session: Orthanc
    folder: Path
    run: Callable[..., Ended]

    def __call__(self, *arguments: str | Path, **options: object) -> Ended:
        return self.run("--url", self.session._source.description, *arguments, cwd=self.folder, **options)

    def over_dicomweb(self, *arguments: str | Path, **options: object) -> Ended:
        root = f"{self.session._source.description}/dicom-web"
        return self.run("--dicomweb", root, *arguments, cwd=self.folder, **options)


def series_of_the_archive() -> list[list[pydicom.Dataset]]:
    values = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    regular = make_series(
        array=values,
        bits_stored=12,
        intercept=-1000.0,
        seed=1,
        PatientID="P1",
        PatientName="Doe^Jane",
        SeriesDescription="axial",
    )
    mixed = make_series(
        (4, 4, 4),
        seed=2,
        modality="MR",
        PatientID="P2",
        PatientName="山田^太郎",
        SpecificCharacterSet="ISO_IR 192",
        SeriesDescription="../two echoes",
        EchoTime=[10, 10, 20, 20],
        ImagePositionPatient=[(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 1)],
    )
    hostile = make_series((1, 4, 4), seed=3, PatientID="=1+1", SeriesDescription="one")
    return [regular, mixed, hostile]


@pytest.fixture(params=list(RUNNERS))
def archive(request: pytest.FixtureRequest, orthanc: Orthanc, tmp_path: Path) -> Archive:
    for series in series_of_the_archive():
        orthanc.upload_dataset(series)
    return Archive(orthanc, tmp_path, RUNNERS[request.param])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The regular series in files."""
    made = tmp_path / "files"
    made.mkdir()
    for number, dataset in enumerate(series_of_the_archive()[0]):
        (made / f"{number}.dcm").write_bytes(as_bytes(dataset))
    return made


def test_every_command_has_its_test() -> None:
    tested = {name.removeprefix("test_command_").partition("_")[0] for name in globals() if "test_command_" in name}
    assert tested == commands()


@pytest.mark.one_version
def test_command_info(archive: Archive) -> None:
    ended = archive("info")
    assert ended.status == 0
    assert re.search(r"^version: +1\.1\d", ended.out, re.MULTILINE)
    assert re.search(r"^instances: +8$", ended.out, re.MULTILINE)
    facts = json.loads(archive("info", "--where", "Modality=CT", "--format", "json").out)
    assert (facts["source"], facts["series"], facts["instances"]) == ("Orthanc", 2, 4)


@pytest.mark.one_version
def test_command_find(archive: Archive) -> None:
    ended = archive("find", "series", "--where", "Modality=CT", "--columns", "PatientID,SeriesDescription,KVP")
    assert ended.status == 0
    assert [line.split() for line in ended.out.splitlines()] == [
        ["PatientID", "SeriesDescription", "KVP"],
        ["=1+1", "one"],
        ["P1", "axial"],
    ]
    asked = ("--columns", "EchoTime,PatientName", "--sort", "EchoTime", "--format", "json")
    rows = json.loads(archive("find", "instances", "P2", *asked).out)
    assert [row["EchoTime"] for row in rows] == [10.0, 10.0, 20.0, 20.0]
    assert {row["PatientName"] for row in rows} == {"山田^太郎"}


@pytest.mark.one_version
def test_command_tags(archive: Archive) -> None:
    ended = archive("tags", "--where", "SeriesDescription=axial")
    assert ended.status == 0
    assert re.search(r"^0010,0010 +PN +PatientName +Doe\^Jane$", ended.out, re.MULTILINE)
    listed = json.loads(archive("tags", "P1", "--all", "--format", "json").out)
    assert [item["00200013"]["Value"] for item in listed] == [[1], [2], [3]]
    assert "7FE00010" not in listed[0]


@pytest.mark.one_version
def test_command_download(archive: Archive) -> None:
    ended = archive("download", "out", "--where", "Modality=MR")
    assert (ended.status, ended.out) == (0, "4 files in out\n")
    found = {path.name: path.read_bytes() for path in (archive.folder / "out").rglob("*.dcm")}
    assert found == {f"{each.SOPInstanceUID}.dcm": as_bytes(each) for each in series_of_the_archive()[1]}


@pytest.mark.one_version
def test_command_freeze(archive: Archive) -> None:
    ended = archive("freeze", "ct.cohort", "--where", "Modality=CT")
    assert ended.status == 0
    rows = json.loads(archive("find", "series", "--cohort", "ct.cohort", "--format", "json").out)
    assert [row["PatientID"] for row in rows] == ["=1+1", "P1"]


@pytest.mark.one_version
def test_command_difference(archive: Archive) -> None:
    assert archive("freeze", "ct.cohort", "--where", "Modality=CT").status == 0
    assert json.loads(archive("difference", "ct.cohort", "--format", "json").out) == []
    gone = series_of_the_archive()[2][0].SOPInstanceUID
    archive.session.copy().select(gone).delete("instance")
    rows = json.loads(archive("difference", "ct.cohort", "--format", "json").out)
    assert [(row["difference"], row["SOPInstanceUID"]) for row in rows] == [("gone", gone)]


@pytest.mark.one_version
def test_command_upload(archive: Archive, folder: Path) -> None:
    new = make_series((2, 4, 4), seed=9)
    for number, dataset in enumerate(new):
        (folder / f"new-{number}").write_bytes(as_bytes(dataset))
    (folder / "notes.txt").write_text("not an image")
    ended = archive("upload", "files", "--format", "csv")
    assert ended.status == 0
    assert len(re.findall(",stored,", ended.out)) == 2
    assert len(re.findall(",already stored,", ended.out)) == 3
    assert "2 stored" in ended.out + ended.err
    refused = archive("upload", "files/notes.txt")
    assert refused.status == 1
    assert "not DICOM" in refused.out


@pytest.mark.one_version
@OFF_TERMINAL
def test_command_volume(archive: Archive) -> None:
    import SimpleITK

    ended = archive("volume", "ct.nii.gz", "--where", "SeriesDescription=axial")
    assert ended.status == 0
    assert "3 x 4 x 5 (slice, row, column) int16 HU" in ended.out
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(archive.folder / "ct.nii.gz"))
    assert array.tolist() == (np.arange(60).reshape(3, 4, 5) - 1000).tolist()

    mixed = archive("volume", "mr.nrrd", "P2")
    assert mixed.status == 1
    assert "echo time 10" in mixed.out + mixed.err
    assert "--split" in mixed.out + mixed.err
    assert not (archive.folder / "mr.nrrd").exists()
    split = archive("volume", "mr.nrrd", "P2", "--split")
    assert split.status == 0
    assert len(list(archive.folder.glob("mr-echo_time_?0-*.nrrd"))) == 2


@pytest.mark.one_version
def test_command_save(archive: Archive) -> None:
    asked = ("save", "out", "--layout", "{PatientID}/{SeriesDescription}_{label}", "--format", "csv")
    for status in ("saved", "already there"):
        ended = archive(*asked)
        assert ended.status == 0
        assert ended.out.count(f",{status},") == 4
    saved = sorted(path.relative_to(archive.folder).as_posix() for path in archive.folder.rglob("*.nii.gz"))
    assert saved == [
        "out/P1/axial_axial_3x4x5.nii.gz",
        "out/P2/___two_echoes_echo_time_10.nii.gz",
        "out/P2/___two_echoes_echo_time_20.nii.gz",
        "out/_1+1/one_axial_1x4x4.nii.gz",
    ]


@pytest.mark.one_version
def test_command_show(archive: Archive) -> None:
    ended = archive("show", "ct.png", "--where", "SeriesDescription=axial", "--window", "-980", "60")
    assert (ended.status, ended.out) == (0, "ct.png\n")
    assert (archive.folder / "ct.png").read_bytes().startswith(b"\x89PNG")
    single = archive("show", "--slice", "1", "P1", env={"TMPDIR": str(archive.folder)})
    assert single.status == 0
    if archive.run is on_terminal:
        assert Path(single.out.strip()).parent == archive.folder
        assert Path(single.out.strip()).read_bytes().startswith(b"\x89PNG")
    else:
        assert "PNG" in single.out[:8]


@OFF_TERMINAL
def test_command_anonymize(archive: Archive) -> None:
    before = archive.session.get_dicom_tag("SOPInstanceUID")
    ended = archive("anonymize", "P1", "--replace", "PatientID=S042", "--keep", "SeriesDescription", "--format", "json")
    assert ended.status == 0
    (row,) = json.loads(ended.out)
    assert (row["status"], row["PatientID"], row["new_PatientID"]) == ("anonymized", "P1", "S042")
    assert row["instance_count"] == 3
    assert row["SeriesInstanceUID"] == series_of_the_archive()[0][0].SeriesInstanceUID
    session = archive.session.refresh()
    assert session.copy().exclude(PatientID="S042").get_dicom_tag("SOPInstanceUID") == before
    copy = session.select(SeriesInstanceUID=row["new_SeriesInstanceUID"])
    assert copy.get_dicom_tag("SeriesDescription") == ["axial"]
    assert copy.get_dicom_tag("PatientName") != ["Doe^Jane"]


@OFF_TERMINAL
def test_command_modify(archive: Archive) -> None:
    before = archive.session.get_dicom_tag("SOPInstanceUID")
    command = ("modify", "P1", "--replace", "SeriesDescription=knee", "--format", "json")
    (planned,) = json.loads(archive(*command, "--dry-run").out)
    assert (planned["status"], planned["new_SeriesInstanceUID"]) == ("would be modified", None)
    assert archive.session.refresh().get_dicom_tag("SOPInstanceUID") == before
    (row,) = json.loads(archive(*command).out)
    copy = archive.session.refresh().select(SeriesInstanceUID=row["new_SeriesInstanceUID"])
    assert (copy.get_dicom_tag("SeriesDescription"), copy.instance_count) == (["knee"], 3)
    refused = archive("modify", "P1", "--replace", "PatientName=Roe")
    assert refused.status == 1
    assert "another PatientName" in refused.out + refused.err


@OFF_TERMINAL
def test_command_anonymize_takes_only_what_is_selected(archive: Archive) -> None:
    several = archive("anonymize", "--where", "InstanceNumber=1", "--replace", "PatientID=S1")
    assert several.status == 1
    assert "3 patients" in several.out + several.err
    ended = archive("anonymize", "--where", "EchoTime=10", "--format", "json")
    assert [row["instance_count"] for row in json.loads(ended.out)] == [2]


def test_command_send(make_server: MakeServer) -> None:
    receiver = make_server({"DicomServerEnabled": True})
    with receiver.connect() as there:
        port = there.rest.get("/system")["DicomPort"]
    sender = make_server(
        {
            "DicomModalities": {"pacs": ["ORTHANC", "127.0.0.1", port], "gone": ["GONE", "127.0.0.1", 1]},
            "OrthancPeers": {"research": [receiver.url, "", ""], "pacs": ["http://127.0.0.1:1/", "", ""]},
        }
    )
    with sender.connect() as here:
        for series in series_of_the_archive():
            here.upload_dataset(series)
    sent = in_process("--url", sender.url, "send", "modality:pacs", "--where", "EchoTime=20")
    assert sent.out == "sent: 2 instances to modality:pacs\n"
    assert sent.status == 0
    assert in_process("--url", sender.url, "send", "research", "P1").status == 0
    with receiver.connect() as there:
        assert sorted(there.get_dicom_tag("PatientID", unique=False, level="instance")) == ["P1"] * 3 + ["P2"] * 2
        assert there.select(PatientID="P2").get_dicom_tag("EchoTime") == [20.0]
    for target, reason in (
        ("gone", "TCP Initialization Error"),
        ("peer:pacs", "libCURL"),
        ("pacs", "modality:pacs or peer:pacs"),
        ("nowhere", "modality:pacs"),
    ):
        failed = in_process("--url", sender.url, "send", target, "P1")
        assert failed.status == 1
        assert reason in failed.out + failed.err
        assert len(failed.err.splitlines()) == 1


@OFF_TERMINAL
def test_command_delete(archive: Archive) -> None:
    unfiltered = archive("delete", "studies", "--yes")
    assert unfiltered.status == 1
    partly = archive("delete", "series", "--where", "EchoTime=10", "--yes")
    assert partly.status == 1
    assert "2 instances that the selection left out" in partly.out + partly.err
    assert archive("delete", "instances", "--where", "EchoTime=10", "--yes").status == 0
    assert archive.session.refresh().instance_count == 6
    assert archive("delete", "studies", "P1", "--yes").status == 0
    assert archive("delete", "patients", "--where", "PatientID=P2", "--yes").status == 0
    assert archive.session.refresh().instance_count == 1
    assert archive("delete", "series", "--everything", "--yes").status == 0
    assert archive.session.refresh().instance_count == 0


@OFF_TERMINAL
def test_command_label(archive: Archive) -> None:
    ended = archive("label", "add", "seen", "P2")
    if not archive.session.rest.capabilities.labels:
        assert (ended.status, "Labels need Orthanc 1.12.0" in ended.err) == (1, True)
        return
    assert (ended.status, ended.out) == (0, "labelled: 1 study\n")
    assert archive("label", "remove", "seen", "P2", "--dry-run").out == "would be unlabelled: 1 study\n"
    assert "whole" in archive("label", "add", "seen", "--level", "series", "--where", "EchoTime=10").err
    ended = archive("label", "add", "seen", "--where", "Modality=MR", "--level", "studies")
    assert (ended.out, ended.err.split(":")[0]) == ("labelled: 0 studies\n", "already there")
    archive("label", "add", "few", "--where", "EchoTime=10")
    rows = json.loads(archive("label", "list", "P2", "--format", "json").out)
    assert [(row["level"], row["label"]) for row in rows] == [("study", "seen"), *[("instance", "few")] * 2]
    assert archive("label", "remove", "seen", "P2").out == "unlabelled: 1 study\n"
    assert len(json.loads(archive("label", "list", "--format", "json").out)) == 2
    assert archive("label", "add", "--where", "Modality=MR").status == 2
    assert archive("label", "list", "few", "P2").status == 2
    assert archive("label", "add", "two words", "P2").status == 1


@OFF_TERMINAL
def test_command_archive(archive: Archive) -> None:
    ended = archive("archive", "p1.zip", "P1")
    assert (ended.status, ended.out) == (0, "p1.zip: 3 instances\n")
    with zipfile.ZipFile(archive.folder / "p1.zip") as members:
        assert len(members.namelist()) == 3
    again = archive("archive", "p1.zip", "--where", "EchoTime=10", "--media")
    assert (again.status, "--overwrite" in again.err) == (1, True)
    assert archive("archive", "p1.zip", "--where", "EchoTime=10", "--media", "--overwrite").status == 0
    with zipfile.ZipFile(archive.folder / "p1.zip") as members:
        assert len(members.namelist()) == 3
        assert "DICOMDIR" in members.namelist()
    assert "--everything" in archive("archive", "all.zip").err


@OFF_TERMINAL
def test_command_deidentify(archive: Archive) -> None:
    (archive.folder / "key.txt").write_text("correct horse battery staple")
    ended = archive("deidentify", "shared", "P1", "--key-file", "key.txt")
    assert (ended.status, ended.out) == (0, "3 deidentified in shared\n")
    copies = [pydicom.dcmread(path) for path in (archive.folder / "shared").rglob("*.dcm")]
    assert {copy.PatientIdentityRemoved for copy in copies} == {"YES"}
    assert {copy.PatientID[:2] for copy in copies} == {"S-"}
    again = archive("deidentify", "shared", "P1", "--key-file", "key.txt")
    assert (again.status, again.out) == (0, "3 already there in shared\n")
    assert "--everything" in archive("deidentify", "shared", "--key-file", "key.txt").err


@pytest.mark.one_version
def test_command_delete_asks_on_a_terminal_only(orthanc: Orthanc) -> None:
    for series in series_of_the_archive():
        orthanc.upload_dataset(series)
    url = orthanc._source.description
    refused = in_process("--url", url, "delete", "studies", "P1", stdin="yes\n")
    assert refused.status == 1
    assert "no terminal" in refused.err
    for answer, status, left in (("no", 1, 3), ("yes", 0, 2)):
        terminal = Terminal("--url", url, "delete", "studies", "P1", columns=200)
        terminal.wait_for(r"Delete 1 study, 3 instances on \S+\? \[yes/no\]")
        assert "P1  Doe^Jane" in terminal.text
        terminal.type(f"{answer}\n")
        assert terminal.end().status == status
        assert orthanc.refresh().study_count == left


@pytest.mark.one_version
@OFF_TERMINAL
def test_command_frames(archive: Archive) -> None:
    ended = archive("frames", "out", "--where", "SeriesDescription=axial")
    assert ended.status == 0
    regular = series_of_the_archive()[0]
    paths = [archive.folder / "out" / f"{each.SOPInstanceUID}-0001.raw" for each in regular]
    assert [archive.folder / line for line in ended.out.split()] == paths
    assert [path.read_bytes() for path in paths] == [each.PixelData for each in regular]


@pytest.mark.one_version
@OFF_TERMINAL
def test_command_frames_over_dicomweb(archive: Archive) -> None:
    asked = ("--where", "SeriesDescription=axial", "--numbers", "1")
    wanted = {f"{each.SOPInstanceUID}-0001.raw": each.PixelData for each in series_of_the_archive()[0]}
    for folder, media_type in (("stored", ()), ("asked", ("--media-type", "application/octet-stream"))):
        ended = archive.over_dicomweb("frames", folder, *asked, *media_type)
        assert ended.status == 0, ended.err
        assert {path.name: path.read_bytes() for path in (archive.folder / folder).iterdir()} == wanted
    several = archive.over_dicomweb("frames", "none", "P1", "--numbers", "2")
    assert several.status == 1
    assert "which has 1" in several.out + several.err
    assert not (archive.folder / "none").exists()


@pytest.mark.one_version
@OFF_TERMINAL
def test_command_volume_over_dicomweb(archive: Archive) -> None:
    import SimpleITK

    ended = archive.over_dicomweb("volume", "ct.nrrd", "--where", "SeriesDescription=axial")
    assert ended.status == 0, ended.err
    assert "3 x 4 x 5 (slice, row, column) int16 HU" in ended.out
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(archive.folder / "ct.nrrd"))
    assert array.tolist() == (np.arange(60).reshape(3, 4, 5) - 1000).tolist()


@OFF_TERMINAL
def test_command_rendered(archive: Archive, server: LocalOrthanc) -> None:
    regular = series_of_the_archive()[0]
    uid = regular[0].SOPInstanceUID
    for run in (archive.over_dicomweb, archive):
        # The values are from -1000 to -981 HU.
        for window, values in ((("-990", "20"), 10), (("40", "400"), 1)):
            ended = run("rendered", "slice.png", uid, "--window", *window)
            assert (ended.status, ended.out) == (0, "slice.png\n"), ended.err
            picture = np.asarray(Image.open(archive.folder / "slice.png"))
            assert picture.shape[:2] == (4, 5)
            assert len(np.unique(picture)) >= values
            (archive.folder / "slice.png").unlink()
    assert archive.over_dicomweb("rendered", "frame.jpg", uid, "--frame", "1", "--quality", "90").status == 0
    assert np.asarray(Image.open(archive.folder / "frame.jpg")).shape[:2] == (4, 5)
    several = archive.over_dicomweb("rendered", "none.png", "--where", "SeriesDescription=axial")
    assert several.status == 1
    assert "3 are selected" in several.out + several.err
    assert not (archive.folder / "none.png").exists()
    small = archive.over_dicomweb("rendered", "small.jpg", uid, "--thumbnail")
    if server.version == "1.10.1":
        assert small.status == 1
        assert "does not offer thumbnails" in small.out + small.err
    else:
        assert small.status == 0, small.err
        assert (archive.folder / "small.jpg").read_bytes().startswith(b"\xff\xd8")


@pytest.mark.one_version
def test_command_bulkdata(archive: Archive) -> None:
    regular = series_of_the_archive()[0][0]
    uids = (regular.StudyInstanceUID, regular.SeriesInstanceUID, regular.SOPInstanceUID)
    address = bulk_data_uris(archive.session.dicomweb.rest.retrieve_instance_metadata(*uids))["7FE00010"]
    ended = archive.over_dicomweb("bulkdata", address, "pixels.raw")
    assert (ended.status, ended.out) == (0, "pixels.raw\n"), ended.err
    assert (archive.folder / "pixels.raw").read_bytes() == regular.PixelData
    part = archive.over_dicomweb("bulkdata", address, "--range", "2-5")
    assert (
        (part.status, part.out) == (0, regular.PixelData[2:6].decode())
        if archive.run is in_process
        else part.status == 2
    )
    elsewhere = archive.over_dicomweb("bulkdata", "http://127.0.0.2:1/bulk/1", "none.raw")
    assert elsewhere.status == 1
    assert not (archive.folder / "none.raw").exists()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_command_serve(
    server: LocalOrthanc, request: pytest.FixtureRequest, folder: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    recipes = servers_of(request.config).recipes
    name = f"orthanc-{server.version}"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    arguments = ("serve", folder, "--program", recipes[name]["program"][0])
    # The other versions see no more of this system than the folder for temporary files.
    env = {} if name == next(iter(recipes)) else None
    if ending is signal.SIGINT:
        terminal = Terminal(*arguments)
        hint = terminal.wait_for(r"log in as (\S+) with the password (\S+)")
        user, password = hint.split()[3], hint.split()[-1]
        url = terminal.wait_for(r"http://127\.0\.0\.1:\d+")
        login = ("--url", url, "--username", user, "--password-file", "-")
        asked = in_process(*login, "find", "instances", "--format", "json", stdin=f"{password}\n")
        assert len(json.loads(asked.out)) == 3
        assert in_process("--url", url, "info").status == 1
        terminal.type("\x03")
        assert terminal.end().status == 0
    else:
        file = tmp_path / "password"
        file.touch(0o600)
        file.write_text("wonder:land\n")
        login = ("--username", "jane", "--password-file", str(file))
        process = subprocess.Popen(
            [*PROGRAM, *login, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(env),
        )
        assert process.stdout is not None
        with process.stdout as lines:
            url = lines.readline().decode().strip()
            assert json.loads(in_process("--url", url, *login, "info", "--format", "json").out)["instances"] == 3
            process.send_signal(ending)
            assert process.wait(PATIENCE) == 0
    assert in_process("--url", url, "info").status == 1
    assert sorted(path.name for path in folder.iterdir()) == ["0.dcm", "1.dcm", "2.dcm"]


@pytest.mark.one_version
def test_command_demo(tmp_path: Path) -> None:
    ended = in_process("demo", tmp_path / "tour")
    assert ended.status == 0
    assert "int16 (40, 128, 128), from -1024 to " in ended.out
    assert sorted(path.name for path in (tmp_path / "tour").iterdir()) == ["volume.nii.gz", "volume.png"]


@pytest.fixture
def slow_server(orthanc: Orthanc) -> str:
    """A server with enough to download that it can be interrupted."""
    big = make_series((150, 256, 256), seed=7, PatientID="BIG")
    orthanc.upload_dataset(big)
    return orthanc._source.description


@pytest.mark.one_version
@pytest.mark.parametrize("command", [("download", "out"), ("volume", "out/ct.nii.gz")])
def test_ctrl_c_leaves_no_partial_file(slow_server: str, tmp_path: Path, command: tuple[str, str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [*PROGRAM, "--url", slow_server, *command],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + PATIENCE
    # The lock comes first, and is no file that grows.
    while not any(path.is_file() and path.suffix != ".lock" for path in out.rglob("*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    left = [path for path in out.rglob("*") if path.is_file()]
    # A machine may be so quick that all is written before the signal comes.
    assert process.returncode in (130, 0)
    if process.returncode:
        assert err.decode() == "simple-orthanc: interrupted\n"
    for path in left:
        assert not path.name.startswith(".")
        if path.suffix == ".dcm":
            assert pydicom.dcmread(path).pixel_array.shape == (256, 256)


@pytest.mark.one_version
def test_a_password_is_shown_nowhere(make_server: MakeServer, tmp_path: Path) -> None:
    secret = "s3cret-Wörd"
    server = make_server({"RegisteredUsers": {"jane": secret}})
    file = tmp_path / "password"
    file.write_text(f"{secret}\n", encoding="utf-8")
    file.chmod(0o600)
    ways: list[tuple[tuple[str | Path, ...], dict[str, str], str]] = [
        (("--url", server.url, "--username", "jane", "--password-file", file), {}, ""),
        (("--url", server.url, "--username", "jane", "--password-file", "-"), {}, f"{secret}\n"),
        ((), {"ORTHANC_URL": server.url, "ORTHANC_USERNAME": "jane", "ORTHANC_PASSWORD": secret}, ""),
    ]
    for arguments, variables, typed in ways:
        ended = in_process(*arguments, "info", env=variables, stdin=typed)
        assert ended.status == 0, ended.err
        assert secret not in ended.out + ended.err
    wrong = in_process("--url", server.url, "info")
    assert wrong.status == 1
    assert len(wrong.err.splitlines()) == 1
    insisted = in_process("--url", server.url, "--username", "jane", "--password", secret, "info")
    assert insisted.status == 0
    assert "Every user of this machine can read a password on the command line" in insisted.err

    terminal = Terminal("--url", server.url, "--username", "jane", "--ask-password", "info")
    terminal.wait_for("Password of jane: ")
    lines = Path(f"/proc/{terminal.process.pid}/cmdline").read_bytes()
    assert secret.encode() not in lines
    terminal.type(f"{secret}\n")
    ended = terminal.end()
    assert ended.status == 0
    assert secret not in ended.out


@pytest.mark.one_version
def test_a_netrc_entry_is_used_for_its_own_host_and_must_be_private(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server({"RegisteredUsers": {"jane": "secret"}})
    netrc = tmp_path / ".netrc"
    env = {"HOME": str(tmp_path)}
    for text, mode, status in (
        ("machine 127.0.0.1 login jane password secret\n", 0o600, 0),
        ("default login jane password secret\n", 0o600, 1),
        ("machine elsewhere login jane password secret\n", 0o600, 1),
        ("machine 127.0.0.1 login jane password secret\n", 0o644, 1),
    ):
        netrc.write_text(text)
        netrc.chmod(mode)
        ended = in_process("--url", server.url, "info", env=env)
        assert ended.status == status, (text, oct(mode), ended.err)
        assert ("~/.netrc is not used" in ended.err) == (mode == 0o644)
    assert os.stat(netrc).st_mode & 0o777 == 0o644
