"""The site, made once, and a copy of the package that a test may change."""

import shutil

import pytest

from docs_site import PACKAGE
from docs_site.__main__ import build_site
from docs_site.reference import PublicApi
from docs_site.staging import stage
from tests.paths import ROOT


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    pages = tmp_path_factory.mktemp("pages")
    stage(pages)
    build_site(pages, folder)
    return folder


class Changed:
    """A copy of the package, in which texts of the sources are replaced."""

    def __init__(self, folder):
        self.folder = folder
        shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))

    def replace(self, file, old, new):
        path = self.folder / PACKAGE / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    @property
    def api(self):
        return PublicApi(self.folder)


@pytest.fixture
def changed(tmp_path):
    return Changed(tmp_path)
