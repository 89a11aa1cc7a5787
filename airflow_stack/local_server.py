"""The local Laplas server as a child process, and the Airflow connection that points to it."""

import json
import secrets
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from airflow_stack.processes import Program, await_condition, clean_environment, end, free_port


class LocalServer:
    """
    A server with the API of Laplas and a real Whisper model, on a free port; a context manager.

    It is started, not waited for: ``await_ready`` does that, so that an Airflow can start meanwhile.

    :param folder: where its log and its data go; has to exist
    :param concurrency: generations that it processes at a time
    :ivar base_url: the API's base URL, with its version
    :ivar api_key: the one key that it takes, made for this server
    """

    def __init__(self, folder: Path, *, concurrency: int = 1) -> None:
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self.api_key = secrets.token_urlsafe(32)
        self.program = Program(
            "the local Laplas server",
            [
                *(sys.executable, "-m", "airflow_provider_laplas.local", "serve"),
                *(
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(self.port),
                    "--data-dir",
                    str(folder / "laplas-local"),
                ),
                *("--weights", "package", "--allow-private-urls", "--concurrency", str(concurrency)),
            ],
            log=folder / "laplas-local.log",
            # In the environment and not on the command line, which every user of the machine can read.
            # onnxruntime, which finds the speech in a recording, reports its use to its maker unless told not to.
            environment=clean_environment() | {"LAPLAS_API_KEY": self.api_key, "ORT_DISABLE_TELEMETRY": "1"},
            folder=folder,
        )

    @property
    def connection(self) -> str:
        """The Airflow connection to this server, as the value of an ``AIRFLOW_CONN_`` variable."""
        return json.dumps({"conn_type": "laplas", "host": self.base_url, "password": self.api_key})

    @property
    def submissions(self) -> int:
        """How many generations it has accepted, by its log."""
        return self.program.log.read_text().count("POST /v1/stt/create 201")

    def __enter__(self) -> Self:
        self.program.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end([self.program])

    def await_ready(self) -> None:
        """
        Wait until the server answers.

        :raises TimeoutError: when it does not in time
        :raises ProcessDiedError: when it ended, with the end of its log
        """
        await_condition(self._answers, what="the local Laplas server", programs=[self.program])

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/health", timeout=5).ok
        except (requests.ConnectionError, requests.Timeout):
            return False
