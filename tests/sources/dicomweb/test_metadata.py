"""Values come from metadata where these can be believed, and from files where not."""

from __future__ import annotations

import pytest

from simple_orthanc import DicomWeb, TransportError
from tests.http_stand_in import reply
from tests.memory_source import instance
from tests.sources.dicomweb.conftest import Make, archive


def test_a_tag_that_the_server_never_returns_is_looked_up_once(serve: Make) -> None:
    many = [instance(1, study=str(number), StudyDescription="x") for number in range(200)]
    server = serve(many)
    session = DicomWeb(server.root)
    assert session.StationNames == []
    looked_up = len(server.asked)
    # Sixty of the studies, which have no dates, and sixty of the series: found, and read.
    assert looked_up < 260
    assert session.table("StationName").StationName.isna().all()
    assert len(server.asked) == looked_up
    server.datasets = [instance(1, study=str(number), StationName="ct1") for number in range(200)]
    server.peculiar.withheld = {"StationName"}
    assert session.refresh().StationNames == ["ct1"]


def test_numbers_equal_those_of_the_files_in_any_spelling(serve: Make) -> None:
    images = [instance(1, SeriesNumber="007", ImagePositionPatient=["0", "1.50", "-2E1"])]
    session = DicomWeb(serve(images, numbers=True).root)
    assert session.get_dicom_tag("ImagePositionPatient") == [(0.0, 1.5, -20.0)]
    assert session.verify_index().empty
    wrong = DicomWeb(serve(images, withheld={"SeriesNumber"}, metadata="some").root)
    assert wrong.verify_index().empty


def test_values_that_could_not_be_verified_cause_a_warning(serve: Make) -> None:
    server = serve(archive(), withheld={"StudyDescription"}, metadata="none")
    session = DicomWeb(server.root)
    assert session.study_count == 3
    ordinary = server.script
    server.script = lambda asked, count: (
        reply({"Message": "gone"}, 404) if "/instances/" in asked.path else ordinary(asked, count)
    )
    with pytest.warns(UserWarning, match="could not be read"):
        assert session.StudyDescriptions == []


@pytest.mark.parametrize("other", ["series", "study"])
def test_metadata_of_another_object_are_an_error(serve: Make, other: str) -> None:
    images = [instance(1, series="1", KVP="80"), instance(1, series="2", KVP="120")]
    images.append(instance(1, study="2", series="1", KVP="140"))
    server = serve(images)
    session = DicomWeb(server.root).select(SeriesInstanceUID="1.2.1.1")
    ordinary = server.script
    wrong = server.metadata([images[1 if other == "series" else 2]])
    server.script = lambda asked, count: wrong if asked.path.endswith("/metadata") else ordinary(asked, count)
    with pytest.raises(TransportError, match=r"asked for SeriesInstanceUID 1\.2\.1\.1, and returned another object"):
        session.get_dicom_tag("KVP")
