"""Tags of one object as Orthanc's JSON has them: by keyword, number or path, with the values that it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pydicom.datadict as dictionary

from simple_orthanc.dicom.tags import Step, Tag, TagLike, parse_tag
from simple_orthanc.errors import TransportError, UnknownNameError, UnknownTagError

# What Orthanc writes in place of a string of more than 256 characters.
_TOO_LONG = "TooLong"


class Tags(Mapping[str, Any]):
    """The tags of one object, or of one item of a sequence, as they were when they were asked for.

    A tag is given by its keyword, its number (``"0008,103E"``, ``0x0008103E``), a private one with its creator
    (``'(0009,"ACME",01)'``), or as a path into sequences (``"ProcedureCodeSequence[0].CodeValue"``). Values are strings
    (several are separated by backslashes), a sequence is a list of `Tags`, and a binary value is None:
    `Instance.raw_value` reads it. Iterating yields the keyword of each tag, or its number where that alone tells it
    apart.

    Parameters
    ----------
    full : dict
        Number to ``{"Name", "Type", "Value"}``, as Orthanc's full JSON.

    Examples
    --------
    >>> tags = Tags({"0008,103e": {"Name": "SeriesDescription", "Type": "String", "Value": "ct scan"}})
    >>> tags["SeriesDescription"], tags["0008,103E"], tags.get("StudyID"), list(tags)
    ('ct scan', 'ct scan', None, ['SeriesDescription'])
    """

    def __init__(self, full: Mapping[str, Mapping[str, Any]]) -> None:
        self._full = full

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<{len(self)} tags>"

    def __getitem__(self, tag: TagLike) -> Any:
        """Return a value.

        Raises
        ------
        UnknownTagError
            There is no such DICOM tag; the message lists similar ones.
        UnknownNameError
            The object does not have this tag; it is a KeyError.
        """
        parsed = parse_tag(tag)
        entry = _find(self._full, parsed)
        if entry is None:
            raise UnknownNameError(
                f"The object has no {parsed.name}. .get({parsed.name!r}) returns None instead, and list(tags) has the "
                f"{len(self)} that it has."
            )
        return _value(entry)

    def __contains__(self, tag: object) -> bool:
        """Check whether the object has a tag."""
        try:
            return _find(self._full, parse_tag(tag)) is not None  # type: ignore[arg-type]
        except (UnknownTagError, TypeError):
            return False

    def __iter__(self) -> Iterator[str]:
        """Yield a name for each tag, by which it is found again."""
        return (_name(number) for number in self._full)

    def __len__(self) -> int:
        """Count the tags."""
        return len(self._full)

    @property
    def full(self) -> dict[str, Any]:
        """Orthanc's full JSON: number to ``{"Name", "Type", "Value"}``, private ones with ``PrivateCreator`` too.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.tags.full["0008,0060"]
        {'Name': 'Modality', 'Type': 'String', 'Value': 'PT'}
        """
        return dict(self._full)

    @property
    def simplified(self) -> dict[str, Any]:
        """Name to value, sequences as lists of dicts.

        Orthanc's own simplified JSON keeps one private tag alone, since it calls all of them alike; here each has its
        number.

        Examples
        --------
        >>> instance = orthanc.rest.patients.lookup("EX-003").studies[0].series[1].instances[0]
        >>> instance.tags.simplified["Units"]
        'BQML'
        """
        return {_name(number): _simplified(entry) for number, entry in self._full.items()}


def read_tags(read: Callable[[str], Any], described: Callable[[object], TransportError]) -> Tags:
    """Read tags, those with long values too.

    Parameters
    ----------
    read : callable
        Called with a query, "" for none, returns the JSON of a route for tags.
    described : callable
        Makes the error for an answer without tags.
    """
    answer = read("")
    if not _is_tags(answer):
        raise described(answer)
    long = too_long(answer)
    if long:
        whole = read(ignore_length(long))
        if not _is_tags(whole) or too_long(whole) - long:
            raise described(whole)
        answer = whole
    return Tags(answer)


def ignore_length(numbers: Iterable[str]) -> str:
    """Return the query that asks for values however long they are; Orthanc 1.10.1 takes no encoded commas.

    Examples
    --------
    >>> ignore_length({"0020,4000", "0009,1001"})
    '?ignore-length=0009-1001,0020-4000'
    """
    return "?ignore-length=" + ",".join(number.replace(",", "-") for number in sorted(numbers))


def too_long(full: Mapping[str, Any]) -> set[str]:
    """Return the numbers of the tags whose values Orthanc left out for their length, inside of sequences too.

    Examples
    --------
    >>> sorted(too_long({"0020,4000": {"Type": "TooLong"}, "0008,0060": {"Type": "String"}}))
    ['0020,4000']
    """
    numbers: set[str] = set()
    for number, entry in full.items():
        if entry.get("Type") == _TOO_LONG:
            numbers.add(number)
        elif entry.get("Type") == "Sequence":
            for item in entry.get("Value") or ():
                numbers |= too_long(item)
    return numbers


def content_path(tag: TagLike) -> list[str]:
    """Return the segments of the route ``content`` for a tag: ``["0008-1032", "0", "0008-0100"]``.

    Raises
    ------
    UnknownTagError
        The path leads through a sequence without naming the item, or to a private tag by its creator.

    Examples
    --------
    >>> content_path("ProcedureCodeSequence[0].CodeValue")
    ['0008-1032', '0', '0008-0100']
    """
    parsed = parse_tag(tag)
    segments: list[str] = []
    for step in parsed.steps:
        if step.creator is not None:
            raise UnknownTagError(
                f"{parsed.name} has the creator of a private block in it; give the number that it has in the file, "
                "such as 0009,1001: .tags.full has all of them."
            )
        if segments and len(segments) % 2:
            raise UnknownTagError(f"{parsed.name} does not say which item of the sequence is meant: write [0].")
        segments.append(f"{step.group:04x}-{step.element:04x}")
        if step.item is not None:
            segments.append(str(step.item))
    return segments


def _is_tags(answer: object) -> bool:
    return isinstance(answer, dict) and all(isinstance(entry, dict) for entry in answer.values())


def _find(full: Mapping[str, Mapping[str, Any]], tag: Tag) -> Mapping[str, Any] | None:
    """Find the entry of a tag; of a path without item numbers, that of the first item that has one."""
    step, rest = tag.steps[0], tag.steps[1:]
    entry = _entry(full, step)
    if entry is None or not rest:
        return entry
    items = entry.get("Value") if entry.get("Type") == "Sequence" else None
    items = items if isinstance(items, list) else []
    chosen = items if step.item is None else items[step.item : step.item + 1]
    return next((found for item in chosen if (found := _find(item, Tag(rest))) is not None), None)


def _entry(full: Mapping[str, Mapping[str, Any]], step: Step) -> Mapping[str, Any] | None:
    if step.creator is None:
        return full.get(f"{step.group:04x},{step.element:04x}")
    for number, entry in full.items():
        group, _, element = number.partition(",")
        if (
            entry.get("PrivateCreator") == step.creator
            and int(group, 16) == step.group
            and int(element, 16) & 0xFF == step.element
        ):
            return entry
    return None


def _name(number: str) -> str:
    """Return the keyword of a number, or the number where there is none.

    Examples
    --------
    >>> _name("0008,103e"), _name("0009,1001"), _name("0009,0010")
    ('SeriesDescription', '0009,1001', '0009,0010')
    """
    group, _, element = number.partition(",")
    try:
        value = int(group + element, 16)
    except ValueError:
        return number
    keyword = "" if int(group, 16) % 2 else dictionary.keyword_for_tag(value)
    return keyword if dictionary.tag_for_keyword(keyword) == value else number


def _value(entry: Mapping[str, Any]) -> Any:
    value = entry.get("Value")
    return [Tags(item) for item in value or ()] if entry.get("Type") == "Sequence" else value


def _simplified(entry: Mapping[str, Any]) -> Any:
    value = _value(entry)
    return [item.simplified for item in value] if isinstance(value, list) else value
