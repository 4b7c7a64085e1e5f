"""The text format in which Orthanc reports its metrics, that of Prometheus."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+(-?\d+))?")
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"((?:\\.|[^"\\])*)"\s*(?:,|$)')
_ESCAPED = re.compile(r"\\(.)")
_CHARACTERS = {"n": "\n"}


class Sample(NamedTuple):
    """One value of a metric.

    Attributes
    ----------
    name : str
    labels : dict of str to str
    value : float
    timestamp : int or None
        Milliseconds since 1970.
    """

    name: str
    labels: dict[str, str]
    value: float
    timestamp: int | None


def parse_metrics(text: str) -> list[Sample]:
    r"""Read the samples of a text in the format of Prometheus; comments and lines of other formats are left out.

    Examples
    --------
    >>> parse_metrics('# HELP a b\northanc_disk_size_mb 0.5 1795915446359')
    [Sample(name='orthanc_disk_size_mb', labels={}, value=0.5, timestamp=1795915446359)]
    >>> parse_metrics('requests{code="2\\"x",path="/"} +Inf')
    [Sample(name='requests', labels={'code': '2"x', 'path': '/'}, value=inf, timestamp=None)]
    """
    samples = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        labels = {name: _ESCAPED.sub(_unescaped, content) for name, content in _LABEL.findall(match[2] or "")}
        samples.append(Sample(match[1], labels, value, int(match[4]) if match[4] else None))
    return samples


def _unescaped(match: re.Match[str]) -> str:
    return _CHARACTERS.get(match[1], match[1])
