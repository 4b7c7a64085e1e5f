"""How tags that only the files hold are read from an Orthanc server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simple_orthanc.dicom.header import read_value
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.selection.source import Row
from simple_orthanc.sources.orthanc.source import OrthancSource
from simple_orthanc.transport import Transport
from tests.orthanc_stand_in import OrthancServer
from tests.sources.contract import make_archive

NEW, OLD = "1.12.7", "1.10.1"


@pytest.fixture
def stand_in(request: pytest.FixtureRequest) -> Iterator[OrthancServer]:
    with OrthancServer(make_archive(), request.param) as stand_in:
        yield stand_in


def paths_of(stand_in: OrthancServer, name: str) -> set[str]:
    """Read a column, check its values, and return the last parts of the paths that were requested for it."""
    with Transport(stand_in.url) as transport:
        source = OrthancSource(transport)
        series: list[Row] = list(source.listing("series"))
        before = len(stand_in.asked)
        tag = parse_tag(name)
        column = source.columns([tag], series)[tag.name]
    expected = {stand_in.identifier_of(dataset, "instance"): read_value(dataset, tag) for dataset in stand_in.datasets}
    assert column == expected
    return {asked.path.partition("?")[0].rpartition("/")[2] for asked in stand_in.asked[before:]}


@pytest.mark.parametrize(
    ("stand_in", "name", "paths"),
    [
        (NEW, "KVP", {"find"}),
        (NEW, "ImageType", {"find"}),
        # The server would answer these from its database, for the first instance of a series or study.
        (NEW, "RequestAttributesSequence[0].ScheduledProcedureStepID", {"instances-tags"}),
        (NEW, "SequenceName", {"instances-tags"}),
        (NEW, "ModalitiesInStudy", {"instances-tags"}),
        (OLD, "KVP", {"instances-tags"}),
        (OLD, "RequestAttributesSequence[0].ScheduledProcedureStepID", {"instances-tags"}),
        # What JSON cannot give as it is in the file.
        (NEW, '0009,"A MAKER",01', {"file"}),
        (OLD, '0009,"A MAKER",01', {"file"}),
        (OLD, "SmallestImagePixelValue", {"file"}),
    ],
    indirect=["stand_in"],
)
def test_a_tag_is_read_in_the_cheapest_way_that_is_right(stand_in: OrthancServer, name: str, paths: set[str]) -> None:
    assert paths_of(stand_in, name) == paths


@pytest.mark.parametrize("stand_in", [NEW, OLD], indirect=True)
@pytest.mark.parametrize("mangled", ["$B;3ED(B", "a\u00a5b"])
def test_a_string_that_may_be_mangled_is_read_from_the_file(stand_in: OrthancServer, mangled: str) -> None:
    stand_in.datasets[0].ImageComments = mangled
    assert "file" in paths_of(stand_in, "ImageComments")


@pytest.mark.parametrize("stand_in", [NEW, OLD], indirect=True)
def test_a_header_that_was_deleted_meanwhile_is_left_out(stand_in: OrthancServer) -> None:
    with Transport(stand_in.url) as transport:
        source = OrthancSource(transport)
        series: list[Row] = list(source.listing("series"))
        gone = series[0].children[0]
        stand_in.datasets[:] = [each for each in stand_in.datasets if stand_in.identifier_of(each, "instance") != gone]
        tag = parse_tag('0009,"A MAKER",01')
        column = source.columns([tag], series)[tag.name]
    assert column.keys() == {key for row in series for key in row.children} - {gone}
