"""The site has every page and every public name, and loads nothing from other machines."""

import ast
import re
from html.parser import HTMLParser

import mkdocs.exceptions
import pytest

from docs_site.__main__ import build_site
from docs_site.docstrings import markdown
from docs_site.reference import PAGE, PublicApi, read_reference
from docs_site.staging import stage
from tests.docs.pages import PAGES, PYTHON
from tests.paths import ROOT

PUBLIC = {(module.path, name) for module in read_reference() for name in module.names}


class Loaded(HTMLParser):
    """What a browser loads with a page, other than by a click."""

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        names = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
        self.found |= {value for name, value in attrs if name == names.get(tag) and value}


def test_every_page_is_there(site):
    for name in [*PAGES, "CONTRIBUTING.md", "SECURITY.md"]:
        page = "index.html" if name == "README.md" else name.replace(".md", ".html")
        assert (site / page).is_file(), page


def test_every_public_name_has_its_place(site):
    for module in read_reference():
        text = (site / module.file.with_suffix(".html")).read_text()
        for name in module.names:
            assert f'id="{module.path}.{name}"' in text, name


def test_no_page_loads_anything_from_another_machine(site):
    for page in site.rglob("*.html"):
        loaded = Loaded(page.read_text()).found
        assert loaded
        assert not [address for address in loaded if re.match(r"(\w+:)?//", address)], page


def test_no_mark_of_another_format_is_left(site):
    for page in site.rglob("*.html"):
        assert not re.search(r":(?:class|meth|func|data|attr|param \w+):", page.read_text()), page


def test_each_broken_link_is_an_error(tmp_path):
    pages = tmp_path / "pages"
    pages.mkdir()
    stage(pages)
    with (pages / "docs" / "connect.md").open("a") as page:
        page.write("\n[page](no-such-page.md) [title](operate.md#no-such-title) [file](../no/such.txt)\n")
    with pytest.raises(mkdocs.exceptions.Abort, match="3 warnings"):
        build_site(pages, tmp_path / "site")


# The page that says what is public


def test_every_row_of_the_reference_is_read():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| [")]
    assert len(rows) == len(read_reference())
    assert all(module.names for module in read_reference())


def test_every_public_name_is_documented():
    assert PublicApi().undocumented() == []


def test_whatever_the_pages_and_the_example_dags_import_is_public():
    sources = [*PYTHON.values(), *(path.read_text() for path in (ROOT / "dags").glob("*.py"))]
    imported = {
        (node.module, name.name)
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow_provider_laplas")
        for name in node.names
    }
    modules = {module.path for module in read_reference()}
    missing = {f"{module}.{name}" for module, name in imported - PUBLIC if f"{module}.{name}" not in modules}
    assert imported
    assert missing == set()


# From docstrings to Markdown


def test_roles_become_code():
    text = "See :class:`~airflow_provider_laplas.sensors.STTCompletionSensor` and :meth:`submit`."
    assert markdown(text) == "See `STTCompletionSensor` and `submit`."


def test_a_table_becomes_a_table_and_what_is_around_it_stays():
    text = "One.\n\n=====  ======\nname   what\n=====  ======\n``a``  first\n       line\n``b``  second\n=====  ======\n\nTwo."
    assert markdown(text) == (
        "One.\n\n| name | what |\n|---|---|\n| ``a`` | first line |\n| ``b`` | second |\n\nTwo."
    )


def test_a_table_without_a_head_gets_an_empty_one():
    assert markdown("=  =\na  b\n=  =") == "|  |  |\n|---|---|\n| a | b |"
