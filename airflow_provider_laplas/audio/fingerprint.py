"""Which audio, and which request, is the same work. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.redaction import unsigned


def fingerprint_request(audio: str, model: str, options: Mapping[str, Any]) -> str:
    """Return what a request is, as a hash: a URL counts without the parameters that sign it."""
    text = json.dumps([unsigned(audio), model, dict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(request: str, source: str | Upload) -> str:
    """
    Return what work it is: the request, and which version of the audio it submits.

    :param request: what :func:`fingerprint_request` returned, or a whole fingerprint, whose version is replaced
    :param source: for an upload its size and its ETag or time count, for a URL nothing
    """
    version = "" if isinstance(source, str) else f"{source.size}-{source.version}"
    return f"{request.partition('-')[0]}-{version}"
