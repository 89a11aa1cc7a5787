"""Fingerprints, to recognise work that was done before. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.signatures import unsigned, unsigned_by_version_1


def fingerprint_request(audio: str, model: str, options: Mapping[str, Any]) -> str:
    """Return the hash of a request. The signing parameters of a URL are ignored."""
    return _hash(unsigned(audio), model, options)


def fingerprint(request: str, source: str | Upload) -> str:
    """
    Return the fingerprint of a request and of the version of its audio.

    :param request: what :func:`fingerprint_request` returned, or a whole fingerprint, whose version is replaced
    :param source: the version of an upload is its size and its ETag or modification time; a URL has none
    """
    version = "" if isinstance(source, str) else f"{source.size}-{source.version}"
    return f"{request.partition('-')[0]}-{version}"


def as_known(
    work: str, earlier: str, audio: str, model: str, options: Mapping[str, Any], *, etag: str = ""
) -> str:
    """
    Return a fingerprint as version 0.1 wrote it, where that made it of the same work; else as it is.

    Else all that it has transcribed of such a URL or path would be paid for again.

    :param work: the fingerprint of the audio, the model and the options, with or without the audio's version
    :param earlier: that of earlier work on this very audio: version 0.1 mixed up paths that differ after a ``#`` or ``?``
    :param etag: the audio's ETag, which version 0.1 took for its version
    """
    request, separator, version = work.partition("-")
    earlier_request, _, earlier_version = earlier.partition("-")
    if earlier_request != request:
        plain = unsigned_by_version_1(audio)
        if plain is None or earlier_request != _hash(plain, model, options):
            return work
    if not separator:
        return earlier_request
    size = version.partition("-")[0]
    same = earlier_version in {version, f"{size}-{etag}"} or _same_moment(version, earlier_version)
    return earlier if same else work


_PRECISION = 1e-5


def _same_moment(version: str, earlier: str) -> bool:
    """Tell whether a file's version is the one that 0.1 wrote in seconds, as it did of ``file://`` URIs."""
    size, _, nanoseconds = version.partition("-")
    earlier_size, _, seconds = earlier.partition("-")
    try:
        return size == earlier_size and abs(int(nanoseconds) / 1e9 - float(seconds)) < _PRECISION
    except ValueError:
        return False


def _hash(plain: str, model: str, options: Mapping[str, Any]) -> str:
    text = json.dumps([plain, model, dict(options)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
