"""The vocabulary of users, which makes conditions.

``tag("KVP") > 100``, ``age() > 60``, ``has_series(Modality="SEG")``, ``exact``, ``like``, ``label``, ``metadata``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date
from functools import reduce
from operator import and_
from typing import Any, Literal

import numpy as np

from simple_orthanc.dicom.tags import Tag, TagLike, parse_tag
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.conditions import (
    AgeField,
    Comparison,
    Condition,
    Field,
    Not,
    SeriesField,
    ServerField,
    no_condition,
)
from simple_orthanc.selection.parsing import (
    Exact,
    Like,
    compiled,
    is_missing,
    is_table,
    missing_for,
    operand_for,
    predicate_for,
    range_for,
)
from simple_orthanc.selection.predicates import IsSet, Matches, Operator, Relation, Where

# What Orthanc itself keeps with objects; what is not here may be a number.
_METADATA_VRS = {
    **dict.fromkeys(("LastUpdate", "ReceptionDate"), "DT"),
    **dict.fromkeys(("AnonymizedFrom", "ModifiedFrom", "RemoteAET", "CalledAET", "RemoteIP", "Origin"), "LO"),
    **dict.fromkeys(("HttpHost", "HttpUsername", "TransferSyntax", "SopClassUid", "PixelDataVR"), "LO"),
}


def exact(string: str) -> Exact:
    """Match a string character by character, with ``*`` and ``?`` as plain characters and with regard to case.

    Examples
    --------
    >>> exact("T2*_GRE")
    exact('T2*_GRE')
    >>> tag("SeriesDescription") == exact("T2*_GRE")
    tag("SeriesDescription") == exact 'T2*_GRE'
    """
    return Exact(_checked_string(string, "exact"))


def like(string: str) -> Like:
    """Match a string with ``*`` and ``?`` as wildcards, even if the archive holds the string itself.

    Examples
    --------
    >>> like("T2*")
    like('T2*')
    """
    return Like(_checked_string(string, "like"))


def _checked_string(string: object, name: str) -> str:
    if not isinstance(string, str):
        raise SelectionError(f"{name}(...) takes a string, and {string!r} is of type {type(string).__name__}.")
    return string


class TagField:
    """A field to be compared: made by `tag`, and by `metadata` for the server's own entries.

    Examples
    --------
    >>> thickness = tag("SliceThickness")
    >>> thickness <= 3
    tag("SliceThickness") <= 3
    >>> thickness.between(1, 3) | thickness.is_missing()
    (tag("SliceThickness") between 1 and 3) | (tag("SliceThickness") is missing)
    >>> metadata("RemoteAET").isin(["CT1", "CT2"])
    metadata('RemoteAET') in ['CT1', 'CT2']
    """

    # Comparing returns a condition, so a field can be neither a member of a set nor a key.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, field: Field) -> None:
        self._field = field

    def __eq__(self, value: object) -> Condition:  # type: ignore[override]
        """Return the condition that a value equals, or matches, the given one."""
        return condition_for(self._field, value)

    def __ne__(self, value: object) -> Condition:  # type: ignore[override]
        """Return the condition that no value equals, or matches, the given one."""
        return Not(condition_for(self._field, value))

    def __lt__(self, value: Any) -> Condition:
        """Return the condition that a value is less than the given one."""
        return self._ordered("<", value)

    def __le__(self, value: Any) -> Condition:
        """Return the condition that a value is less than or equal to the given one."""
        return self._ordered("<=", value)

    def __gt__(self, value: Any) -> Condition:
        """Return the condition that a value is greater than the given one."""
        return self._ordered(">", value)

    def __ge__(self, value: Any) -> Condition:
        """Return the condition that a value is greater than or equal to the given one."""
        return self._ordered(">=", value)

    def between(self, low: Any, high: Any) -> Condition:
        """Return the condition that a value lies from ``low`` to ``high``, both included; None leaves an end open.

        Examples
        --------
        >>> tag("SliceThickness").between(1, 3)
        tag("SliceThickness") between 1 and 3
        """
        field = _typed_field(self._field, low, high)
        return Comparison(field, range_for(field, low, high))

    def isin(self, values: Iterable[Any]) -> Condition:
        """Return the condition that a value is one of several; each is compared as in ``==``.

        Examples
        --------
        >>> tag("Modality").isin(["CT", "PT"])
        tag("Modality") in ['CT', 'PT']
        """
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise SelectionError(f"isin takes a list: {self!r}.isin([{values!r}]).")
        return condition_for(self._field, values if is_table(values) else list(values))

    def matches(self, pattern: str | re.Pattern[str]) -> Condition:
        """Return the condition that a regular expression is found in a value.

        Examples
        --------
        >>> tag("SeriesDescription").matches("T[12]")
        tag("SeriesDescription") matches 'T[12]'
        """
        return Comparison(self._field, Matches(compiled(pattern)))

    def is_missing(self) -> Condition:
        """Return the condition that the element is absent, empty, or a single number that cannot be read.

        Examples
        --------
        >>> tag("KVP").is_missing()
        tag("KVP") is missing
        """
        return Comparison(self._field, missing_for(self._field))

    def where(self, function: Callable[[Any], Any]) -> Condition:
        """Return the condition that a function is true for a value: a number, date, time since midnight or string.

        An entry of metadata is always a string.

        Examples
        --------
        >>> tag("SeriesDescription").where(str.isdigit)
        tag("SeriesDescription") where isdigit
        """
        if not callable(function):
            raise SelectionError(f'where takes a function: tag("{self._field}").where(lambda value: value > 3).')
        return Comparison(_untyped_field(self._field), Where(function))

    def _ordered(self, operator: Operator, value: Any) -> Condition:
        field = _typed_field(self._field, value)
        return Comparison(field, Relation(operator, operand_for(field, value)))

    def __repr__(self) -> str:
        """Return the field as users write it."""
        return f'tag("{self._field}")' if isinstance(self._field, Tag) else str(self._field)

    def __bool__(self) -> bool:
        """Raise SelectionError: a field is neither true nor false."""
        raise SelectionError(
            f'{self!r} is a tag, not a condition: compare it, as in {self!r} == "..." or {self!r}.is_missing().'
        )


def tag(name: TagLike) -> TagField:
    """Return a tag; comparing it with a value makes a condition.

    Parameters
    ----------
    name : str, int or tuple
        Any spelling of a tag: keyword, number, private with its creator, path into sequences.

    Returns
    -------
    TagField
        Compare it with ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, or call ``between``, ``isin``, ``matches``,
        ``is_missing``, ``where``; join the conditions with ``&``, ``|`` and ``~``.

    Raises
    ------
    UnknownTagError
        There is no such tag.

    Examples
    --------
    >>> (tag("SliceThickness") <= 3) & ~(tag("Modality") == "PT")
    (tag("SliceThickness") <= 3) & (~(tag("Modality") == 'PT'))
    """
    parsed = parse_tag(name)
    _check_searchable(parsed)
    return TagField(parsed)


def _check_searchable(tag: Tag) -> None:
    if tag.is_pixels:
        raise SelectionError(
            f"{tag} holds pixels, which are not searched. Objects without an image lack Rows: "
            "select(Rows=None), or exclude(Rows=None) for the others."
        )


def label(name: str) -> Condition:
    """Return the condition that an object, or its series, study or patient, has a label in Orthanc.

    Labels exist since Orthanc 1.12.0.

    Examples
    --------
    >>> label("reviewed")
    label('reviewed') is set
    """
    return Comparison(ServerField("label", _checked_string(name, "label")), IsSet())


def metadata(name: str) -> TagField:
    """Return an entry of Orthanc's metadata, of any level; comparing it makes a condition, as with `tag`.

    LastUpdate and ReceptionDate are compared as date-times (DT), in the time of the server; an entry of your own as a
    number or a string, or as a date-time if it is compared with a ``datetime`` or ``date``.

    Examples
    --------
    >>> metadata("RemoteAET") == "SCANNER"
    metadata('RemoteAET') == 'SCANNER'
    >>> metadata("LastUpdate") > "20260101"
    metadata('LastUpdate') > '2026-01-01 00:00:00'
    """
    checked = _checked_string(name, "metadata")
    return TagField(ServerField("metadata", checked, _METADATA_VRS.get(checked, "UN")))


def age() -> TagField:
    """Return the patient's age at the study, in years; comparing it makes a condition, as with `tag`.

    It is PatientAge; where that is missing, it is computed from PatientBirthDate and StudyDate. From the second
    birthday on an age is a whole number of completed years; before, a fraction: ``003M`` is 0.25. Where both are
    there, PatientAge is used, since a birth date is often changed to hide the patient; a difference of more than
    one year is warned about.

    Returns
    -------
    TagField
        Compare it as what `tag` returns. It is missing where neither can be read.

    Notes
    -----
    An age belongs to a study: a patient with several studies has several. PatientAge is read from one file of each
    study: that of the first series, in the usual order, which has it.

    Examples
    --------
    >>> (age() > 60) | age().between(0, 0.5)
    (age() > 60) | (age() between 0 and 0.5)
    >>> from simple_orthanc import Folder
    >>> folder = Folder.example()
    >>> folder.select(age() >= 60, SeriesDescription="T1*").PatientIDs
    ['EX-001', 'EX-004']
    """
    return TagField(AgeField())


def has_series(*conditions: Condition, of: Literal["study", "patient"] = "study", **tags: Any) -> Condition:
    """Return the condition that the study has a series with all of this, whichever series are selected.

    All series of such a study satisfy it. Two of them ask for two series, which may differ: the studies with CT and SEG
    are ``select(has_series(Modality="CT"), has_series(Modality="SEG"))``.

    Parameters
    ----------
    *conditions, **tags
        What one series must satisfy, as for `Session.select`: one of its instances must satisfy all of it.
    of : {"study", "patient"}
        Whose series they are. "patient": any study of the patient may have the series.

    Returns
    -------
    Condition
        Join it with others by ``&``, ``|`` and ``~``; ``~has_series(...)`` holds where no series has it.

    Raises
    ------
    SelectionError
        Nothing is asked, or a question about series is inside another.
    UnknownTagError
        There is no such tag.

    Examples
    --------
    >>> has_series(Modality="CT") & ~has_series(tag("SliceThickness") < 2)
    (has_series(tag("Modality") == 'CT')) & (~(has_series(tag("SliceThickness") < 2)))
    >>> from simple_orthanc import Folder
    >>> folder = Folder.example()
    >>> folder.select(has_series(Modality="CT"), has_series(Modality="SEG")).Modalities
    ['CT', 'SEG', 'RTSTRUCT']
    >>> folder.select(Modality="CT").PatientIDs
    ['EX-002']
    """
    if of not in ("study", "patient"):
        raise SelectionError(f'has_series(..., of={of!r}): of is "study" or "patient".')
    asked = list(conditions)
    for condition in asked:
        if not isinstance(condition, Condition):
            raise SelectionError(
                f"has_series({no_condition(condition)}): write a condition, or a tag and its value, as in "
                'has_series(Modality="SEG").'
            )
        if any(isinstance(comparison.field, SeriesField) for comparison in condition.comparisons()):
            raise SelectionError(
                f"has_series({condition!r}): a series has no series. Join the questions with &, as in "
                'has_series(Modality="CT") & has_series(Modality="SEG").'
            )
    asked += [condition_for(parse_tag(name), value) for name, value in tags.items()]
    if not asked:
        raise SelectionError('has_series() asks nothing: name what the series has, as in has_series(Modality="SEG").')
    return Comparison(SeriesField(reduce(and_, asked), of), IsSet())


def _typed_field(field: Field, *values: Any) -> Field:
    """Return a field as it is compared with values: an entry of metadata of unknown type may be a date-time."""
    if isinstance(field, ServerField) and field.vr == "UN" and any(map(_is_date, values)):
        return replace(field, vr="DT")
    return field


def _untyped_field(field: Field) -> Field:
    """Return a field as it is shown to a function: an entry of metadata is a string."""
    return replace(field, vr="UN") if isinstance(field, ServerField) else field


def _is_date(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)) or (hasattr(value, "to_numpy") and hasattr(value, "__iter__")):
        return any(map(_is_date, value))
    # One such number, or an array of them.
    return isinstance(value, date) or np.issubdtype(getattr(value, "dtype", object), np.datetime64)


def condition_for(field: Field, value: Any) -> Condition:
    """Return the condition that a value means, given for a field.

    Raises
    ------
    SelectionError
        The value is not possible for this field; the message shows the right form.

    Examples
    --------
    >>> condition_for(parse_tag("SliceThickness"), (1, None))
    tag("SliceThickness") between 1 and None
    """
    if isinstance(value, (Condition, TagField)):
        raise SelectionError(f"Give a condition by itself: select({value!r}), not select({field}={value!r}).")
    if is_table(value):
        raise SelectionError(
            f"{field} is given a table, which is not a list of values: name the column that is meant, as in "
            f'frame["{field}"].'
        )
    if isinstance(field, Tag):
        _check_searchable(field)
    if isinstance(field, Tag) and field.is_sequence and not is_missing(value):
        raise SelectionError(
            f"{field} is a sequence and has no value of its own: name a tag in it, "
            f'as in tag("{field}[0].CodeMeaning") == ...'
        )
    field = _untyped_field(field) if callable(value) else _typed_field(field, value)
    return Comparison(field, predicate_for(field, value))
