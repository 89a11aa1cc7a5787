"""What would be sent of recordings, as plain JSON; nothing is encoded or submitted. Blocking."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.media.plan import MediaPlan
from airflow_provider_laplas.media.preparation import Preparation
from airflow_provider_laplas.transcript.usage import estimated_cost


def preview(upload: Upload, source: str, preparation: Preparation) -> dict[str, Any]:
    """
    Return what would be sent of a recording.

    ``kind`` (``as_it_is``, ``copy`` or ``encode``), ``seconds`` of the recording (None if unknown), ``bytes``,
    ``bytes_to_send``, ``estimated`` (whether those are an estimate: the audio itself is written only to be sent), and
    ``parts``: each with ``start``, ``end`` and ``seconds`` that are sent, and ``why`` it ends there.

    :param source: where the recording is
    :raises LaplasArgumentError: as :func:`~airflow_provider_laplas.media.prepare.plan_media`
    """
    plan = preparation.plan(upload, source)
    size = _copied_size(upload, plan) if plan.kind == "copy" else None
    return of_plan(plan, preparation, size=size)


def of_plan(
    plan: MediaPlan, preparation: Preparation, *, size: int | None = None, only: Collection[int] | None = None
) -> dict[str, Any]:
    """
    Return the same of a plan that was made before.

    :param size: bytes to be sent, if that is known
    :param only: the numbers of the parts that are sent, from 0. Default: all
    """
    parts = [part for number, part in enumerate(plan.parts) if only is None or number in only]
    if plan.kind == "encode":
        size = _encoded_size(plan, sum(part.seconds for part in parts), preparation)
    return {
        "kind": plan.kind,
        "seconds": plan.seconds or None,
        "bytes": plan.size,
        "bytes_to_send": plan.size if size is None else size,
        "estimated": plan.kind != "as_it_is",
        "parts": [
            {
                "start": part.pieces[0].start,
                "end": part.pieces[-1].end,
                "seconds": round(part.seconds, 3),
                "why": part.why,
            }
            for part in parts
        ]
        if plan.seconds
        else [_unknown(plan.parts[0].why)],
    }


def untouched(size: int | None, why: str) -> dict[str, Any]:
    """
    Return the same for what is not looked into.

    :param size: in bytes; None for a URL, which the API fetches
    """
    return {
        "kind": "as_it_is",
        "seconds": None,
        "bytes": size,
        "bytes_to_send": size or 0,
        "estimated": False,
        "parts": [_unknown(why)],
    }


def _unknown(why: str) -> dict[str, Any]:
    return {"start": 0.0, "end": None, "seconds": None, "why": why}


def totals(files: Iterable[Mapping[str, Any]], price_per_minute: float | None) -> dict[str, Any]:
    """
    Return the sums of previews.

    ``files``, ``errors``, ``generations``, ``bytes``, ``bytes_to_send``, ``seconds`` of audio that are sent,
    ``unknown_lengths`` (generations whose seconds are not among these); with a price, ``estimated_cost``, unless there are
    such.
    """
    files = list(files)
    sent = [file for file in files if "error" not in file]
    parts = [part for file in sent for part in file["parts"]]
    known = [part["seconds"] for part in parts if part["seconds"] is not None]
    seconds = round(sum(known), 3)
    found = {
        "files": len(files),
        "errors": len(files) - len(sent),
        "generations": len(parts),
        "bytes": sum(file["bytes"] or 0 for file in sent),
        "bytes_to_send": sum(file["bytes_to_send"] for file in sent),
        "seconds": seconds,
        "unknown_lengths": len(parts) - len(known),
    }
    cost = estimated_cost(seconds if len(known) == len(parts) else None, price_per_minute)
    return found if cost is None else found | {"estimated_cost": cost}


def _encoded_size(plan: MediaPlan, seconds: float, preparation: Preparation) -> int:
    # Imported here to keep DAG parsing fast.
    from airflow_provider_laplas.media.rendering import bytes_per_second  # noqa: PLC0415

    settings = preparation.settings
    return round(
        seconds * bytes_per_second(plan.codec or settings.codec, settings.sample_rate, plan.channels)
    )


def _copied_size(upload: Upload, plan: MediaPlan) -> int:
    from airflow_provider_laplas.media.probing import probe  # noqa: PLC0415
    from airflow_provider_laplas.media.rendering import copied_size  # noqa: PLC0415

    found = probe(upload)
    track = next((each for each in found.tracks if each.index == plan.track), None) if found else None
    if track is not None and track.bit_rate:
        return round(track.bit_rate / 8 * plan.seconds)
    copied = copied_size(upload, plan.track or 0)
    return copied[0] if copied else plan.size
