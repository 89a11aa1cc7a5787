"""Checks of operator arguments, made when the DAG is parsed: every error names the argument."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.options import is_template, nearest


def check_keywords(operator: type[BaseOperator], given: Mapping[str, Any]) -> None:
    """
    Refuse keyword arguments that neither the operator nor its bases know.

    Airflow refuses them too, but does not say which one was meant.

    :raises LaplasArgumentError: naming the argument and the nearest known one
    """
    known: set[str] = set()
    for base in operator.__mro__:
        known.update(getattr(vars(base).get("__init__"), "_BaseOperatorMeta__param_names", ()))
    # Where Airflow no longer says what its operators take, it is left to refuse what they do not.
    if not known:
        return
    # Airflow passes markers of its own to operators that it maps.
    unknown = sorted(name for name in given if name not in known and not name.startswith("_airflow"))
    if unknown:
        raise LaplasArgumentError(
            f"{operator.__name__} has no argument `{unknown[0]}`.{nearest(unknown[0], known)}",
            argument=unknown[0],
        )


def check_text(name: str, value: Any) -> str:
    """
    Return an argument that has to be a text, or a template of one.

    :raises LaplasArgumentError: naming the argument
    """
    if not is_template(value) and (not isinstance(value, str) or not value.strip()):
        raise LaplasArgumentError(f"`{name}` must be a text that is not empty, not {value!r}.", argument=name)
    return value  # type: ignore[no-any-return]


def check_seconds(name: str, value: Any) -> float:
    """
    Return a duration in seconds.

    :raises LaplasArgumentError: naming the argument, where it is not a number or a timedelta above 0
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise LaplasArgumentError(
            f"`{name}` must be seconds above 0, or a timedelta, not {value!r}.", argument=name
        )
    return float(seconds)


def check_flag(name: str, value: Any) -> bool:
    """
    Return a switch.

    :raises LaplasArgumentError: naming the argument, where it is not True or False
    """
    if not isinstance(value, bool):
        raise LaplasArgumentError(f"`{name}` must be True or False, not {value!r}.", argument=name)
    return value


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """
    Return one of several words.

    :raises LaplasArgumentError: naming the argument and the choices
    """
    if value not in choices:
        listed = " or ".join(f'"{choice}"' for choice in choices)
        raise LaplasArgumentError(f"`{name}` must be {listed}, not {value!r}.", argument=name)
    return str(value)


def check_count(name: str, value: Any, *, least: int = 0) -> int:
    """
    Return a whole number.

    :raises LaplasArgumentError: naming the argument, where it is none or less than ``least``
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise LaplasArgumentError(
            f"`{name}` must be a whole number of at least {least}, not {value!r}.", argument=name
        )
    return value


def check_age(name: str, value: Any) -> Any:
    """
    Return a duration in seconds that may be 0, or a template of one; a template's text is read as a number.

    :raises LaplasArgumentError: naming the argument
    """
    if is_template(value):
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise LaplasArgumentError(f"`{name}` must be seconds, not {value!r}.", argument=name) from None
    return 0.0 if value == 0 and not isinstance(value, bool) else check_seconds(name, value)


def check_pause(name: str, value: Any) -> float | None:
    """
    Return a duration in seconds that may be 0, or None.

    :raises LaplasArgumentError: naming the argument
    """
    return (
        value if value is None or (value == 0 and not isinstance(value, bool)) else check_seconds(name, value)
    )
