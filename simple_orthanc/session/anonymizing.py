"""Anonymized copies of what is selected, stored by an Orthanc server beside their originals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from simple_orthanc.dicom.levels import IDENTIFIERS
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import JobError, NotFoundError, SelectionError, UnsupportedError
from simple_orthanc.rest import Rest
from simple_orthanc.session.acts.targets import check_narrowed, exact_resources, selected_keys
from simple_orthanc.session.display import counted
from simple_orthanc.session.orthanc import Orthanc


class AnonymizedSeries(NamedTuple):
    """A new series, and the one that it was made from."""

    PatientID: str | None
    StudyInstanceUID: str | None
    SeriesInstanceUID: str | None
    instance_count: int
    made_from: str | None


def orthanc_tag(name: str) -> str:
    """Return a tag as Orthanc's modifications take it: a keyword, or else a number.

    Raises
    ------
    UnknownTagError
        There is no such tag.
    UnsupportedError
        It is private with its creator, or a path into a sequence.

    Examples
    --------
    >>> orthanc_tag("0010,0020"), orthanc_tag("0009,100D")
    ('PatientID', '0009,100d')
    """
    tag = parse_tag(name)
    if len(tag.steps) > 1 or tag.steps[0].creator is not None:
        raise UnsupportedError(
            f"{name} was to be changed by the server, which takes plain tags only: a keyword, or the number of a "
            "private tag as it is in the file, such as 0009,100D."
        )
    return tag.keyword or tag.number


def anonymize(
    session: Orthanc,
    *,
    keep: Sequence[str] = (),
    remove: Sequence[str] = (),
    replace: Mapping[str, str] | None = None,
    everything: bool = False,
) -> list[AnonymizedSeries]:
    """Store anonymized copies of exactly what is selected; the originals stay.

    Parameters
    ----------
    session : Orthanc
        The session on the server.
    keep, remove : sequence of str
        Tags as `orthanc_tag` returns them.
    replace : mapping, optional
        Tag to new value.
    everything : bool
        Whether a selection that was never narrowed is allowed.

    Returns
    -------
    list of AnonymizedSeries
        One per new series.

    Raises
    ------
    SelectionError, EmptySelectionError
        As for `check_narrowed`; or several objects would get one identifier.
    JobError
        The server failed, or made copies with the identifiers of their originals.
    """
    replacements = dict(replace or {})
    check_narrowed(session, "anonymized", everything)
    _check_identifiers(session, replacements)
    body: dict[str, Any] = {"Resources": exact_resources(session), "KeepSource": True}
    if set(IDENTIFIERS.values()) & {*keep, *remove, *replacements}:
        # Orthanc changes the identifiers of objects only if it is told to.
        body["Force"] = True
    body |= {"Keep": list(keep), "Remove": list(remove), "Replace": replacements}
    content = session.rest.run_job("/tools/bulk-anonymize", body, label="anonymizing").get("Content")
    created = (content.get("Resources") or []) if isinstance(content, dict) else []
    _check_copies(session, created)
    series = [_new_series(session.rest, resource["ID"]) for resource in created if resource["Type"] == "Series"]
    return sorted(series, key=lambda row: str(list(row)))


def _check_identifiers(session: Orthanc, replace: Mapping[str, str]) -> None:
    """Refuse to give one identifier to several objects, which would merge them."""
    for level, name in IDENTIFIERS.items():
        count = len(selected_keys(session, level)) if name in replace else 0
        if count > 1:
            raise SelectionError(
                f"Replacing {name} by {replace[name]!r} would give one {name} to {counted({level: count})}, and so "
                "make one of them: anonymize them one at a time."
            )


def _check_copies(session: Orthanc, created: Sequence[Mapping[str, Any]]) -> None:
    originals = set(selected_keys(session, "instance"))
    same = sum(resource["ID"] in originals for resource in created if resource["Type"] == "Instance")
    if same or not created:
        raise JobError(
            f"Anonymizing ended well, but {same or 'all'} of {len(originals)} copies have the identifiers of their "
            "originals, so that nothing new was stored: keep fewer of PatientID, StudyInstanceUID, SeriesInstanceUID "
            "and SOPInstanceUID."
        )


def _new_series(rest: Rest, key: str) -> AnonymizedSeries:
    series = rest.get(f"/series/{key}")
    study = rest.get(f"/studies/{series['ParentStudy']}")
    made_from = None
    with suppress(NotFoundError):
        origin = str(rest.get(f"/series/{key}/metadata/AnonymizedFrom")).strip()
        made_from = rest.get(f"/series/{origin}")["MainDicomTags"].get("SeriesInstanceUID")
    return AnonymizedSeries(
        study.get("PatientMainDicomTags", {}).get("PatientID"),
        study["MainDicomTags"].get("StudyInstanceUID"),
        series["MainDicomTags"].get("SeriesInstanceUID"),
        len(series["Instances"]),
        made_from,
    )
