"""The arguments of `deidentify`, checked before anything is read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from simple_orthanc.deidentification.profile import Profile
from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.dicom.tags import PADDING, parse_tag
from simple_orthanc.errors import SelectionError, UnsupportedError, stacklevel
from simple_orthanc.selection.source import Source, archive_of
from simple_orthanc.session.acts.reports import Target
from simple_orthanc.session.deidentifying.results import TargetFolder, check_apart
from simple_orthanc.session.display import counted
from simple_orthanc.session.exports.downloading import target_folder
from simple_orthanc.session.exports.layouts import Field, Layout, parse_layout
from simple_orthanc.session.state import SessionState
from simple_orthanc.sources.folder.source import FolderSource

SUSPICIOUS = ("leave out", "keep")


def read_profile(
    profile: object,
    options: Collection[str],
    keep: Collection[str],
    remove: Collection[str],
    replace: Mapping[str, Any] | None,
) -> Profile:
    """Read what is to be done with each attribute.

    Raises
    ------
    SelectionError
        There is no such profile or option; two of them contradict each other; a tag cannot be named in this way.
    """
    if profile != "basic":
        raise SelectionError(
            f'profile={profile!r}: there is one profile, "basic" (DICOM PS3.15, section E.2). Its options are another '
            'argument, as in options=["retain_modified_dates"].'
        )
    if replace is not None and not isinstance(replace, Mapping):
        raise SelectionError(
            f'replace={replace!r} maps tags to values, as in replace={{"StudyDescription": "trial 7"}}.'
        )
    wrong = [type(value).__name__ for value in (replace or {}).values() if not isinstance(value, str)]
    if wrong:
        raise SelectionError(
            f'replace holds a value of type {wrong[0]}: write values as strings, as in {{"KVP": "120"}}.'
        )
    replaced = {_number(tag): value for tag, value in (replace or {}).items()}
    lists = {"keep": keep, "remove": remove}
    tags = {name: [_number(tag) for tag in _names(values, name)] for name, values in lists.items()}
    return Profile.of(_names(options, "options"), **tags, replace=replaced)


def _names(names: Any, argument: str) -> Collection[Any]:
    if isinstance(names, (str, int)):
        return (names,)
    if not isinstance(names, Iterable):
        example = '["retain_modified_dates"]' if argument == "options" else '["SeriesDescription"]'
        raise SelectionError(f"{argument}={names!r} is no list of names, as {argument}={example} is.")
    return tuple(names)


def _number(name: Any) -> int:
    tag = parse_tag(name)
    if len(tag.steps) > 1 or tag.leaf.creator is not None:
        raise UnsupportedError(
            f"{name}: what is kept, removed or replaced is a plain tag, at every level of an object: a keyword, or a "
            "number such as 0009,100D. Private tags that are safe are kept by their creators with "
            'options=["retain_safe_private"].'
        )
    return tag.leaf.number


def check_replaced_identifiers(profile: Profile, targets: Collection[Target]) -> None:
    """Refuse to give one identifier to several objects, which would become one."""
    for position, (level, keyword) in enumerate(IDENTIFIERS.items()):
        count = len({target.identifiers[: position + 1] for target in targets})
        value = profile.replace.get(parse_tag(keyword).leaf.number)
        if value is not None and count > 1:
            raise SelectionError(
                f"Replacing {keyword} by {value!r} would give one {keyword} to {counted({level: count})}, and so make "
                "one of them. For patients, pseudonyms={...} names one for each."
            )


def warn_of_other_patients(given: Collection[str], targets: Collection[Target]) -> None:
    """Warn if pseudonyms are given for other patients than those that are selected, without their identifiers."""
    patients = {(target.identifiers[0] or "").strip(PADDING) for target in targets}
    if given and patients.isdisjoint(given):
        warnings.warn(
            f"None of the {len(patients)} selected patients is in pseudonyms, so all get pseudonyms made from the key. "
            "If that is not meant: each PatientID must be written as in PatientIDs, zeros in front included.",
            stacklevel=stacklevel(),
        )


def leaves_out(suspicious: object) -> bool:
    """Read what to do with objects that may show who the patient is."""
    if suspicious not in SUSPICIOUS:
        raise SelectionError(f'suspicious={suspicious!r} is not valid; choose "leave out" or "keep".')
    return suspicious == "leave out"


def read_target(to: Any, source: Source, layout: object) -> Any:
    """Read where copies go.

    Parameters
    ----------
    to : str, Path or Session
        A folder, or a session that takes uploads.
    source : Source
        What is read.
    layout : str, optional
        How files in a folder are named.

    Returns
    -------
    TargetFolder or Session
        Nothing was written yet.

    Raises
    ------
    SelectionError, UnsupportedError
        There can be no such folder, or the originals are around it or in it; or the session takes no uploads; or the
        layout cannot be.
    """
    session = to if isinstance(to, SessionState) else None
    into, source = None if session is None else archive_of(session._source), archive_of(source)
    if isinstance(into, FolderSource) or isinstance(to, (str, os.PathLike)):
        folder = into.writable_folder() if isinstance(into, FolderSource) else target_folder(to, "deidentify")
        check_apart(folder, Path(source.top) if isinstance(source, FolderSource) else None)
        return TargetFolder(folder, _read_layout(layout), session)
    if layout is not None:
        raise SelectionError("layout names the files in a folder, and an archive has names of its own: leave it out.")
    if callable(getattr(type(to), "_uploader", None)):
        return to
    if session is not None:
        raise UnsupportedError(
            f"Copies were to go to a {type(to).__name__}, which is only read: name an Orthanc or DicomWeb session, or "
            'the path of a folder, as in deidentify("shared", ...).'
        )
    raise SelectionError(
        f'Copies were to go to a {type(to).__name__}: give the path of a folder, as in deidentify("shared", ...), or a '
        "session that takes uploads."
    )


def _read_layout(layout: object) -> Layout | None:
    """Read how files are named. Copies are named one by one, so that their names must differ by themselves."""
    if layout is None:
        return None
    parsed = parse_layout(layout, "deidentify", ())
    # Its first characters are those of all UIDs.
    if not any(
        isinstance(piece, Field) and piece.name == "SOPInstanceUID" and not piece.spec for piece in parsed.parts[-1]
    ):
        example = "/".join([*str(layout).split("/")[:-1], "{SOPInstanceUID}.dcm"])
        raise SelectionError(
            f"deidentify(layout={layout!r}) could give two copies one name. With the whole new SOPInstanceUID in "
            f"the name of the file it cannot: deidentify(layout={example!r})."
        )
    return parsed
