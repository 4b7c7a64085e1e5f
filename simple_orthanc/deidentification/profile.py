"""The Basic Application Level Confidentiality Profile and its options (DICOM PS3.15, sections E.2 and E.3).

`Profile` tells what is to be done with an attribute; ``engine`` does it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from simple_orthanc.deidentification.iod_types import type_of
from simple_orthanc.deidentification.replacing import replaced_value
from simple_orthanc.deidentification.table import Row, row_of
from simple_orthanc.errors import SelectionError


class Action(Enum):
    """What is done with an attribute; the values are the codes of PS3.15, section E.1.1."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    KEEP = "K"
    CLEAN = "C"
    REPLACE_UID = "U"


class Option(Enum):
    """An option of the basic profile (PS3.15, section E.3)."""

    RETAIN_SAFE_PRIVATE = "retain_safe_private"
    RETAIN_UIDS = "retain_uids"
    RETAIN_DEVICE_IDENTITY = "retain_device_identity"
    RETAIN_INSTITUTION_IDENTITY = "retain_institution_identity"
    RETAIN_PATIENT_CHARACTERISTICS = "retain_patient_characteristics"
    RETAIN_FULL_DATES = "retain_full_dates"
    RETAIN_MODIFIED_DATES = "retain_modified_dates"
    CLEAN_DESCRIPTORS = "clean_descriptors"
    CLEAN_STRUCTURED_CONTENT = "clean_structured_content"
    CLEAN_GRAPHICS = "clean_graphics"

    @classmethod
    def named(cls, name: str | Option) -> Option:
        """Return the option of a name; hyphens and spaces count as underscores.

        Raises
        ------
        SelectionError
            There is no such option. The message lists all of them.

        Examples
        --------
        >>> Option.named("retain-uids")
        <Option.RETAIN_UIDS: 'retain_uids'>
        """
        if isinstance(name, cls):
            return name
        spelled = str(name).strip().lower().replace("-", "_").replace(" ", "_")
        names = [option.value for option in cls]
        if spelled in names:
            return cls(spelled)
        near = difflib.get_close_matches(spelled, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SelectionError(f"There is no option {name!r} of de-identification.{hint} The options: {', '.join(names)}")


DATE_OPTIONS = frozenset({Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES})


@dataclass(frozen=True)
class Profile:
    """What is to be done with each attribute of an object.

    Attributes
    ----------
    options : frozenset of Option
        The options beside the basic profile.
    keep, remove : frozenset of int
        Tags that are kept or removed whatever the table says, at every level of a dataset. Keeping a tag that the table
        protects is the user's decision, and no longer the profile.
    replace : Mapping of int to str
        Tags and the values that they get, where they are present.

    Examples
    --------
    >>> profile = Profile.of(["retain-modified-dates"])
    >>> profile.action(0x00100010), profile.action(0x00080020), profile.action(0x00180050)
    (<Action.EMPTY: 'Z'>, <Action.CLEAN: 'C'>, None)
    """

    options: frozenset[Option] = frozenset()
    keep: frozenset[int] = frozenset()
    remove: frozenset[int] = frozenset()
    replace: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that nothing contradicts, and that values can be what they replace."""
        if self.options >= DATE_OPTIONS:
            raise SelectionError(
                "retain_full_dates keeps all dates as they are, retain_modified_dates moves them: pass one of the two"
            )
        for one, other, names in (
            (self.keep, self.remove, "keep and remove"),
            (self.keep, frozenset(self.replace), "keep and replace"),
            (self.remove, frozenset(self.replace), "remove and replace"),
        ):
            if both := one & other:
                tag = min(both)
                raise SelectionError(
                    f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is in both {names}: leave it in one of them"
                )
        for tag, value in self.replace.items():
            if dictionary_has_tag(tag):
                replaced_value(tag, dictionary_VR(tag), value)

    @classmethod
    def of(
        cls,
        options: Iterable[str | Option] = (),
        *,
        keep: Iterable[int] = (),
        remove: Iterable[int] = (),
        replace: Mapping[int, str] | None = None,
    ) -> Profile:
        """Make a profile from names of options and from tags.

        Raises
        ------
        SelectionError
            An option is unknown, two of them contradict each other, a tag is in two of the lists, or a value is not
            valid for its tag.
        """
        if isinstance(options, (str, Option)):
            options = (options,)
        replaced = {int(tag): value for tag, value in (replace or {}).items()}
        return cls(
            frozenset(Option.named(name) for name in options),
            frozenset(map(int, keep)),
            frozenset(map(int, remove)),
            replaced,
        )

    def has(self, *options: Option) -> bool:
        """Check whether the profile has one of these options."""
        return not self.options.isdisjoint(options)

    def action(self, tag: int, *, sop_class: str = "", path: Sequence[str] = ()) -> Action | None:
        """Return what Table E.1-1 asks for, or None if it does not list the attribute.

        Parameters
        ----------
        tag : int
            The number of the attribute.
        sop_class : str
            SOPClassUID of the object, for actions that depend on its IOD.
        path : sequence of str
            The keywords of the sequences around the attribute, and its own, for the same.

        Returns
        -------
        Action or None
            An option overrides the basic profile (PS3.15, section E.1.1). Of two options that differ, cleaning comes
            before keeping.
        """
        row = row_of(tag)
        if row is None:
            return None
        asked = {row.options[option.value] for option in self.options if option.value in row.options}
        if asked:
            return Action.CLEAN if "C" in asked else Action.KEEP
        return _basic(row, sop_class, path)


def _basic(row: Row, sop_class: str, path: Sequence[str]) -> Action:
    """Resolve the action of the basic profile by the type of the attribute in its IOD."""
    choices = row.basic.replace("*", "").split("/")
    if len(choices) == 1:
        return Action(choices[0])
    # In an IOD that is not known here the attribute may be of type 1; a value keeps every object valid.
    type_ = type_of(sop_class, path) or 1
    # Type 3: removed. Type 2: empty. Type 1: a value. Where the row has no such action, the next that is valid.
    order = {1: "UDZX", 2: "ZDUX", 3: "XZDU"}[type_]
    if type_ == 1 and choices == ["X", "Z"]:
        return Action.DUMMY
    return Action(next(code for code in order if code in choices))
