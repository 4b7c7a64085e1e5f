"""What Tab offers in code that uses a session: its verbs, DICOM keywords, values of tags, and choices of arguments.

Nothing that the user wrote is executed: names are looked up, attributes are looked up in classes, and what a call
returns is known from its annotation. ``orthanc.select(Modality="MR").table("`` is completed from what `orthanc` knows,
without the narrowing. No request is sent.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.datadict import keyword_dict

from simple_orthanc.dicom.tags import parse_attribute, parse_tag
from simple_orthanc.errors import UnknownTagError
from simple_orthanc.selection.tables import COUNTS
from simple_orthanc.session.completion.known import known_values, usual_tags
from simple_orthanc.session.completion.place import Argument, Attribute, place_at_end
from simple_orthanc.session.containers import Children
from simple_orthanc.session.state import SessionState

_PACKAGE = __name__.partition(".")[0]
_MOST_OFFERS = 500

Kind = Literal["function", "property", "param", "value"]


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
    if isinstance(place, Attribute):
        owner = _resolve(_parsed(place.owner), namespace)
        return None if owner is None else _attributes(owner, place.typed)
    function = _resolve(_parsed(place.function), namespace)
    return None if function is None else _arguments(function, place)


@dataclass(frozen=True)
class _Known:
    """What is known of an expression: its class, perhaps the object, perhaps the session that a method belongs to."""

    kind: type
    value: Any = None
    owner: _Known | None = None

    @property
    def session(self) -> SessionState | None:
        """The session, also that of an asynchronous one, if its constructor has come to its end."""
        value = getattr(self.value, "__dict__", {}).get("_session", self.value)
        return value if isinstance(value, SessionState) and "_plans" in vars(value) else None

    @property
    def holder(self) -> type:
        """The class that has the attributes."""
        return type(self.session) if self.session is not None else self.kind


def _parsed(expression: str) -> ast.expr | None:
    try:
        # In brackets, since it may go over several lines.
        return ast.parse(f"({expression}\n)", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _resolve(node: ast.expr | None, namespace: Mapping[str, Any]) -> _Known | None:
    """Find out what an expression is, without evaluating it."""
    if isinstance(node, ast.Name):
        return _known(namespace[node.id]) if node.id in namespace else None
    if isinstance(node, ast.Await):
        return _resolve(node.value, namespace)
    if isinstance(node, ast.Attribute):
        owner = _resolve(node.value, namespace)
        return None if owner is None else _attribute(owner, node.attr)
    if isinstance(node, ast.Call):
        function = _resolve(node.func, namespace)
        return None if function is None else _returned(function)
    if isinstance(node, ast.Subscript):
        owner = _resolve(node.value, namespace)
        return None if owner is None else _item(owner, node.slice)
    return None


def _known(value: Any) -> _Known:
    return _Known(type(value), value)


def _attribute(owner: _Known, name: str) -> _Known | None:
    if isinstance(owner.value, types.ModuleType):
        # The names of this package are imported when they are asked for.
        own = owner.value.__name__.partition(".")[0] == _PACKAGE
        value = getattr(owner.value, name, None) if own else vars(owner.value).get(name)
        return None if value is None else _known(value)
    kind = owner.value if isinstance(owner.value, type) else owner.holder
    found = inspect.getattr_static(kind, name, None)
    if isinstance(found, (classmethod, staticmethod)):
        found = found.__func__
    if isinstance(found, property):
        return _returned(_Known(type(found.fget), found.fget, owner))
    if isinstance(found, types.FunctionType):
        return _Known(type(found), found, owner)
    if issubclass(kind, SessionState):
        return _Known(list) if _is_keyword(name) else None
    value = getattr(owner.value, "__dict__", {}).get(name)
    return None if value is None else _known(value)


def _is_keyword(name: str) -> bool:
    try:
        return bool(parse_attribute(name))
    except UnknownTagError:
        return False


def _returned(function: _Known) -> _Known | None:
    """Return what is known of the result of a call, from its annotation."""
    if isinstance(function.value, type):
        return _Known(function.value) if _is_own(function.value) else None
    if not isinstance(function.value, types.FunctionType) or not _is_own(function.value):
        return None
    annotation = function.value.__annotations__.get("return", "")
    if annotation == "Self":
        owner = function.owner
        return _Known(owner.value) if owner is not None and isinstance(owner.value, type) else owner
    if str(annotation).startswith(Children.__name__):
        return _Known(Children, owner=function.owner)
    kind = _evaluated(annotation, function.value)
    return _Known(kind) if isinstance(kind, type) else None


def _item(owner: _Known, index: ast.expr) -> _Known | None:
    if owner.kind is Children:
        return owner if isinstance(index, ast.Slice) else owner.owner
    if owner.kind in (list, tuple, dict) and isinstance(index, ast.Constant) and owner.value is not None:
        try:
            return _known(owner.value[index.value])
        except (LookupError, TypeError):
            return None
    return None


def _is_own(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] == _PACKAGE


def _evaluated(annotation: Any, function: types.FunctionType) -> Any:
    """Evaluate an annotation; what is imported for type checkers only may be a public name."""
    if not isinstance(annotation, str):
        return annotation
    package = sys.modules[_PACKAGE]
    if annotation in getattr(package, "__all__", ()):
        return getattr(package, annotation)
    try:
        return eval(annotation, dict(function.__globals__))
    except Exception:
        return None


def _attributes(owner: _Known, typed: str) -> Offers | None:
    if owner.kind is list and owner.value is None:
        return _offers(typed, ((name, "function") for name in dir(list) if not name.startswith("_")))
    kind = owner.value if isinstance(owner.value, type) else owner.kind
    if not issubclass(kind, SessionState) and owner.session is None:
        return None
    if typed.startswith("_") or isinstance(owner.value, type):
        return None
    holders = {kind, owner.holder}
    verbs = {name: holder for holder in holders for name in dir(holder) if not name.startswith("_")}
    listed: list[tuple[str, Kind]] = [(name, _kind(verbs[name], name)) for name in sorted(verbs)]
    listed += [(name, "property") for name in _tag_names(owner.session, typed) if name.isidentifier()]
    return _offers(typed, listed)


def _kind(holder: type, name: str) -> Kind:
    return "function" if inspect.isroutine(inspect.getattr_static(holder, name)) else "property"


def _tag_names(session: SessionState | None, typed: str) -> list[str]:
    """List tags: the usual ones, and behind them the others that begin with what is written."""
    names = dict.fromkeys(usual_tags(session))
    if typed:
        lowered = typed.lower()
        names.update(dict.fromkeys(name for name in keyword_dict if name and name.lower().startswith(lowered)))
    return list(names)


def _arguments(function: _Known, place: Argument) -> Offers | None:
    """Return what may stand in an argument of a function of this library."""
    called: Any = function.value
    if not isinstance(called, (types.FunctionType, types.MethodType, type)) or not _is_own(called):
        return None
    parameters = dict(inspect.signature(called).parameters)
    if function.owner is not None:
        parameters.pop("self", None)
        parameters.pop("cls", None)
    called = vars(called).get("__init__") if isinstance(called, type) else getattr(called, "__func__", called)
    session = function.owner.session if function.owner is not None else None
    takes_tags = any(one.kind is one.VAR_KEYWORD and one.name == "tags" for one in parameters.values())
    parameter = _parameter(parameters, place)
    if parameter is not None and (place.keyword or place.quote):
        return _values(_choices(parameter, called, session, place), place)
    if place.keyword and takes_tags:
        return _values(_values_of_tag(session, place), place)
    if takes_tags and not place.quote and not place.in_list:
        names = [one.name for one in parameters.values() if one.kind is one.KEYWORD_ONLY]
        tags = [name for name in _tag_names(session, place.typed) if name.isidentifier()]
        return _keywords(names + tags, place)
    return None


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
        counts = list(COUNTS) if function.__name__ == "table" else []
        return _tag_names(session, place.typed) + counts
    return list(_literals(_evaluated(parameter.annotation, function)))


def _literals(annotation: Any) -> Iterator[str]:
    """Yield the strings that a type allows, in the order of the type."""
    if typing.get_origin(annotation) is Literal:
        yield from (value for value in typing.get_args(annotation) if isinstance(value, str))
        return
    for inner in typing.get_args(annotation):
        yield from _literals(inner)


def _values_of_tag(session: SessionState | None, place: Argument) -> list[Any]:
    try:
        return known_values(session, parse_tag(place.keyword)) if session is not None else []
    except UnknownTagError:
        return []


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


def _keywords(names: Iterable[str], place: Argument) -> Offers | None:
    offers = _offers(place.typed, ((f"{name}=", "param") for name in names if name not in place.used))
    # Other arguments are conditions, so a name may be meant.
    return offers and Offers(offers.typed, offers.offers, is_all=not place.typed or place.typed[0].isupper())


def _offers(typed: str, listed: Iterable[tuple[str, Kind]]) -> Offers | None:
    """Return those that begin as what is written does: in the same case, or else in any."""
    distinct = list(dict(listed).items())
    found = [offer for offer in distinct if offer[0].startswith(typed)]
    found = found or [offer for offer in distinct if offer[0].lower().startswith(typed.lower())]
    return Offers(typed, found[:_MOST_OFFERS], is_all=True) if found else None
