"""Answers of the page's server: transcripts long and hostile, tasks in every state, and batches."""

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.paths import JFK_MP3

JFK_WORDS = [
    ("And", 0.32, 0.74, 0.91), ("so", 0.74, 1.1, 0.97), ("my", 1.1, 1.4, 0.94), ("fellow", 1.4, 1.86, 0.99),
    ("Americans,", 1.86, 3.24, 0.98), ("ask", 3.34, 4.4, 0.62), ("not", 4.4, 5.0, 0.98), ("what", 5.4, 5.9, 0.96),
    ("your", 5.9, 6.16, 0.99), ("country", 6.16, 6.7, 0.99), ("can", 6.7, 6.98, 0.98), ("do", 6.98, 7.3, 0.99),
    ("for", 7.3, 7.66, 0.81), ("you,", 7.66, 8.14, 0.99), ("ask", 8.26, 8.7, 0.98), ("what", 8.7, 9.0, 0.43),
    ("you", 9.0, 9.26, 0.99), ("can", 9.26, 9.54, 0.97), ("do", 9.54, 9.8, 0.99), ("for", 9.8, 10.02, 0.99),
    ("your", 10.02, 10.24, 0.98), ("country.", 10.24, 10.74, 0.99),
]  # fmt: skip
"""Of the shipped recording: word, start, end, confidence."""

FACTS: list[list[str | float]] = [
    ["Model", "whisper-medium"],
    ["Language", "English"],
    ["Length", "0:11"],
    ["Confidence", "94 %"],
    ["Generation id", "5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11"],
    ["Ended", 1_795_894_930.0],
    ["Cost", "0.0012"],
]


@dataclass
class Answers:
    """
    What the server says of a task.

    :ivar by_file: the transcripts of a batch's files, by output
    :ivar files: the files of a batch
    """

    task: Any
    transcript: Any = None
    by_file: dict[str, Any] = field(default_factory=dict)
    batch: Any = None
    files: list[dict[str, Any]] = field(default_factory=list)
    recording: Path | None = JFK_MP3

    def answer(self, route: str, query: dict[str, str]) -> Any:
        """Return the answer of a route: data, a status, or None where there is nothing."""
        if route == "transcript":
            return self.by_file.get(query["file"]) if "file" in query else self.transcript
        return {
            "task": self.task,
            "batch": self.batch,
            "files": self._files(query) if self.files else None,
        }.get(route)

    def _files(self, query: dict[str, str]) -> dict[str, Any]:
        page = int(query.get("page", 0))
        fit = [
            file
            for file in self.files
            if query.get("q", "") in file["source"] and query.get("state") in {None, file["state"]}
        ]
        key = {"name": "source", "state": "state", "length": "audio_seconds"}[query.get("sort", "name")]
        fit.sort(key=lambda file: -(file[key] or 0) if key == "audio_seconds" else file[key])
        return {
            "total": len(self.files),
            "matching": len(fit),
            "page": page,
            "pages": -(-len(fit) // 100),
            "files": fit[page * 100 : page * 100 + 100],
        }


def transcript(*paragraphs: dict[str, Any], duration: float | None = None) -> dict[str, Any]:
    """Return an answer of the transcript route."""
    text = "\n\n".join(" ".join(word[0] for word in paragraph["words"]) for paragraph in paragraphs)
    return {"duration": duration, "language": "en", "text": text, "paragraphs": list(paragraphs)}


def paragraph(words: list[Any], speaker: str | None = None, channel: int | None = None) -> dict[str, Any]:
    """Return a paragraph of words: text alone, or with start, end and confidence."""
    whole = [[*word, 1] if isinstance(word, tuple) else [word, None, None, None, 1] for word in words]
    start, end = (whole[0][1], whole[-1][2]) if whole else (None, None)
    return {"speaker": speaker, "channel": channel, "start": start, "end": end, "words": whole}


def task(kind: str = "transcript", state: str = "finished", **further: Any) -> dict[str, Any]:
    """Return an answer of the task route."""
    answer = {
        "kind": kind,
        "state": state,
        "airflow_state": {"finished": "success", "waiting": "deferred"}.get(state, state),
        "try_number": 1,
        "generation_id": None,
        "since": None,
        "deadline": None,
        "after_clear": None,
        "error": None,
        "source": None,
        "summary": None,
        "facts": [],
        "findings": [],
        "audio": None,
        "no_audio": None,
        "refresh": None,
    }
    return answer | further


def finished(words: Any = None, **further: Any) -> Answers:
    """Return the answers of a task with a transcript: of the shipped recording, unless another is given."""
    said = words or transcript(paragraph(JFK_WORDS[:14]), paragraph(JFK_WORDS[14:]), duration=11.0)
    about = {
        "source": "s3://recordings/1961/jfk.mp3",
        "summary": {"model": "whisper-medium", "language": "en", "duration": 11.0, "confidence": 0.94},
        "facts": FACTS,
        "audio": {"url": "api/audio?task_id=finished", "type": "audio/mpeg"},
    }
    return Answers(task(**(about | further)), said)


def waiting(**further: Any) -> Answers:
    """Return the answers of a task that waits."""
    about = {
        "generation_id": "5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11",
        "since": time.time() - 754,
        "deadline": time.time() + 2846,
        "source": "https://example.com/interviews/2026-11-27-morning.mp3",
        "facts": [
            ["Model", "whisper-medium"],
            ["Generation", "5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11"],
            ["Begun", time.time() - 760],
        ],
        "after_clear": "The next try continues with this generation: nothing is submitted, and nothing is paid, again.",
        "refresh": 10,
    }
    return Answers(task(state="waiting", **(about | further)))


def failed(**further: Any) -> Answers:
    """Return the answers of a task that failed."""
    about = {
        "generation_id": "5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11",
        "since": time.time() - 754,
        "facts": [["Model", "whisper-medium"], ["Begun", time.time() - 754], ["Ended", time.time() - 12]],
        "source": "https://example.com/interviews/2026-11-27-morning.mp3",
        "error": {
            "message": "The API does not know the generation 5f3b6c1e-8f0e-4c8e-9a57-0f4c2f0d6a11 any more: it keeps a "
            "transcript for an hour.",
            "advice": "Clear the task: it submits the recording again, and that is billed again. Set results_path, so "
            "that the trigger stores the reply as soon as it is there.",
        },
        "after_clear": "The recording is submitted again, and billed again.",
    }
    return Answers(task(state="failed", **(about | further)))


STATES = ["completed", "completed", "completed", "submitted", "pending", "completed", "failed", "duplicate"]


def batch(files: int = 1000, *, at_work: bool = True, **further: Any) -> Answers:
    """Return the answers of a batch of so many files."""
    listed: list[dict[str, Any]] = []
    for number in range(files):
        state = (
            STATES[number % len(STATES)]
            if at_work or STATES[number % len(STATES)] == "failed"
            else "completed"
        )
        name = f"calls/2026-11/{number // 100:03}/call-{number:06}.mp3"
        listed.append(
            {
                "output": f"{name}-5f3b6c1e.json",
                "source": f"s3://recordings/{name}",
                "state": state,
                "generation_id": f"generation-{number}",
                "audio_seconds": 40.0 + number % 600 if state == "completed" else None,
                "error": "The audio could not be decoded. (request 7f3a)" if state == "failed" else None,
                "has_transcript": state == "completed",
            }
        )
    states = [file["state"] for file in listed]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    answers = Answers(
        task(
            "batch",
            "waiting" if at_work else "finished",
            refresh=10 if at_work else None,
            facts=[["Model", "whisper-medium"], ["Concurrency", "64"]],
            after_clear="The next try continues with the files that are not done.",
        ),
        batch={
            "files": files,
            "counts": counts,
            "active": at_work,
            "changed_at": time.time() - 12,
            "per_hour": 1234.5,
            "seconds_left": 1810.0 if at_work else None,
            "audio_seconds": sum(file["audio_seconds"] or 0 for file in listed),
            "cost": "12.40",
            "manifest": "s3://transcripts/calls/.laplas/manifest.json",
        },
        files=listed,
    )
    answers.task |= further
    said = transcript(paragraph(JFK_WORDS), duration=11.0)
    # Of those that tests open.
    answers.by_file = {file["output"]: dict(said) for file in listed[:1000] if file["has_transcript"]}
    return answers


SENTENCES = [
    "So, before we get to the figures, how did the week go on your side?",
    "Better than I had feared, to be honest.",
    "The new recorder went in on Tuesday, and since then nobody has had to change a tape by hand.",
    "We still see a gap of a few seconds whenever the line is transferred, though.",
    "Is that the exchange, or is it the recorder that closes the file too early?",
    "I think it is the exchange.",
    "The file is complete, it is only that nothing is said in it.",
    "Then let us write that down, and ask them for their logs.",
    "And what about the interviews from the archive?",
    "Twelve hundred are done, and about forty need another look because the sound is so poor.",
    "Somebody will have to listen to those.",
    "That is what I said as well.",
]
SPEAKERS = ["Anna", "Ben", "Dr. Chidi Okonkwo"]


def meeting(words: int = 1200, pause: float = 0.34) -> dict[str, Any]:
    """Return a transcript of three speakers with so many words, the same every time."""
    chance = random.Random(7)
    paragraphs, at, said, number = [], 1.0, 0, 0
    while said < words:
        spoken: list[Any] = []
        for _ in range(chance.randint(1, 5)):
            for word in chance.choice(SENTENCES).split():
                confidence = min(0.99, max(0.2, chance.gauss(0.95, 0.09)))
                spoken.append((word, round(at, 2), round(at + pause * 0.85, 2), round(confidence, 2)))
                at += pause
            at += 0.4
        said += len(spoken)
        paragraphs.append(paragraph(spoken, SPEAKERS[number % 3] if chance.random() < 0.8 else SPEAKERS[0]))
        number += 1
    return transcript(*paragraphs, duration=at + 1)


MARKUP = (
    '<img src=x onerror="document.title=1"></script><script>document.title=1</script><h1>Not a heading</h1>'
)
HOSTILE = [
    MARKUP,
    "\u202egnp.exe",
    "\u2067unclosed",
    "x" * 100_000,
    "\ud800",
    "a\ud83d",
    "\u0000null",
    "{{ config }}",
    "العربية",
    "e\u0301" * 50,
    "",
]
"""Words, names and sentences that are made to break a page."""


def hostile() -> Answers:
    """Return the answers of a task of which every text is hostile."""
    words = [(word, index * 0.5, index * 0.5 + 0.4, 0.5) for index, word in enumerate(HOSTILE)]
    paragraphs = [paragraph(words, speaker) for speaker in HOSTILE]
    return Answers(
        task(
            source=f"s3://bucket/{MARKUP.replace('/', '_')}\u202e",
            summary={"model": MARKUP, "language": "x-nonsense-€", "duration": 11.0, "confidence": 2.0},
            facts=[[text, text] for text in HOSTILE],
            findings=HOSTILE,
            audio={"url": "javascript:document.title=1", "type": None},
        ),
        transcript(*paragraphs, duration=11.0),
    )


def search(phrase: str, page: int) -> dict[str, Any]:
    """Answer the search route: three hits for "country", none for all else."""
    hits = [
        ("s3://recordings/1961/jfk.mp3", "ask not what your country can do for you", 5.4, None),
        ("s3://recordings/1961/jfk.mp3", "ask what you can do for your country.", 8.26, None),
        ("s3://recordings/interviews/farm.mp3", "and then we moved to the country, all of us", 83.2, "Anna"),
    ]
    address = "page?dag_id=calls&run_id=manual__1&task_id=finished&map_index=-1"
    found = [
        {
            "source": source,
            "text": text,
            "start": start,
            "speaker": speaker,
            "transcript": f"{address}#t={start}",
        }
        for source, text, start, speaker in hits
        if phrase == "country"
    ]
    found[2:] = [hit | {"transcript": None} for hit in found[2:]]
    report = [
        ["Transcripts", "1,204"],
        ["Hours of audio", "301.2"],
        ["Words", "2,310,554"],
        ["Estimated cost", "108.43"],
        ["Languages", "en, de, fr"],
        ["Newest", 1_795_894_930.0],
    ]
    return {
        "configured": True,
        "how": None,
        "total": len(found),
        "page": page,
        "pages": 1,
        "hits": found,
        "report": report,
    }
