"""What all commands share in reading their arguments."""

from __future__ import annotations

import argparse

import pytest

from simple_orthanc.cli.parser import CommandParser, Parser, add_command, level_of, positive


def run(args: argparse.Namespace) -> int:
    return 0


@pytest.fixture
def program() -> Parser:
    parser = Parser(prog="simple-orthanc")
    parser.add_argument("--url")
    commands = parser.add_subparsers(dest="command", parser_class=CommandParser)
    CommandParser.before = frozenset({"--url"})

    def arguments(command: CommandParser) -> None:
        command.add_argument("level", nargs="?", type=level_of)
        command.add_argument("--count", type=positive, default=3)

    add_command(commands, "list", run, summary="list it", examples=["list series"], arguments=arguments, selects=False)
    return parser


def refused(program: Parser, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        program.parse_args(arguments)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("simple-orthanc: error: ")
    return line


@pytest.mark.parametrize("arguments", [["series", "--count", "5"], ["--count", "5", "series"], ["--count=5", "series"]])
def test_options_and_other_arguments_are_read_in_any_order(program: Parser, arguments: list[str]) -> None:
    args = program.parse_args(["list", *arguments])
    assert (args.level, args.count, args.run) == ("series", 5, run)


@pytest.mark.parametrize(
    ("text", "level"), [("patients", "patient"), ("Study", "study"), ("SERIES", "series"), ("instances", "instance")]
)
def test_levels_are_read_in_singular_plural_and_any_case(text: str, level: str) -> None:
    assert level_of(text) == level


def test_an_error_is_one_line_and_names_the_help(program: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not one of patients, studies, series, instances" in refused(program, ["list", "slices"], capsys)
    assert "(see simple-orthanc list --help)" in refused(program, ["list", "--count"], capsys)


@pytest.mark.parametrize("number", ["-1", "1.5", "many", ""])
def test_a_count_is_a_whole_number_from_0_upwards(
    program: Parser, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{number!r} is not a number from 0 upwards" in refused(program, ["list", f"--count={number}"], capsys)
    assert positive("0") == 0


def test_a_misplaced_option_is_shown_where_it_belongs(program: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(program, ["list", "--url=http://127.0.0.1"], capsys)
    assert "--url belongs before the command: simple-orthanc --url ... list" in line
    # After two dashes nothing is an option.
    assert "belongs before" not in refused(program, ["list", "--", "--url"], capsys)


def test_options_are_not_abbreviated(program: Parser, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unrecognized arguments: --cou=5" in refused(program, ["list", "--cou=5"], capsys)


def test_the_help_of_a_command_has_its_summary_and_examples(
    program: Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        program.parse_args(["list", "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "List it." in shown
    assert "  simple-orthanc list series" in shown
