"""The documentation builds without a warning, every public name is found in it, and its links lead somewhere."""

from __future__ import annotations

import inspect
import json
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

import simple_orthanc
from simple_orthanc import phantom, testing

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).parents[1]
SOURCES = ("docs", "notebooks", "benchmarks/README.md", "CHANGELOG.md", "SECURITY.md")
# Pages that are read on the site and in a clone, and those that are read in a clone alone.
PAGES = [*sorted(ROOT.glob("docs/*.md")), *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md"))]
PAGES += [ROOT / ".github" / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md"]


def public_names() -> Iterator[str]:
    """Yield the full name of everything public: what a user imports, and the members of classes."""
    for module in (simple_orthanc, testing, phantom):
        for name in module.__all__:
            value = getattr(module, name)
            # What is imported from two places is documented at one of them.
            if module is phantom and name in testing.__all__:
                continue
            if not (inspect.isclass(value) or inspect.isroutine(value)):
                continue
            yield f"{module.__name__}.{name}"
            if inspect.isclass(value):
                yield from (f"{module.__name__}.{name}.{member}" for member in public_members(value))


def public_members(kind: type) -> Iterator[str]:
    """Yield the methods and properties of a class that this package documents."""
    for name in dir(kind):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        member = vars(owner)[name]
        is_ours = not name.startswith("_") and owner.__module__.startswith("simple_orthanc") and member.__doc__
        if is_ours and (inspect.isroutine(member) or isinstance(member, (property, classmethod, staticmethod))):
            yield name


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site from a copy, since Sphinx writes pages beside those that it reads."""
    folder = tmp_path_factory.mktemp("site")
    for name in SOURCES:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("_build", "generated", ".*"))
        else:
            shutil.copy(ROOT / name, target)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-j", "2", "-c", "docs", ".", "html"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder / "html"


def test_every_public_name_is_in_the_inventory(site: Path) -> None:
    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", posixpath.join)
    documented = {name for role in inventory if role.startswith("py:") for name in inventory[role]}
    assert set(public_names()) - documented == set()


def test_the_search_finds_every_public_name(site: Path) -> None:
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").rstrip(" ;\n").removesuffix(")"))
    found = {f"{prefix}.{entry[4]}" for prefix, entries in index["objects"].items() for entry in entries}
    assert set(public_names()) - found == set()


def test_the_front_page_is_where_a_browser_opens_the_site(site: Path) -> None:
    (target,) = re.findall(r"url=([^\"]+)", (site / "index.html").read_text(encoding="utf-8"))
    assert "Start" in (site / target).read_text(encoding="utf-8")


def test_the_site_needs_no_network(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]*", text) == [], path


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, by the rule of GitHub and MyST."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_pages_that_code_and_documents_name_exist() -> None:
    texts = [*ROOT.glob("simple_orthanc/**/*.py"), *ROOT.glob("tests/**/*.py"), *PAGES, ROOT / "Makefile"]
    # The changelog names what there was.
    for path in [path for path in texts if path.name != "CHANGELOG.md"]:
        for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|rst|py)\b", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), (path, name)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 200
