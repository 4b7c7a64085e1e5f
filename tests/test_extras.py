"""What an extra installs is imported where it is used, or the extra is named."""

from __future__ import annotations

import configparser
import re
import sys
from pathlib import Path

import pytest

import simple_orthanc
from simple_orthanc.errors import UnsupportedError
from simple_orthanc.extras import import_extra

ROOT = Path(simple_orthanc.__file__).parents[1]
EXTRAS = configparser.ConfigParser(interpolation=None)
EXTRAS.read(ROOT / "setup.cfg")
# Those of people who work on the package.
DEVELOPMENT = ("test", "dev", "pictures", "docs")


def test_a_package_that_cannot_be_imported_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("import a_package_that_is_nowhere")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnsupportedError, match=r"cannot be imported \(No module named 'a_package_that_is_nowhere'\)"):
        import_extra("broken_package", "plot", "A picture")


@pytest.mark.parametrize("missing", ["matplotlib", "matplotlib.pyplot"])
def test_a_part_of_a_missing_package_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UnsupportedError, match="A picture needs matplotlib, which is not installed: pip install"):
        import_extra("matplotlib.pyplot", "plot", "A picture")


def test_each_extra_that_is_named_exists() -> None:
    extras = EXTRAS["options.extras_require"]
    used = {}
    for path in (ROOT / "simple_orthanc").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for module, extra in re.findall(r'import_extra\(\s*"([\w.]+)",\s*"(\w+)"', text):
            if path.name != "extras.py":
                used[module.partition(".")[0]] = extra
    assert len(used) > 5
    assert {package: extra for package, extra in used.items() if package not in extras.get(extra, "")} == {}


def test_the_readme_lists_each_extra() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text.partition("## Install")[2].partition("\n## ")[0], re.MULTILINE)) == {
        extra for extra in EXTRAS["options.extras_require"] if extra not in DEVELOPMENT
    }
