"""Patients, studies, series and instances of a server as objects."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from simple_orthanc import (
    AmbiguousSelectionError,
    AuthenticationError,
    LocalOrthanc,
    NoPixelDataError,
    NotFoundError,
    Orthanc,
    SelectionError,
    ServerError,
    TransportError,
    UnsupportedError,
)
from simple_orthanc.errors import UnknownNameError
from simple_orthanc.phantom import as_bytes, make_series
from simple_orthanc.rest import Rest
from simple_orthanc.rest.objects import Instance, Patient, Series, Study
from tests.conftest import empty, servers_of
from tests.live.archives import store

LONG = "c" * 400


def images() -> list[Dataset]:
    """Return three slices with values that Orthanc leaves out of its JSON."""
    datasets = make_series((3, 6, 8), seed=5, PatientID="P1", PatientName="Doe^Jane", AccessionNumber="A1")
    for dataset in datasets:
        code = Dataset()
        code.CodeValue, code.LongCodeValue = "1", "m" * 300
        dataset.ProcedureCodeSequence = Sequence([code])
        dataset.ImageComments = LONG
        dataset.SpecificCharacterSet, dataset.PatientComments = "ISO_IR 100", "Jürgen"
        for group, creator in ((0x0009, "ACME1"), (0x0011, "ACME2")):
            block = dataset.private_block(group, creator, create=True)
            block.add_new(1, "LT", creator * 100)
            block.add_new(2, "OB", b"12")
    return datasets


@pytest.fixture(scope="module")
def rest(server: LocalOrthanc) -> Iterator[Rest]:
    """A server with one patient of one series of three slices; what a test adds it takes away."""
    server.start()
    empty(server)
    store(server, *map(as_bytes, images()))
    with server.connect() as session:
        yield session.rest
    empty(server)


@pytest.fixture(scope="module")
def strict(request: pytest.FixtureRequest, server: LocalOrthanc) -> Iterator[LocalOrthanc]:
    """A server of the same version that checks revisions, and keeps no files in its memory."""
    config = {"CheckRevisions": True, "MaximumStorageCacheSize": 0}
    with servers_of(request.config).make(f"orthanc-{server.version}", config) as made:
        store(made, *map(as_bytes, images()))
        yield made


@pytest.fixture
def study(rest: Rest) -> Study:
    return next(iter(rest.studies))


@pytest.fixture
def instance(study: Study) -> Instance:
    return study.series[0].instances[0]


def test_objects_know_each_other(rest: Rest, study: Study, instance: Instance) -> None:
    counts = [len(objects) for objects in (rest.patients, rest.studies, rest.series, rest.instances)]
    assert counts == [1, 1, 1, 3]
    (series,), patient = study.series, study.patient
    assert instance.series == series == instance.parent
    assert instance.study == series.study == patient.studies[0] == study
    assert instance.patient == series.patient == patient
    assert patient.instances == study.instances == series.instances
    assert [child.main_dicom_tags["InstanceNumber"] for child in series.instances] == ["1", "2", "3"]
    assert set(rest.instances) == set(series.instances)
    assert rest.instances.ids() == rest.get("/instances")
    assert series.ordered_slices()[0].instance == instance
    assert instance in rest.instances
    assert patient not in rest.studies


def test_an_object_is_looked_up_by_its_identifier(rest: Rest, study: Study) -> None:
    assert rest.patients.lookup("P1") == study.patient
    assert rest.studies.lookup(study.dicom_id) == study
    assert rest.series.lookup(study.series[0].dicom_id) == study.series[0]
    for identifier in ("p1", study.dicom_id, "A1"):
        with pytest.raises(NotFoundError, match="holds no patient with PatientID"):
            rest.patients.lookup(identifier)


def test_one_study_of_two_patients_is_ambiguous(server: LocalOrthanc, rest: Rest, study: Study) -> None:
    other = images()[0]
    other.PatientID = "P2"
    store(server, as_bytes(other))
    try:
        with pytest.raises(AmbiguousSelectionError) as caught:
            rest.studies.lookup(study.dicom_id)
        assert len(caught.value.candidates) == len(rest.studies.lookup_all(study.dicom_id)) == 2
    finally:
        rest.patients.lookup("P2").delete()


def test_tags_with_what_orthanc_leaves_out(study: Study, instance: Instance) -> None:
    tags = instance.tags
    assert (tags["ImageComments"], tags["0020,4000"]) == (LONG, LONG)
    assert tags["ProcedureCodeSequence[0].LongCodeValue"] == "m" * 300
    assert tags['(0009,"ACME1",01)'] == "ACME1" * 100
    assert tags["0011,1001"] == "ACME2" * 100
    assert tags["PatientComments"] == "Jürgen"
    assert tags["0009,1002"] is None
    assert instance.raw_value("0009,1002") == b"12"
    assert instance.raw_value("ProcedureCodeSequence[0].CodeValue").strip() == b"1"
    assert set(tags) == set(tags.simplified)
    for container in (study.patient, study, study.series[0]):
        assert container.tags["ImageComments"] == LONG
        assert container.shared_tags["Modality"] == "CT"
        assert "InstanceNumber" not in container.shared_tags
    with pytest.raises(UnknownNameError):
        tags["KVP"]
    with pytest.raises(NotFoundError, match="has no KVP"):
        instance.raw_value("KVP")


def test_modules(study: Study, instance: Instance) -> None:
    assert study.patient.module()["PatientName"] == study.patient_module()["PatientName"] == "Doe^Jane"
    assert study.module()["AccessionNumber"] == "A1"
    assert study.series[0].module()["Modality"] == "CT"
    assert instance.module()["InstanceNumber"] == "1"


def test_statistics_and_times(study: Study, instance: Instance) -> None:
    for container in (study.patient, study, study.series[0]):
        assert container.statistics["CountInstances"] == 3
        assert container.last_update is not None
        assert container.last_update.tzname() == "UTC"
        assert container.is_stable in (True, False)
    assert instance.statistics["DiskSize"] == instance.file_size == len(instance.content)


def test_metadata_are_written_and_removed(study: Study) -> None:
    metadata = study.metadata
    metadata["1024"] = "Jürgen"
    metadata[1025] = b"\x00\xff"
    assert (metadata[1024], metadata.read("1025").value) == ("Jürgen", b"\x00\xff")
    assert metadata.to_dict()["1024"] == "Jürgen"
    assert {"LastUpdate", "1024", "1025"} <= set(metadata)
    metadata["1024"] = ""
    assert metadata.pop("1024") == ""
    del metadata["1025"]
    assert "1025" not in metadata
    with pytest.raises(KeyError):
        del metadata["1025"]
    with pytest.raises(NotFoundError, match="UserMetadata"):
        metadata["Reader"] = "x"
    with pytest.raises(AuthenticationError, match="Orthanc keeps this itself"):
        metadata["LastUpdate"] = "x"


def test_attachments_are_written_and_removed(study: Study, tmp_path: Path) -> None:
    content = bytes(range(256)) * 50
    attachments = study.attachments
    attachments["1024"] = content
    attachment = attachments[1024]
    assert (attachment.read(), attachment.read(100, 300), attachment.read(20_000)) == (content, content[100:300], b"")
    assert (attachment.read(12_000, 20_000), attachment.read(0, 12_801)) == (content[12_000:], content)
    assert attachment.save(tmp_path / "a").read_bytes() == content
    attachment.compress()
    assert attachment.is_compressed
    assert attachment.stored_size < attachment.size == len(content)
    assert attachment.read(12_000) == content[12_000:]
    attachment.verify()
    attachment.uncompress()
    assert not attachment.is_compressed
    attachments["1024"] = tmp_path / "a"
    attachments["1025"] = b""
    assert attachments["1025"].read() == b""
    del attachments["1024"], attachments["1025"]
    assert list(attachments) == []
    with pytest.raises(NotFoundError, match="UserContentType"):
        attachments["report"] = b"x"


def test_revisions(strict: LocalOrthanc) -> None:
    study = next(iter(strict.connect().rest.studies))
    for kind in ("metadata", "attachments"):
        check_revisions(getattr(study, kind), kind)


def check_revisions(entries: Any, kind: str) -> None:
    def revision() -> str | None:
        held: str | None = entries.read("1024").revision if kind == "metadata" else entries["1024"].revision
        return held

    first = entries.write("1024", b"first")
    assert first == revision()
    with pytest.raises(ServerError, match="give revision=") as caught:
        entries.write("1024", b"second")
    assert caught.value.status == 409
    second = entries.write("1024", b"second", revision=first)
    assert second == revision()
    with pytest.raises(ServerError, match="somebody else"):
        entries.write("1024", b"third", revision=first)
    # Assigning overwrites.
    entries["1024"] = b"fourth"
    if kind == "metadata":
        with pytest.raises(ServerError, match="somebody else"):
            entries.remove("1024", revision=second)
        entries.remove("1024", revision=revision())
    else:
        del entries["1024"]
    assert "1024" not in entries


def test_labels(rest: Rest, study: Study) -> None:
    if not rest.capabilities.labels:
        with pytest.raises(UnsupportedError, match=r"1\.12\.0.*1\.10\.1"):
            study.labels.add("x")
        return
    study.labels.add("reviewed-2")
    study.labels.add("Reviewed-2")
    assert study.labels == {"reviewed-2", "Reviewed-2"}
    study.labels.discard("nowhere")
    study.labels.clear()
    assert len(study.labels) == 0


# Archives


def test_archives_hold_every_instance(study: Study, tmp_path: Path) -> None:
    for number, container in enumerate((study.patient, study, study.series[0])):
        for path in (container.archive(tmp_path / f"a{number}.zip"), container.media(tmp_path / f"m{number}.zip")):
            with zipfile.ZipFile(path) as archive:
                assert len([name for name in archive.namelist() if name != "DICOMDIR"]) == 3
    with zipfile.ZipFile(study.media(tmp_path / "extended.zip", extended=True)) as archive:
        assert dcmread(io.BytesIO(archive.read("DICOMDIR"))).DirectoryRecordSequence


def test_what_the_server_cannot_read_is_not_left_out_in_silence(strict: LocalOrthanc, tmp_path: Path) -> None:
    rest = strict.connect().rest
    study = next(iter(rest.studies))
    lost = study.instances[1]
    assert strict.folder is not None
    (stored,) = strict.folder.rglob(lost.description["FileUuid"])
    content = stored.read_bytes()
    stored.unlink()
    try:
        for make in (study.archive, study.media, study.series[0].archive):
            with pytest.raises(TransportError, match="has 3 instances, and the zip holds 2"):
                make(tmp_path / "a.zip")
        job = rest.start_job("/tools/create-archive", [study.id])
        with pytest.raises(TransportError, match="has 3 instances, and the zip holds 2"):
            job.output(tmp_path / "a.zip")
        with pytest.raises(TransportError, match="damaged or missing"):
            lost.attachments["dicom"].verify()
        assert list(tmp_path.iterdir()) == []
    finally:
        stored.write_bytes(content)
    assert study.archive(tmp_path / "a.zip").exists()


def test_the_output_of_a_job_is_kept_until_the_next(rest: Rest, study: Study, tmp_path: Path) -> None:
    first, second = (rest.start_job("/tools/create-archive", [study.id]).wait() for _ in range(2))
    with zipfile.ZipFile(second.output(tmp_path / "a.zip")) as archive:
        assert len(archive.namelist()) == 3
    with pytest.raises(ServerError, match=r"is not on the server.*MediaArchiveSize, 1 by default"):
        first.output(tmp_path / "b.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


# Images


def test_images_are_arrays(study: Study, instance: Instance) -> None:
    (original, *_) = sorted(images(), key=lambda dataset: int(dataset.InstanceNumber))
    assert np.array_equal(instance.frames()[0], original.pixel_array)
    assert instance.raw_frame() == original.PixelData
    assert (instance.preview().shape, instance.preview().dtype) == ((6, 8), np.uint8)
    assert instance.rendered(window=(-2000, 1)).min() == 255
    assert instance.rendered(window=(9000, 1)).max() == 0
    assert instance.rendered(width=4, height=4).shape == (3, 4)
    assert study.series[0].preview().shape == (6, 8)
    for use in (instance.preview, instance.rendered, instance.raw_frame):
        with pytest.raises(SelectionError, match="it has 1, from 0 on"):
            use(7)
    with pytest.raises(NoPixelDataError, match="no PDF"):
        instance.pdf()


def test_a_document_and_its_missing_image(rest: Rest, study: Study) -> None:
    document = b"%PDF-1.4\n%%EOF\n"
    content = "data:application/pdf;base64," + base64.b64encode(document).decode()
    made = rest.post("/tools/create-dicom", {"Tags": {"InstanceNumber": "1"}, "Content": content, "Parent": study.id})
    report = rest.instances[made["ID"]]
    try:
        assert report.pdf().startswith(document)
        for use in (report.preview, report.rendered, report.raw_frame, report.frames):
            with pytest.raises(NoPixelDataError):
                use()
    finally:
        report.delete()


def test_copies_are_returned_and_not_stored(rest: Rest, instance: Instance) -> None:
    copy = dcmread(io.BytesIO(instance.modify({"PatientName": "Roe^Jane", "PatientWeight": 70})))
    assert (str(copy.PatientName), copy.PatientWeight, copy.PatientID) == ("Roe^Jane", 70, "P1")
    assert copy.SOPInstanceUID != instance.dicom_id
    hidden = dcmread(io.BytesIO(instance.anonymize({"PatientID": "X"}, keep=["AccessionNumber"], force=True)))
    assert (hidden.PatientID, hidden.AccessionNumber) == ("X", "A1")
    assert "PatientWeight" not in hidden
    assert len(rest.instances) == 3
    with pytest.raises(ServerError, match="Force"):
        instance.modify({"SOPInstanceUID": "1.2.3"})


# Acting


def test_protection_and_reconstruction(study: Study) -> None:
    patient = study.patient
    patient.protect()
    assert patient.is_protected
    patient.unprotect()
    assert not patient.is_protected
    for made in (patient, study, study.series[0], study.series[0].instances[0]):
        made.reconstruct()
    assert study.main_dicom_tags["AccessionNumber"] == "A1"


@pytest.mark.parametrize("kind", [Patient, Study, Series, Instance])
def test_whatever_is_asked_of_an_unknown_object_names_it(rest: Rest, kind: Any, tmp_path: Path) -> None:
    made = kind(rest, "nope")
    uses = {
        "description": lambda: made.description,
        "statistics": lambda: made.statistics,
        "names": lambda: list(made.metadata),
        "all metadata": lambda: made.metadata.to_dict(),
        "metadata": lambda: made.metadata["1024"],
        "metadata =": lambda: made.metadata.__setitem__("1024", "x"),
        "del metadata": lambda: made.metadata.__delitem__("1024"),
        "attachments": lambda: list(made.attachments),
        "attachment": lambda: made.attachments["1024"],
        "attachment =": lambda: made.attachments.__setitem__("1024", b"x"),
        "tags": lambda: made.tags,
        "module": lambda: made.module(),
        "reconstruct": lambda: made.reconstruct(),
        "delete": lambda: made.delete(),
    }
    if rest.capabilities.labels:
        uses |= {"labels": lambda: list(made.labels), "label": lambda: made.labels.add("x")}
    more = [
        "is_stable",
        "last_update",
        "shared_tags",
        "is_protected",
        "parent",
        "children",
        "instances",
        "series",
        "study",
    ]
    more += ["studies", "patient", "content", "frame_count"]
    uses |= {name: lambda name=name: getattr(made, name) for name in more if hasattr(kind, name)}
    # What has no level above or below needs no request.
    uses.pop({"patient": "parent", "instance": "children"}.get(kind.level, ""), None)
    calls = ["protect", "ordered_slices", "preview", "rendered", "raw_frame", "pdf", "modify", "anonymize", "dataset"]
    uses |= {name: lambda name=name: getattr(made, name)() for name in calls if hasattr(kind, name)}
    files = ["archive", "media", "save"]
    uses |= {name: lambda name=name: getattr(made, name)(tmp_path / "a") for name in files if hasattr(kind, name)}
    for name, use in uses.items():
        with pytest.raises(NotFoundError) as caught:
            use()
        assert f"holds no {kind.level} with the id 'nope'" in str(caught.value), name
    assert list(tmp_path.iterdir()) == []


def test_an_object_is_deleted(orthanc: Orthanc, empty_server: LocalOrthanc) -> None:
    store(empty_server, *map(as_bytes, images()))
    first, *others = next(iter(orthanc.rest.studies)).instances
    first.delete()
    assert set(orthanc.rest.instances) == set(others)
    with pytest.raises(NotFoundError, match=first.id):
        first.delete()
    orthanc.rest.patients.lookup("P1").delete()
    assert [len(objects) for objects in (orthanc.rest.patients, orthanc.rest.instances)] == [0, 0]
