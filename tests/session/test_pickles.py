"""Sessions in few bytes: they land without a request, share a connection there, and answer as they did."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from simple_orthanc import AsyncSession, DicomWeb, Folder, Orthanc, age, has_series, tag
from simple_orthanc.concurrency import landing
from simple_orthanc.errors import EmptySelectionError, OrthancError, SelectionError, TransportError
from simple_orthanc.session import Session
from simple_orthanc.testing import OrthancStandIn, make_series
from tests.dicomweb_stand_in import DicomServer
from tests.memory_source import archives, as_file, instance
from tests.orthanc_stand_in import OrthancServer
from tests.session.sessions import CONDITIONS, KEYWORDS, NAMES, SOURCES, quiet, session_of, three_series

SECRET = "w0nderland"
LEVELS = ("patient", "study", "series", "instance")


def landed(session: Any) -> Any:
    """Return a session as another process has it."""
    content = pickle.dumps(session)
    landing._origins.clear()
    landing._landed.clear()
    return pickle.loads(content)


def answers(session: Session) -> list[Any]:
    """Return all that a session says of its selection."""
    tables = [session.table(level=level).to_dict("list") for level in LEVELS]  # type: ignore[arg-type]
    counts = [session.patient_count, session.study_count, session.series_count, session.instance_count]
    explained = session.explain().astype("string").fillna("").to_dict("list")
    return [counts, tables, explained, session.selection, repr(session)]


def archive_of(series: int, images: int = 3) -> list[Dataset]:
    return [
        dataset
        for number in range(series)
        for dataset in make_series(
            (images, 4, 4),
            seed=number,
            PatientID=f"P{number // 4}",
            PatientAge=f"{20 + 7 * number:03}Y",
            Modality="MR" if number % 4 else "CT",
        )
    ]


@pytest.fixture(params=["Orthanc 1.12.7", "Orthanc 1.10.1", "DICOMweb", "folder"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Session]:
    datasets = archive_of(8)
    kind, _, version = request.param.partition(" ")
    if kind == "folder":
        for number, dataset in enumerate(datasets):
            (tmp_path / str(number)).write_bytes(as_file(dataset))
        yield Folder(tmp_path)
    elif kind == "DICOMweb":
        with DicomServer(datasets) as dicomweb:
            yield DicomWeb(dicomweb.root, "alice", SECRET)
    else:
        with OrthancServer(datasets, version) as orthanc:
            yield Orthanc(orthanc.url, username="alice", password=SECRET)


SELECTIONS: dict[str, Callable[[Session], Session]] = {
    "everything": lambda session: session,
    "a keyword": lambda session: session.select(Modality="MR"),
    "several": lambda session: session.select(tag("InstanceNumber") > 1, Modality="M*").sort_by("InstanceNumber"),
    "excluded": lambda session: session.exclude(Modality="CT", PatientID="P1"),
    "of the study": lambda session: session.select(has_series(Modality="MR"), Modality=["MR", None]),
    "an age": lambda session: session.select(~(age() > 50)),
    "a dictionary": lambda session: _assigned(session, {"Modality": "CT"}),
    "a UID": lambda session: session.select(session.copy().SeriesInstanceUIDs[1]),
    "sorted": lambda session: session.sort_by("SliceLocation", "descending"),
}


def _assigned(session: Session, selection: dict[str, Any]) -> Session:
    session.selection = selection
    return session


@pytest.mark.parametrize("select", list(SELECTIONS))
def test_what_was_selected_is_small_and_the_same_where_it_lands(session: Session, select: str) -> None:
    session = SELECTIONS[select](session)
    expected = answers(session)
    assert len(pickle.dumps(session)) < 4096
    twin = landed(session)
    if session._selection.level is not None:
        assert repr(twin) == repr(session)
    assert answers(twin) == expected
    assert answers(landed(twin)) == expected


def test_children_of_any_level_are_small_and_the_same(session: Session) -> None:
    session.select(tag("InstanceNumber") < 3)
    session.table("Rows", "Columns", "PixelSpacing", level="instance")
    for level in (session.patients, session.studies, session.series, session.instances):
        for child in (level[0], level[-1]):
            expected, content = answers(child), pickle.dumps(child)
            assert len(content) < 4096
            assert answers(landed(child)) == expected
            again = landed(child)
            assert [header.SOPInstanceUID for header in again.get_headers()] == [
                header.SOPInstanceUID for header in child.get_headers()
            ]
    child = session.series[3]
    assert np.array_equal(landed(child).get_array(), child.get_array())


def test_a_child_of_a_child_of_a_child_is_small_too(session: Session) -> None:
    session.select(tag("InstanceNumber") < 3, has_series(Modality="MR"), StudyDate=("19000101", None))
    child = session.patients[0].studies[0].series[0].instances[0]
    assert len(pickle.dumps(child)) < 4096
    assert answers(landed(child)) == answers(child)


DESCRIPTIONS = [
    f"{plane} {phase} {kernel} 1.0 mm, reconstructed twice, without the arms"
    for plane in ("Axial", "Coronal", "Sagittal", "Oblique")
    for phase in ("arterial", "venous")
    for kernel in ("B20f", "B31f", "B50f", "B70f", "I30f")
]


@pytest.mark.parametrize(
    "condition",
    [
        tag("SeriesDescription").isin([*DESCRIPTIONS, "M*"]) | (tag("Modality") == "MR"),
        tag("Modality").isin(["CT", "MR"]) & ~tag("SeriesDescription").isin(DESCRIPTIONS),
        reduce(or_, [(tag("SeriesDescription") == each) | (tag("Modality") == "MR") for each in DESCRIPTIONS]),
    ],
)
def test_forty_long_strings_are_small_too(session: Session, condition: Any) -> None:
    session.select(condition)
    for each in (session, session.series[0], session.series[0].instances[0]):
        assert len(pickle.dumps(each)) < 4096
        assert answers(landed(each)) == answers(each)


def test_a_child_is_named_by_its_own_identifiers_alone(session: Session) -> None:
    uids = session.SeriesInstanceUIDs
    long = session.copy().select(SeriesInstanceUID=[*uids, *(f"1.2.3.{number}" for number in range(10_000))])
    assert len(pickle.dumps(long)) > 10_000
    child = long.series[2]
    assert len(pickle.dumps(child)) < 4096
    assert child.selection["SeriesInstanceUID"] == uids[2]
    assert child.refresh().SeriesInstanceUIDs == [uids[2]]
    assert answers(landed(child)) == answers(child)
    others = session.copy().exclude(SeriesInstanceUID=uids[0]).series
    assert [other.SeriesInstanceUID[0] for other in others] == uids[1:]
    kept = session.copy().select((tag("PatientID") == "P0") | (tag("Modality") == "CT")).series[0]
    assert "conditions" in kept.selection


@pytest.mark.usefixtures("empty_selections")
@given(archives(), st.lists(st.one_of(CONDITIONS, KEYWORDS), max_size=3), st.sampled_from(list(SOURCES)), st.data())
def test_any_selection_answers_alike(datasets: list[Dataset], asked: list[Any], kind: str, data: st.DataObject) -> None:
    session = session_of(*datasets, **SOURCES[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for each in asked:
            quiet(lambda each=each: session.select(**each) if isinstance(each, dict) else session.select(each))  # type: ignore[misc]
        if data.draw(st.booleans()):
            session.sort_by(data.draw(st.sampled_from(NAMES)))
        room = data.draw(st.sampled_from([0, 100, 1200]))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("simple_orthanc.selection.packing._MOST_BYTES", room)
            twin = pickle.loads(pickle.dumps(session))
            assert answers(twin)[:4] == answers(session)[:4]
            for children, twins in ((session.studies, twin.studies), (session.series, twin.series)):
                for child, other in zip(children, twins, strict=True):
                    assert answers(pickle.loads(pickle.dumps(child)))[:4] == answers(other)[:4]


# Requests


def test_neither_pickling_nor_landing_sends_a_request() -> None:
    with OrthancServer(archive_of(4)) as server:
        session = Orthanc(server.url).select(Modality="MR")
        child = session.series[0]
        before = len(server.asked)
        contents = [pickle.dumps(each) for each in (session, child)]
        for content in contents:
            twin = pickle.loads(content)
            assert "MR" in repr(twin) + str(twin) + twin._repr_html_()
            assert dir(twin)
            assert twin.selection["Modality"] == "MR"
            assert len(twin.explain())
        assert len(server.asked) == before


@pytest.mark.parametrize("version", ["1.10.1", "1.12.7"])
def test_many_children_share_a_connection_and_cost_few_requests(version: str) -> None:
    with OrthancServer(archive_of(12), version) as server:
        contents = [pickle.dumps(child) for child in Orthanc(server.url).series]
        before, connections = len(server.asked), server.connections
        children = [pickle.loads(content) for content in contents]
        assert len({id(child._source.transport) for child in children}) == 1
        for child in children:
            assert child.get_volume().array.shape == (3, 4, 4)
        asked = server.asked[before:]
        paths = [each.path.partition("?")[0] for each in asked]
        assert paths.count("/changes") == 1
        assert paths.count("/system") <= 1
        assert paths.count("/statistics") == 0
        # For each its row and that of its study; besides what reading takes anyway: a list of the images, the first of
        # them once more, and three files.
        assert len(asked) <= 2 + 12 * (2 + 5)
        assert server.connections - connections <= 4


def test_sessions_with_other_credentials_share_nothing() -> None:
    with OrthancServer(archive_of(1)) as server:
        twins = [landed_together(Orthanc(server.url, username=name, password=SECRET)) for name in ("alice", "bob")]
        assert twins[0]._source.transport is not twins[1]._source.transport
        for twin in twins:
            twin.get_array()
        logins = {each.headers.get("authorization") for each in server.asked}
        assert len(logins) == 2


def landed_together(session: Any) -> Any:
    return pickle.loads(pickle.dumps(session))


def test_a_folder_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simple_orthanc.sources.folder.source import FolderSource

    for number, dataset in enumerate(archive_of(5)):
        (tmp_path / str(number)).write_bytes(as_file(dataset))
    monkeypatch.chdir(tmp_path)
    contents = [pickle.dumps(child) for child in Folder(".").series]
    looked: list[object] = []
    look = FolderSource.look_again
    monkeypatch.setattr(FolderSource, "look_again", lambda self: looked.append(self) or look(self))  # type: ignore[func-returns-value]
    monkeypatch.chdir("/")
    landing._origins.clear()
    for content in contents:
        assert pickle.loads(content).get_volume().array.shape == (3, 4, 4)
    assert len(looked) == 1


def test_it_lands_in_another_process() -> None:
    with OrthancStandIn(archive_of(4)) as server:
        session = server.connect(username="alice", password=SECRET).select(Modality="MR")
        expected = [child.get_array().sum() for child in session.series]
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            assert list(pool.map(_sum, session.series)) == expected
            assert pool.submit(answers, session).result() == answers(session)


def _sum(child: Session) -> int:
    return int(child.get_array().sum())


# What has changed meanwhile


@pytest.mark.parametrize("version", ["1.10.1", "1.12.7"])
@pytest.mark.parametrize("what", ["deleted", "added", "replaced", "series gone"])
def test_a_child_whose_objects_changed_says_so(version: str, what: str) -> None:
    datasets = archive_of(2)
    with OrthancServer(datasets, version) as server:
        session = Orthanc(server.url)
        other = Orthanc(server.url)
        child = next(child for child in session.series if child.SeriesInstanceUID[0] == datasets[0].SeriesInstanceUID)
        expected = child.get_array()
        content = pickle.dumps(child)
        if what == "added":
            more = copy.deepcopy(datasets[1])
            more.SOPInstanceUID = "1.2.3.4"
            other.upload_dataset(more)
        elif what == "replaced":
            more = copy.deepcopy(datasets[1])
            more.PixelData = bytes(len(more.PixelData))
            server.datasets.remove(datasets[1])
            other.upload_dataset(more)
        else:
            other.select(SeriesInstanceUID=datasets[0].SeriesInstanceUID)
            if what == "deleted":
                other.select(SOPInstanceUID=datasets[1].SOPInstanceUID)
            other.delete(level="instance")
        twin = pickle.loads(content)
        for _ in range(2):
            with pytest.raises(SelectionError, match=r"archive has changed.*refresh\(\)"):
                twin.get_volume()
        assert "P0" in repr(twin)
        if what == "series gone":
            with pytest.warns(UserWarning, match="Nothing is selected"):
                twin.refresh()
            with pytest.raises(EmptySelectionError):
                twin.get_volume()
        else:
            assert twin.refresh().instance_count == {"deleted": 2, "added": 4, "replaced": 3}[what]
        if what == "replaced":
            assert not np.array_equal(twin.get_array(), expected)
        again = pickle.loads(content)
        assert again.reset().series_count == (1 if what == "series gone" else 2)
        with pytest.raises(SelectionError, match="there are 0 steps"):
            again.undo()


@pytest.mark.parametrize("version", ["1.10.1", "1.12.7"])
def test_a_study_that_got_a_series_says_so(version: str) -> None:
    datasets = archive_of(1)
    with OrthancServer(datasets, version) as server:
        session = Orthanc(server.url)
        selections = [session.studies[0], session.patients[0], session.select(PatientID="P0")]
        contents = [pickle.dumps(each) for each in selections]
        more = copy.deepcopy(datasets[0])
        more.SeriesInstanceUID, more.SOPInstanceUID = "1.2.3", "1.2.3.4"
        Orthanc(server.url).upload_dataset(more)
        for content in contents:
            with pytest.raises(SelectionError, match=r"selected 1 series then, and 2 now\. refresh\(\)"):
                pickle.loads(content).get_volumes()


def test_a_file_of_a_folder_that_changed_says_so(tmp_path: Path) -> None:
    datasets = archive_of(2)
    for number, dataset in enumerate(datasets):
        (tmp_path / str(number)).write_bytes(as_file(dataset))
    first, second = (pickle.dumps(child) for child in Folder(tmp_path).series)
    changed = copy.deepcopy(datasets[0])
    changed.PatientComments = "changed"
    (tmp_path / "0").write_bytes(as_file(changed))
    landing._origins.clear()
    outcomes = []
    for twin in map(pickle.loads, (first, second)):
        try:
            outcomes.append(twin.get_volume().array.shape)
        except SelectionError as error:
            outcomes.append("stored again" in error.message)
    assert sorted(map(str, outcomes)) == ["(3, 4, 4)", "True"]


def test_a_folder_that_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").write_bytes(as_file(instance(1)))
    content = pickle.dumps(Folder(tmp_path / "a").series[0])
    (tmp_path / "a").rename(tmp_path / "b")
    landing._origins.clear()
    with pytest.raises(OrthancError, match="a"):
        pickle.loads(content).get_headers()


def test_what_is_told_once_is_not_told_again(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(as_file(instance(1)))
    (tmp_path / "2.dcm").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="should be DICOM"):
        child = Folder(tmp_path).series[0]
    assert landed(child).instance_count == 1


# The verbs of a session that has just landed


def test_its_verbs_are_those_of_any_session() -> None:
    def fresh() -> Session:
        return landed(three_series().select(Modality="CT"))

    assert fresh().select(SeriesDescription="head").instance_count == 2
    assert fresh().select(SeriesDescription="head").undo().selection == {"Modality": "CT"}
    assert fresh().reset().instance_count == 4
    assert fresh().reset().undo().instance_count == 3
    assert fresh().reset("Modality").instance_count == 4
    assert fresh().refresh().instance_count == 3
    assert fresh().copy().instance_count == 3
    assert copy.deepcopy(fresh()).instance_count == 3
    assert fresh().sort_by("InstanceNumber").InstanceNumbers == [1, 2]
    again = fresh()
    again.selection = {**again.selection, "SeriesDescription": "scout"}
    assert again.instance_count == 1
    with fresh().selecting(SeriesDescription="scout") as scout:
        assert scout.instance_count == 1
    assert scout.instance_count == 3
    with pytest.raises(SelectionError, match="there are 0 steps"):
        fresh().undo()


def test_a_list_of_children_can_be_pickled() -> None:
    children = landed(three_series().series)
    assert [child.instance_count for child in children] == [1, 2, 1]


def test_an_asynchronous_session_lands_too() -> None:
    async def counted() -> tuple[int, list[str]]:
        async with landed(AsyncSession(three_series().select(Modality="CT"), 2)) as session:
            assert session._threads.most == 2
            return await session.instance_count, await session.Modalities

    assert asyncio.run(counted()) == (3, ["CT"])


# Passwords


def holds(content: bytes, secret: str) -> bool:
    from base64 import b64encode

    return secret.encode() in content or b64encode(f"alice:{secret}".encode()) in content


def test_a_password_from_the_environment_is_read_where_it_lands(monkeypatch: pytest.MonkeyPatch) -> None:
    with OrthancServer(archive_of(1)) as server:
        monkeypatch.setenv("ORTHANC_URL", server.url)
        monkeypatch.setenv("ORTHANC_USERNAME", "alice")
        monkeypatch.setenv("ORTHANC_PASSWORD", SECRET)
        child = Orthanc().series[0]
        content = pickle.dumps(child)
        assert not holds(content, SECRET)
        monkeypatch.setenv("ORTHANC_PASSWORD", "another")
        twin = landed(child)
        assert not holds(pickle.dumps(twin), "another")
        twin.get_array()
        assert not holds(pickle.dumps(twin), "another")
        assert server.asked[-1].headers["authorization"] == "Basic YWxpY2U6YW5vdGhlcg=="
        monkeypatch.delenv("ORTHANC_PASSWORD")
        twin = landed(child)
        with pytest.raises(SelectionError, match="ORTHANC_PASSWORD, which is not set in this process"):
            twin.get_array()
        monkeypatch.setenv("ORTHANC_PASSWORD", SECRET)
        assert twin.get_array().shape == (3, 4, 4)


def test_a_password_in_the_url_of_the_environment_is_read_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with OrthancServer(archive_of(1)) as server:
        url = server.url.replace("://", f"://alice:{SECRET}@")
        monkeypatch.setenv("ORTHANC_URL", f"{url}/app/explorer.html")
        child = Orthanc().series[0]
        assert not holds(pickle.dumps(child), SECRET)
        assert landed(child).get_array().shape == (3, 4, 4)
        assert server.asked[0].headers["authorization"] == server.asked[-1].headers["authorization"]
        # Given by hand it is a part of the session.
        assert holds(pickle.dumps(Orthanc(url)), SECRET)


def test_a_password_of_a_profile_is_read_where_it_lands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with OrthancServer(archive_of(1)) as server:
        profiles = tmp_path / "profiles.ini"
        profiles.write_text(f"[mine]\nurl = {server.url}\nusername = alice\npassword = environment:MY_WORD\n")
        monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", str(profiles))
        monkeypatch.setenv("MY_WORD", SECRET)
        child = Orthanc.from_profile("mine").series[0]
        profiles.unlink()
        assert not holds(pickle.dumps(child), SECRET)
        assert landed(child).get_array().shape == (3, 4, 4)
        monkeypatch.delenv("MY_WORD")
        with pytest.raises(SelectionError, match=r"profile 'mine' .* MY_WORD, which is not set"):
            landed(child).get_array()


def test_a_password_in_the_keyring_is_read_where_it_lands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with OrthancServer(archive_of(1)) as server:
        profiles = tmp_path / "profiles.ini"
        profiles.write_text(f"[mine]\nurl = {server.url}\nusername = alice\npassword = keyring\n")
        monkeypatch.setenv("SIMPLE_ORTHANC_PROFILES", str(profiles))
        asked: list[tuple[str, str]] = []
        monkeypatch.setattr("keyring.get_password", lambda *names: asked.append(names) or SECRET)
        child = Orthanc.from_profile("mine").series[0]
        content = pickle.dumps(child)
        assert not holds(content, SECRET)
        twin = landed(child)
        assert asked == [("simple_orthanc:mine", "alice")]
        assert twin.get_array().shape == (3, 4, 4)
        assert asked == [("simple_orthanc:mine", "alice")] * 2
        monkeypatch.setattr("keyring.get_password", lambda *names: None)
        with pytest.raises(SelectionError, match="The keyring holds no password for the profile 'mine'"):
            landed(child).get_array()


def test_a_relative_certificate_is_found_from_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with OrthancServer(archive_of(1)) as server:
        (tmp_path / "ca.pem").write_text("")
        monkeypatch.chdir(tmp_path)
        child = Orthanc(server.url, verify="ca.pem").series[0]
        monkeypatch.chdir("/")
        assert landed(child).get_array().shape == (3, 4, 4)
        assert landed(child)._source.transport._sender._verify == str(tmp_path / "ca.pem")


def test_a_password_that_was_given_lands() -> None:
    with OrthancServer(archive_of(1)) as server:
        for login in ({"username": "alice", "password": SECRET}, {"token": SECRET}, {"auth": ("alice", SECRET)}):
            before = len(server.asked)
            content = pickle.dumps(Orthanc(server.url, **login).series[0])
            assert holds(content, SECRET)
            pickle.loads(content).get_array()
            assert len({each.headers["authorization"] for each in server.asked[before:]}) == 1


def token() -> str:
    return SECRET


def test_a_function_that_returns_a_token_is_pickled_by_its_name() -> None:
    with OrthancServer(archive_of(1)) as server:
        child = Orthanc(server.url, token=token).series[0]
        assert not holds(pickle.dumps(child), SECRET)
        assert landed(child).get_array().shape == (3, 4, 4)
        assert {each.headers["authorization"] for each in server.asked} == {f"Bearer {SECRET}"}


def test_what_cannot_be_pickled_is_named() -> None:
    with OrthancServer(archive_of(1)) as server:
        with pytest.raises(TransportError, match=r"token=.*<lambda> cannot be pickled"):
            pickle.dumps(Orthanc(server.url, token=lambda: SECRET))
        with pytest.raises(TransportError, match="auth=HTTPDigestAuth cannot be pickled"):
            pickle.dumps(Orthanc(server.url, auth=HTTPDigestAuth("alice", SECRET)))
        with requests.Session() as http:
            http.auth = HTTPBasicAuth("alice", SECRET)
            assert landed(Orthanc(server.url, http=http).series[0]).get_array().shape == (3, 4, 4)
            http.hooks["response"].append(lambda response, **_: response)
            with pytest.raises(TransportError, match="given as http= cannot: its adapters"):
                pickle.dumps(Orthanc(server.url, http=http))
