"""The page on the architecture names what is there."""

import re

from tests.docs.pages import PAGES
from tests.paths import ROOT

PACKAGE = ROOT / "airflow_provider_laplas"
PAGE = PAGES["docs/architecture.md"]
NAMED = set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE))


def test_every_module_that_is_named_is_there():
    assert NAMED
    assert not [name for name in NAMED if not any((root / name).is_file() for root in (PACKAGE, ROOT))]


def test_every_module_and_folder_of_the_package_is_named():
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert modules <= NAMED
    assert folders <= {name.partition("/")[0] for name in NAMED}
