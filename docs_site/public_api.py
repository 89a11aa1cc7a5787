"""
The public API as it was, in ``public_api.txt``, and what a change breaks of it.

The file is a listing and not to be imported: a class for each module, and what is public in it, as griffe finds it.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import griffe

from docs_site.reference import PublicApi

SNAPSHOT = Path(__file__).with_name("public_api.txt")
_HEAD = '"""The public API, for comparison: `make public-api` writes it. Each class is a module."""\n'


def render(api: PublicApi) -> str:
    """Return the public API as a listing: names, arguments, defaults and types."""
    modules: dict[str, list[str]] = {}
    for module, name, found, members in api.objects():
        modules.setdefault(module.replace(".", "_"), []).append(_stub(name, found, members))
    classes = [_class(module, stubs) for module, stubs in modules.items()]
    return "\n".join([_HEAD, *classes]) + "\n"


def breaks(old: str, new: str) -> list[str]:
    """Return what somebody who uses the old API would notice of the new one: removed names, changed arguments."""
    found = griffe.find_breaking_changes(_parsed(old), _parsed(new))
    return [_told(breakage) for breakage in found]


def additions(old: str, new: str) -> list[str]:
    """Return the lines that are new."""
    known = set(old.splitlines())
    return [line.strip() for line in new.splitlines() if line not in known]


def _parsed(listing: str) -> griffe.Module:
    return griffe.visit("public_api", filepath=SNAPSHOT, code=listing)


def _told(breakage: griffe.Breakage) -> str:
    where = breakage.obj.path.removeprefix("public_api.")
    parameters = [
        value for value in (breakage.old_value, breakage.new_value) if isinstance(value, griffe.Parameter)
    ]
    about = f"{where}({parameters[0].name})" if parameters else where
    return f"{about}: {breakage.kind.value}"


def _stub(name: str, found: Any, members: Sequence[tuple[str, Any]] = ()) -> str:
    if found.is_class:
        return _class(name, [_stub(*member) for member in members])
    if found.is_function:
        # What an operator hands on is not whatever one likes: without it, a removed argument is a break.
        signature = re.sub(r"(, )?\*\*kwargs: Any(?=\))", "", found.signature(name=name))
        return "\n".join([*_decorators(found), f"def {signature}: ..."])
    annotation = f": {found.annotation}" if found.annotation else ""
    return f"{name}{annotation} = ..."


def _class(name: str, body: list[str]) -> str:
    return f"class {name}:\n" + textwrap.indent("\n".join(body) or "...", "    ")


def _decorators(found: Any) -> Iterator[str]:
    for label in ("classmethod", "staticmethod"):
        if label in found.labels:
            yield f"@{label}"
