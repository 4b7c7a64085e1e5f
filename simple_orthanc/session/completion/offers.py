"""What Tab offers in code that uses a session: its verbs, DICOM keywords, values of tags, and choices of arguments.

``orthanc.select(Modality="MR").table("`` is completed from what `orthanc` knows, without the narrowing. No request is
sent.
"""

from __future__ import annotations

import builtins
import inspect
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.datadict import keyword_dict

from simple_orthanc.dicom.tags import parse_tag
from simple_orthanc.dicom.usual import USUAL_VALUES
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.selection.tables import AGE, COUNTS
from simple_orthanc.session.completion.expressions import Expressions, Known, evaluated, is_own
from simple_orthanc.session.completion.place import Argument, Attribute, Key, place_at_end
from simple_orthanc.session.completion.vocabulary import known_values, usual_tags
from simple_orthanc.session.state import SessionState

_MOST_OFFERS = 500

Kind = Literal["function", "property", "param", "value", "variable"]


@dataclass(frozen=True)
class Offers:
    """What may stand at a place in code.

    Attributes
    ----------
    typed : str
        The end of the code that each of the offers replaces.
    offers : list of tuple
        Texts and their kinds, in the order in which they are shown.
    is_all : bool
        Whether nothing else may stand there.
    """

    typed: str
    offers: list[tuple[str, Kind]]
    is_all: bool


def complete(code: str, namespace: Mapping[str, Any]) -> Offers | None:
    """Return what may stand at the end of some code, None where that is not for this library to say.

    Parameters
    ----------
    code : str
        What was written up to the cursor.
    namespace : mapping
        Name to object.

    Examples
    --------
    >>> from simple_orthanc import Session
    >>> [text for text, _ in complete('session.get_volume(gaps="', {"session": Session.__new__(Session)}).offers]
    ['raise', 'nan']
    """
    place = place_at_end(code)
    if place is None:
        return None
    expressions = Expressions(code, namespace)
    known = expressions.resolve(place.function if isinstance(place, Argument) else place.owner)
    if isinstance(place, Argument):
        outer = expressions.resolve(place.outer) if place.outer else None
        offers = _arguments(known, outer, place, namespace)
        in_string = bool(place.quote)
    else:
        offers = _attributes(known, place.typed) if isinstance(place, Attribute) else _keys(known, place)
        in_string = isinstance(place, Key)
    is_public = place.typed[:1] not in ("", "_")
    if offers is None and expressions.reads_archive and is_public and not in_string:
        # Others, such as jedi, would evaluate the expression to find more.
        return Offers(place.typed, [(place.typed, "value")], is_all=True)
    return offers


def _attributes(owner: Known | None, typed: str) -> Offers | None:
    """Return the public attributes of a class, and for a session the tags that are there."""
    if owner is None or isinstance(owner.value, type) or typed.startswith("_"):
        return None
    is_session = issubclass(owner.kind, SessionState) or owner.session is not None
    if owner.value is not None and not is_session:
        # At an object that is not of this library IPython looks itself.
        return _offers(typed, _members(owner.value)) if is_own(owner.kind) else None
    names = {name: _kind(kind, name) for kind in (owner.kind, owner.holder) for name in _public(kind)}
    listed: list[tuple[str, Kind]] = sorted(names.items())
    if is_session:
        listed += [(name, "property") for name in _tag_names(owner.session, typed) if name.isidentifier()]
    return _offers(typed, listed)


def _members(value: Any) -> list[tuple[str, Kind]]:
    return [(name, _kind(type(value), name)) for name in dir(value) if not name.startswith("_")]


def _public(kind: type) -> list[str]:
    # Fields of a dataclass that have no default are not attributes of the class.
    names = [*dir(kind), *getattr(kind, "__dataclass_fields__", ())]
    return [name for name in names if not name.startswith("_")]


def _kind(holder: type, name: str) -> Kind:
    return "function" if inspect.isroutine(inspect.getattr_static(holder, name, None)) else "property"


def _tag_names(session: SessionState | None, typed: str) -> list[str]:
    """List tags: the usual ones, and behind them the others that begin with what is written."""
    names = dict.fromkeys(usual_tags(session))
    if typed:
        lowered = typed.lower()
        names.update(dict.fromkeys(name for name in keyword_dict if name and name.lower().startswith(lowered)))
    return list(names)


def _arguments(
    function: Known | None, outer: Known | None, place: Argument, namespace: Mapping[str, Any]
) -> Offers | None:
    """Return what may stand in an argument of a function of this library.

    A function of no session, such as `tag`, is about the session in whose verb it is called.
    """
    called: Any = function.value if function is not None else None
    if not isinstance(called, (types.FunctionType, types.MethodType, type)) or not is_own(called):
        return None
    assert function is not None
    parameters = dict(inspect.signature(called).parameters)
    if function.owner is not None:
        parameters.pop("self", None)
        parameters.pop("cls", None)
    called = vars(called).get("__init__") if isinstance(called, type) else getattr(called, "__func__", called)
    owner = function.owner or (outer.owner if outer is not None else None)
    session = owner.session if owner is not None else None
    takes_tags = any(one.kind is one.VAR_KEYWORD and one.name == "tags" for one in parameters.values())
    parameter = _parameter(parameters, place)
    if place.in_expression:
        return _names(place, [], namespace)
    if parameter is not None and (place.keyword or place.quote):
        return _values(_choices(parameter, called, session, place), place)
    if place.keyword and takes_tags:
        return _values(_values_of_tag(session, place), place)
    if place.keyword or place.quote or place.in_list:
        return None
    names = [one.name for one in parameters.values() if one.kind is one.POSITIONAL_OR_KEYWORD][place.position :]
    names += [one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY]
    if takes_tags:
        names += [name for name in _tag_names(session, place.typed) if name.isidentifier()]
    return _names(place, names, namespace)


def _parameter(parameters: Mapping[str, inspect.Parameter], place: Argument) -> inspect.Parameter | None:
    if place.keyword:
        found = parameters.get(place.keyword)
        return None if found is None or found.kind is found.VAR_KEYWORD else found
    for rank, parameter in enumerate(parameters.values()):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return parameter
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and rank == place.position:
            return parameter
    return None


def _choices(
    parameter: inspect.Parameter, function: types.FunctionType, session: SessionState | None, place: Argument
) -> list[Any]:
    if "TagLike" in str(parameter.annotation):
        counts = [*COUNTS, AGE] if function.__name__ == "table" else []
        return _tag_names(session, place.typed) + counts
    return list(_literals(evaluated(parameter.annotation, function)))


def _literals(annotation: Any) -> Iterator[str]:
    """Yield the strings that a type allows, in the order of the type."""
    if typing.get_origin(annotation) is Literal:
        yield from (value for value in typing.get_args(annotation) if isinstance(value, str))
        return
    for inner in typing.get_args(annotation):
        yield from _literals(inner)


def _keys(owner: Known | None, place: Key) -> Offers | None:
    # Of other objects IPython asks itself.
    if owner is None or not is_own(owner.kind):
        return None
    keys: list[str] = getattr(owner.value, "_ipython_key_completions_", list)()
    return _offers(place.typed, [(_escaped(key, place.quote), "value") for key in keys])


def _values_of_tag(session: SessionState | None, place: Argument) -> list[Any]:
    try:
        tag = parse_tag(place.keyword)
    except UnknownTagError:
        return []
    known = known_values(session, tag) if session is not None else []
    return known or list(USUAL_VALUES.get(tag.name, ()))


def _values(values: Iterable[Any], place: Argument) -> Offers | None:
    """Offer values as they are written at a place: inside the quotes that are open, or with quotes of their own."""
    written: list[tuple[str, Kind]] = []
    for value in values:
        if place.quote:
            written.append((_escaped(str(value), place.quote), "value"))
        else:
            written.append((f'"{_escaped(value, chr(34))}"' if isinstance(value, str) else repr(value), "value"))
    return _offers(place.typed, written)


def _escaped(value: str, quote: str) -> str:
    r"""Write a string inside quotes, with all that is not printable as an escape sequence.

    Examples
    --------
    >>> print(_escaped('3" head\n', '"'))
    3\" head\n
    """
    special = {"\\": "\\\\", quote[0]: "\\" + quote[0]}
    return "".join(special.get(one, one if one.isprintable() else repr(one)[1:-1]) for one in value)


def _names(place: Argument, keywords: Iterable[str], namespace: Mapping[str, Any]) -> Offers | None:
    """Offer keywords of a call, and behind them names of the user and of Python that begin with what is written."""
    listed: list[tuple[str, Kind]] = [(f"{name}=", "param") for name in keywords if name not in place.used]
    if place.typed:
        listed += [(name, "variable") for name in sorted({*namespace, *vars(builtins)}) if name.startswith(place.typed)]
    return _offers(place.typed, listed)


def _offers(typed: str, listed: Iterable[tuple[str, Kind]]) -> Offers | None:
    """Return those that begin as what is written does: in the same case, or else in any."""
    distinct = list(dict(listed).items())
    found = [offer for offer in distinct if offer[0].startswith(typed)]
    found = found or [offer for offer in distinct if offer[0].lower().startswith(typed.lower())]
    return Offers(typed, found[:_MOST_OFFERS], is_all=True) if found else None
