"""The usage and estimated cost of transcripts. Pure."""

from typing import Any

from airflow_provider_laplas.transcript.model import Transcript

USAGE_KEY = "usage"
"""The XCom key of a task's usage."""

_SECONDS_A_MINUTE = 60


def usage(audio_seconds: float | None, price_per_minute: float | None, **more: Any) -> dict[str, Any]:
    """
    Return ``audio_seconds``, ``estimated_cost`` and the values in ``more``, without those that are None.

    :param price_per_minute: of audio; from the connection's extra. The API bills by the second
    """
    cost = estimated_cost(audio_seconds, price_per_minute)
    values = {"audio_seconds": audio_seconds, **more, "estimated_cost": cost}
    return {name: value for name, value in values.items() if value is not None}


def estimated_cost(audio_seconds: float | None, price_per_minute: float | None) -> float | None:
    """Return the price of the audio, None if its length or the price per minute is unknown."""
    if audio_seconds is None or price_per_minute is None:
        return None
    return audio_seconds / _SECONDS_A_MINUTE * price_per_minute


def transcript_usage(transcript: Transcript, price_per_minute: float | None) -> dict[str, Any]:
    """
    Return the usage of one transcript, including ``tokens`` if the API counted them.

    The cost of a recording that was sent in parts is that of its ``billed_seconds``, which are then included, too: parts
    overlap, and silence may have been left out.
    """
    tokens = dict(transcript.usage) if transcript.usage else None
    billed = transcript.billed_seconds
    values = usage(transcript.duration, price_per_minute, billed_seconds=billed, tokens=tokens)
    cost = estimated_cost(billed, price_per_minute)
    return values if cost is None else values | {"estimated_cost": cost}
