"""An archive in memory: a source over a list of datasets, which counts its requests and can fail at one of them."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pydicom
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from simple_orthanc.concurrency.threads import READERS
from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.levels import LEVELS, Level, depth
from simple_orthanc.dicom.tags import Tag, parse_tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import NotFoundError
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.selection.predicates import Predicate, wildcard_patterns
from simple_orthanc.selection.source import Changes, IdentifierMatch, Mark, Revision, Row, SeriesOf

IDENTIFIERS: dict[Level, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
INDEXED: dict[Level, str] = {
    "study": """
        PatientID PatientName PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime StudyID AccessionNumber
        StudyDescription
    """,
    "series": """
        SeriesInstanceUID SeriesNumber Modality SeriesDescription SeriesDate SeriesTime Manufacturer StationName
    """,
    "instance": "SOPInstanceUID InstanceNumber ImagePositionPatient ImageOrientationPatient NumberOfFrames",
}


class Printable(Dataset):
    """A dataset that can be printed, as a failing test does, whatever it holds."""

    def __str__(self) -> str:
        # Iterating would convert the elements.
        tags = [parse_tag(int(number)) for number in self.keys()]
        return ", ".join(f"{tag}={read_value(self, tag)}" for tag in tags)

    __repr__ = __str__


def instance(number: int = 1, *, series: str = "1", study: str = "1", patient: str = "P1", **tags: object) -> Dataset:
    """Make a dataset with the identifiers of one instance; ``series`` and ``study`` end their UIDs.

    Other tags may hold whatever real files hold: nothing is validated.
    """
    with pydicom.config.disable_value_validation():
        return _instance(number, series, study, patient, tags)


def _instance(number: int, series: str, study: str, patient: str, tags: Mapping[str, object]) -> Dataset:
    dataset = Printable()
    dataset.PatientID = patient
    dataset.StudyInstanceUID = f"1.2.{study}"
    dataset.SeriesInstanceUID = f"1.2.{study}.{series}"
    dataset.SOPInstanceUID = f"1.2.{study}.{series}.{number}"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.InstanceNumber = number
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def as_file(dataset: Dataset) -> bytes:
    """Write a dataset as a DICOM file."""
    stream = io.BytesIO()
    written = Dataset(dataset)
    written.file_meta = pydicom.dataset.FileMetaDataset()
    written.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(stream, written, enforce_file_format=True)
    return stream.getvalue()


class MemorySource:
    """A `simple_orthanc.selection.source.Source` over datasets; see there for the methods.

    Parameters
    ----------
    datasets : iterable of Dataset
        The archive; ``datasets`` may be changed behind the source's back.
    indexed : mapping, optional
        Level to keywords that rows carry; what is not there, only `columns` knows.
    searchable : bool
        Whether `search` may be used at all.
    extra : bool
        Whether `search` and `below` return more than was asked for, as they may.

    Attributes
    ----------
    requests : int
        How many requests were sent.
    asked : list of str
        What each request was.
    server_fields : dict
        (kind, name) to level to key to value.
    doubtful : set of str
        Keys of studies whose series have garbled strings in their rows, until they are reloaded.
    trouble : tuple of int and BaseException, or None
        Raised instead of answering the request of this number, counted from 1.
    """

    description = "memory"

    def __init__(
        self,
        datasets: Iterable[Dataset],
        *,
        indexed: Mapping[Level, str] = INDEXED,
        searchable: bool = True,
        extra: bool = False,
    ) -> None:
        self.datasets = list(datasets)
        self.requests = 0
        self.asked: list[str] = []
        self.server_fields: dict[tuple[str, str], dict[Level, dict[str, Value]]] = {}
        self.doubtful: set[str] = set()
        self.trouble: tuple[int, BaseException] | None = None
        self.closed = False
        self._indexed = {parse_tag(name).name: level for level, names in indexed.items() for name in names.split()}
        self._searchable, self._extra = searchable, extra

    def _request(self, what: str) -> None:
        self.requests += 1
        self.asked.append(what)
        if self.trouble is not None and self.requests == self.trouble[0]:
            raise self.trouble[1]

    def break_at(self, request: int, error: BaseException) -> None:
        """Fail at a request, counted from now on; 1 is the next one."""
        self.trouble = (self.requests + request, error)

    @staticmethod
    def key(dataset: Dataset, level: Level) -> str:
        return "|".join(str(dataset.get(IDENTIFIERS[each], "")) for each in LEVELS[: depth(level) + 1])

    def _dataset(self, key: str) -> Dataset:
        for dataset in self.datasets:
            if self.key(dataset, "instance") == key:
                return dataset
        raise NotFoundError(f"{key} is not in memory.")

    def _rows(self, level: Level, sure: bool = False) -> dict[str, Row]:
        above = LEVELS[depth(level) - 1]
        rows: dict[str, Row] = {}
        for dataset in self.datasets:
            key = self.key(dataset, level)
            if key not in rows:
                values: dict[str, Value] = {}
                for name, home in self._indexed.items():
                    value = read_value(dataset, parse_tag(name)) if home == level else None
                    if value is not None:
                        values[name] = value
                parent = self.key(dataset, above)
                if parent in self.doubtful and not sure:
                    values = {
                        name: ("garbled",) if parse_tag(name).vr == "LO" else each for name, each in values.items()
                    }
                rows[key] = Row(key, parent, (), values, key in self.doubtful)
            if level != "instance":
                child = self.key(dataset, LEVELS[depth(level) + 1])
                rows[key].children = tuple(dict.fromkeys((*rows[key].children, child)))
        return rows

    def counts(self) -> Mapping[Level, int]:
        self._request("counts")
        return self._count()

    def _count(self) -> dict[Level, int]:
        return {level: len({self.key(dataset, level) for dataset in self.datasets}) for level in LEVELS}

    def revision(self) -> Revision:
        self._request("revision")
        return Revision(tuple(map(id, self.datasets)), self._count())

    def changes(self, since: Revision) -> Changes:
        self._request("changes")
        now = tuple(map(id, self.datasets))
        assert isinstance(since.token, tuple)
        added = {self.key(dataset, "instance") for dataset in self.datasets if id(dataset) not in since.token}
        removed = not set(since.token) <= set(now)
        return Changes(Revision(now, self._count()), frozenset(added), removed)

    def mark(self, revision: Revision | None, instances: Sequence[str] | None) -> None:
        """Return nothing: objects in memory are other ones where they land."""

    def replaced_since(self, mark: Mark, instances: Sequence[str], at: float, series_of: SeriesOf | None = None) -> int:
        return 0

    def indexed(self, tag: Tag) -> Level | None:
        return self._indexed.get(tag.name)

    def searchable(self, tag: Tag, predicate: Predicate) -> bool:
        return self._searchable and self.indexed(tag) is not None and wildcard_patterns(predicate, tag.vr) is not None

    def listing(self, level: Level) -> Iterator[Row]:
        self._request(f"listing {level}")
        yield from self._rows(level).values()

    def search(self, level: Level, tag: Tag, predicate: Predicate) -> Iterator[Row]:
        """Return exactly the rows that the contract asks for: a test of mine must not live on more."""
        self._request(f"search {level} {tag}")
        for row in self._rows(level).values():
            if self._extra or predicate.holds(row.values.get(tag.name), tag.vr):
                yield row

    def below(self, level: Level, parents: Sequence[Row]) -> Iterator[Row]:
        self._request(f"below {level}")
        wanted = {row.key for row in parents}
        yield from (row for row in self._rows(level).values() if self._extra or row.parent in wanted)

    def rows(self, level: Level, keys: Sequence[str]) -> Iterator[Row]:
        self._request(f"rows {level}")
        known = self._rows(level)
        yield from (known[key] for key in keys if key in known)

    def reload_from_files(self, level: Level, rows: Sequence[Row], tag: Tag | None = None) -> Iterator[Row]:
        self._request(f"reload {level}")
        known = self._rows(level, sure=True)
        yield from (known[row.key] for row in rows)

    def columns(
        self, tags: Sequence[Tag], series: Sequence[Row], keys: frozenset[str] | None = None
    ) -> Mapping[str, Mapping[str, Value]]:
        self._request("columns " + " ".join(tag.name for tag in tags))
        wanted = {row.key for row in series}
        found = [dataset for dataset in self.datasets if self.key(dataset, "series") in wanted]
        return {tag.name: {self.key(each, "instance"): read_value(each, tag) for each in found} for tag in tags}

    def resolve(self, text: str) -> list[IdentifierMatch]:
        self._request("resolve")
        found = []
        for level, keyword in [*IDENTIFIERS.items(), ("study", "AccessionNumber")]:
            for dataset in self.datasets:
                if str(dataset.get(keyword, "")) == text:
                    found.append(IdentifierMatch(keyword, level, self.key(dataset, level)))
                if self.key(dataset, level) == text:
                    found.append(IdentifierMatch("key", level, text))
        # A PatientID is the whole key of its patient here, and must not count twice.
        matches = [match for match in found if not (match.tag == "key" and match.level == "patient")]
        return list(dict.fromkeys(matches))

    def server_field(self, kind: str, name: str) -> Mapping[Level, Mapping[str, Value]]:
        self._request(f"server field {kind} {name}")
        return self.server_fields.get((kind, name), {})

    def read_together(self, series: Sequence[Row]) -> dict[str, bytes]:
        return {}

    def stored_file(self, key: str) -> StoredFile:
        self._request("stored file")
        return StoredFile(len(as_file(self._dataset(key))))

    def listed_file(self, key: str) -> StoredFile:
        return StoredFile()

    def compared_md5(self, key: str) -> str | None:
        return None

    def stored_md5(self, key: str) -> str | None:
        return None

    def at_once(self, keys: Sequence[str], headers: bool = False) -> int:
        return READERS

    def header(self, key: str) -> Dataset:
        self._request("header")
        # Made of the dataset itself it would share its elements, and the pixels would be removed there too.
        header = Printable()
        header.update(self._dataset(key)._dict)
        header.pop("PixelData", None)
        return header

    def content(self, key: str) -> bytes:
        self._request("content")
        return as_file(self._dataset(key))

    def check_identity(self, key: str, header: Dataset) -> None:
        """Accept every header: nothing comes between."""

    def read(self, key: str, room: Callable[[int], memoryview]) -> memoryview:
        content = self.content(key)
        memory = room(len(content))
        memory[:] = content
        return memory

    def save(self, key: str, path: Path) -> None:
        self._request("save")
        path.write_bytes(as_file(self._dataset(key)))

    def is_copy(self, key: str, path: Path) -> bool:
        self._request("is_copy")
        return path.read_bytes() == as_file(self._dataset(key))

    def close(self) -> None:
        self.closed = True


def folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def put_raw(dataset: Dataset, keyword: str, text: str) -> None:
    """Put an element into a dataset as a file would have it, however wrong its value is."""
    tag = pydicom.tag.Tag(keyword)
    content = text.encode("ascii")
    vr = pydicom.datadict.dictionary_VR(tag)
    dataset._dict[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)


# What each tag may hold in an archive that `archives` makes: the same value spelt in two ways, strings that differ in
# case only, wildcards that match their neighbours, values that cannot be read, and missing ones.
RAW: dict[str, list[str | None]] = {
    "StudyDate": ["20200131", "2020.01.31", "20210101", "20200101-20200231", "20200101-20200201", "00000000", None],
    "StudyTime": ["1030", "103000.000", "11", "9999", None],
    "SeriesNumber": ["1", "01", "2", "x", None],
    "SliceThickness": ["1", "1.0 ", "1.50", "thin", "", None],
    "PixelSpacing": ["1\\2", "1.0\\2.00", "1\\x", "1\\", None],
    "AcquisitionDateTime": ["20200131103000+0100", "20200131093000", "2020", "unknown", None],
    "PatientAge": ["012M", "12M", "001Y", "x", None],
}
TEXTS: dict[str, list[str | list[str] | None]] = {
    "PatientName": ["Doe^Jane", "DOE^JANE^^", "Doe^J*", "Yamada^Tarou=山田^太郎", "山田^太郎", "", None],
    "PatientSex": ["M", "F", None],
    "AccessionNumber": ["a", "A", "?", None],
    "SeriesDescription": ["T2*_GRE", "T2x_GRE", "t2*_gre", "[x]?", "[x]y", "Ä", "a\u0308", "\u3000", None],
    "Modality": ["CT", "PT", None],
    "ProtocolName": ["head", "HEAD", "h*", "a\\b", None],
    "ImageType": [["A", "B"], ["A", ""], ["a"], ["A*", "B"], ["B", "A"], None],
}
LEVEL_OF_NAME: dict[str, Level] = {
    **dict.fromkeys(("StudyDate", "StudyTime", "PatientName", "PatientSex", "AccessionNumber", "PatientAge"), "study"),
    **dict.fromkeys(("SeriesNumber", "SeriesDescription", "Modality", "ProtocolName"), "series"),
    **dict.fromkeys(("SliceThickness", "PixelSpacing", "AcquisitionDateTime", "ImageType"), "instance"),
}


@st.composite
def archives(draw: st.DrawFn, least: int = 0) -> list[Dataset]:
    """Make an archive whose patient and study tags agree within a study, and series tags within a series."""
    found: list[Dataset] = []
    for study in range(draw(st.integers(least, 3))):
        patient = draw(st.sampled_from(["a", "A", "b*", "b1"]))
        of_study = _drawn(draw, "study")
        for series in range(draw(st.integers(1, 2))):
            of_series = {**of_study, **_drawn(draw, "series")}
            for number in range(draw(st.integers(1, 2))):
                dataset = instance(number, series=str(series), study=str(study), patient=patient)
                for name, value in {**of_series, **_drawn(draw, "instance")}.items():
                    with pydicom.config.disable_value_validation():
                        put_raw(dataset, name, str(value)) if name in RAW else setattr(dataset, name, value)
                found.append(dataset)
    return draw(st.permutations(found))


def _drawn(draw: st.DrawFn, level: Level) -> dict[str, object]:
    choices: dict[str, Sequence[object]] = {**RAW, **TEXTS}
    values = {name: draw(st.sampled_from(choices[name])) for name, home in LEVEL_OF_NAME.items() if home == level}
    return {name: value for name, value in values.items() if value is not None}
