"""
Make the documentation's site, and check the public API.

``python -m docs_site SITE`` makes the site in that folder. A broken link and a public name without a docstring are errors,
and so is a break of the public API. ``python -m docs_site --public-api`` writes the public API down as it is now: at a
release, or where a break is meant and the changelog says so.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from mkdocs.commands.build import build
from mkdocs.config import load_config

from docs_site.public_api import SNAPSHOT, additions, breaks, render
from docs_site.reference import PublicApi
from docs_site.staging import stage

_CONFIGURATION = Path(__file__).with_name("mkdocs.yml")


def main() -> int:
    """Do what the arguments say, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs_site", description=__doc__.split("\n\n")[0])
    parser.add_argument("site", nargs="?", type=Path, help="the folder that the site is made in")
    parser.add_argument(
        "--public-api", action="store_true", help=f"write {SNAPSHOT.name} instead of checking it"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    api = PublicApi()
    if options.public_api:
        SNAPSHOT.write_text(render(api))
    wrong = check(api)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        return 1
    if options.site:
        make(options.site)
    return 0


def check(api: PublicApi) -> list[str]:
    """Return what is wrong with the public API, a line for each."""
    now, before = render(api), SNAPSHOT.read_text()
    added = additions(before, now)
    if added:
        print(f"Not in {SNAPSHOT.name} yet, which a release renews (make public-api): {len(added)} lines")
    return [
        *(f"{name} is named in docs/reference.md, and is not there" for name in api.absent()),
        *(f"{name} has no docstring" for name in api.undocumented()),
        *(
            f"This breaks the public API: {broken}. If it is meant, say so in CHANGELOG.md and run make public-api"
            for broken in breaks(before, now)
        ),
    ]


def make(site: Path) -> None:
    """Make the site in a folder, in place of what is there."""
    with tempfile.TemporaryDirectory(prefix="laplas-docs-") as pages:
        stage(Path(pages))
        build_site(Path(pages), site)


def build_site(pages: Path, site: Path) -> None:
    """
    Build the site of staged pages.

    :raises mkdocs.exceptions.Abort: if there is anything to warn of, such as a broken link
    """
    configuration = load_config(
        str(_CONFIGURATION), docs_dir=str(pages), site_dir=str(site.resolve()), strict=True
    )
    configuration.plugins.on_startup(command="build", dirty=False)
    try:
        build(configuration)
    finally:
        configuration.plugins.on_shutdown()


if __name__ == "__main__":
    sys.exit(main())
