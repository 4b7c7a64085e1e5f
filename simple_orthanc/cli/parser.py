"""The parser of the command line, and what all commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

from simple_orthanc.cli.selecting import WHERE_HELP, add_selection
from simple_orthanc.cli.terminal import PROGRAM, one_line
from simple_orthanc.dicom.levels import Level

Commands: TypeAlias = "argparse._SubParsersAction[CommandParser]"
Run: TypeAlias = Callable[[argparse.Namespace], int]

# The parts of a slice: first, end and step.
_MOST_ENDS = 3
_LEVELS: dict[str, Level] = {
    "patient": "patient",
    "patients": "patient",
    "study": "study",
    "studies": "study",
    "series": "series",
    "instance": "instance",
    "instances": "instance",
}


class Parser(argparse.ArgumentParser):
    """A parser that reports an error on one line."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs |= {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(**kwargs)

    @property
    def options(self) -> frozenset[str]:
        """The long options, such as ``--help``."""
        return frozenset(name for action in self._actions for name in action.option_strings if name.startswith("--"))

    def error(self, message: str) -> NoReturn:
        """Print an error on one line, and exit with status 2."""
        print(f"{PROGRAM}: error: {one_line(message)} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


class CommandParser(Parser):
    """The parser of one command, which takes options and other arguments in any order.

    Attributes
    ----------
    before : frozenset of str
        The options that belong before the command, for the error that says so.
    """

    before: frozenset[str] = frozenset()
    _is_inside = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse options first; otherwise an optional argument could not follow them."""
        if self._is_inside:
            return super().parse_known_args(args, namespace)
        for argument in args or ():
            if argument == "--":
                break
            if (option := argument.partition("=")[0]) in self.before:
                program, _, command = self.prog.rpartition(" ")
                self.error(f"{option} belongs before the command: {program} {option} ... {command}")
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False


def add_command(
    commands: Commands,
    name: str,
    run: Run,
    *,
    summary: str,
    details: str = "",
    examples: Sequence[str] = (),
    arguments: Callable[[CommandParser], None] | None = None,
    selects: bool = True,
) -> None:
    """Add a command with its help, its own `arguments` and, if it `selects`, those of the selection."""
    lines = [f"  {PROGRAM} {example}" for example in examples]
    parts = ["examples:\n" + "\n".join(lines)] if lines else []
    if selects:
        parts.append(WHERE_HELP)
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{details}".strip(),
        epilog="\n\n".join(parts),
    )
    parser.set_defaults(run=run, usage=parser.error)
    if arguments is not None:
        arguments(parser)
    if selects:
        add_selection(parser)


def level_of(text: str) -> Level:
    """Read the name of a level, in the singular or the plural."""
    try:
        return _LEVELS[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"{text!r} is not one of patients, studies, series, instances") from None


def slices_of(text: str) -> slice | int:
    """Read slices as Python writes them between brackets: one number, or FIRST:END and FIRST:END:STEP.

    Examples
    --------
    >>> slices_of("3"), slices_of("100:140"), slices_of(":-2"), slices_of("::-1")
    (3, slice(100, 140, None), slice(None, -2, None), slice(None, None, -1))
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return int(text)
        ends = [int(part) if part.strip() else None for part in parts]
        if len(ends) <= _MOST_ENDS and ends[2:] != [0]:
            return slice(*ends)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is neither the number of a slice nor FIRST:END, such as 100:140")


def positive(text: str) -> int:
    """Read a whole number that is not negative."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 upwards")
    return number
