"""What a transcript cost, as far as that is known. Pure."""

from typing import Any

from airflow_provider_laplas.transcript.model import Transcript

USAGE_KEY = "usage"
"""The XCom key under which a task's usage is found."""

_SECONDS_A_MINUTE = 60


def usage(audio_seconds: float | None, price_per_minute: float | None, **more: Any) -> dict[str, Any]:
    """
    Return ``audio_seconds``, ``estimated_cost`` where both are known, and what else is given and not None.

    :param price_per_minute: of audio; the connection's extra. The API bills by the second
    """
    cost = estimated_cost(audio_seconds, price_per_minute)
    values = {"audio_seconds": audio_seconds, **more, "estimated_cost": cost}
    return {name: value for name, value in values.items() if value is not None}


def estimated_cost(audio_seconds: float | None, price_per_minute: float | None) -> float | None:
    """Return the price of so many seconds, None where either is not known."""
    if audio_seconds is None or price_per_minute is None:
        return None
    return audio_seconds / _SECONDS_A_MINUTE * price_per_minute


def transcript_usage(transcript: Transcript, price_per_minute: float | None) -> dict[str, Any]:
    """Return the usage of one transcript, with the API's own count of ``tokens`` where it gives one."""
    tokens = dict(transcript.usage) if transcript.usage else None
    return usage(transcript.duration, price_per_minute, tokens=tokens)
