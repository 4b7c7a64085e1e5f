"""Where the cursor is in a piece of Python that is being written: behind a dot, or in an argument of a call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?<!\w)(?P<prefix>[A-Za-z]{0,2})(?P<quote>\"{3}|'{3}|["'])
    |(?P<opening>[(\[{])
    |(?P<closing>[)\]}])
    |(?P<comma>,)""",
    re.VERBOSE,
)
_REST_OF_STRING = {
    quote: re.compile(rf"(?:\\.|{inner})*?{quote}", re.DOTALL)
    for quote, inner in {'"': r"[^\\\n]", "'": r"[^\\\n]", '"""': r"[^\\]", "'''": r"[^\\]"}.items()
}
_ATTRIBUTE = re.compile(r"\.\s*(\w*)\Z")
_NAME_AT_END = re.compile(r"\w+\Z")
_KEYWORD = re.compile(r"\s*([^\W\d]\w*)\s*=(?!=)\s*")
_VALUE = re.compile(r"\s*(?:([^\W\d]\w*)\s*=(?!=)\s*)?(\w*)\Z")


@dataclass(frozen=True)
class Attribute:
    """Behind a dot.

    Attributes
    ----------
    owner : str
        The expression before the dot.
    typed : str
        What is written of the name.
    """

    owner: str
    typed: str


@dataclass(frozen=True)
class Argument:
    """In an argument of a call.

    Attributes
    ----------
    function : str
        The expression that is called.
    keyword : str
        The name before ``=``, "" where there is none.
    position : int
        How many positional arguments come before this one.
    used : frozenset of str
        The keywords that come before it.
    quote : str
        The quotes of the string that is open, "" outside of strings.
    typed : str
        What is written of the string, or of a name.
    in_list : bool
        Whether it is an item of a list or tuple.
    in_expression : bool
        Whether it is a name amid an expression.
    outer : str
        The function in whose argument the call is, "" if it is in none.
    """

    function: str
    keyword: str
    position: int
    used: frozenset[str]
    quote: str
    typed: str
    in_list: bool
    in_expression: bool = False
    outer: str = ""


@dataclass(frozen=True)
class Key:
    """In a string that is a subscript.

    Attributes
    ----------
    owner : str
        The expression before the bracket.
    quote : str
        The quotes of the string.
    typed : str
        What is written of the string.
    """

    owner: str
    quote: str
    typed: str


@dataclass
class _Bracket:
    opening: int
    commas: list[int] = field(default_factory=list)


@dataclass
class _Scan:
    """What is open at the end of the code, and where closed brackets were opened."""

    open_brackets: list[_Bracket] = field(default_factory=list)
    opened_at: dict[int, int] = field(default_factory=dict)
    is_comment: bool = False
    # The start of the string that is open, with its prefix and quotes.
    string: tuple[int, str, str] | None = None


def place_at_end(code: str) -> Attribute | Argument | Key | None:
    """Find out where the end of some code is, None where it is in none of these places.

    Examples
    --------
    >>> place_at_end("orthanc.series[0].Patie")
    Attribute(owner='orthanc.series[0]', typed='Patie')
    >>> place = place_at_end('orthanc.select(KVP=120, Modality="C')
    >>> place.function, place.keyword, sorted(place.used), place.quote, place.typed
    ('orthanc.select', 'Modality', ['KVP'], '"', 'C')
    """
    scan = _scan(code)
    if scan.is_comment:
        return None
    if scan.string is None and (found := _ATTRIBUTE.search(code)):
        owner = _expression_before(code, found.start(), scan.opened_at)
        return Attribute(owner, found[1]) if owner else None
    end, quote = len(code), ""
    if scan.string is not None:
        end, prefix, quote = scan.string
        if prefix.lower() not in ("", "u"):
            return None
        if scan.open_brackets and (owner := _subscripted(code[:end], scan)):
            return Key(owner, quote, code[end + len(prefix) + len(quote) :])
    return _argument(code, end, quote, scan)


def _scan(code: str) -> _Scan:
    scan = _Scan()
    position = 0
    while found := _TOKEN.search(code, position):
        position = found.end()
        if found["comment"]:
            scan.is_comment = position == len(code)
        elif found["opening"]:
            scan.open_brackets.append(_Bracket(found.start()))
        elif found["closing"]:
            if scan.open_brackets:
                scan.opened_at[found.start()] = scan.open_brackets.pop().opening
        elif found["comma"]:
            if scan.open_brackets:
                scan.open_brackets[-1].commas.append(found.start())
        else:
            rest = _REST_OF_STRING[found["quote"]].match(code, position)
            newline = code.find("\n", position) if len(found["quote"]) == 1 else -1
            if rest is not None:
                position = rest.end()
            elif newline >= 0:
                # A lone apostrophe of an earlier line, such as one of a shell command.
                position = newline
            else:
                scan.string = (found.start(), found["prefix"], found["quote"])
                break
    return scan


def _argument(code: str, end: int, quote: str, scan: _Scan) -> Argument | None:
    """Return the argument that ends with the code; a string in it begins at ``end``."""
    brackets = scan.open_brackets
    if not brackets:
        return None
    function = _function(code, brackets[-1], scan.opened_at)
    in_list = not function
    if in_list:
        inner = brackets[-1]
        before = code[_start_of_item(inner) : end]
        if len(brackets) < 2 or code[inner.opening] == "{" or (quote and before.strip()):
            return None
        function = _function(code, brackets[-2], scan.opened_at)
        outer = _VALUE.match(code[_start_of_item(brackets[-2]) : inner.opening])
        found = _VALUE.match(before)
        if not function or outer is None or outer[2] or found is None or found[1]:
            return None
        keyword, typed, call = outer[1] or "", found[2], brackets[-2]
    else:
        call = brackets[-1]
        found = _VALUE.match(code[_start_of_item(call) : end])
        if found is None and not quote and (name := _NAME_AT_END.search(code)):
            return Argument(function, "", 0, frozenset(), "", name[0], in_list=False, in_expression=True)
        if found is None or (quote and found[2]):
            return None
        keyword, typed = found[1] or "", found[2]
    if quote:
        typed = code[end + code[end:].index(quote) + len(quote) :]
    earlier = [_KEYWORD.match(part) for part in _items(code, call)[:-1]]
    used = frozenset(match[1] for match in earlier if match)
    around = (_function(code, bracket, scan.opened_at) for bracket in reversed(brackets[: brackets.index(call)]))
    return Argument(
        function, keyword, earlier.count(None), used, quote, typed, in_list, outer=next(filter(None, around), "")
    )


def _start_of_item(bracket: _Bracket) -> int:
    return (bracket.commas[-1] if bracket.commas else bracket.opening) + 1


def _items(code: str, bracket: _Bracket) -> list[str]:
    bounds = [bracket.opening, *bracket.commas, len(code)]
    return [code[start + 1 : end] for start, end in pairwise(bounds)]


def _function(code: str, bracket: _Bracket, opened_at: Mapping[int, int]) -> str:
    """Return the expression that a bracket calls, "" if it calls nothing."""
    return _expression_before(code, bracket.opening, opened_at) if code[bracket.opening] == "(" else ""


def _subscripted(code: str, scan: _Scan) -> str:
    """Return the expression whose subscript begins at the end of some code, "" if there is none."""
    opening = scan.open_brackets[-1].opening
    if code[opening] != "[" or code[opening + 1 :].strip():
        return ""
    return _expression_before(code, opening, scan.opened_at)


def _expression_before(code: str, end: int, opened_at: Mapping[int, int]) -> str:
    """Return the names, attributes, calls and subscripts that end at a position; "" if there are none."""
    start = end
    while True:
        before = code[:start].rstrip()
        if before.endswith((")", "]")):
            opening = opened_at.get(len(before) - 1)
            if opening is None:
                return ""
            start = opening
            if _NAME_AT_END.search(code[:start]) or code[:start].endswith((")", "]")):
                continue
        elif name := _NAME_AT_END.search(before):
            start = name.start()
        else:
            return ""
        if not code[:start].rstrip().endswith("."):
            return code[start:end].strip()
        start = len(code[:start].rstrip()) - 1
