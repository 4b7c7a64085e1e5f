"""How `make docs` builds the site with Sphinx.

The source folder is that of the repository, so that a relative link works on the site as it does in a clone.
"""

import inspect
from importlib import import_module
from pathlib import Path

from sphinx.application import Sphinx

from simple_orthanc import __version__

project = "simple_orthanc"
copyright = "the contributors of simple_orthanc"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
]

root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/reference/**",
    "notebooks/*.ipynb",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "SECURITY.md",
]
exclude_patterns = ["**/.*", "**/_build", "build", "dist", "demo", "tests", "simple_orthanc"]
# autosummary would look below the source folder.
templates_path = [str(Path(__file__).parent / "_templates")]

# The pages link to headings, as a clone's reader would; a link to none is a warning.
myst_heading_anchors = 4
# The tests execute the notebooks. What they show was stored when they were written.
nb_execution_mode = "off"
# Code of no language that is named is output, or a pattern.
highlight_language = "none"


def has_page_entry(module: str, kind: str, member: str) -> bool:
    """Check whether the page of a class has an entry for a member: a method or property, and no field."""
    value = inspect.getattr_static(getattr(import_module(module), kind), member, None)
    return inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod))


autosummary_generate = True
autosummary_context = {"has_page_entry": has_page_entry}
# A function cannot be kept for the next build, which is then one of all pages.
suppress_warnings = ["config.cache"]
autodoc_member_order = "alphabetical"
# The docstrings name types in words, with shapes and units.
autodoc_typehints = "none"
# The pages of classes show every member in full.
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"

# In a docstring a word in backticks is a link if it names something public, and code if not.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [
    # These backticks also hold parameters, attributes and expressions.
    ("py:obj", ".*"),
    # Bases that are no part of the interface.
    ("py:class", r"simple_orthanc\..*"),
    # The site is built without a network, so without the inventories of other projects.
    ("py:class", r"(?!simple_orthanc\b).*"),
]

html_theme = "pydata_sphinx_theme"
html_title = project
html_context = {"default_mode": "auto"}
html_extra_path = ["_site"]
html_static_path = ["_static"]
html_css_files = ["site.css"]
# These sections are one page.
html_sidebars = {name: [] for name in ("docs/index", "docs/start", "docs/coming-from", "docs/faq")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: Sphinx) -> None:
    """Leave out the empty line that ends an example, without which doctest takes the fence for output."""
    app.connect("source-read", without_last_lines)


def without_last_lines(app: Sphinx, document: str, source: list[str]) -> None:
    """Change the source of a page before it is parsed."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")
