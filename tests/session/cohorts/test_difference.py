"""What is new, gone and changed in an archive, compared with a cohort."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from simple_orthanc import CohortError, Folder, SelectionError, label, tag
from simple_orthanc.selection.file_reading import StoredFile
from simple_orthanc.session import Session
from simple_orthanc.session.cohorts.cohort import Cohort
from simple_orthanc.session.cohorts.difference import CohortDifference
from simple_orthanc.testing import OrthancStandIn, make_series
from tests.memory_source import instance
from tests.session.cohorts.archives import OPENERS, changed, make_archive, session_on
from tests.session.sessions import session_of, source_of, three_series
from tests.sources.contract import Archive, make_dataset


@pytest.fixture
def datasets() -> list[Dataset]:
    return make_archive()


@pytest.fixture(params=OPENERS)
def archive(request: pytest.FixtureRequest, datasets: list[Dataset], tmp_path: Path) -> Iterator[Archive]:
    with OPENERS[request.param](datasets, tmp_path) as opened:
        yield opened


def found(difference: CohortDifference) -> dict[str, list[str]]:
    tables = {"new": difference.new, "gone": difference.gone, "changed": difference.changed}
    return {what: sorted(table.SOPInstanceUID) for what, table in tables.items()}


NOTHING: dict[str, list[str]] = {"new": [], "gone": [], "changed": []}


def test_nothing_differs_where_nothing_was_done(archive: Archive, datasets: list[Dataset]) -> None:
    cohort = session_of(*datasets).select(Modality="CT").freeze()
    difference = cohort.difference(session_on(archive).select(Modality="MR"))
    assert found(difference) == NOTHING
    assert not difference
    assert repr(difference).endswith(": 0 new, 0 gone, 0 changed; 9 instances frozen>")


def test_what_was_added_deleted_and_replaced_is_found(
    archive: Archive, datasets: list[Dataset], tmp_path: Path
) -> None:
    path = tmp_path.parent / f"{tmp_path.name}.cohort"
    session_of(*datasets).select(Modality="CT").freeze(path)
    session = session_on(archive)
    session.table("PatientID")
    archive.delete(datasets[0])
    archive.delete(datasets[1])
    archive.store(changed(datasets[1]))
    archive.store(make_dataset(9, "1", "2", "P1", PatientName="Roe^Rick", Modality="CT"))
    archive.store(make_dataset(9, "2", "2", "P1", PatientName="Roe^Rick", Modality="MR"))
    archive.store(make_dataset(1, "1", "4", "P2", PatientName="New^Person", Modality="CT"))
    difference = Cohort.load(path).difference(session)
    expected = {"new": ["1.2.2.1.9", "1.2.4.1.1"], "gone": ["1.2.1.1.1"], "changed": ["1.2.1.1.2"]}
    assert found(difference) == expected
    assert difference
    assert repr(difference).endswith(": 2 new, 1 gone, 1 changed; 9 instances frozen>")
    assert "1.2.4.1.1" in difference._as_text()
    assert "1.2.4.1.1" in difference._repr_html_()
    assert difference.new.PatientID.tolist() == ["P1", "P2"]
    row = difference.changed.iloc[0]
    assert row.size_frozen == difference.changed["size_frozen"][0]
    assert row.md5_frozen != row.md5


@given(
    before=st.sets(st.integers(0, 14), min_size=1),
    kept=st.sets(st.integers(0, 14)),
    replaced=st.sets(st.integers(0, 14)),
)
@settings(deadline=None)
def test_the_difference_is_that_of_the_two_archives(before: set[int], kept: set[int], replaced: set[int]) -> None:
    datasets = make_archive()
    cohort = session_of(*(datasets[number] for number in sorted(before))).freeze()
    now = [changed(datasets[number]) if number in replaced else datasets[number] for number in sorted(kept)]
    difference = cohort.difference(session_of(*now))

    def uids(numbers: set[int]) -> list[str]:
        return sorted(datasets[number].SOPInstanceUID for number in numbers)

    expected = {"new": kept - before, "gone": before - kept, "changed": before & kept & replaced}
    assert found(difference) == {what: uids(numbers) for what, numbers in expected.items()}
    assert bool(difference) == any(expected.values())


def test_a_criterion_with_a_function_cannot_be_applied_again(tmp_path: Path) -> None:
    session = three_series().select(tag("InstanceNumber").where(lambda number: number > 0))
    session.freeze(tmp_path / "cohort")
    difference = Cohort.load(tmp_path / "cohort").difference(session)
    assert repr(difference).endswith(": new not known, 0 gone, 0 changed; 4 instances frozen>")
    message = r"What is new in memory is not known: .*InstanceNumber where <lambda>\)"
    with pytest.raises(CohortError, match=message):
        difference.new  # noqa: B018
    with pytest.raises(CohortError, match=message):
        bool(difference)
    assert "not known" in difference._as_text()


def test_what_was_not_written_to_a_file_can_be_applied_again() -> None:
    session = three_series()
    cohort = session.copy().select(tag("KVP").where(lambda value: value > 90)).freeze()
    source_of(session).datasets.append(instance(5, series="2", KVP="110"))
    assert found(cohort.difference(session))["new"] == ["1.2.1.2.5"]


def test_a_cohort_of_others_has_no_query() -> None:
    session = three_series()
    ct, pt = (session.copy().select(Modality=name).freeze() for name in ("CT", "PT"))
    with pytest.raises(CohortError, match="combined from others"):
        (ct | pt).difference(session).new  # noqa: B018


def test_a_cohort_frozen_from_an_opened_one_asks_what_both_asked() -> None:
    session = three_series()
    opened = session.copy().select(Modality="CT").freeze().open(session)
    assert opened.freeze().criteria == ["Modality == 'CT'"]
    assert opened.freeze().difference(session).new.empty
    part = opened.copy().select(InstanceNumber=1).freeze()
    assert part.criteria == ["Modality == 'CT'", "InstanceNumber == 1"]
    assert part.difference(session).new.empty
    store = source_of(session).datasets
    store.append(instance(1, series="9", Modality="CT"))
    store.append(instance(1, series="8", Modality="PT"))
    assert found(part.difference(session.refresh()))["new"] == ["1.2.1.9.1"]
    assert part.open(session).freeze().criteria == part.criteria


def test_a_cohort_frozen_from_one_without_a_query_has_none() -> None:
    session = three_series()
    ct, pt = (session.copy().select(Modality=name).freeze() for name in ("CT", "PT"))
    combined = (ct | pt).open(session).select(Modality="CT").freeze()
    pickled = pickle.loads(pickle.dumps(ct.open(session).series[0])).freeze()
    for cohort in (combined, pickled):
        assert cohort.criteria == []
        with pytest.raises(CohortError, match="frozen within one without a known query"):
            cohort.difference(session).new  # noqa: B018
    private = session.copy().select(PatientID="P1").freeze(identifiers=False).open(session).freeze()
    with pytest.raises(CohortError, match="PatientID, which was left out"):
        private.difference(session).new  # noqa: B018


def test_criteria_that_were_left_out_are_not_known() -> None:
    cohort = three_series().select(PatientID="P2").freeze(identifiers=False)
    difference = cohort.difference(three_series())
    with pytest.raises(CohortError, match="PatientID, which was left out"):
        difference.new  # noqa: B018
    assert difference.gone.empty


def test_an_archive_that_cannot_answer_the_query_says_so(tmp_path: Path) -> None:
    slices = make_series((2, 4, 4))
    with OrthancStandIn(slices) as server:
        session = server.connect()
        session.add_label("reviewed", everything=True)
        session.download(tmp_path)
        cohort = session.select(label("reviewed")).freeze()
    difference = cohort.difference(Folder(tmp_path))
    with pytest.raises(CohortError, match=r"What is new in .* is not known: label\('reviewed'\)"):
        difference.new  # noqa: B018
    assert difference.gone.empty


def test_without_checksums_what_has_changed_is_not_known() -> None:
    session = three_series()
    difference = session.freeze(checksums=None).difference(session)
    with pytest.raises(CohortError, match="frozen without checksums"):
        difference.changed  # noqa: B018
    assert difference.new.empty


def test_a_string_keeps_the_meaning_that_it_had() -> None:
    session = session_of(instance(1, SeriesDescription="T2*"), instance(1, series="2", SeriesDescription="T2w"))
    cohort = session.copy().select(SeriesDescription="T2*").freeze()
    del source_of(session).datasets[0]
    assert found(cohort.difference(session.refresh())) == {"new": [], "gone": ["1.2.1.1.1"], "changed": []}


def test_a_quick_comparison_reads_no_file() -> None:
    session = three_series()
    cohort = session.freeze()
    source = source_of(session)
    source.datasets[0].KVP = "80"
    before = len(source.asked)
    quick = cohort.difference(session, checksums=False)
    with pytest.raises(CohortError, match="lists neither lengths nor MD5s"):
        quick.changed  # noqa: B018
    with pytest.raises(CohortError, match="What is changed"):
        bool(quick)
    assert "changed not known" in repr(quick)
    assert not [what for what in source.asked[before:] if "read" in what or "content" in what]
    assert len(cohort.difference(session).changed) == 1


def test_a_quick_comparison_of_datasets_does_not_hide_that_files_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    session = three_series()
    cohort = session.freeze(checksums="datasets")
    monkeypatch.setattr(type(source_of(session)), "listed_file", lambda *_: StoredFile(8, "0" * 32))
    difference = cohort.difference(session, checksums=False)
    with pytest.raises(CohortError, match="checksums=True"):
        bool(difference)
    assert cohort.difference(session).changed.empty


@pytest.mark.parametrize("wrong", [None, "session", Session])
def test_what_is_no_session_is_refused(wrong: Any) -> None:
    with pytest.raises(SelectionError, match="pass a session on an archive"):
        three_series().freeze().difference(wrong)
    with pytest.raises(SelectionError, match="checksums="):
        three_series().freeze().difference(three_series(), checksums=wrong)


def test_the_session_stays_as_it_is() -> None:
    session = three_series().select(Modality="CT")
    index, selection = session._index, session._selection
    session.freeze().difference(session)
    assert session._index is index
    assert session._selection is selection
