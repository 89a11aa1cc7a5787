"""What is public: the page docs/reference.md names it, module by module."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import griffe

from docs_site import PACKAGE, ROOT

PAGE = ROOT / "docs" / "reference.md"
ARGUMENTS = "arguments"
"""What the page calls the constructor of a class."""


@dataclass(frozen=True)
class Module:
    """A row of the page: a module, and its public names."""

    file: Path
    """Relative to the repository."""
    names: Mapping[str, frozenset[str] | None]
    """With the public members of a class, if they are listed; those of any other are all that have no underscore."""

    @property
    def path(self) -> str:
        """As it is imported."""
        return ".".join(self.file.with_suffix("").parts).removesuffix(".__init__")


def read_reference(page: Path = PAGE) -> list[Module]:
    """Read the rows of the page."""
    rows = re.findall(r"^\| \[`[^`]+`\]\(\.\./([^)]+\.py)\) \| (.+?) \|", page.read_text(), re.MULTILINE)
    return [Module(Path(file), dict(_names(cell))) for file, cell in rows]


def _names(cell: str) -> Iterator[tuple[str, frozenset[str] | None]]:
    for name, listed in re.findall(r"`(\w+)`(?: \(([^)]*)\))?", cell):
        members = frozenset(re.findall(r"\w+", listed.replace(ARGUMENTS, "__init__")))
        yield name, members or None


class PublicApi:
    """The public objects of a checkout, found without importing it."""

    def __init__(self, root: Path = ROOT, modules: list[Module] | None = None) -> None:
        self._root = root
        self.modules = read_reference() if modules is None else modules

    @cached_property
    def _package(self) -> Any:
        # Else a folder of that name in the working directory would come first.
        return griffe.load(
            PACKAGE, search_paths=[str(self._root)], try_relative_path=False, resolve_aliases=True
        )

    def objects(self) -> Iterator[tuple[str, str, Any, list[tuple[str, Any]]]]:
        """Yield each public name: its module, itself, its object, and the public members of that."""
        for module in self.modules:
            within = self._within(module)
            for name, listed in module.names.items():
                # What is gone is found by what compares.
                if name in within.members:
                    found = _itself(within[name])
                    yield module.path, name, found, _members(found, listed)

    def absent(self) -> list[str]:
        """Return what the page names, and is not there."""
        missing = []
        for module in self.modules:
            within = self._within(module)
            for name, listed in module.names.items():
                if name not in within.members:
                    missing.append(f"{module.path}.{name}")
                elif listed is not None:
                    gone = sorted(listed - _itself(within[name]).all_members.keys())
                    missing += [f"{module.path}.{name}.{member}" for member in gone]
        return missing

    def _within(self, module: Module) -> Any:
        return self._package[module.path.removeprefix(f"{PACKAGE}.")]

    def undocumented(self) -> list[str]:
        """Return what has no docstring, of the public names and of the public methods."""
        missing = []
        for module, name, found, members in self.objects():
            if not found.has_docstring:
                missing.append(f"{module}.{name}")
            missing += [
                f"{module}.{name}.{member_name}"
                for member_name, member in members
                # Arguments and fields are described where the class is.
                if (member.is_function or member.is_class)
                and member_name != "__init__"
                and not _is_documented(found, member_name)
            ]
        return missing


def _itself(found: Any) -> Any:
    return found.final_target if found.is_alias else found


def _members(found: Any, listed: frozenset[str] | None) -> list[tuple[str, Any]]:
    """Return the public members of a class, those that it inherits within the package too, by their names."""
    if not found.is_class:
        return []
    there = found.all_members
    if listed is None:
        listed = frozenset(name for name in there if name == "__init__" or not name.startswith("_"))
    return [(name, _itself(there[name])) for name in sorted(listed & there.keys())]


def _is_documented(kind: Any, name: str) -> bool:
    """Whether a method of a class says what it does, or one says so that it overrides."""
    return any(name in one.members and one.members[name].has_docstring for one in (kind, *kind.mro()))
