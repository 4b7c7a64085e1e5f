"""Conditions: trees of ``&``, ``|`` and ``~`` over comparisons of a field with a predicate; pure, without any I/O.

A field is a tag, a label or metadata entry of the server, the age of a patient, or what the series of a study hold. A
tree is evaluated by giving it the masks of its
comparisons, and changed by giving it other comparisons, both in the order of `Condition.comparisons`.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, TypeVar

from simple_orthanc.dicom.tags import Tag
from simple_orthanc.dicom.values import Value
from simple_orthanc.errors import SelectionError
from simple_orthanc.selection.predicates import FunctionError, Predicate

Mask: TypeAlias = "list[bool]"
AnyBinary = TypeVar("AnyBinary", bound="_Binary")


@dataclass(frozen=True)
class ServerField:
    """A field that the server itself keeps: a label, or a metadata entry by its name.

    Attributes
    ----------
    kind : {"label", "metadata"}
        What it is.
    name : str
        Its name.
    vr : str
        How its values are compared, as those of a tag of this value representation; "UN" is a string that may be a
        number, as in a private element of unknown type.
    """

    kind: Literal["label", "metadata"]
    name: str
    vr: str = "UN"

    def __str__(self) -> str:
        """Return the field as users write it."""
        return f"{self.kind}({self.name!r})"


@dataclass(frozen=True)
class AgeField:
    """The age of a patient at a study, in years: see `simple_orthanc.selection.ages`."""

    vr: ClassVar[str] = "DS"

    def __str__(self) -> str:
        """Return the field as users write it."""
        return "age()"


@dataclass(frozen=True)
class SeriesField:
    """What the series of a study, or of a patient, hold: set where one of them has an instance that satisfies this.

    Attributes
    ----------
    condition : Condition
        What is asked of the series.
    of : {"study", "patient"}
        Whose series they are.
    """

    condition: Condition
    of: Literal["study", "patient"] = "study"

    vr: ClassVar[str] = "UN"

    def __repr__(self) -> str:
        """Return the field as users write it."""
        return self._call(repr(self.condition))

    def __str__(self) -> str:
        """Return the field as `explain` shows it."""
        return self._call(str(self.condition))

    def _call(self, condition: str) -> str:
        return f"has_series({condition})" if self.of == "study" else f'has_series({condition}, of="{self.of}")'


Field: TypeAlias = "Tag | ServerField | AgeField | SeriesField"


class Condition:
    """A condition on the objects of an archive: made by `tag`, `label` and `metadata`, joined by ``&``, ``|``, ``~``.

    A condition has no truth value of its own, since it is about many objects; ``and``, ``or`` and ``not`` are therefore
    refused.

    Examples
    --------
    >>> from simple_orthanc import tag
    >>> thin = (tag("Modality") == "CT") & (tag("SliceThickness") <= 3)
    >>> thin | ~(tag("SeriesDescription") == "*localizer*")
    ((tag("Modality") == 'CT') & (tag("SliceThickness") <= 3)) | (~(tag("SeriesDescription") == '*localizer*'))
    >>> archive.select(thin).SeriesDescriptions
    ['CT chest with scout']
    """

    def __and__(self, other: Condition) -> Condition:
        """Return the condition that both hold."""
        return And(self, _checked(other, "&"))

    def __or__(self, other: Condition) -> Condition:
        """Return the condition that at least one of both holds."""
        return Or(self, _checked(other, "|"))

    def __invert__(self) -> Condition:
        """Return the condition that this one does not hold."""
        return Not(self)

    def __bool__(self) -> bool:
        """Raise SelectionError: a condition is neither true nor false by itself."""
        raise SelectionError(
            "A condition is neither true nor false by itself. Join conditions with & | ~ and put each in brackets, as "
            'in select((tag("KVP") > 100) & ~(tag("Modality") == "PT")); for a range use tag("KVP").between(80, 120).'
        )

    def comparisons(self) -> Iterator[Comparison]:
        """Yield the comparisons of the tree from left to right.

        Examples
        --------
        >>> from simple_orthanc import tag
        >>> condition = (tag("Modality") == "CT") & ~(tag("SliceThickness") > 3)
        >>> list(condition.comparisons())
        [tag("Modality") == 'CT', tag("SliceThickness") > 3]
        """
        raise NotImplementedError

    def evaluate(self, masks: Iterable[Mask]) -> Mask:
        """Return the mask of the tree.

        Parameters
        ----------
        masks : iterable of list of bool
            The mask of each comparison, over the same rows, in the order of `comparisons`.

        Examples
        --------
        >>> from simple_orthanc import tag
        >>> condition = (tag("Modality") == "CT") & ~(tag("SliceThickness") > 3)
        >>> condition.evaluate([[True, True, False], [False, True, False]])
        [True, False, False]
        """
        return self._evaluate(iter(masks))

    def _evaluate(self, masks: Iterator[Mask]) -> Mask:
        """Take the masks of this part of the tree from the iterator, and join them."""
        raise NotImplementedError

    def with_comparisons(self, comparisons: Iterable[Comparison]) -> Condition:
        """Return the same tree over other comparisons, in the order of `comparisons`.

        Examples
        --------
        >>> from simple_orthanc import tag
        >>> condition = (tag("Modality") == "CT") & ~(tag("SliceThickness") > 3)
        >>> condition.with_comparisons([tag("Modality") == "MR", tag("EchoTime") > 100])
        (tag("Modality") == 'MR') & (~(tag("EchoTime") > 100))
        """
        return self._rebuilt(iter(comparisons))

    def _rebuilt(self, comparisons: Iterator[Comparison]) -> Condition:
        """Take the comparisons of this part of the tree from the iterator."""
        raise NotImplementedError


def no_condition(value: object) -> str:
    """Return a name for what was given in place of a condition: often a method whose brackets were forgotten.

    Examples
    --------
    >>> no_condition(5), no_condition(len)
    ('5', 'len (to be called, with brackets)')
    """
    if not inspect.isroutine(value):
        return repr(value)
    owner = f"{value.__self__!r}." if inspect.ismethod(value) else ""
    return f"{owner}{value.__name__} (to be called, with brackets)"


def _checked(other: object, operator: str) -> Condition:
    if not isinstance(other, Condition):
        raise SelectionError(
            f"{operator} joins two conditions, and {no_condition(other)} is not one. Comparisons need brackets: "
            f'(tag("KVP") > 100) {operator} (tag("Modality") == "CT").'
        )
    return other


@dataclass(frozen=True)
class Comparison(Condition):
    """One field and one predicate: a leaf of the tree.

    Examples
    --------
    >>> from simple_orthanc import tag
    >>> comparison = tag("SliceThickness") <= 3
    >>> str(comparison.field), str(comparison.predicate)
    ('SliceThickness', '<= 3')
    """

    field: Field
    predicate: Predicate

    def comparisons(self) -> Iterator[Comparison]:
        """Yield the comparison itself.

        Examples
        --------
        >>> from simple_orthanc import tag
        >>> list((tag("KVP") > 100).comparisons())
        [tag("KVP") > 100]
        """
        yield self

    def _evaluate(self, masks: Iterator[Mask]) -> Mask:
        return next(masks)

    def _rebuilt(self, comparisons: Iterator[Comparison]) -> Condition:
        return next(comparisons)

    def holds(self, value: Value) -> bool:
        """Check whether the predicate holds for a value of the field.

        Raises
        ------
        SelectionError
            A function of the user's raised an error; the message names the field, the value and the error.

        Examples
        --------
        >>> from simple_orthanc import tag
        >>> comparison = tag("SliceThickness") <= 3
        >>> comparison.holds("1.5"), comparison.holds("5"), comparison.holds(None)
        (True, False, False)
        """
        try:
            return self.predicate.holds(value, self.field.vr)
        except FunctionError as failure:
            cause = failure.cause
            years = "; for an age in years use age()" if self.field.vr == "AS" else ""
            raise SelectionError(
                f"{self}: the function raised {type(cause).__name__}: {cause}. It was called with {failure.value!r}, "
                f"which is of type {type(failure.value).__name__}{years}."
            ) from cause

    def __repr__(self) -> str:
        """Return the condition as users write it."""
        if isinstance(self.field, SeriesField):
            return repr(self.field)
        name = f'tag("{self.field}")' if isinstance(self.field, Tag) else str(self.field)
        return f"{name} {self.predicate}"

    def __str__(self) -> str:
        """Return the condition as `explain` shows it."""
        return str(self.field) if isinstance(self.field, SeriesField) else f"{self.field} {self.predicate}"


@dataclass(frozen=True)
class _Binary(Condition):
    """Two conditions joined by an operator."""

    left: Condition
    right: Condition

    symbol: ClassVar[str]

    def comparisons(self) -> Iterator[Comparison]:
        """Yield the comparisons of the left side, then those of the right."""
        yield from self.left.comparisons()
        yield from self.right.comparisons()

    def _masks(self, masks: Iterator[Mask]) -> Iterator[tuple[bool, bool]]:
        return zip(self.left._evaluate(masks), self.right._evaluate(masks), strict=True)

    def _rebuilt(self: AnyBinary, comparisons: Iterator[Comparison]) -> AnyBinary:
        return type(self)(self.left._rebuilt(comparisons), self.right._rebuilt(comparisons))

    def __repr__(self) -> str:
        """Return the condition as users write it."""
        return f"({self.left!r}) {self.symbol} ({self.right!r})"

    def __str__(self) -> str:
        """Return the condition as `explain` shows it."""
        return f"({self.left}) {self.symbol} ({self.right})"


class And(_Binary):
    """Holds where both conditions hold."""

    symbol = "&"

    def _evaluate(self, masks: Iterator[Mask]) -> Mask:
        return [left and right for left, right in self._masks(masks)]


class Or(_Binary):
    """Holds where at least one of two conditions holds."""

    symbol = "|"

    def _evaluate(self, masks: Iterator[Mask]) -> Mask:
        return [left or right for left, right in self._masks(masks)]


@dataclass(frozen=True)
class Not(Condition):
    """Holds where a condition does not hold."""

    inner: Condition

    def comparisons(self) -> Iterator[Comparison]:
        """Yield the comparisons of the inner condition."""
        yield from self.inner.comparisons()

    def _evaluate(self, masks: Iterator[Mask]) -> Mask:
        return [not held for held in self.inner._evaluate(masks)]

    def _rebuilt(self, comparisons: Iterator[Comparison]) -> Condition:
        return Not(self.inner._rebuilt(comparisons))

    def __repr__(self) -> str:
        """Return the condition as users write it."""
        return f"~({self.inner!r})"

    def __str__(self) -> str:
        """Return the condition as `explain` shows it."""
        return f"not ({self.inner})"


def conjuncts(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions that a chain of ``&`` joins: each can be applied after the other."""
    if isinstance(condition, And):
        yield from conjuncts(condition.left)
        yield from conjuncts(condition.right)
    else:
        yield condition


def is_about(condition: Condition, tags: Collection[str]) -> bool:
    """Check whether a condition depends on some tags alone.

    Examples
    --------
    >>> from simple_orthanc import tag
    >>> condition = (tag("Modality") == "CT") | ~(tag("PatientID") == "P1")
    >>> is_about(condition, {"Modality", "PatientID"}), is_about(condition, {"PatientID"})
    (True, False)
    """
    fields = (comparison.field for comparison in condition.comparisons())
    return all(isinstance(field, Tag) and field.name in tags for field in fields)


def all_comparisons(condition: Condition) -> Iterator[Comparison]:
    """Yield the comparisons of a tree from left to right, and behind a question about series those inside it."""
    for comparison in condition.comparisons():
        yield comparison
        if isinstance(comparison.field, SeriesField):
            yield from all_comparisons(comparison.field.condition)
