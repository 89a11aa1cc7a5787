"""The docstrings are reStructuredText, as those of Airflow are; the site is Markdown."""

import re
from itertools import pairwise
from typing import Any

import griffe

from docs_site import PACKAGE

_ROLE = re.compile(r":(?:class|meth|func|attr|data|exc|mod):`(~?)([\w.]+)`")
_RULER = re.compile(r"^(?P<indent> *)=+(?:  +=+)+ *$")


class Docstrings(griffe.Extension):
    """Translates each docstring as it is loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Translate the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """Return a docstring with its roles, tables and literal blocks as Markdown. Fields (``:param``) stay as they are."""
    text = _ROLE.sub(_code, text)
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    return "\n".join(_with_tables(text.split("\n")))


def _code(role: re.Match[str]) -> str:
    short, target = role.groups()
    return f"`{target.rpartition('.')[2] if short else target.removeprefix(f'{PACKAGE}.')}`"


def _with_tables(lines: list[str]) -> list[str]:
    """Return the lines with each simple table, of two or three rulers, as a table of Markdown."""
    written: list[str] = []
    rulers = [number for number, line in enumerate(lines) if _RULER.match(line)]
    done = 0
    while rulers:
        first = rulers[0]
        # A table ends at the ruler that a blank line, or the end, follows.
        last = next(n for n in rulers[1:] if n + 1 == len(lines) or not lines[n + 1].strip())
        written += lines[done:first]
        written += _table(lines[first : last + 1])
        done = last + 1
        rulers = [n for n in rulers if n > last]
    return written + lines[done:]


def _table(lines: list[str]) -> list[str]:
    starts = [found.start() for found in re.finditer(r"=+", lines[0])]
    bounds = [*pairwise(starts), (starts[-1], None)]
    rows: list[list[str]] = []
    for line in lines[1:-1]:
        cells = [line[begin:end].strip() for begin, end in bounds]
        if _RULER.match(line):
            continue
        if cells[0] or not rows:
            rows.append(cells)
        else:
            # A line that only goes on.
            rows[-1] = [f"{above} {more}".strip() for above, more in zip(rows[-1], cells, strict=True)]
    if len([line for line in lines if _RULER.match(line)]) == 2:  # noqa: PLR2004
        rows.insert(0, [""] * len(starts))
    shown = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows]
    return [shown[0], "|---" * len(starts) + "|", *shown[1:]]
