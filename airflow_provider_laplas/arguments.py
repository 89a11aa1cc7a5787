"""Checks of arguments, made when the DAG is parsed: every error names the argument. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from airflow_provider_laplas.errors import LaplasArgumentError

S = TypeVar("S")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean …?`` with the nearest known name, or an empty text where none is near."""
    matches = get_close_matches(name, sorted(known), n=1)
    return f" Did you mean `{matches[0]}`?" if matches else ""


def is_template(value: Any) -> bool:
    """Tell whether Airflow still has to fill the value in: a Jinja template, or a reference to an XCom."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, list | tuple):
        return any(map(is_template, value))
    # What only Airflow can resolve (an XComArg, a mapped argument) has this method, and importing
    # its class here would make this module depend on Airflow. A function is called with the context.
    return hasattr(value, "iter_references") or callable(value)


def check_keywords(owner: str, known: Collection[str], given: Iterable[str]) -> None:
    """
    Refuse keyword arguments that an operator does not take.

    Airflow refuses them too, but does not say which one was meant.

    :param known: what it takes; where that is empty, it is left to Airflow to refuse what is wrong
    :raises LaplasArgumentError: naming the argument and the nearest known one
    """
    # Airflow passes markers of its own to operators that it maps.
    unknown = sorted(name for name in given if name not in known and not name.startswith("_airflow"))
    if known and unknown:
        raise LaplasArgumentError(
            f"{owner} has no argument `{unknown[0]}`.{nearest(unknown[0], known)}", argument=unknown[0]
        )


def check_text(name: str, value: Any) -> str:
    """
    Return an argument that has to be a text, or a template of one.

    :raises LaplasArgumentError: naming the argument
    """
    if not is_template(value) and (not isinstance(value, str) or not value.strip()):
        raise LaplasArgumentError(f"`{name}` must be a text that is not empty, not {value!r}.", argument=name)
    text: str = value
    return text


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


def check_settings(
    argument: str, kind: type[Any], given: Any, *, stand_ins: Mapping[str, Any] | None = None
) -> Any:
    """
    Return settings that are given by name as plain values; a template, of all or in one of them, is for later.

    :param kind: a dataclass, whose fields are the settings; it checks them
    :param given: a mapping, an object of that class, or None
    :param stand_ins: what stands for a template in a setting by which others are judged
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
    Return settings as an object of their class, None where none are given; a template's text is read as a number.

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
            f"`{argument}` has no setting `{unknown[0]}`.{nearest(str(unknown[0]), known)}", argument=argument
        )
    return given


def _typed(hint: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError:
        # What is wrong with it is the settings' own to say.
        return value
