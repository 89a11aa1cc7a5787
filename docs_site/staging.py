"""
The site's pages: those of the repository, laid out as they are in it, so that their links hold in both places.

Two kinds of links are to what a git host shows and a site does not: source files, which become pages, and folders, which
become a page that lists them.
"""

import re
import shutil
from functools import partial
from pathlib import Path

from docs_site import ROOT
from docs_site.reference import Module, read_reference

PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "demo/recordings")
FILES = ("LICENSE", "constraints.txt")
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(#[^)]*)?\)")


def stage(folder: Path) -> None:
    """Lay the site's pages out in an empty folder."""
    for name in (*PAGES, *FILES):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    for module in read_reference():
        _write(folder / module.file.with_suffix(".md"), _of_module(module))
    for path in sorted((ROOT / "dags").glob("*.py")):
        _write(folder / "dags" / f"{path.stem}.md", f"# {path.name}\n\n```python\n{path.read_text()}```\n")
    for page in sorted(folder.rglob("*.md")):
        page.write_text(_LINK.sub(partial(_link, page=page, folder=folder), page.read_text()))


def _of_module(module: Module) -> str:
    return f"# {module.path}\n" + "".join(
        f"\n::: {module.path}.{name}\n{_options(listed)}" for name, listed in module.names.items()
    )


def _options(listed: frozenset[str] | None) -> str:
    if listed is None:
        return ""
    shown = sorted(listed - {"__init__"})
    return f"    options:\n      members: {shown}\n      inherited_members: {shown or 'false'}\n"


def _link(found: re.Match[str], *, page: Path, folder: Path) -> str:
    """Return a link to a source file, or to a folder, as one to the page of it."""
    path, anchor = found[1], found[2] or ""
    target = (page.parent / path).resolve()
    if not target.is_relative_to(folder.resolve()):
        return found[0]
    if target.suffix == ".py":
        return f"]({path.removesuffix('.py')}.md{anchor})"
    if target.is_dir():
        index = target / "index.md"
        if not index.exists():
            _write(index, _listing(target, folder))
        return f"]({path.rstrip('/')}/index.md)"
    return found[0]


def _listing(directory: Path, folder: Path) -> str:
    title = directory.relative_to(folder.resolve()).as_posix()
    pages = sorted(path.name for path in directory.glob("*.md"))
    return f"# {title}\n\n" + "".join(f"* [{name.removesuffix('.md')}]({name})\n" for name in pages)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
