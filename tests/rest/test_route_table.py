"""The table of routes: names, versions and paths."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from simple_orthanc.rest.capabilities import parse_version
from simple_orthanc.rest.route_table import OLDEST, matching_routes, routes


def test_no_two_routes_are_the_same() -> None:
    table = routes().values()
    assert max(Counter((route.method, route.path) for route in table).values()) == 1
    assert [route.name for route in table] == list(routes())


def test_each_version_has_its_number_of_routes() -> None:
    counts = {
        version: sum(route.since <= version for route in routes().values())
        for version in [(1, 10, 1), (1, 12, 0), (1, 12, 2), (1, 12, 7), (1, 13, 0)]
    }
    assert counts == {(1, 10, 1): 275, (1, 12, 0): 292, (1, 12, 2): 297, (1, 12, 7): 300, (1, 13, 0): 300}


# The description of each version knows one of them; the servers answer both.
IN_EITHER = {"GET /instances/{id}/content", "GET /instances/{id}/content/{path}"}


def test_the_table_has_the_routes_of_the_descriptions(shared_data: Path) -> None:
    folder = shared_data.parent / "orthanc-routes"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    versions = [path.stem for path in folder.glob("*.txt")]
    assert set(versions) >= {"1.10.1", "1.12.7", "1.13.0"}
    for version in versions:
        described = set((folder / f"{version}.txt").read_text().split("\n")) - {""}
        own = {f"{route.method} {route.path}" for route in routes().values() if route.since <= parse_version(version)}
        assert own - IN_EITHER == described - IN_EITHER, version


@pytest.mark.parametrize(
    ("name", "method", "path"),
    [
        ("get_series_id_ordered_slices", "GET", "/series/{id}/ordered-slices"),
        ("get_tools_generate_uid", "GET", "/tools/generate-uid"),
        ("post_tools_invalidate_tags", "POST", "/tools/invalidate-tags"),
        ("get_plugins_explorer_js", "GET", "/plugins/explorer.js"),
        ("get_instances_id_frames_frame_raw_gz", "GET", "/instances/{id}/frames/{frame}/raw.gz"),
        ("put_patients_id_protected", "PUT", "/patients/{id}/protected"),
        ("get_instances_id_content_path", "GET", "/instances/{id}/content/{path}"),
        ("delete_jobs_id_key", "DELETE", "/jobs/{id}/{key}"),
        ("get_studies", "GET", "/studies"),
    ],
)
def test_a_name_is_the_method_and_the_path(name: str, method: str, path: str) -> None:
    route = routes()[name]
    assert (route.method, route.path) == (method, path)


def test_every_route_is_well_formed() -> None:
    for name, route in routes().items():
        assert name.isidentifier()
        assert route.method in ("GET", "POST", "PUT", "DELETE"), name
        assert re.fullmatch(r"(/([a-z0-9.-]+|\{[a-z]+\}))+", route.path), name
        assert route.since >= OLDEST, name
        assert route.marks <= {"file", "reads", "revised"}, name
        assert "reads" not in route.marks or route.method == "POST", name
        assert re.fullmatch(r"[A-Z][a-z]+ [^{}]+\.", route.summary), name
        assert len(set(route.parameters)) == len(route.parameters), name


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [
        ("/series/a", "GET", ("get_series_id", {"id": "a"})),
        ("/series/a/", "GET", ("get_series_id", {"id": "a"})),
        ("/series/a%2Fb%20c", "DELETE", ("delete_series_id", {"id": "a/b c"})),
        ("/series", "GET", ("get_series", {})),
        (
            "/instances/a/content/0008-1140/0/0008-1155",
            "GET",
            ("get_instances_id_content_path", {"id": "a", "path": "0008-1140/0/0008-1155"}),
        ),
        ("/jobs/5/archive", "DELETE", ("delete_jobs_id_key", {"id": "5", "key": "archive"})),
        ("/series/a/nonsense", "GET", None),
        ("/series//statistics", "GET", None),
        ("/", "GET", None),
        ("", "GET", None),
    ],
)
def test_a_path_belongs_to_its_route(path: str, method: str, expected: tuple[str, dict[str, str]] | None) -> None:
    found = [(route.name, values) for route, values in matching_routes(path) if route.method == method]
    assert found == ([] if expected is None else [expected])
