"""Fingerprints, to recognise work that was done before. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.redaction import unsigned


def fingerprint_request(audio: str, model: str, options: Mapping[str, Any]) -> str:
    """Return the hash of a request. The signing parameters of a URL are ignored."""
    text = json.dumps([unsigned(audio), model, dict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(request: str, source: str | Upload) -> str:
    """
    Return the fingerprint of a request and of the version of its audio.

    :param request: what :func:`fingerprint_request` returned, or a whole fingerprint, whose version is replaced
    :param source: the version of an upload is its size and its ETag or modification time; a URL has none
    """
    version = "" if isinstance(source, str) else f"{source.size}-{source.version}"
    return f"{request.partition('-')[0]}-{version}"
