"""One submission to the API and its end, written down as it came over the wire: plain requests, and no client of ours."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

MODEL = "#g1_whisper-medium"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
"""An id that the API has given to nobody."""
CALL_TIMEOUT = 60.0
LONGEST_WAIT = 600.0
"""Seconds after which the vendor's own client gives up."""


@dataclass(frozen=True)
class Answer:
    """A status, headers with names in lower case, and a body: an object, or None where it is no JSON object."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: dict[str, Any] | None = field(repr=False)

    @classmethod
    def of(cls, response: requests.Response) -> "Answer":
        try:
            body = response.json()
        except ValueError:
            body = None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return cls(response.status_code, headers, body if isinstance(body, dict) else None)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def at(self, *path: Any) -> Any:
        """What lies at a path of names and positions, or None."""
        value: Any = self.body
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


@dataclass
class Observed:
    """All that the API said."""

    without_key: Answer
    unknown: Answer
    refused_part: Answer | None = None
    """What it said to the documented name of the upload's part, if it wanted another."""
    part: str = "audio"
    submitted: Answer | None = None
    polls: list[Answer] = field(default_factory=list)
    seconds: float | None = None
    """From the submission to the poll that saw the end."""
    again: Answer | None = None
    """What one more poll said after that."""

    @property
    def generation_id(self) -> str | None:
        if self.submitted is None or not self.submitted.ok:
            return None
        return self.submitted.at("generation_id") or self.submitted.at("id")

    @property
    def end(self) -> Answer | None:
        """The poll after which nothing more was to come."""
        return self.polls[-1] if self.polls and self.seconds is not None else None

    @property
    def pending(self) -> list[str]:
        """The statuses before the end."""
        return [str(answer.at("status")) for answer in self.polls if answer is not self.end]

    @property
    def answers(self) -> list[Answer]:
        some = [self.without_key, self.unknown, self.refused_part, self.submitted, *self.polls, self.again]
        return [answer for answer in some if answer is not None]


class Session:
    """The API with a key, which goes into a header and nowhere else."""

    def __init__(self, base_url: str, key: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = requests.Session()
        # A key belongs to this host alone.
        self._session.max_redirects = 0
        self._key = {"Authorization": f"Bearer {key}"}

    def fetch(self, generation_id: str, *, with_key: bool = True) -> Answer:
        headers = self._key if with_key else {"Authorization": "Bearer no-key-at-all"}
        url = f"{self._base_url}/stt/{generation_id}"
        return Answer.of(self._session.get(url, headers=headers, timeout=CALL_TIMEOUT, allow_redirects=False))

    def submit(self, clip: Path, part: str) -> Answer:
        return Answer.of(
            self._session.post(
                f"{self._base_url}/stt/create",
                headers=self._key,
                data={"model": MODEL},
                files={part: (clip.name, clip.read_bytes(), "audio/mpeg")},
                timeout=CALL_TIMEOUT,
                allow_redirects=False,
            )
        )


def observe(session: Session, clip: Path, *, poll_interval: float, told: Callable[[str], object]) -> Observed:
    """
    Submit a recording, wait for it, and return what was seen. What costs nothing is asked first.

    :raises requests.RequestException: if a call gets no answer; a submission may have been billed then
    """
    seen = Observed(session.fetch(UNKNOWN, with_key=False), session.fetch(UNKNOWN))
    if seen.unknown.status in {401, 402, 403}:
        told("The API refuses the key: nothing is submitted.")
        return seen
    seen.submitted = session.submit(clip, seen.part)
    if seen.submitted.status == 400 and "file is required" in json.dumps(seen.submitted.body):
        # A 400 means that nothing was made.
        seen.refused_part, seen.part = seen.submitted, "file"
        seen.submitted = session.submit(clip, seen.part)
    begun = time.monotonic()
    if not seen.generation_id:
        return seen
    told(f"Submitted as {seen.generation_id}")
    while (waited := time.monotonic() - begun) < LONGEST_WAIT:
        answer = session.fetch(seen.generation_id)
        seen.polls.append(answer)
        if answer.status in {404, 410} or answer.at("status") in {"completed", "error", "failed"}:
            seen.seconds = waited
            seen.again = session.fetch(seen.generation_id)
            break
        # A body with a result has ended, whatever its word is.
        if answer.at("result", "results"):
            seen.seconds = waited
            break
        time.sleep(poll_interval)
    return seen
