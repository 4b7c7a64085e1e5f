"""docs/architecture.md names every module, and none that does not exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import simple_orthanc

PACKAGE = Path(simple_orthanc.__file__).parent
TEXT = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def modules() -> set[str]:
    """Return the modules in packages, as ``volume/geometry``."""
    paths = (path.relative_to(PACKAGE) for path in PACKAGE.glob("*/**/*.py") if path.name != "__init__.py")
    return {path.with_suffix("").as_posix() for path in paths}


def listed() -> list[str]:
    """Return the modules in the list of the document, in its order."""
    names = []
    for section in TEXT.partition("\n## Modules\n")[2].split("\n### ")[1:]:
        package = section.split("`")[1].rstrip("/")
        for line in re.findall(r"^- (.*?):", section, re.MULTILINE):
            names += [f"{package}/{name}" for name in re.findall(r"`(\w+)`", line)]
    return names


def test_each_module_is_listed_once() -> None:
    names = listed()
    assert sorted(names) == sorted(set(names))
    assert modules() - set(names) == set(), "add a line for each of these to docs/architecture.md"
    assert set(names) - modules() == set(), "take these out of docs/architecture.md"


def test_modules_that_are_mentioned_exist() -> None:
    mentioned = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)+)`", TEXT.partition("\n## Modules\n")[0]))
    assert len(mentioned) > 10
    assert mentioned <= modules()


def test_packages_of_the_drawing_are_the_packages() -> None:
    drawing = TEXT.partition("```\n")[2].partition("```")[0]
    drawn = {name for line in drawing.splitlines() for name in re.split(r" \| ", re.split(r"  +", line)[0])}
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert drawn == found - {"__init__", "__main__"}


def test_modules_classes_and_bodies_are_short() -> None:
    long = []
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if len(source.splitlines()) > 500:
            long.append(f"{path.name}")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and _lines(node) > 400:
                long.append(f"{path.name}: {node.name}")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                if body and (body[-1].end_lineno or 0) - body[0].lineno >= 60:
                    long.append(f"{path.name}: {node.name}")
    assert long == [], "more than 500 lines in a module, 400 in a class or 60 in a body: take something out"


def test_named_tuples_have_no_other_base() -> None:
    classes = [
        node
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    several = [node.name for node in classes if "NamedTuple" in map(ast.unparse, node.bases) and len(node.bases) > 1]
    assert several == [], "Python 3.10 makes no such class: take a dataclass"


def _lines(node: ast.ClassDef) -> int:
    return (node.end_lineno or 0) - node.lineno + 1
