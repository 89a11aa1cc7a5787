"""What was observed of the API, as sentences that can stop being true."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.api.responses import PENDING_WORDS
from airflow_provider_laplas.errors import LaplasError
from airflow_provider_laplas.transcript import Transcript
from tests.live.observing import LONGEST_WAIT, Answer, Observed

CLIP_SECONDS = 11.0
CLIP_WORDS = [
    "and",
    "so",
    "my",
    "fellow",
    "americans",
    "ask",
    "not",
    "what",
    "your",
    "country",
    "can",
    "do",
    "for",
    "you",
    "ask",
    "what",
    "you",
    "can",
    "do",
    "for",
    "your",
    "country",
]
"""What is said in the recording that is submitted: demo/recordings/jfk.mp3."""


class NotSeenError(Exception):
    """What a fact is about did not come up."""


@dataclass(frozen=True)
class Fact:
    """A sentence, and what was found in its place, or None where it holds."""

    name: str
    sentence: str
    check: Callable[[Observed], str | None]


FACTS: list[Fact] = []


def fact(sentence: str) -> Callable[[Callable[[Observed], str | None]], Callable[[Observed], str | None]]:
    """Add a check to the list, by the name of its function."""

    def add(check: Callable[[Observed], str | None]) -> Callable[[Observed], str | None]:
        FACTS.append(Fact(check.__name__, sentence, check))
        return check

    return add


def seen(value: Any) -> Any:
    if value is None:
        raise NotSeenError
    return value


def end_of(observed: Observed) -> Answer:
    return seen(observed.end)


def alternative(observed: Observed) -> dict[str, Any]:
    found = end_of(observed).at("result", "results", "channels", 0, "alternatives", 0)
    return seen(found if isinstance(found, dict) else None)


def words(observed: Observed) -> list[dict[str, Any]]:
    found = alternative(observed).get("words")
    return seen(found if isinstance(found, list) and found else None)


def missing(names: set[str], found: Any) -> str | None:
    lacking = sorted(names - set(found)) if isinstance(found, dict) else sorted(names)
    return f"without {', '.join(lacking)}" if lacking else None


@fact("A wrong key is answered with 401.")
def wrong_key(observed: Observed) -> str | None:
    return None if observed.without_key.status == 401 else f"{observed.without_key.status}"


@fact("An id that the API has not given is answered with 404 or 410.")
def unknown_id(observed: Observed) -> str | None:
    return None if observed.unknown.status in {404, 410} else f"{observed.unknown.status}"


@fact("An error's body is a JSON object with message, path, requestId, statusCode and timestamp.")
def error_body(observed: Observed) -> str | None:
    names = {"message", "path", "requestId", "statusCode", "timestamp"}
    return missing(names, observed.without_key.body)


@fact("No answer says how many requests are allowed.")
def no_published_rate_limit(observed: Observed) -> str | None:
    names = {
        name
        for answer in observed.answers
        for name in answer.headers
        if "ratelimit" in name or "rate-limit" in name
    }
    return f"headers {', '.join(sorted(names))}" if names else None


@fact("The upload's part is named audio.")
def part_name(observed: Observed) -> str | None:
    seen(observed.submitted)
    return None if observed.part == "audio" else f"{observed.part}, after a 400 for audio"


@fact("A submission is answered with 201.")
def created(observed: Observed) -> str | None:
    status = seen(observed.submitted).status
    return None if status == 201 else f"{status}"


@fact("The answer to a submission names the generation as generation_id.")
def id_name(observed: Observed) -> str | None:
    answer = seen(observed.submitted)
    if not answer.ok:
        raise NotSeenError
    return (
        None if isinstance(answer.at("generation_id"), str) else f"an object with {sorted(answer.body or ())}"
    )


@fact("A generation's id is a UUID, or a short string of letters, digits, - and _.")
def id_shape(observed: Observed) -> str | None:
    generation_id = seen(observed.generation_id)
    return (
        None if re.fullmatch(r"[\w-]{10,64}", generation_id, re.ASCII) else f"{len(generation_id)} characters"
    )


@fact("As long as it is not done, its status is one of the known words.")
def pending_words(observed: Observed) -> str | None:
    unknown = sorted(set(seen(observed.pending or None)) - PENDING_WORDS)
    return ", ".join(unknown) or None


@fact("A clip of seconds is done within ten minutes.")
def done_in_time(observed: Observed) -> str | None:
    seen(observed.generation_id)
    return None if observed.seconds is not None else f"not done after {LONGEST_WAIT:.0f} s"


@fact("A generation that is done has the status completed.")
def completed_word(observed: Observed) -> str | None:
    status = end_of(observed).at("status")
    return None if status == "completed" else f"{status}"


@fact("A transcript that was fetched can be fetched again.")
def stays(observed: Observed) -> str | None:
    end_of(observed)
    again = seen(observed.again)
    return None if again.ok and again.at("result") else f"{again.status}"


@fact("The transcript lies at result.results.channels[0].alternatives[0].transcript.")
def transcript_place(observed: Observed) -> str | None:
    result = end_of(observed).at("result")
    text = end_of(observed).at("result", "results", "channels", 0, "alternatives", 0, "transcript")
    if isinstance(text, str) and text.strip():
        return None
    return f"a result with {sorted(result)}" if isinstance(result, dict) else "no result"


@fact(
    "result.metadata has transaction_key, request_id, sha256, created, duration, channels, models and model_info."
)
def metadata(observed: Observed) -> str | None:
    alternative(observed)
    names = {
        "transaction_key",
        "request_id",
        "sha256",
        "created",
        "duration",
        "channels",
        "models",
        "model_info",
    }
    return missing(names, end_of(observed).at("result", "metadata"))


@fact("result.metadata.duration is the recording's length in seconds.")
def duration(observed: Observed) -> str | None:
    found = seen(end_of(observed).at("result", "metadata", "duration"))
    is_right = isinstance(found, int | float) and abs(found - CLIP_SECONDS) < 1
    return None if is_right else f"{found} for {CLIP_SECONDS:g} s"


@fact("A word has word, start, end, confidence and punctuated_word.")
def word_fields(observed: Observed) -> str | None:
    if not isinstance(alternative(observed).get("words"), list):
        return "no words"
    return missing({"word", "start", "end", "confidence", "punctuated_word"}, words(observed)[0])


@fact("Words have times in seconds, in their order and within the recording.")
def word_times(observed: Observed) -> str | None:
    times = [word.get(name) for word in words(observed) for name in ("start", "end")]
    if not all(isinstance(time, int | float) for time in times):
        return "a word without times"
    if times[0] < 0 or times[-1] > CLIP_SECONDS + 1:
        return f"times from {times[0]:g} to {times[-1]:g}"
    starts = times[::2]
    return None if starts == sorted(starts) else "words that are not in their order"


@fact("Confidences are from 0 to 1.")
def confidences(observed: Observed) -> str | None:
    found = [word.get("confidence") for word in words(observed)]
    wrong = [value for value in found if not isinstance(value, int | float) or not 0 <= value <= 1]
    return f"{wrong[0]}" if wrong else None


@fact("At least nine of ten words are what is said in the recording.")
def what_is_said(observed: Observed) -> str | None:
    text = str(alternative(observed).get("transcript", ""))
    heard = re.findall(r"[a-z']+", text.lower())
    right = len(set(heard) & set(CLIP_WORDS)) / len(set(CLIP_WORDS))
    return None if right >= 0.9 else f"{right:.0%} of them, in {len(heard)} words"


@fact("This package reads the same text and words from the reply.")
def is_read(observed: Observed) -> str | None:
    reply = seen(end_of(observed).body)
    try:
        transcript = Transcript.from_reply(reply)
    except LaplasError as error:
        return type(error).__name__
    text = str(end_of(observed).at("result", "results", "channels", 0, "alternatives", 0, "transcript") or "")
    return (
        None
        if transcript.text.split() == text.split() and transcript.words
        else f"{len(transcript.words)} words"
    )
