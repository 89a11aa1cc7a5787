"""What a fault is done to, and what is counted of it: for one machine, and for a cluster."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_laplas.manifest import Manifest
from airflow_provider_laplas.results import load_transcript
from tests.fake_api import TEXT, FakeAPI, Request
from tests.faults.kill import Stopped

# Airflow waits five minutes for a lost worker, and half a minute for a lost triggerer.
IMPATIENT = {
    "scheduler": {
        "scheduler_idle_sleep_time": 0.5,
        "task_instance_heartbeat_sec": 2,
        "task_instance_heartbeat_timeout": 15,
        "task_instance_heartbeat_timeout_detection_interval": 3,
        "trigger_timeout_check_interval": 3,
    },
    "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 10},
}


@dataclass(frozen=True)
class Outcome:
    """
    What came of a fault.

    :ivar submissions: POSTs that the API has received whole
    :ivar paid_twice: those for a recording that had been submitted already
    :ivar transcripts: those that arrived, whole
    :ivar lost: those that had to arrive, and did not
    """

    submissions: int
    paid_twice: int
    transcripts: int
    lost: int

    @classmethod
    def of(cls, api: FakeAPI, *, owed: int, texts: Iterable[str | None]) -> "Outcome":
        """
        Count; ``owed`` is how many transcripts have to arrive: all, but where a submission was left ambiguous.

        Uploads of the same name count as one recording.
        """
        # Of a client that is killed right before the body, only the headers come.
        whole = [request for request in api.requests if request.method == "POST" and request.body]
        submitted = Counter(map(submitted_name, whole))
        arrived = sum(text == TEXT for text in texts)
        return cls(len(whole), submitted.total() - len(submitted), arrived, owed - arrived)


def submitted_name(request: Request) -> str:
    """The URL that was submitted, or the name of the file."""
    if request.headers["content-type"].startswith("application/json"):
        return str(request.json["url"])
    return re.search(rb'filename="([^"]*)"', request.body)[1].decode()


@dataclass
class BatchRun:
    """A run of a batch, with a server and a folder of its own."""

    dag_id: str
    run_id: str
    api: FakeAPI
    results: Path
    stopped: Stopped = field(default_factory=Stopped)

    @property
    def manifest(self):
        return Manifest.load(f"{self.results}/manifest.json")

    def counts(self):
        manifest = self.manifest
        return manifest.counts() if manifest else {}

    def noted(self):
        return self.counts().get("submitted", 0)

    def texts(self):
        return [load_transcript(str(path)).text for path in self.results.glob("*.mp3-*.json")]

    def times_submitted(self):
        """How often each file was submitted."""
        return Counter(request.json["url"] for request in self.api.requests if request.method == "POST")
