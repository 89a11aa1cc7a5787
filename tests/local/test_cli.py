"""The command: its help, its key, its start and its stop."""

import gc
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
from click.testing import CliRunner

from airflow_provider_laplas.local.app import create_app
from airflow_provider_laplas.local.audio import RATE, decode
from airflow_provider_laplas.local.cli import main
from airflow_provider_laplas.local.errors import SetupError
from airflow_provider_laplas.local.running import bind, serve_in_thread
from airflow_provider_laplas.local.settings import Settings
from tests.local.conftest import Api, StubEngine, eventually, wav_of
from tests.patience import PATIENCE

COMMAND = [
    sys.executable,
    "-m",
    "airflow_provider_laplas.local",
    "serve",
    "--port",
    "0",
    "--weights",
    "package",
]


@contextmanager
def served(
    data_dir: Path | None,
    *options: str,
    end: int = signal.SIGTERM,
    log: Path | None = None,
    **environment: str,
) -> Iterator[tuple[str, list[str]]]:
    """The command as a process: its URL, and the lines that it printed before it."""
    if data_dir is not None:
        data_dir.mkdir(exist_ok=True)
        options = ("--data-dir", str(data_dir), *options)
        log = data_dir.parent / "log"
    assert log is not None
    with log.open("w+") as log_file:
        # A pipe that nobody reads would fill up and stop the server.
        process = subprocess.Popen(
            [*COMMAND, *options],
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
            env={"PATH": "/usr/bin"} | environment,
        )
        lines: list[str] = []
        try:
            for line in process.stdout:
                lines.append(line.strip())
                if found := re.match(r"Listening on (http://\S+)/v1", line):
                    yield found[1], lines
                    return
            log_file.seek(0)
            pytest.fail(log_file.read())
        finally:
            process.send_signal(end)
            process.communicate(timeout=PATIENCE)


def reaches(url: str, key: str) -> bool:
    response = requests.get(
        f"{url}/v1/stt/none", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
    )
    return response.status_code == 404


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_tilde_in_a_path_is_the_home_folder(tmp_path: Path, by: str):
    """Shells expand it neither after an equals sign nor in a file of settings."""
    (tmp_path / "keys").write_text("a-key\n")
    paths = {"data_dir": "~/data", "key_file": "~/keys"}
    environment, options = {"HOME": str(tmp_path)}, []
    if by == "option":
        options = [f"--{name.replace('_', '-')}={path}" for name, path in paths.items()]
    else:
        environment |= {f"LAPLAS_LOCAL_SERVE_{name.upper()}": path for name, path in paths.items()}
    with served(None, *options, log=tmp_path / "log", **environment) as (url, _):
        assert reaches(url, "a-key")
    assert (tmp_path / "data" / "generations.sqlite3").exists()


def test_the_home_folder_of_nobody_is_told():
    with pytest.raises(SetupError, match="home folder"):
        Settings(keys=frozenset({"key"}), data_dir=Path("~nobody-has-this-name/data"))
    told = CliRunner().invoke(main, ["serve", "--data-dir", "~nobody-has-this-name/data"])
    assert told.exit_code == 2
    assert "home folder" in told.output


def test_without_a_key_one_is_made_kept_and_its_place_is_printed(data_dir: Path):
    own = data_dir / "api-key"
    with served(data_dir) as (url, lines):
        assert url.startswith("http://127.0.0.1:")
        assert f"The API key is in {own}" in lines
        assert own.stat().st_mode & 0o777 == 0o600
        key = own.read_text().strip()
        assert len(key) >= 32
        assert key not in "".join(lines)
        assert reaches(url, key)
    with served(data_dir) as (url, _):
        assert reaches(url, key)


def test_the_key_comes_from_the_environment(data_dir: Path):
    with served(data_dir, LAPLAS_API_KEY="from-environment") as (url, _):
        assert reaches(url, "from-environment")
    assert not (data_dir / "api-key").exists()


def test_the_keys_come_from_a_file_and_options_from_the_environment(tmp_path: Path, data_dir: Path):
    keys = tmp_path / "keys"
    keys.write_text("one\n\n two \n")
    with served(data_dir, LAPLAS_LOCAL_SERVE_KEY_FILE=str(keys), LAPLAS_API_KEY="three") as (
        url,
        _,
    ):
        assert reaches(url, "one")
        assert reaches(url, "two")
        assert not reaches(url, "three")


def test_weights_that_are_not_there_are_an_error_without_a_trace(data_dir: Path):
    result = CliRunner().invoke(main, ["serve", "--weights", "/nowhere", "--data-dir", str(data_dir)])

    assert result.exit_code == 1
    assert "Error: The weights folder does not exist" in result.output


def test_a_port_that_is_taken_is_an_error_without_a_trace(tmp_path: Path, data_dir: Path):
    with served(data_dir) as (url, _):
        port = url.rpartition(":")[2]
        result = CliRunner().invoke(
            main, ["serve", "--weights", "package", "--port", port, "--data-dir", str(tmp_path / "other")]
        )

    assert result.exit_code == 1
    assert "Cannot listen" in result.output


def test_help_shows_examples_and_no_way_to_pass_a_key():
    shown = CliRunner().invoke(main, ["serve", "--help"]).output

    assert "laplas-local serve --weights package" in shown
    assert "--key-file" in shown
    assert "--key " not in shown


def loaded(modules: str, heavy: set[str]) -> str:
    """Which heavy modules come with some of the server's."""
    code = f"import sys, {modules}; print(*({heavy} & set(sys.modules)))"
    return subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.strip()


def test_importing_the_command_loads_nothing_heavy():
    heavy = {"airflow", "av", "ctranslate2", "fastapi", "faster_whisper", "numpy", "pydantic"}
    assert loaded("airflow_provider_laplas.local.cli", heavy) == ""


def test_the_server_imports_no_airflow_and_no_engine_before_it_is_needed():
    modules = "airflow_provider_laplas.local.app, airflow_provider_laplas.local.running"
    assert loaded(modules, {"airflow", "av", "ctranslate2", "faster_whisper"}) == ""


@pytest.mark.whisper
def test_what_a_killed_server_was_working_on_is_taken_up_by_the_next(data_dir: Path, jfk_mp3: Path):
    # Long enough to be at work when it is killed.
    [speech] = decode(jfk_mp3, split=False, max_seconds=60).channels
    long = wav_of(np.tile(speech, 3)[:, None], RATE)
    headers = {"Authorization": "Bearer key"}
    with served(data_dir, end=signal.SIGKILL, LAPLAS_API_KEY="key") as (url, _):
        api = Api(url, headers)
        running, queued = (
            api.upload(audio).json()["generation_id"] for audio in (long, jfk_mp3.read_bytes())
        )
        eventually(lambda: api.status(running) == "active")

    with served(data_dir, LAPLAS_API_KEY="key") as (url, _):
        api = Api(url, headers)
        for generation_id in (running, queued):
            eventually(lambda ended=generation_id: api.status(ended) == "completed")
            [channel] = api.get(generation_id).json()["result"]["results"]["channels"]
            assert "ask what you can do for your country" in channel["alternatives"][0]["transcript"]


class TestForeseenErrors:
    """A server that cannot start says why in one sentence, and what is at fault."""

    def told(self, data_dir: Path, *options: str, **environment: str) -> str:
        command = ["serve", "--weights", "package", "--port", "0", "--data-dir", str(data_dir), *options]
        result = CliRunner().invoke(main, command, env={"LAPLAS_API_KEY": ""} | environment)
        assert result.exit_code != 0
        assert isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result.output.strip().splitlines()[-1]

    def test_a_second_server_on_one_folder(self, data_dir: Path, running):
        with running():
            assert self.told(data_dir) == "Error: Another local server is using this data folder"

    def test_a_damaged_database(self, data_dir: Path):
        data_dir.mkdir()
        (data_dir / "generations.sqlite3").write_bytes(b"no database at all" * 500)

        assert "database is damaged" in self.told(data_dir)

    @pytest.mark.parametrize("environment", [{}, {"LAPLAS_API_KEY": "key"}])
    def test_a_data_folder_under_a_file(self, tmp_path: Path, environment):
        (tmp_path / "file").touch()

        told = self.told(tmp_path / "file" / "data", **environment)
        assert told == "Error: The data folder cannot be used: Not a directory"

    def test_a_key_file_that_is_not_text(self, tmp_path: Path, data_dir: Path):
        (tmp_path / "keys").write_bytes(b"\xff\xfe")

        assert self.told(data_dir, "--key-file", str(tmp_path / "keys")) == (
            "Error: keys is not a UTF-8 text file."
        )

    @pytest.mark.parametrize("value", ["inf", "nan", "-1", "0"])
    @pytest.mark.parametrize(
        "option", ["--retention", "--legacy-timeout", "--max-upload-mb", "--max-download-mb"]
    )
    def test_a_number_that_is_none(self, data_dir: Path, option: str, value: str):
        told = self.told(data_dir, option, value)

        assert option in told or option.strip("-").replace("-", "_") in told

    def test_a_host_that_is_not_there_leaves_no_socket_open(self, recwarn):
        with pytest.raises(SetupError, match="Cannot listen"):
            bind("192.0.2.1", 0)
        gc.collect()
        assert not [warning for warning in recwarn if warning.category is ResourceWarning]


def test_an_empty_key_file_that_a_kill_left_is_filled(data_dir: Path):
    data_dir.mkdir()
    own = data_dir / "api-key"
    own.touch()
    with served(data_dir) as (url, _):
        assert reaches(url, own.read_text().strip())
        assert own.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data_dir.iterdir() if "key" in path.name or "tmp" in path.name] == [
        "api-key"
    ]


def test_an_unforeseen_error_at_the_start_is_raised_and_not_waited_for(tmp_path: Path, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr("airflow_provider_laplas.local.app.Store", broken)
    app = create_app(Settings(keys=frozenset({"key"}), data_dir=tmp_path), StubEngine())
    with pytest.raises(ZeroDivisionError), serve_in_thread(app):
        pass
