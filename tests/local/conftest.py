"""A server on a free loopback port, with an engine that hears what a test tells it to."""

import io
import sqlite3
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from airflow_provider_laplas.local.app import create_app
from airflow_provider_laplas.local.engine import Heard, Hearing
from airflow_provider_laplas.local.errors import Abandoned
from airflow_provider_laplas.local.running import serve_in_thread
from airflow_provider_laplas.local.settings import Settings
from airflow_stack.processes import await_condition
from tests.clock import Clock
from tests.origin import Origin
from tests.patience import PATIENCE

KEY = "key-of-the-tests"
MODEL = "#g1_whisper-medium"
UNKNOWN = "7f0c8a52-6a43-4c6b-9d3f-2f9d5d5a9b10"
"""An id that the server has given to nobody."""


def wav(seconds: float = 1.0, channels: int = 1, rate: int = 16_000) -> bytes:
    """A tone; each channel has its own pitch."""
    times = np.arange(int(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * 220 * (number + 1) * times) for number in range(channels)]
    return wav_of(np.stack(tones, axis=1) / 4, rate)


def wav_of(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of samples between -1 and 1, a column for each channel."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


@dataclass
class StubEngine:
    """Hears `words` in every channel, once `open` is set; says with `entered` that it was asked."""

    words: tuple[Heard, ...] = (Heard(" Hello,", 0.0, 0.4, 0.9), Heard(" world.", 0.5, 0.9, 0.7))
    weights: str = "whisper-medium"
    known: frozenset[str] = frozenset({"en", "de"})
    failure: Exception | None = None
    open: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    def weights_for(self, size: str) -> str:
        return self.weights

    def version(self) -> str:
        return "stub 1"

    def languages(self, size: str, *, load: bool) -> frozenset[str]:
        return self.known

    def transcribe(self, samples, *, abandoned: Callable[[], bool], **asked: Any) -> Hearing:
        self.asked.append(asked | {"samples": len(samples)})
        self.entered.set()
        while not self.open.wait(0.01):
            if abandoned():
                raise Abandoned
        if self.failure is not None:
            raise self.failure
        return Hearing(self.words, asked["language"] or "de", None if asked["language"] else 0.75)


@dataclass
class Api:
    """A client of one running server."""

    url: str
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})

    def upload(
        self, content: Any, part: str = "audio", path: str = "/create", **options: Any
    ) -> requests.Response:
        return requests.post(
            f"{self.url}/v1/stt{path}",
            headers=self.headers,
            data={"model": MODEL} | options,
            files={part: ("sample.wav", content, "audio/wav")},
            timeout=PATIENCE,
        )

    def post(self, path: str = "/create", **body: Any) -> requests.Response:
        return requests.post(
            f"{self.url}/v1/stt{path}",
            headers=self.headers,
            json={"model": MODEL} | body,
            timeout=PATIENCE,
        )

    def get(self, generation_id: str) -> requests.Response:
        return requests.get(f"{self.url}/v1/stt/{generation_id}", headers=self.headers, timeout=PATIENCE)

    def status(self, generation_id: str) -> str:
        return self.get(generation_id).json()["status"]

    def end(self, submitted: requests.Response) -> dict[str, Any]:
        """What the generation is in the end."""
        assert submitted.status_code == 201, submitted.text
        generation_id = submitted.json()["generation_id"]
        eventually(lambda: self.status(generation_id) in {"completed", "error"})
        return self.get(generation_id).json()

    def result(self, submitted: requests.Response) -> dict[str, Any]:
        ended = self.end(submitted)
        assert ended["status"] == "completed", ended
        return ended["result"]

    def error(self, submitted: requests.Response) -> dict[str, str]:
        ended = self.end(submitted)
        assert ended["status"] == "error", ended
        assert "result" not in ended
        return ended["error"]


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that nothing announces."""
    await_condition(condition, what="what the test waits for", pause=0.01)


def spooled(data_dir: Path) -> list[Path]:
    """The recordings that the server has on disk."""
    return list((data_dir / "spool").iterdir())


def count_generations(data_dir: Path) -> int:
    """How many the server knows, whatever their state."""
    with closing(sqlite3.connect(data_dir / "generations.sqlite3")) as database:
        return database.execute("SELECT count(*) FROM generations").fetchone()[0]


def assert_error(response: requests.Response, status: int, *told: str) -> None:
    """The reply is the API's error body, complete, with `told` in its message."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"message", "path", "requestId", "statusCode", "timestamp"}
    assert body["statusCode"] == status
    assert body["path"] == requests.utils.urlparse(response.url).path
    for text in told:
        assert text in body["message"]


@pytest.fixture
def engine() -> StubEngine:
    return StubEngine()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def running(data_dir: Path, engine: StubEngine, clock: Clock):
    """A context manager that runs a server over the test's data folder; settings can be changed."""

    @contextmanager
    def run(used: Any = engine, **changed: Any) -> Iterator[Api]:
        settings = Settings(**{"keys": frozenset({KEY}), "data_dir": data_dir, "sweep_every": 0.02} | changed)
        with serve_in_thread(create_app(settings, used, clock=clock)) as url:
            yield Api(url)

    return run


@pytest.fixture
def serve(running) -> Iterator[Callable[..., Api]]:
    """As `running`, for as long as the test lasts."""
    with ExitStack() as stack:
        yield lambda *args, **changed: stack.enter_context(running(*args, **changed))


@pytest.fixture
def api(serve) -> Api:
    return serve()


@pytest.fixture(scope="module")
def shared_api(tmp_path_factory) -> Iterator[Api]:
    """A server for tests that leave no trace in it: starting one takes longer than most of them."""
    settings = Settings(keys=frozenset({KEY}), data_dir=tmp_path_factory.mktemp("data"))
    with serve_in_thread(create_app(settings, StubEngine())) as url:
        yield Api(url)


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin.running() as server:
        yield server
