"""The format of metrics, as Prometheus defines it."""

from __future__ import annotations

import math

import pytest

from simple_orthanc.session.prometheus import Sample, parse_metrics


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        (
            "orthanc_disk_size_mb 0.00155639648 1795915446359",
            Sample("orthanc_disk_size_mb", {}, 0.00155639648, 1795915446359),
        ),
        ("a:b_1 -3", Sample("a:b_1", {}, -3.0, None)),
        ("a 1e3 -5", Sample("a", {}, 1000.0, -5)),
        ("a +Inf", Sample("a", {}, math.inf, None)),
        ("a{} 1", Sample("a", {}, 1.0, None)),
        ('a{b="c"} 1', Sample("a", {"b": "c"}, 1.0, None)),
        ('a{b="c", d="e",} 1 2', Sample("a", {"b": "c", "d": "e"}, 1.0, 2)),
        ('a{b="}, c=\\"d\\"",e="f"} 1', Sample("a", {"b": '}, c="d"', "e": "f"}, 1.0, None)),
        ('a{b="x\\\\n\\ny"} 1', Sample("a", {"b": "x\\n\ny"}, 1.0, None)),
        ('a{path="/a b/{id}"}  1', Sample("a", {"path": "/a b/{id}"}, 1.0, None)),
    ],
)
def test_samples(line: str, sample: Sample) -> None:
    assert parse_metrics(f"# HELP x y\n\n{line}\n") == [sample]


def test_not_a_number_is_a_value() -> None:
    (sample,) = parse_metrics("a NaN")
    assert math.isnan(sample.value)


@pytest.mark.parametrize("text", ["", "# TYPE a counter", "<html>", "a", "a b", "1a 2", "a 1 2 3"])
def test_what_is_no_sample_is_left_out(text: str) -> None:
    assert parse_metrics(text) == []
