"""Parents and children."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simple_orthanc import NotFoundError, SelectionError, ServerError, TransportError
from simple_orthanc.rest.objects import Instance, OrderedSlice, Patient, Series, Study
from tests.http_stand_in import reply
from tests.rest.objects.server import STUDY, In, ObjectServer, text
from tests.rest.objects.test_images import png


def described(key: str, **fields: Any) -> dict[str, Any]:
    tags = {name: fields.pop(name) for name in ("SeriesNumber", "InstanceNumber", "StudyDate") if name in fields}
    return {"ID": key, "MainDicomTags": tags, **fields}


INSTANCES = [
    described(f"i{number}", InstanceNumber=f" {number} ", ParentSeries="e", FileSize=7) for number in (10, 9, 1)
]
SERIES = [
    described("e2", SeriesNumber="2"),
    described("e0"),
    described("e1", SeriesNumber="1"),
    described("e10", SeriesNumber="10"),
]


def test_children_take_one_request_and_are_in_order() -> None:
    routes = {
        "GET /patients/p/studies": [described("s2", StudyDate="2020"), described("s1", StudyDate="2019")],
        "GET /patients/p/series": SERIES,
        "GET /patients/p/instances": INSTANCES,
        "GET /studies/s/series": SERIES,
        "GET /studies/s/instances": INSTANCES,
        "GET /series/e/instances": INSTANCES,
    }
    with ObjectServer(routes) as server:
        patient, study, series = Patient(server.rest, "p"), Study(server.rest, "s"), Series(server.rest, "e")
        assert [child.id for child in patient.studies] == ["s1", "s2"]
        assert [child.id for child in patient.series] == ["e1", "e2", "e10", "e0"]
        for instances in (patient.instances, study.instances, series.instances):
            assert [child.id for child in instances] == ["i1", "i9", "i10"]
        assert patient.parent is None
        assert Instance(server.rest, "i1").children == []
        assert (patient.children, study.children, series.children) == (patient.studies, study.series, series.instances)
        asked = len(server.calls)
        children = study.series
        assert children[0].main_dicom_tags == {"SeriesNumber": "1"}
        assert len(server.calls) == asked + 1


def test_parents() -> None:
    routes = {
        "GET /instances/i": INSTANCES[0],
        "GET /instances/i/study": {**STUDY, "ID": "s"},
        "GET /instances/i/patient": described("p"),
        "GET /series/e/patient": described("p"),
    }
    with ObjectServer(routes) as server:
        instance = Instance(server.rest, "i", INSTANCES[0])
        assert (instance.series, instance.parent) == (Series(server.rest, "e"),) * 2
        assert instance.file_size == 7
        assert server.calls == []
        assert instance.study.main_dicom_tags["StudyDate"] == "20200101"
        assert (instance.patient, instance.study) == (Patient(server.rest, "p"), Study(server.rest, "s"))
        series = Series(server.rest, "e", described("e", ParentStudy="s"))
        assert (series.study, series.parent, series.patient) == (
            Study(server.rest, "s"),
            series.study,
            instance.patient,
        )
        study = Study(server.rest, "s", STUDY)
        assert study.patient == study.parent == Patient(server.rest, STUDY["ParentPatient"])
        # Each of them was asked for the one that its description does not name.
        assert all(call.endswith(("/study", "/patient")) for call in server.calls)


def test_an_unknown_object_has_neither_parents_nor_children() -> None:
    with ObjectServer({}) as server:
        instance, series, study, patient = (kind(server.rest, "nope") for kind in (Instance, Series, Study, Patient))
        uses: list[Any] = [
            lambda: instance.series,
            lambda: instance.study,
            lambda: instance.patient,
            lambda: series.study,
            lambda: series.patient,
            lambda: series.instances,
            lambda: series.ordered_slices(),
            lambda: study.patient,
            lambda: study.series,
            lambda: study.instances,
            lambda: patient.studies,
            lambda: patient.series,
            lambda: patient.instances,
        ]
        for use in uses:
            with pytest.raises(NotFoundError, match=r"holds no (patient|study|series|instance) with the id 'nope'"):
                use()


@pytest.mark.parametrize("answer", [{}, [1], [None], [{"id": "a"}]])
def test_invalid_children(answer: Any) -> None:
    with (
        ObjectServer({"GET /studies/s/series": reply(answer)}) as server,
        pytest.raises(TransportError, match="something"),
    ):
        Study(server.rest, "s").series  # noqa: B018


def test_an_invalid_parent() -> None:
    with ObjectServer({"GET /series/e/patient": {}}) as server, pytest.raises(TransportError, match="something else"):
        Series(server.rest, "e").patient  # noqa: B018


def test_protection() -> None:
    routes = {"GET /patients/p/protected": In(text("0"), text("1")), "PUT /patients/p/protected": text("")}
    with ObjectServer(routes) as server:
        patient = Patient(server.rest, "p")
        assert not patient.is_protected
        patient.protect()
        assert patient.is_protected
        patient.unprotect()
        assert [asked.body for asked in server.asked if asked.method == "PUT"] == [b"1", b"0"]


def test_protection_of_an_unknown_patient() -> None:
    refusal = reply({"Message": "Parameter out of range"}, 400)
    routes = {f"{verb} /patients/nope/protected": refusal for verb in ("GET", "PUT")}
    with ObjectServer(routes) as server:
        patient = Patient(server.rest, "nope")
        for use in (patient.protect, patient.unprotect, lambda: patient.is_protected):
            with pytest.raises(NotFoundError, match="holds no patient with the id 'nope'"):
                use()
        server.routes["GET /patients/nope"] = described("nope")
        with pytest.raises(ServerError, match="out of range"):
            patient.protect()


def test_slices_in_order() -> None:
    answer = {"Type": "Volume", "SlicesShort": [["b", 0, 1], ["a", 2, 2]], "Dicom": [], "Slices": []}
    with ObjectServer({"GET /series/e/ordered-slices": answer}) as server:
        a, b = Instance(server.rest, "a"), Instance(server.rest, "b")
        assert Series(server.rest, "e").ordered_slices() == [OrderedSlice(b, 0), OrderedSlice(a, 2), OrderedSlice(a, 3)]


@pytest.mark.parametrize(
    "answer", [{}, {"SlicesShort": None}, {"SlicesShort": [["a"]]}, {"SlicesShort": [["a", 0, None]]}]
)
def test_invalid_slices(answer: Any) -> None:
    with ObjectServer({"GET /series/e/ordered-slices": reply(answer)}) as server:
        series = Series(server.rest, "e")
        with pytest.raises(TransportError, match="something else"):
            series.ordered_slices()


def test_slices_without_order() -> None:
    with (
        ObjectServer({"GET /series/e": described("e")}) as server,
        pytest.raises(SelectionError, match="no order of the slices"),
    ):
        Series(server.rest, "e").ordered_slices()


def test_the_preview_of_a_series_is_its_middle_slice() -> None:
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    routes: dict[str, Any] = {
        "GET /series/e": described("e"),
        "GET /series/e/ordered-slices": {"SlicesShort": [["a", 0, 5]]},
        "GET /series/e/instances": INSTANCES,
        "GET /instances/a/frames/2/preview": png(image),
        "GET /instances/i9/frames/0/preview": png(image + 1),
    }
    with ObjectServer(routes) as server:
        assert np.array_equal(Series(server.rest, "e").preview(), image)
        del server.routes["GET /series/e/ordered-slices"]
        assert np.array_equal(Series(server.rest, "e").preview(), image + 1)
        server.routes["GET /series/e/instances"] = []
        with pytest.raises(SelectionError, match="has no instances"):
            Series(server.rest, "e").preview()
