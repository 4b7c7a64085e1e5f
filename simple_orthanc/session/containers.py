"""What a session hands out beside plain data: its selection as a dictionary, child sessions, volumes read on demand."""

from __future__ import annotations

import copy
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, Set, ValuesView
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from pydicom.multival import MultiValue

from simple_orthanc.errors import SelectionError, UnknownNameError
from simple_orthanc.showing.table import ShownAsTable, Table
from simple_orthanc.showing.text import safe

if TYPE_CHECKING:
    from simple_orthanc.selection.selection import Selection
    from simple_orthanc.selection.source import Source
    from simple_orthanc.volume.volume import Volume

Child = TypeVar("Child")
# An error lists so many names.
_MOST_NAMES = 12


class SelectionView(dict[str, Any]):
    """The value of `Session.selection`: tag to value.

    It is equal to a plain dictionary with the same items, and its copies are plain dictionaries. It is a copy itself,
    so changing it would not change the selection; that raises an error instead of doing nothing.

    Parameters
    ----------
    items : mapping
        Tag to value.
    selection, source : optional
        The origin of the items. Assigned to a session on the same source, their strings keep the meaning that they
        were found to have.
    """

    def __init__(
        self, items: Mapping[str, Any], selection: Selection | None = None, source: Source | None = None
    ) -> None:
        super().__init__(items)
        self._selection, self._source = selection, source

    def selection_on(self, source: Source) -> Selection | None:
        """Return the selection that this shows, or None if it was on another source."""
        return self._selection if self._source is source else None

    def __reduce__(self) -> tuple[type[SelectionView], tuple[dict[str, Any]]]:
        """Pickle as a plain dictionary."""
        # A source may hold a password, and the archive may be another one where this is unpickled.
        return (SelectionView, (dict(self),))

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        """Refuse: it would change a copy."""
        raise SelectionError(
            f"selection[{name!r}] = {value!r} would change a copy, not the selection. To narrow the selection write "
            f"select(**{{{name!r}: {value!r}}}); to replace its value write selection = "
            f"{{**session.selection, {name!r}: {value!r}}}."
        )

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise SelectionError(
            "The dictionary that selection returns is a copy: changing it would not change the selection. To remove "
            "the criteria on a tag write reset(tag); for a dictionary of your own write dict(session.selection)."
        )

    __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def unshared(value: Any) -> Any:
    """Copy what the caller could change later: lists, sets, arrays and the like; return every other value itself.

    Examples
    --------
    >>> given = ["CT", ["PT"]]
    >>> unshared(given) == given, unshared(given)[1] is given[1]
    (True, False)
    """
    if isinstance(value, list):
        return [unshared(item) for item in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(unshared(item) for item in value)
    if isinstance(value, Set) and not isinstance(value, frozenset):
        return set(value) if isinstance(value, set) else list(value)
    if isinstance(value, MultiValue):
        return copy.deepcopy(value)
    # Arrays, Series and the like.
    return value.copy() if hasattr(value, "__array__") and hasattr(value, "copy") else value


class Children(ShownAsTable, Sequence[Child], Generic[Child]):
    """A sequence of child sessions, each created when it is indexed.

    Parameters
    ----------
    keys : sequence of str
        Keys of the objects, one per child.
    create : callable
        Called with a key; returns the session on that object.
    show : callable
        Called with keys; returns the table of their objects that a notebook shows, without a request.
    leave : callable, optional
        Called if a loop over the sequence is left before its end.

    Examples
    --------
    >>> studies = archive.select(PatientID="EX-001").studies
    >>> len(studies)
    2
    >>> [study.StudyDates for study in studies]
    [['20220301'], ['20220906']]
    >>> studies[-1].get_dicom_tag("SeriesDescription")
    ['T1 MPRAGE', 'T2 TSE']
    """

    def __init__(
        self,
        keys: Sequence[str],
        create: Callable[[str], Child],
        show: Callable[[Sequence[str]], Table],
        leave: Callable[[], object] = lambda: None,
    ) -> None:
        self._keys, self._create, self._show, self._leave = tuple(keys), create, show, leave

    @overload
    def __getitem__(self, index: int) -> Child: ...
    @overload
    def __getitem__(self, index: slice) -> Children[Child]: ...
    def __getitem__(self, index: int | slice) -> Child | Children[Child]:
        """Create the session of an index, or return the sequence of a slice."""
        if isinstance(index, slice):
            return Children(self._keys[index], self._create, self._show, self._leave)
        return self._create(self._keys[index])

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._keys)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a list of the sessions."""
        return list, (list(self),)

    def __repr__(self) -> str:
        """Show the number of entries."""
        return f"<{len(self)} sessions>"

    def _shown(self) -> Table:
        return self._show(self._keys)


def unknown_entry(kind: str, name: object, names: Sequence[str]) -> UnknownNameError:
    """Return the error of a name that is not among the names of a mapping.

    Parameters
    ----------
    kind : str
        What it maps to.
    name : object
    names : sequence of str

    Examples
    --------
    >>> unknown_entry("mask", "Liver", ["liver", "lesion"])
    UnknownNameError("There is no mask 'Liver'. Did you mean 'liver'? There are 'liver', 'lesion'.")
    """
    # Only a mistake needs it.
    import difflib

    plain = {each.casefold(): each for each in names}
    near = [repr(plain[match]) for match in difflib.get_close_matches(str(name).casefold(), plain, 2)]
    advice = f"Did you mean {' or '.join(near)}? " if near else ""
    others = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    known = f"There are {', '.join(map(repr, names[:_MOST_NAMES]))}{others}." if names else "There are none."
    return UnknownNameError(f"There is no {kind} {name!r}. {advice}{known}")


class _Items(ItemsView[str, Any]):
    """The items of `LazyVolumes`."""

    _mapping: LazyVolumes

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return zip(self._mapping, self._mapping.read_all(), strict=True)


class _Values(ValuesView[Any]):
    """The values of `LazyVolumes`."""

    _mapping: LazyVolumes

    def __iter__(self) -> Iterator[Any]:
        return self._mapping.read_all()


class LazyVolumes(ShownAsTable, Mapping[str, Any]):
    """Volumes by label; each is read when it is looked up, and not kept.

    A loop over `items` or `values` reads the next ones while one is used.

    Parameters
    ----------
    labels : sequence of str
        The labels, each once.
    read : callable
        Called with a label; returns the volume.
    show : callable
        Called with labels; returns the table of their volumes that a notebook shows, without a request.
    read_all : callable, optional
        Called with labels; returns an iterator over their volumes. By default they are read when they are needed.
    """

    def __init__(
        self,
        labels: Sequence[str],
        read: Callable[[str], Volume],
        show: Callable[[Sequence[str]], Table],
        read_all: Callable[[Sequence[str]], Iterator[Volume]] | None = None,
    ) -> None:
        self._labels, self._read, self._show = tuple(labels), read, show
        self._read_all = partial(map, read) if read_all is None else read_all

    def items(self) -> ItemsView[str, Volume]:
        """Return the pairs of label and volume."""
        return _Items(self)

    def values(self) -> ValuesView[Volume]:
        """Return the volumes."""
        return _Values(self)

    def read_all(self) -> Iterator[Volume]:
        """Read all volumes, in order."""
        return self._read_all(self._labels)

    def __getitem__(self, label: str) -> Volume:
        """Read the volume of a label."""
        if label not in self._labels:
            raise unknown_entry("volume", label, self._labels)
        return self._read(label)

    def __contains__(self, label: object) -> bool:
        """Check whether there is a volume of this label, without reading it."""
        return label in self._labels

    def __iter__(self) -> Iterator[str]:
        """Iterate over the labels."""
        return iter(self._labels)

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._labels)

    def __repr__(self) -> str:
        """Show the number of entries."""
        return safe(f"<{len(self)} volumes: {', '.join(self._labels)}>")

    def _shown(self) -> Table:
        return self._show(self._labels)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._labels)
