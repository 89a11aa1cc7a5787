"""Lazy imports of a package's names, to keep DAG parsing fast."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any


def lazy_names(package: str, **modules: Sequence[str]) -> Callable[[str], Any]:
    """
    Return a ``__getattr__`` for a package (PEP 562).

    :param modules: the names that each of its modules defines
    """
    where = {name: module for module, names in modules.items() for name in names}

    def getattribute(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{where[name]}"), name)

    return getattribute
