"""What is known of an archive without a request."""

from __future__ import annotations

import threading

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.session.completion.vocabulary import known_values, usual_tags
from tests.memory_source import instance
from tests.session.sessions import session_of, source_of, three_series


def test_tags_of_an_archive_that_nothing_is_known_of() -> None:
    usual = usual_tags(three_series())
    assert usual == usual_tags()
    assert usual[:2] == ["Modality", "SeriesDescription"]
    assert {"SliceThickness", "EchoTime", "KVP", "Units"} < set(usual)
    assert 50 < len(usual) < 90


def test_tags_that_are_missing_are_left_out() -> None:
    session = three_series()
    session.describe()
    requests = source_of(session).requests
    assert "StudyDate" in usual_tags()
    assert not {"StudyDate", "EchoTime"} & set(usual_tags(session))
    assert {"PatientName", "Modality", "SliceThickness", "KVP"} < set(usual_tags(session))
    assert source_of(session).requests == requests
    session.value_counts("KVP")
    session.value_counts("SliceThickness")
    assert "KVP" in usual_tags(session)
    assert "SliceThickness" not in usual_tags(session)


def test_values_are_those_of_the_selection_the_most_frequent_first() -> None:
    session = three_series()
    description = parse_tag("SeriesDescription")
    assert known_values(session, description) == []
    session.describe()
    assert known_values(session, parse_tag("Modality")) == ["CT", "PT"]
    assert known_values(session, description) == ["head", "scout", "wb"]
    assert known_values(session.select(Modality="PT"), description) == ["wb"]


def test_values_that_files_hold_are_known_once_they_were_read() -> None:
    session = session_of(*(instance(number, ImageType=["A", "B" if number > 1 else "C"]) for number in range(1, 4)))
    image_type = parse_tag("ImageType")
    assert known_values(session, image_type) == []
    session.value_counts("ImageType")
    requests = source_of(session).requests
    assert known_values(session, image_type) == ["A", "B", "C"]
    assert source_of(session).requests == requests


def test_where_only_a_part_was_read_its_values_are_offered() -> None:
    session = three_series()
    session.copy().select(Modality="CT").get_dicom_tag("KVP")
    assert known_values(session, parse_tag("KVP")) == [100.0, 120.0]


def test_a_thread_that_reads_the_archive_is_not_waited_for() -> None:
    session = three_series()
    session.describe()
    reads, may_end = threading.Event(), threading.Event()

    def read() -> None:
        with session._index.offline():
            reads.set()
            may_end.wait()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        reads.wait()
        assert known_values(session, parse_tag("Modality")) == []
        assert usual_tags(session) == usual_tags()
    finally:
        may_end.set()
        thread.join()
    assert known_values(session, parse_tag("Modality")) == ["CT", "PT"]
