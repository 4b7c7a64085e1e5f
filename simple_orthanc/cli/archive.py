"""Commands that change or pass on what an archive holds: ``anonymize``, ``send``, ``delete``."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from contextlib import suppress
from typing import Any

from simple_orthanc.cli import tabular, terminal
from simple_orthanc.cli.parser import CommandParser, Commands, add_command, level_of
from simple_orthanc.cli.source import opened
from simple_orthanc.dicom.levels import Level, depth
from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.errors import EmptySelectionError, JobError, NotFoundError, SelectionError, UnsupportedError
from simple_orthanc.rest import Rest
from simple_orthanc.selection import tables
from simple_orthanc.session import Orthanc, Session
from simple_orthanc.session.display import counted

_IDENTIFIERS: dict[str, Level] = {
    "PatientID": "patient",
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "SOPInstanceUID": "instance",
}
_REPLACEMENT = re.compile(r'((?:"[^"]*"|[^"=])+?)\s*=(.*)\Z', re.DOTALL)
_NAMED_IN_QUESTION = 10
_DESCRIBED: dict[Level, str] = {
    "patient": "PatientID PatientName",
    "study": "PatientID PatientName StudyDate StudyDescription StudyInstanceUID",
    "series": "PatientID PatientName StudyDate Modality SeriesDescription SeriesInstanceUID",
    "instance": "PatientID Modality SeriesDescription InstanceNumber SOPInstanceUID",
}


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(
        commands,
        "anonymize",
        _anonymize,
        summary="store anonymized copies of what is selected beside it, on an Orthanc server",
        details="The originals stay. Series of one study stay together, and so do studies of one patient.\nPrints "
        "the new series, with the old ones that they were made from.",
        examples=[
            "anonymize --where StudyInstanceUID=1.2.840.113619.2.1",
            "anonymize 1.2.840.113619.2.1 --keep StudyDescription --replace PatientID=S042 --remove InstitutionName",
        ],
        arguments=_anonymize_arguments,
    )
    add_command(
        commands,
        "send",
        _send,
        summary="send what is selected from an Orthanc server to another archive",
        details="TARGET is the name of a modality (C-STORE) or of a peer in the configuration of the server; "
        "modality:NAME and\npeer:NAME tell them apart. Without any TARGET known, the error lists those that are.",
        examples=["send PACS --where StudyDate=2020-01-01", "send peer:research 1.2.840.113619.2.1"],
        arguments=_send_arguments,
    )
    add_command(
        commands,
        "delete",
        _delete,
        summary="delete what is selected from the archive",
        details="Names what will go and asks, or goes ahead with --yes. A patient, study or series is deleted with all "
        "that it\nholds; where that is more than what is selected, nothing is deleted unless --whole allows it.",
        examples=["delete series --where SeriesDescription=localizer", "delete studies 1.2.840.113619.2.1 --yes"],
        arguments=_delete_arguments,
    )


def _add_everything(parser: CommandParser) -> None:
    parser.add_argument("--everything", action="store_true", help="allow the whole archive, if nothing is selected")


def _narrowed(session: Session, args: Namespace, verb: str) -> None:
    """Refuse the whole archive where nobody has said that it is meant, and what is empty."""
    if not session.selection and not args.everything:
        raise SelectionError(
            f"Nothing was selected, so the whole archive would be {verb}: narrow it with --where or an ID, or say "
            "--everything."
        )
    if not session.series_count:
        raise EmptySelectionError(f"Nothing is selected, so nothing was {verb}.")


def _server(session: Session, verb: str) -> Orthanc:
    if not isinstance(session, Orthanc):
        raise UnsupportedError(
            f"Images were to be {verb}, which only an Orthanc server does, and this is a {type(session).__name__}: "
            "name the server with --url."
        )
    return session


def _keys(session: Session, level: Level) -> list[str]:
    return tables.row_keys(session._index, session._selection, level)


def _resources(session: Session) -> list[str]:
    """Name exactly what is selected: series that are selected whole, and single instances of the others."""
    if session._selection.level != "instance":
        return _keys(session, "series")
    inside: dict[str, list[str]] = {key: [] for key in _keys(session, "series")}
    instances = _keys(session, "instance")
    for key, owner in zip(instances, session._index.up("instance", instances, "series"), strict=True):
        inside[owner].append(key)
    chosen = []
    for series, members in inside.items():
        whole = len(session._index.down("series", [series], "instance")) == len(members)
        chosen += [series] if whole else members
    return chosen


def _anonymize_arguments(parser: CommandParser) -> None:
    parser.add_argument("--keep", action="append", default=[], metavar="TAG", help="keep it as it is")
    parser.add_argument("--replace", action="append", default=[], metavar="TAG=VALUE", help="put a value in its place")
    parser.add_argument("--remove", action="append", default=[], metavar="TAG", help="remove it, though it is harmless")
    _add_everything(parser)
    tabular.add_format(parser)


def _anonymize(args: Namespace) -> int:
    keep, remove = [_orthanc_name(name) for name in args.keep], [_orthanc_name(name) for name in args.remove]
    replace = dict(map(_replacement, args.replace))
    with opened(args) as opened_session:
        session = _server(opened_session, "anonymized")
        _narrowed(session, args, "anonymized")
        _check_identifiers(session, replace)
        body: dict[str, Any] = {"Resources": _resources(session), "KeepSource": True}
        if touched := _IDENTIFIERS.keys() & {*keep, *remove, *replace}:
            # Orthanc wants to be told that a change of what identifies an object is meant.
            body["Force"] = bool(touched)
        body |= {"Keep": keep, "Remove": remove, "Replace": replace}
        content = session.rest.run_job("/tools/bulk-anonymize", body, label="anonymizing").get("Content") or {}
        made = content.get("Resources") or []
        _check_copies(session, made)
        rows = [_new_series(session.rest, each["ID"]) for each in made if each["Type"] == "Series"]
    names = ["PatientID", "StudyInstanceUID", "SeriesInstanceUID", "instance_count", "made_from"]
    uids = {"StudyInstanceUID", "SeriesInstanceUID", "made_from"}
    tabular.write(tabular.Rows(names, sorted(rows, key=str), uids), args.format, exact=args.exact, quiet=args.quiet)
    return 0


def _orthanc_name(name: str) -> str:
    """Check the spelling of a tag, and give it as Orthanc takes it."""
    tag = parse_tag(name)
    if len(tag.steps) > 1 or tag.steps[0].creator is not None:
        raise UnsupportedError(
            f"{name} was to be changed by the server, which takes plain tags only: a keyword, or the number of a "
            "private tag as it stands in the file, such as 0009,100D."
        )
    return tag.keyword or tag.number


def _replacement(text: str) -> tuple[str, str]:
    found = _REPLACEMENT.match(text)
    if found is None:
        raise SelectionError(f"--replace {text!r}: write TAG=VALUE, as in --replace PatientID=S042.")
    return _orthanc_name(found[1].strip()), found[2]


def _check_identifiers(session: Session, replace: dict[str, str]) -> None:
    """Refuse to give one identifier to several objects, which would make one object of them."""
    for name in _IDENTIFIERS.keys() & replace.keys():
        count = len(_keys(session, _IDENTIFIERS[name]))
        if count > 1:
            raise SelectionError(
                f"--replace {name}={replace[name]} would give one {name} to {counted({_IDENTIFIERS[name]: count})}, "
                "and so make one of them: anonymize them one at a time."
            )


def _check_copies(session: Session, made: list[dict[str, Any]]) -> None:
    sources = set(_keys(session, "instance"))
    same = sum(each["ID"] in sources for each in made if each["Type"] == "Instance")
    if same or not made:
        raise JobError(
            f"Anonymizing ended well, but {same or 'all'} of {len(sources)} copies have the identifiers of their "
            "originals, so that nothing new was stored: keep fewer of PatientID, StudyInstanceUID, SeriesInstanceUID "
            "and SOPInstanceUID."
        )


def _new_series(rest: Rest, key: str) -> list[Any]:
    series = rest.get(f"/series/{key}")
    study = rest.get(f"/studies/{series['ParentStudy']}")
    made_from = None
    with suppress(NotFoundError):
        origin = str(rest.get(f"/series/{key}/metadata/AnonymizedFrom")).strip()
        made_from = rest.get(f"/series/{origin}")["MainDicomTags"].get("SeriesInstanceUID")
    return [
        study.get("PatientMainDicomTags", {}).get("PatientID"),
        study["MainDicomTags"].get("StudyInstanceUID"),
        series["MainDicomTags"].get("SeriesInstanceUID"),
        len(series["Instances"]),
        made_from,
    ]


def _send_arguments(parser: CommandParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="name of a modality or peer in the server's configuration")
    _add_everything(parser)


def _send(args: Namespace) -> int:
    with opened(args) as opened_session:
        session = _server(opened_session, "sent")
        kind, name = _target(session.rest, args.target)
        _narrowed(session, args, "sent")
        count = session.instance_count
        session.rest.run_job(f"/{kind}/{_quoted(name)}/store", {"Resources": _resources(session)}, label="sending")
    sent = counted({"instance": count})
    sys.stdout.write(f"{sent} sent to the {'modality' if kind == 'modalities' else 'peer'} {terminal.safe(name)}\n")
    return 0


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _target(rest: Rest, text: str) -> tuple[str, str]:
    """Find a modality or a peer: the route's name, and its own."""
    known = {"modalities": list(rest.get("/modalities")), "peers": list(rest.get("/peers"))}
    wanted = {"modality": "modalities", "peer": "peers"}
    prefix, _, rest_of_name = text.partition(":")
    if prefix in wanted and rest_of_name in known[wanted[prefix]]:
        return wanted[prefix], rest_of_name
    found = [kind for kind, names in known.items() if text in names]
    if len(found) == 1:
        return found[0], text
    if found:
        raise SelectionError(f"{text!r} is a modality and a peer: say modality:{text} or peer:{text}.")
    listed = [f"modality:{name}" for name in known["modalities"]] + [f"peer:{name}" for name in known["peers"]]
    raise SelectionError(
        f"{text!r} is no modality or peer in the configuration of this server, which has "
        f"{', '.join(listed) or 'none'}. Nothing was sent."
    )


def _delete_arguments(parser: CommandParser) -> None:
    parser.add_argument("level", type=level_of, metavar="LEVEL", help="patients, studies, series or instances")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--whole", action="store_true", help="delete what the selection left out of them, too")
    _add_everything(parser)


def _delete(args: Namespace) -> int:
    level: Level = args.level
    with opened(args) as session:
        kind = type(session)
        method = getattr(kind, f"delete_selected_{level}", None)
        if not hasattr(kind, "delete_selected_series"):
            raise UnsupportedError(f"A {kind.__name__} is only read, so nothing was deleted: name a server.")
        if method is None and level != "instance":
            raise UnsupportedError(f"A {kind.__name__} deletes no {level} as a whole: delete at a deeper level.")
        _narrowed(session, args, "deleted")
        keys = _keys(session, level)
        counts, left_out = _what_goes(session, level, keys)
        if left_out and not args.whole:
            raise SelectionError(
                f"The {counted({level: len(keys)})} hold {left_out} that the selection left out, and would go too: "
                f"delete at a deeper level, or say --whole. Nothing was deleted."
            )
        what = f"{counted(counts)} on {session._source.description}"
        if not args.yes and not _agreed(session, level, what):
            return 1
        if method is None:
            _delete_instances(session)
        else:
            method(session, everything=True)
    sys.stdout.write(f"deleted: {terminal.safe(what)}\n")
    return 0


def _what_goes(session: Session, level: Level, keys: list[str]) -> tuple[dict[Level, int], str]:
    """Count what deleting these objects takes away, and say what of it is not selected, "" for nothing."""
    index = session._index
    studies_of = set(keys)
    below: list[str] = keys
    counts: dict[Level, int] = {level: len(keys)}
    at = level
    if level == "patient":
        everything = index.everything("study")
        owners = index.up("study", everything, "patient")
        below = [key for key, owner in zip(everything, owners, strict=True) if owner in studies_of]
        at, counts["study"] = "study", len(below)
    for deeper in ("series", "instance"):
        if depth(deeper) > depth(at):
            counts[deeper] = len(index.down(at, below, deeper))
    for deeper in ("study", "series", "instance"):
        if deeper in counts and deeper != level:
            more = counts[deeper] - len(_keys(session, deeper))
            if more:
                return counts, counted({deeper: more})
    return counts, ""


def _agreed(session: Session, level: Level, what: str) -> bool:
    if not terminal.can_ask():
        raise SelectionError(
            f"{what} would be deleted, and there is no terminal to ask on: say --yes. Nothing was deleted."
        )
    frame = session.table(*_DESCRIBED[level].split(), level=level)
    for row in tabular.from_frame(frame.head(_NAMED_IN_QUESTION)).rows:
        terminal.say("  " + terminal.safe("  ".join(tabular.text_of(value) for value in row)))
    if len(frame) > _NAMED_IN_QUESTION:
        terminal.say(f"  and {len(frame) - _NAMED_IN_QUESTION:,} more")
    if terminal.confirmed(f"Delete {terminal.safe(what)}?"):
        return True
    terminal.say("Nothing was deleted.")
    return False


def _delete_instances(session: Session) -> None:
    holder: Any = session
    if isinstance(session, Orthanc):
        for key in _keys(session, "instance"):
            with suppress(NotFoundError):
                session.rest.delete(f"/instances/{key}")
        return
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    for row in session.table(*names, level="instance").itertuples(index=False):
        holder.rest.delete_instance(*map(str, row))
