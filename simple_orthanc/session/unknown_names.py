"""Names of attributes of sessions: a DICOM keyword, or an error that says which verb or keyword may be meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from simple_orthanc.dicom.tags import Tag, close_keywords, did_you_mean, parse_attribute
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.session.state import SessionState

_PACKAGE = __name__.partition(".")[0] + "."
# Words for the same in other libraries, if no verb has them in its name.
_OTHER_WORDS = {
    "select": "find filter query search where loc",
    "table": "df dataframe to_dataframe to_pandas pandas head",
    "describe": "columns keys keywords info summary",
    "get_dicom_tag": "unique values",
    "get_volume": "load read open",
    "get_array": "numpy to_numpy pixels",
    "save_volumes": "export to_nifti nifti save write",
    "upload_folder": "store push import_folder",
    "delete": "remove drop",
    "reset": "clear",
    "sort_by": "order_by",
}
# What does the work of a verb in sessions that lack it.
_INSTEAD = {
    "anonymize": "deidentify(to, key=...) makes de-identified copies on every session.",
    "modify": "send(orthanc) copies what is selected to an Orthanc server, where it can be modified.",
    "archive": "download(folder) stores the files.",
    "upload_file": "send(to) copies what is selected to another session.",
    "upload_folder": "send(to) copies what is selected to another session.",
}


def parse_name(kind: type[SessionState], name: str) -> Tag:
    """Read the name of an attribute that a session does not define: a keyword in the singular or the plural.

    Parameters
    ----------
    kind : type
        The class of the session.
    name : str
        The name.

    Raises
    ------
    UnknownTagError
        It is none; the message lists verbs and keywords that may be meant.
    """
    try:
        return parse_attribute(name)
    except UnknownTagError:
        pass
    error = UnknownTagError(f"{kind.__name__} has no {name!r}, and it is no DICOM keyword. {_advice(kind, name)}")
    # With a name of its own, Python does not add a second list of similar names.
    error.name = name
    raise error


def _advice(kind: type[SessionState], name: str) -> str:
    owners = _owners_elsewhere(kind)
    if name in owners:
        return f"It is a verb of {' and '.join(owners[name])}. {_INSTEAD.get(name, '')}".strip()
    keywords = close_keywords(name.replace("_", ""))
    verbs = _close_verbs(_public(kind), name)
    # Keywords begin with a capital letter, and verbs do not.
    near = (keywords or verbs) if name[:1].isupper() else (verbs or keywords)
    if near:
        return did_you_mean(near)
    if elsewhere := _close_verbs(list(owners), name):
        return f"Did you mean {elsewhere[0]}, a verb of {' and '.join(owners[elsewhere[0]])}?"
    return "dir() lists the verbs, and describe() the tags that are there."


def _owners_elsewhere(kind: type) -> dict[str, list[str]]:
    """Return the verbs that a session lacks and others have, with the classes of these."""
    owners: dict[str, list[str]] = {}
    for other in _sessions():
        for name in _public(other):
            if not hasattr(kind, name):
                owners.setdefault(name, []).append(other.__name__)
    return owners


def _sessions() -> list[type]:
    """Return the classes of sessions of this library that are imported and can be opened."""
    found: dict[type, None] = {}
    waiting: list[type] = [SessionState]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if "__init__" in vars(kind) and kind.__module__.startswith(_PACKAGE):
            found[kind] = None
    return list(found)


def _public(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def _close_verbs(verbs: Sequence[str], name: str) -> list[str]:
    """Return up to three verbs that are close to a wrong name, or have its words, or do what it is called elsewhere."""
    # Only a mistake needs it.
    import difflib

    lowered = "_".join(re.findall("[A-Z]?[a-z0-9]+|[A-Z]+", name)).lower()
    close = difflib.get_close_matches(lowered, verbs, n=2, cutoff=0.75)
    words = set(lowered.split("_"))
    with_words = [verb for verb in verbs if words <= set(verb.split("_"))]
    elsewhere = [verb for verb, others in _OTHER_WORDS.items() if lowered in others.split() and verb in verbs]
    return list(dict.fromkeys([*close, *with_words, *elsewhere]))[:3]
