"""Every source keeps the contract of sources, offline: in memory, in a folder, on Orthanc and on DICOMweb servers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from simple_orthanc.dicom.levels import Level
from simple_orthanc.dicomweb import Transactions
from simple_orthanc.errors import UnsupportedError
from simple_orthanc.selection.criteria import age, has_series, tag
from simple_orthanc.selection.source import Source
from simple_orthanc.session import Session
from simple_orthanc.sources.cache.cache import Cache, entry_store, kept_files
from simple_orthanc.sources.cache.kept_files import Stamp
from simple_orthanc.sources.cache.offline import OfflineSource
from simple_orthanc.sources.dicomweb.source import DicomWebSource
from simple_orthanc.sources.folder.source import FolderSource
from simple_orthanc.sources.orthanc.source import OrthancSource
from simple_orthanc.transport import Transport
from tests.dicomweb_stand_in import DicomServer, Peculiar
from tests.memory_source import MemorySource, as_file
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import Archive, SourceTests, make_archive


class TestMemory(SourceTests):
    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        source = MemorySource(datasets)

        def set_server_field(kind: str, dataset: Dataset, level: Level) -> None:
            value = ("reviewed",) if kind == "label" else ("yes",)
            source.server_fields.setdefault((kind, "reviewed"), {})[level] = {MemorySource.key(dataset, level): value}

        yield Archive(source, source.datasets.append, source.datasets.remove, set_server_field)


class TestFolder(SourceTests):
    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        def path(dataset: Dataset) -> Path:
            return folder / f"{dataset.SOPInstanceUID}.dcm"

        def store(dataset: Dataset) -> None:
            path(dataset).write_bytes(as_file(dataset))

        for dataset in datasets:
            store(dataset)
        source = FolderSource(folder)
        yield Archive(source, store, lambda dataset: path(dataset).unlink())
        source.close()


class TestOffline(SourceTests):
    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        cache = Cache(folder / "cache")
        kept = kept_files(cache, "http://127.0.0.1:8042", lambda key, stamp: True)

        def key(dataset: Dataset) -> str:
            return OrthancServer.identifier_of(dataset, "instance")

        def store(dataset: Dataset) -> None:
            kept.add(key(dataset), Stamp("1"), memoryview(as_file(dataset)))

        def remove(dataset: Dataset) -> None:
            entries = entry_store(cache)
            entries.remove(entries.path("http://127.0.0.1:8042", key(dataset)))

        for dataset in datasets:
            store(dataset)
        yield Archive(OfflineSource(cache, "http://127.0.0.1:8042"), store, remove)


class TestOrthanc(SourceTests):
    version = "1.12.7"

    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        with OrthancServer(datasets, cls.version) as server, Transport(server.url) as transport:

            def set_server_field(kind: str, dataset: Dataset, level: Level) -> None:
                identifier = OrthancServer.identifier_of(dataset, level)
                if kind == "label":
                    server.labels[identifier] = ["reviewed"]
                else:
                    server.metadata[identifier] = {"reviewed": "yes"}

            source = OrthancSource(transport)
            yield Archive(source, server.datasets.append, server.datasets.remove, set_server_field)


class TestOldOrthanc(TestOrthanc):
    """Before 1.12.5 a find cannot be told what to answer, and before 1.12.0 there are no labels."""

    version = "1.10.1"

    @pytest.mark.parametrize("kind", ["metadata"])
    def test_fields_of_the_server_are_found_or_refused(
        self, archive: Archive, datasets: list[Dataset], kind: str
    ) -> None:
        super().test_fields_of_the_server_are_found_or_refused(archive, datasets, kind)

    def test_labels_are_refused(self, source: Source) -> None:
        with pytest.raises(UnsupportedError, match=r"Labels need Orthanc 1\.12\.0"):
            source.server_field("label", "reviewed")


class TestDicomWeb(SourceTests):
    peculiar = Peculiar()

    @classmethod
    @contextmanager
    def open_archive(cls, datasets: Sequence[Dataset], folder: Path) -> Iterator[Archive]:
        with DicomServer(datasets, cls.peculiar) as server, Transport(server.root) as transport:
            source = DicomWebSource(transport, Transactions(transport))
            yield Archive(source, server.datasets.append, server.datasets.remove)


class TestPeculiarDicomWeb(TestDicomWeb):
    """A server that does no more than it must."""

    peculiar = Peculiar(numbers=True, deaf_to_fields=True, lists=False, relational=False, counts=False, metadata="none")


@pytest.mark.parametrize("tests", [TestMemory, TestFolder, TestOffline, TestOrthanc, TestOldOrthanc, TestDicomWeb])
def test_what_an_archive_computes_is_the_same_on_every_source(tests: type[SourceTests], tmp_path: Path) -> None:
    with tests.open_archive(make_archive(), tmp_path) as archive:
        session = Session(archive.source)
        names = ["ModalitiesInStudy", "NumberOfPatientRelatedStudies", "NumberOfStudyRelatedInstances"]
        frame = session.table("StudyID", *names, "SOPClassesInStudy", level="study").set_index("StudyID").sort_index()
        assert frame.ModalitiesInStudy.tolist() == [("CT", "MR")] * 3
        assert frame.NumberOfPatientRelatedStudies.tolist() == [1, 2, 2]
        assert frame.NumberOfStudyRelatedInstances.tolist() == [5, 5, 5]
        assert len(set(frame.SOPClassesInStudy)) == 1
        assert session.copy().select(ModalitiesInStudy="CT", NumberOfSeriesRelatedInstances=2).Modalities == ["MR"]
        assert session.copy().exclude(NumberOfPatientRelatedInstances=5).study_count == 2
        with pytest.warns(UserWarning, match="Nothing is selected"):
            assert session.copy().exclude(ModalitiesInStudy="CT").study_count == 0


@pytest.mark.parametrize("tests", [TestMemory, TestFolder, TestOffline, TestOrthanc, TestOldOrthanc, TestDicomWeb])
def test_ages_and_questions_about_series_are_the_same_on_every_source(tests: type[SourceTests], tmp_path: Path) -> None:
    datasets = make_archive()
    for dataset in datasets:
        dataset.StudyDate = "20200301"
        if dataset.StudyInstanceUID == "1.2.1":
            dataset.PatientAge = "063Y"
        else:
            dataset.PatientBirthDate = "19600302"
    with tests.open_archive(datasets, tmp_path) as archive:
        session = Session(archive.source)
        everything = session.StudyInstanceUIDs
        assert session.copy().select(age() > 60).StudyInstanceUIDs == ["1.2.1"]
        assert session.copy().select(age() == 59).study_count == len(everything) - 1
        assert (
            session.copy().select(has_series(Modality="CT"), has_series(Modality="MR")).StudyInstanceUIDs == everything
        )
        of_one = has_series(tag("Modality") == "MR", tag("StudyInstanceUID") == "1.2.1")
        assert session.copy().select(of_one).StudyInstanceUIDs == ["1.2.1"]
        assert session.copy().select(Modality="CT").select(of_one).Modalities == ["CT"]
        assert session.copy().select(~of_one).study_count == len(everything) - 1
        assert len(session.table()) == 6
        with pytest.warns(UserWarning, match=r"Modality=\['CT', 'MR'\] matches 6 series"):
            session.copy().select(Modality="CT,MR")
