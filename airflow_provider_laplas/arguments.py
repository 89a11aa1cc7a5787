"""Argument checks, run when the DAG is parsed. Every error names the argument. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import redact, shown

S = TypeVar("S")

SHORTEST, LONGEST = 0.001, 366 * 24 * 3600
"""The bounds of a duration, in seconds. With more, times can no longer be calculated; with less, a pause is none."""

LONGEST_EXCHANGE = 24 * 3600
"""The longest time-out of a request, in seconds: sockets take no more than 24 days."""

MOST = 10**9
"""The most that any argument counts."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean …?`` with the closest known name, or an empty string if none is close."""
    matches = get_close_matches(name, sorted(known), n=1)
    return f" Did you mean `{matches[0]}`?" if matches else ""


def is_template(value: Any) -> bool:
    """Return whether Airflow still has to render the value: a Jinja template, or a reference to an XCom."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, list | tuple):
        return any(map(is_template, value))
    # XComArgs and mapped arguments have this method; importing their classes would make this module depend on
    # Airflow. A callable is resolved by Airflow, too.
    return hasattr(value, "iter_references") or callable(value)


def check_keywords(owner: str, known: Collection[str], given: Iterable[str]) -> None:
    """
    Reject keyword arguments that an operator does not take.

    Airflow rejects them too, but does not suggest the correct name.

    :param known: the arguments that it takes; if empty, the check is left to Airflow
    :raises LaplasArgumentError: naming the argument and the closest known one
    """
    # Airflow passes internal arguments to mapped operators.
    unknown = sorted(name for name in given if name not in known and not name.startswith("_airflow"))
    if known and unknown:
        raise LaplasArgumentError(
            f"{owner} has no argument `{unknown[0]}`.{nearest(unknown[0], known)}", argument=unknown[0]
        )


def check_text(name: str, value: Any) -> str:
    """
    Return a string of valid Unicode that must not be empty, or a template.

    :raises LaplasArgumentError: naming the argument
    """
    if not is_template(value) and (not isinstance(value, str) or not value.strip() or not _is_unicode(value)):
        raise LaplasArgumentError(f"`{name}` must be a non-empty string, not {shown(value)}.", argument=name)
    text: str = value
    return text


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_number(value: Any, least: float, most: float, *, whole: bool = False) -> bool:
    """Return whether the value is a number from ``least`` to ``most``. True, False and NaN are none."""
    right = isinstance(value, int) if whole else isinstance(value, int | float)
    return right and not isinstance(value, bool) and least <= value <= most


def check_seconds(name: str, value: Any, *, least: float = SHORTEST, most: float = LONGEST) -> float:
    """
    Return a duration in seconds.

    :raises LaplasArgumentError: naming the argument, if it is not a number of seconds or a timedelta from ``least`` to
        ``most``
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not is_number(seconds, least, most):
        raise LaplasArgumentError(
            f"`{name}` must be a number of seconds from {least:,} to {most:,}, or a timedelta, not {shown(value)}.",
            argument=name,
        )
    return float(seconds)


def check_flag(name: str, value: Any) -> bool:
    """
    Return a flag.

    :raises LaplasArgumentError: naming the argument, if it is not True or False
    """
    if not isinstance(value, bool):
        raise LaplasArgumentError(f"`{name}` must be True or False, not {shown(value)}.", argument=name)
    return value


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """
    Return one of several choices.

    :raises LaplasArgumentError: naming the argument and the choices
    """
    if value not in choices:
        listed = " or ".join(f'"{choice}"' for choice in choices)
        raise LaplasArgumentError(f"`{name}` must be {listed}, not {shown(value)}.", argument=name)
    return str(value)


def check_count(name: str, value: Any, *, least: int = 0) -> int:
    """
    Return a whole number.

    :raises LaplasArgumentError: naming the argument, if it is not a whole number from ``least`` to :data:`MOST`
    """
    if not is_number(value, least, MOST, whole=True):
        raise LaplasArgumentError(
            f"`{name}` must be a whole number from {least} to {MOST:,}, not {shown(value)}.", argument=name
        )
    return int(value)


def check_age(name: str, value: Any) -> Any:
    """
    Return a duration in seconds that may be 0, or a template. A string is parsed as a number.

    :raises LaplasArgumentError: naming the argument
    """
    if is_template(value):
        return value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise LaplasArgumentError(
                f"`{name}` must be a number of seconds, not {shown(value)}.", argument=name
            ) from None
    return check_seconds(name, value, least=0)


def check_pause(name: str, value: Any) -> float | None:
    """
    Return a duration in seconds that may be 0, or None.

    :raises LaplasArgumentError: naming the argument
    """
    return None if value is None else check_seconds(name, value, least=0)


def check_settings(
    argument: str, kind: type[Any], given: Any, *, stand_ins: Mapping[str, Any] | None = None
) -> Any:
    """
    Check settings and return them as a plain dict. Templates in them are checked after rendering.

    :param kind: a dataclass whose fields are the settings, and which validates them
    :param given: a mapping, an object of that class, or None
    :param stand_ins: values to use for templated settings that the checks of other settings depend on
    :raises LaplasArgumentError: naming the argument or the setting in it
    """
    if given is None or is_template(given):
        return given
    if isinstance(given, kind):
        return asdict(given)
    later = {name for name, value in _named(argument, kind, given).items() if is_template(value)}
    values = {name: value for name, value in given.items() if name not in later}
    values |= {name: value for name, value in (stand_ins or {}).items() if name in later}
    read_settings(argument, kind, values)
    return dict(given)


def read_settings(argument: str, kind: type[S], given: Any) -> S | None:
    """
    Return settings as an object of their class; None if none are given. Strings are converted to the fields' types.

    :raises LaplasArgumentError: naming the argument or the setting in it
    """
    if given is None:
        return None
    hints = get_type_hints(kind)
    return kind(**{name: _typed(hints[name], value) for name, value in _named(argument, kind, given).items()})


def _named(argument: str, kind: type[Any], given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise LaplasArgumentError(
            f"`{argument}` must be a dict of settings or None, not {type(given).__name__}.", argument=argument
        )
    known = [setting.name for setting in fields(kind)]
    if unknown := [name for name in given if name not in known]:
        raise LaplasArgumentError(
            f"`{argument}` has no setting `{redact(str(unknown[0]), limit=60)}`.{nearest(str(unknown[0]), known)}",
            argument=argument,
        )
    return given


def _typed(hint: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError:
        # The settings class reports what is wrong with it.
        return value
