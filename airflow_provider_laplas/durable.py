"""
What a task remembers of work that is paid for, so that no retry pays again.

A :class:`Record` lies in Airflow's ``task_state_store``, which belongs to the task and not to one try of it: it survives
retries, a killed worker and a user's Clear, and is empty in a new DAG run. It is written before a submission (the
intent) and right after it (the id); :func:`decide` says what a try that finds one has to do.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tenacity import Retrying, stop_after_attempt, wait_exponential

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.results import Reference

log = logging.getLogger(__name__)

STORE_KEY = "laplas"
"""The record's key in the task's state store."""

# Of AWS (both versions), Google, CloudFront and Azure, then what others call theirs. A URL that differs only in these
# names the same audio.
_SIGNATURE_PREFIXES = ("x-amz-", "x-goog-")
_SIGNATURE_NAMES = frozenset(
    [
        "awsaccesskeyid",
        "expires",
        "googleaccessid",
        "key-pair-id",
        "policy",
        "signature",
        "se",
        "sig",
        "sip",
        "skoid",
        "sks",
        "skt",
        "sktid",
        "ske",
        "skv",
        "sp",
        "spr",
        "sr",
        "srt",
        "ss",
        "st",
        "sv",
        "access_token",
        "auth",
        "exp",
        "hmac",
        "token",
    ]
)


@dataclass(frozen=True, slots=True)
class Record:
    """
    One piece of work.

    :ivar fingerprint: what work it is; other work gets another record
    :ivar max_tries: Airflow's count of allowed tries, which grows with every Clear by a user and with nothing else
    :ivar deadline: epoch seconds at which waiting ends; the work's, not a try's
    :ivar generation_id: None between the intent and the API's answer
    :ivar submitted_at: epoch seconds
    :ivar result: where the finished reply lies
    """

    fingerprint: str
    max_tries: int
    deadline: float
    generation_id: str | None = None
    submitted_at: float | None = None
    result: Reference | None = None


class Decision(Enum):
    """What a try has to do."""

    SUBMIT = "submit"
    ATTACH = "attach to the generation"
    TAKE = "take the stored result"
    AMBIGUOUS = "ambiguous"


def decide(record: Record | None, fingerprint: str, max_tries: int) -> tuple[Decision, str]:
    """
    Decide what a try does, from what an earlier one left behind.

    :return: the decision, and why, for the log
    """
    if record is None:
        return Decision.SUBMIT, "nothing was submitted before"
    if record.fingerprint != fingerprint:
        return Decision.SUBMIT, "what an earlier try submitted was other audio, or with other options"
    if record.result is not None:
        return Decision.TAKE, f"the transcript of generation {record.generation_id} is stored"
    if record.generation_id is not None:
        return Decision.ATTACH, f"an earlier try submitted it as generation {record.generation_id}"
    if record.max_tries != max_tries:
        return Decision.SUBMIT, "an earlier submission had no answer, and a user cleared the task since"
    return (
        Decision.AMBIGUOUS,
        "an earlier try was cut off between submitting and learning the generation's id",
    )


class RecordStore:
    """The task's record, read and written; without a state store it remembers nothing."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store = context.get("task_state_store")
        self.max_tries = int(getattr(context["ti"], "max_tries", 0) or 0)

    def load(self) -> Record | None:
        """Return what an earlier try left, None where there is nothing that can be read."""
        stored = self._store.get(STORE_KEY) if self._store is not None else None
        if not isinstance(stored, str):
            return None
        try:
            return Record(**json.loads(stored))
        except (ValueError, TypeError):
            log.warning("What an earlier try of this task noted cannot be read; it was another version's.")
            return None

    def save(self, record: Record) -> None:
        """
        Write the record.

        Repeated for some seconds, because what it holds is paid for: Airflow's API server may be restarting.
        """
        if self._store is not None:
            self._persistently(self._store.set, STORE_KEY, json.dumps(asdict(record)))

    def restore(self, record: Record | None) -> None:
        """Put back what was noted before, where what was noted since did not come to pass."""
        if record is not None:
            self.save(record)
        elif self._store is not None:
            self._persistently(self._store.delete, STORE_KEY)

    @staticmethod
    def _persistently(write: Callable[..., None], *args: str) -> None:
        Retrying(stop=stop_after_attempt(5), wait=wait_exponential(max=5), reraise=True)(write, *args)

    def renewed(self, record: Record, *, timeout: float, now: float) -> Record:
        """Return the record as this try has it: a user's Clear begins a new deadline, a retry does not."""
        if record.max_tries == self.max_tries:
            return record
        return replace(record, max_tries=self.max_tries, deadline=now + timeout)


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


def unsigned(url: str) -> str:
    """Return a URL without the query parameters that sign it, which change with every signing."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if name.lower() not in _SIGNATURE_NAMES and not name.lower().startswith(_SIGNATURE_PREFIXES)
    ]
    return urlunsplit(parts._replace(query=urlencode(kept), fragment=""))
