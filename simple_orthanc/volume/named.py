"""One or several volumes that a verb was given, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def by_name(given: Any, name_of: Callable[[Any], str]) -> Iterator[tuple[str, Any]]:
    """Iterate over one or several volumes or arrays and their names.

    Parameters
    ----------
    given : Volume, ndarray, or a mapping or list of these
        A mapping may read each volume when its turn comes.
    name_of : callable
        Names what comes without a name. Where a name occurs again in a list, its later ones are numbered.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.ones((2, 2, 2), bool)
    >>> [name for name, _ in by_name({"liver": mask}, lambda _: "mask")]
    ['liver']
    >>> [name for name, _ in by_name([mask, mask], lambda _: "mask")]
    ['mask', 'mask (2)']
    """
    if isinstance(given, Mapping):
        yield from ((str(name), each) for name, each in given.items())
        return
    # An array may be given as nested lists too.
    if not isinstance(given, list | tuple) or not given or any(getattr(each, "ndim", 0) < 3 for each in given):
        yield name_of(given), given
        return
    used: set[str] = set()
    for each in given:
        name, count = name_of(each), 1
        while name in used:
            count += 1
            name = f"{name_of(each)} ({count})"
        used.add(name)
        yield name, each
