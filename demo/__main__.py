"""
The demo's commands: ``python -m demo run`` transcribes one recording, ``python -m demo up`` stays.

Both start a real Airflow and a local server with a real Whisper model, in a temporary folder. Neither writes into
the project, into the user's home or into an Airflow that is already there.
"""

import json
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from demo.file_server import FileServer
from demo.local_server import LocalServer
from demo.processes import interrupted_by_sigterm
from demo.rest import TaskState
from demo.stack import AirflowStack

PROJECT = Path(__file__).parents[1]
RECORDING = PROJECT / "demo" / "recordings" / "jfk.mp3"
DAG_ID = "transcribe_url"
# The sensor's own timeout is an hour; a run that outlasts it has failed.
RUN_SECONDS = 3700.0

AUDIO = click.option(
    "--audio",
    type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True, path_type=Path),
    default=RECORDING,
    help="The recording; by default eleven seconds of John F. Kennedy, 1961.",
)


class RunFailedError(RuntimeError):
    """The demo's DAG run failed; the message holds the logs of the tasks that did."""


@dataclass(frozen=True)
class Demo:
    """
    What runs.

    :ivar stack: the Airflow
    :ivar server: the local Laplas server
    :ivar url: where the recording is
    """

    stack: AirflowStack
    server: LocalServer
    url: str


@click.group()
def main() -> None:
    """Try the provider out: a real Airflow and a real Whisper model, on this machine."""
    # A shell starts what it puts into the background with SIGINT ignored; who sends one all the same means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@main.command()
@AUDIO
def run(audio: Path) -> None:
    """Transcribe one recording and print its text."""
    console = Console(stderr=True, highlight=False)
    with _workspace(console) as folder:
        started = time.monotonic()
        with _demo(console, folder, audio, transcripts=folder / "transcripts") as demo:
            console.print(
                f"Airflow runs, after {time.monotonic() - started:.0f} s; transcribing {audio.name}"
            )
            run_id = demo.stack.trigger(DAG_ID, {"audio": demo.url})
            state = demo.stack.wait(DAG_ID, run_id, RUN_SECONDS, progress=_reporter(console, demo.server))
            if state != "success":
                raise RunFailedError(f"The run failed.\n{demo.stack.failure_report(DAG_ID, run_id)}")
            text = demo.stack.xcom(DAG_ID, run_id, "wait", key="text")
            console.print(f"Done, after {time.monotonic() - started:.0f} s; stopping.")
    print(text)


@main.command()
@AUDIO
def up(audio: Path) -> None:
    """Start Airflow and the local server, and leave them running until Ctrl-C."""
    console = Console(stderr=True, highlight=False)
    transcripts = Path(tempfile.mkdtemp(prefix="laplas-transcripts-"))
    with suppress(KeyboardInterrupt), _workspace(console) as folder:
        inbox = folder / "inbox"
        with _demo(console, folder, audio, transcripts=transcripts) as demo:
            print(_instructions(demo, inbox, transcripts), flush=True)
            while True:
                demo.stack.check()
                demo.server.program.check()
                time.sleep(1)
    try:
        transcripts.rmdir()
    except OSError:
        console.print(f"Transcripts are kept in {transcripts}", markup=False, soft_wrap=True)


@contextmanager
def _demo(console: Console, folder: Path, audio: Path, *, transcripts: Path) -> Iterator[Demo]:
    """Start everything, side by side, and end it after the block."""
    inbox = folder / "inbox"
    inbox.mkdir()
    with interrupted_by_sigterm(), ExitStack() as started:
        with console.status("Starting Airflow and the local Laplas server"):
            server = started.enter_context(LocalServer(folder))
            files = started.enter_context(FileServer(audio))
            environment = {
                "AIRFLOW_CONN_LAPLAS_DEFAULT": server.connection,
                "AIRFLOW_VAR_LAPLAS_INBOX": inbox.as_uri(),
                "AIRFLOW_VAR_LAPLAS_TRANSCRIPTS": transcripts.as_uri(),
            }
            stack = started.enter_context(
                AirflowStack(
                    PROJECT / "dags",
                    home=folder / "airflow",
                    config={"laplas": {"results_path": (folder / "replies").as_uri()}},
                    environment=environment,
                )
            )
            server.await_ready()
        yield Demo(stack, server, files.url)


@contextmanager
def _workspace(console: Console) -> Iterator[Path]:
    """Give a temporary folder; after a failure say what failed, keep the folder, name it and exit with 1."""
    folder = Path(tempfile.mkdtemp(prefix="laplas-demo-"))
    try:
        yield folder
    except Exception as error:  # noqa: BLE001  # whatever it was, a person needs the message and the folder
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        console.print(f"Everything is kept in {folder}", markup=False, soft_wrap=True)
        sys.exit(1)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _reporter(console: Console, server: LocalServer) -> Callable[[list[TaskState]], None]:
    """Return a progress callback that prints each change of a task's state, and raises once the server is gone."""
    seen: dict[str, str] = {}

    def report(tasks: list[TaskState]) -> None:
        # Airflow itself would go on asking until the deadline.
        server.program.check()
        for task in tasks:
            if task.state is not None and seen.get(str(task)) != task.state:
                seen[str(task)] = task.state
                console.print(f"  {task}: {task.state}", markup=False)

    return report


def _instructions(demo: Demo, inbox: Path, transcripts: Path) -> str:
    command = [
        f"AIRFLOW_HOME={shlex.quote(str(demo.stack.home))}",
        shlex.quote(sys.executable),
        "-m",
        "airflow",
    ]
    trigger = " ".join([*command, "dags", "trigger"])
    conf = shlex.quote(json.dumps({"audio": demo.url}))
    return f"""\
Airflow:      {demo.stack.base_url}  (everyone is an administrator)
Laplas API:   {demo.server.base_url}
Recording:    {demo.url}

Transcribe the recording; the text becomes the XCom "text" of the task "wait":
  {trigger} {DAG_ID} --conf {conf}

Put recordings into  {inbox}
and their transcripts come to  {transcripts}
every hour, or now:
  {trigger} ingest_folder

Ctrl-C ends it."""


if __name__ == "__main__":
    main(prog_name="python -m demo")
