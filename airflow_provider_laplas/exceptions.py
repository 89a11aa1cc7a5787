"""
The errors as Airflow exceptions: the one place that decides whether a task is retried.

Each class derives from the core error and from the Airflow exception with the right retry behaviour, so that both
``except LaplasGenerationGoneError`` and Airflow's own handling work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_laplas import errors
from airflow_provider_laplas.airflow_compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
)

# Always write errors.X: importing a name X here would hide its Airflow form from __getattr__.

# An Airflow retry may help with these. All others are final: a retry would fail again, or pay again.
_BEHAVIOUR: dict[type[errors.LaplasError], type[AirflowException]] = {
    errors.LaplasStorageError: AirflowException,
    errors.LaplasTransportError: AirflowException,
    errors.LaplasRateLimitError: AirflowException,
    errors.LaplasServerError: AirflowException,
    errors.LaplasMalformedReplyError: AirflowException,
    errors.LaplasGenerationTimeoutError: AirflowSensorTimeout,
}


def as_airflow_error(error: errors.LaplasError) -> AirflowException:
    """Return the error as an Airflow exception with the same attributes."""
    if isinstance(error, AirflowException):
        return error
    converted: AirflowException = errors.rebuild(_airflow_class(type(error)), error.message, vars(error))
    return converted


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Convert core errors to Airflow exceptions as they leave a task."""
    try:
        yield
    except errors.LaplasError as error:
        raise as_airflow_error(error) from None


def __getattr__(name: str) -> Any:
    """Return the Airflow form of a core error, so that it can be imported, caught and pickled."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, errors.LaplasError):
        return _airflow_class(kind)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Cached, because ``except`` needs the same class that was raised.
_CLASSES: dict[type[errors.LaplasError], Any] = {}


def _airflow_class(kind: type[errors.LaplasError]) -> Any:
    if kind not in _CLASSES:
        behaviour = next(
            (_BEHAVIOUR[base] for base in kind.__mro__ if base in _BEHAVIOUR), AirflowFailException
        )
        _CLASSES[kind] = type(
            kind.__name__, (kind, behaviour), {"__doc__": kind.__doc__, "__module__": __name__}
        )
    return _CLASSES[kind]
