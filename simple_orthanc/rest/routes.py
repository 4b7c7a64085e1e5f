"""Every route of Orthanc's REST API as a function, made from the table of routes when it is asked for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from inspect import Parameter, Signature
from typing import Any
from urllib.parse import quote

from simple_orthanc.errors import SelectionError
from simple_orthanc.rest.route_table import OLDEST, Route, routes, version_text
from simple_orthanc.rest.verbs import Verbs
from simple_orthanc.transport.secret import hide

# The parameters of paths, for docstrings and errors: type and description.
_PARAMETERS = {
    "frame": ("int", "The number of the frame, from 0 on."),
    "id": ("str", "Orthanc's identifier of the object, or the name of a modality, peer or plugin."),
    "index": ("int", "The number of the answer, from 0 on."),
    "key": ("str", 'The name of the output, such as "archive".'),
    "label": ("str", "The label."),
    "name": ("str or int", "The name or the number."),
    "path": ("str", 'Tags and numbers of items with slashes between them, such as "0008-1140/0/0008-1155".'),
}

_OPTIONS = """headers, timeout, patience, deadline : optional
    See `Rest`."""
_BODY = """body : object, optional
    Bytes, a string or a binary file are sent as they are, anything else as JSON."""
_PARAMS = """params : mapping, optional
    The query."""
_TO = """to : str or Path, optional
    A file to write the answer to, whole or not at all. Its path is returned."""
_REVISION = """revision : str, optional
    The revision that is overwritten, as for `Rest.put`."""


class Routes:
    """Every route of Orthanc's own REST API by name.

    The name of a route is its method and its path, with ``_`` for ``/``, ``-`` and ``.``: ``GET
    /series/{id}/ordered-slices`` is ``get_series_id_ordered_slices(id)``. The parameters of the path come first, then
    the body of a POST or PUT, then the query, ``params``; the keyword arguments are those of `Rest`. Routes whose
    answers may be long take ``to=``, a file. ``help(rest.routes.get_series_id_ordered_slices)`` shows them.

    Parameters
    ----------
    verbs : Verbs
        Sends the requests.

    Examples
    --------
    >>> series = orthanc.select(Modality="PT").get_orthanc_ids()[0]
    >>> len(orthanc.rest.routes.get_series_id_ordered_slices(series)["Slices"])
    40
    >>> orthanc.rest.routes.get_series_id_archive(series, to="pet.zip").name
    'pet.zip'
    """

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<{len(routes())} routes by name, such as get_series_id_ordered_slices(id)>"

    def __dir__(self) -> list[str]:
        """List the names of all routes."""
        return [*super().__dir__(), *routes()]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all routes."""
        return iter(routes())

    def __len__(self) -> int:
        """Count the routes."""
        return len(routes())

    def __contains__(self, name: object) -> bool:
        """Check whether there is a route of a name."""
        return name in routes()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return the function of a route.

        Raises
        ------
        AttributeError
            If there is no such route; the message lists similar names.
        """
        route = None if name.startswith("__") else routes().get(name)
        if route is not None:
            return _function(self._verbs, route)
        similar = get_close_matches(name, routes(), n=3, cutoff=0.75)
        advice = f"Did you mean {' or '.join(similar)}?" if similar else "dir(rest.routes) lists all of them."
        raise AttributeError(
            f"There is no route {name!r}. {advice} Routes of plugins are asked for by their path, as in "
            'rest.get("/dicom-web/studies").',
            name=name,
            obj=self,
        )


def _function(verbs: Verbs, route: Route) -> Callable[..., Any]:
    """Make the function of a route, with its name, signature and docstring."""
    signature = _signature(route)

    def call(*args: Any, **kwargs: Any) -> Any:
        # First of all, so that no traceback shows them.
        kwargs["headers"] = hide(kwargs.get("headers"))
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{route.name}(): {error}") from None
        path = _path(route, {name: arguments.pop(name) for name in route.parameters})
        return _send(verbs, route, path, arguments)

    call.__name__, call.__qualname__, call.__doc__ = route.name, f"Routes.{route.name}", _docstring(route)
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _signature(route: Route) -> Signature:
    parameters = [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=_PARAMETERS[name][0].replace(" or ", " | "))
        for name in route.parameters
    ]
    optional = [("params", "Mapping[str, Any] | None")]
    if route.method in ("POST", "PUT"):
        optional.insert(0, ("body", "Any"))
    parameters += [
        Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation)
        for name, annotation in optional
    ]
    keywords = [
        ("headers", "Mapping[str, str] | None"),
        ("timeout", "float | tuple[float | None, float | None] | None"),
        ("patience", "float | None"),
        ("deadline", "float | None"),
    ]
    if "file" in route.marks:
        keywords.append(("to", "str | os.PathLike[str] | None"))
    if "revised" in route.marks:
        keywords.append(("revision", "str | None"))
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation) for name, annotation in keywords
    ]
    return Signature(parameters)


def _docstring(route: Route) -> str:
    entries = ["{} : {}\n    {}".format(name, *_PARAMETERS[name]) for name in route.parameters]
    if route.method in ("POST", "PUT"):
        entries.append(_BODY)
    entries += [_PARAMS, _OPTIONS]
    if "file" in route.marks:
        entries.append(_TO)
    if "revised" in route.marks:
        entries.append(_REVISION)
    since = "" if route.since == OLDEST else f"Orthanc {version_text(route.since)} and later have this route."
    sections = [route.summary, f"``{route.method} {route.path}``", since]
    return "\n\n".join([*filter(None, sections), "Parameters\n----------\n" + "\n".join(entries)]) + "\n"


def _path(route: Route, values: dict[str, Any]) -> str:
    segments = []
    for segment in route.path.split("/"):
        if segment.startswith("{"):
            name = segment[1:-1]
            checked = _checked(route, name, values[name])
            segments.append(quote(checked, safe="/" if name == "path" else ""))
        else:
            segments.append(segment)
    return "/".join(segments)


def _checked(route: Route, name: str, value: object) -> str:
    """Return a parameter of a path as a string, before it is percent-encoded."""
    kind, description = _PARAMETERS[name]
    string = ""
    if isinstance(value, str) and (kind != "int" or (value.isascii() and value.isdecimal())):
        string = value.strip("/") if name == "path" else value
    elif "int" in kind and not isinstance(value, (str, bool)):
        try:
            number = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            number = -1
        string = str(number) if number >= 0 else ""
    if not string.strip() or any(part in ("", ".", "..") for part in string.split("/" if name == "path" else None)):
        raise SelectionError(f"{route.name}(): {name} is {value!r}; give a value of type {kind}. {description}")
    return string


def _send(verbs: Verbs, route: Route, path: str, arguments: dict[str, Any]) -> Any:
    to = arguments.pop("to", None)
    if to is not None:
        return verbs.stream(path, to=to, method=route.method, **arguments)  # type: ignore[call-overload]
    if "reads" in route.marks:
        arguments["idempotent"] = True
    verb: Callable[..., Any] = getattr(verbs, route.method.lower())
    return verb(path, **arguments)
