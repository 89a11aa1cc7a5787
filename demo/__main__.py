"""
The demo's commands: ``python -m demo run`` sends recordings through the ingestion pipeline, ``python -m demo up`` stays.

Both start a real Airflow and a local server with a real Whisper model, in a temporary folder. Neither writes into
the project, into the user's home or into an Airflow that is already there.
"""

import filecmp
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from airflow_provider_laplas.audio import AUDIO_SUFFIXES
from airflow_provider_laplas.manifest import FAILED_STATES, FileState, Manifest
from airflow_provider_laplas.manifest import NAME as MANIFEST
from airflow_provider_laplas.results import load_transcript
from airflow_stack.deployments import Cluster, Deployment, SingleMachine
from airflow_stack.file_server import FileServer
from airflow_stack.local_server import LocalServer
from airflow_stack.processes import PATIENCE, await_condition, interrupted_by_sigterm, remove_folder
from airflow_stack.rest import TaskState
from airflow_stack.stack import AirflowStack

PROJECT = Path(__file__).parents[1]
RECORDINGS = PROJECT / "demo" / "recordings"
RECORDING = RECORDINGS / "jfk.mp3"
PIPELINE, REPORT = "ingest_recordings", "report_transcripts"
# A recording's own timeout is an hour; a run that outlasts it has failed.
RUN_SECONDS = 3700.0
DATABASE = "transcripts.db"
DATABASE_OPTION = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"

AUDIO = click.option(
    "--audio",
    type=click.Path(exists=True, dir_okay=False, readable=True, resolve_path=True, path_type=Path),
    help="A recording; by default those in demo/recordings.",
)


class NothingTranscribedError(RuntimeError):
    """The DAG run ended well, and there is no transcript; the message says where to look."""


@dataclass(frozen=True)
class Demo:
    """
    What runs.

    :ivar stack: the Airflow
    :ivar server: the local Laplas server
    :ivar url: where the recording is
    :ivar inbox: the pipeline's folder of recordings
    :ivar transcripts: its folder of transcripts
    """

    stack: AirflowStack
    server: LocalServer
    url: str
    inbox: Path
    transcripts: Path


@click.group()
def main() -> None:
    """Try the provider out: a real Airflow and a real Whisper model, on this machine."""
    # A shell starts what it puts into the background with SIGINT ignored; who sends one all the same means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@main.command()
@AUDIO
def run(audio: Path | None) -> None:
    """Send recordings through the ingestion pipeline; print what was said, and where everything lies."""
    console = Console(stderr=True, highlight=False)
    with _workspace(console) as folder:
        started = time.monotonic()
        with _demo(console, folder, audio) as demo:
            console.print(f"Airflow runs, after {time.monotonic() - started:.0f} s; transcribing")
            _run_pipeline(console, demo)
            console.print(f"Done, after {time.monotonic() - started:.0f} s; stopping.")
        manifest = _manifest(demo.transcripts)
        for entry in manifest.having(*FAILED_STATES):
            console.print(f"{entry.source}: {entry.error}", style="red", markup=False, soft_wrap=True)
        finished = list(manifest.having(FileState.COMPLETED))
        if not finished:
            raise NothingTranscribedError(
                f"No recording could be transcribed. The manifest says why, in {demo.transcripts}"
            )
        texts = {
            entry.output.removesuffix(".json"): load_transcript(str(demo.transcripts / entry.output)).text
            for entry in finished
        }
    print("\n\n".join(f"{name}:\n{text}" for name, text in texts.items()))
    console.print(_places(demo.transcripts), markup=False, soft_wrap=True)


@main.command()
@AUDIO
@click.option(
    "--executor",
    type=click.Choice(["local", "celery"]),
    default="local",
    help="celery: a cluster on PostgreSQL and Redis, with two workers and two triggerers; needs the extra `cluster`.",
)
def up(audio: Path | None, executor: str) -> None:
    """Start Airflow and the local server, and leave them running until Ctrl-C."""
    console = Console(stderr=True, highlight=False)
    kept = None
    deployment = Cluster() if executor == "celery" else SingleMachine()
    with (
        suppress(KeyboardInterrupt),
        _workspace(console) as folder,
        _demo(console, folder, audio, deployment) as demo,
    ):
        kept = demo.transcripts
        print(_instructions(demo), flush=True)
        while True:
            demo.stack.check()
            demo.server.program.check()
            time.sleep(1)
    if kept is not None and kept.exists():
        console.print(f"Transcripts are kept in {kept}", markup=False, soft_wrap=True)


def _run_pipeline(console: Console, demo: Demo) -> None:
    """Run the pipeline's DAG, then wait for the run of the report that its asset starts."""
    reporter = _reporter(console, demo.server)
    run_id = demo.stack.trigger(PIPELINE, {"settle_seconds": 0})
    demo.stack.await_success(PIPELINE, run_id, RUN_SECONDS, progress=reporter)
    if not any(_manifest(demo.transcripts).having(FileState.COMPLETED)):
        return
    await_condition(lambda: demo.stack.runs(REPORT), what="a run of the report that the asset starts")
    [(report_id, _)] = demo.stack.runs(REPORT)
    demo.stack.await_success(REPORT, report_id, PATIENCE, progress=reporter)


def _manifest(transcripts: Path) -> Manifest:
    manifest = Manifest.load(f"{transcripts}/{MANIFEST}")
    if manifest is None:
        raise NothingTranscribedError(f"Nothing was transcribed: there is no manifest in {transcripts}.")
    return manifest


def _places(transcripts: Path) -> str:
    return f"""
Transcripts and captions:  {transcripts}
Database (SQLite):         {transcripts / DATABASE}
Report:                    {transcripts / "report.html"}"""


@contextmanager
def _demo(
    console: Console, folder: Path, audio: Path | None, deployment: Deployment | None = None
) -> Iterator[Demo]:
    """
    Start everything, side by side, and end it after the block.

    The inbox stays if there are files of the user in it, and the folder of transcripts if it is not empty.
    """
    inbox = Path(tempfile.mkdtemp(prefix="laplas-inbox-"))
    transcripts = Path(tempfile.mkdtemp(prefix="laplas-transcripts-"))
    copies: dict[Path, Path] = {}
    for recording in [audio] if audio else sorted(RECORDINGS.iterdir()):
        if recording.suffix in AUDIO_SUFFIXES:
            copies[inbox / recording.name] = recording
        elif audio:
            # Whatever its name says, it was asked for.
            copies[inbox / f"{recording.name}.mp3"] = recording
    try:
        for copy, recording in copies.items():
            shutil.copy(recording, copy)
        with interrupted_by_sigterm(), ExitStack() as started:
            with console.status("Starting Airflow and the local Laplas server"):
                server = started.enter_context(LocalServer(folder))
                files = started.enter_context(FileServer(audio or RECORDING))
                environment = {
                    "AIRFLOW_CONN_LAPLAS_DEFAULT": server.connection,
                    "AIRFLOW_CONN_TRANSCRIPTS_DB": json.dumps(
                        {"conn_type": "sqlite", "host": str(transcripts / DATABASE)}
                    ),
                    "AIRFLOW_VAR_LAPLAS_INBOX": inbox.as_uri(),
                    "AIRFLOW_VAR_LAPLAS_TRANSCRIPTS": transcripts.as_uri(),
                }
                stack = started.enter_context(
                    AirflowStack(
                        PROJECT / "dags",
                        deployment=deployment,
                        home=folder / "airflow",
                        config={
                            "laplas": {
                                "results_path": (folder / "replies").as_uri(),
                                "transcripts_conn_id": "transcripts_db",
                            },
                            # What is edited while it runs is seen soon.
                            "dag_processor": {"refresh_interval": 10, "min_file_process_interval": 10},
                        },
                        environment=environment,
                    )
                )
                server.await_ready()
            yield Demo(stack, server, files.url, inbox, transcripts)
    finally:
        with suppress(OSError):
            transcripts.rmdir()
        _remove(copies)
        try:
            inbox.rmdir()
        except OSError:
            console.print(f"Your recordings are kept in {inbox}", markup=False, soft_wrap=True)


def _remove(copies: Mapping[Path, Path]) -> None:
    """Delete each copy that still is one."""
    for copy, original in copies.items():
        with suppress(OSError):
            if filecmp.cmp(copy, original, shallow=False):
                copy.unlink()


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
        remove_folder(folder)
        raise
    remove_folder(folder)


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


def _instructions(demo: Demo) -> str:
    # The database of a single machine is where Airflow looks for it.
    names = ["AIRFLOW_HOME", *([DATABASE_OPTION] if demo.stack.deployment.services else [])]
    variables = [f"{name}={shlex.quote(demo.stack.environment[name])}" for name in names]
    command = [*variables, shlex.quote(sys.executable), "-m", "airflow"]
    trigger = " ".join([*command, "dags", "trigger"])
    url, now = (shlex.quote(json.dumps(conf)) for conf in ({"audio": demo.url}, {"settle_seconds": 0}))
    processes = f"\nProcesses:    {', '.join(demo.stack.names)}" if demo.stack.deployment.services else ""
    return f"""\
Airflow:      {demo.stack.base_url}  (everyone is an administrator){processes}
Laplas API:   {demo.server.base_url}
Recording:    {demo.url}

Transcribe the recording; the text becomes the XCom "text" of the task "wait":
  {trigger} transcribe_url --conf {url}

Put recordings into  {demo.inbox}
and transcripts, captions, a database and a report come to  {demo.transcripts}
every hour, or now:
  {trigger} {PIPELINE} --conf {now}
The page Browse, Transcripts of Airflow's UI searches them.

Ctrl-C ends it, and so does: kill -INT {os.getpid()}"""


if __name__ == "__main__":
    main(prog_name="python -m demo")
