"""
Transcribe every new recording of a folder, once an hour.

The folders are object storage URIs, such as ``s3://aws_default@bucket/inbox`` or ``file:///data/inbox``. They come
from the Airflow Variables ``laplas_inbox`` and ``laplas_transcripts``, so also from the environment variables
AIRFLOW_VAR_LAPLAS_INBOX and AIRFLOW_VAR_LAPLAS_TRANSCRIPTS; a run's own parameters come first.

``talks/a.mp3`` in the inbox becomes ``talks/a.mp3.json`` in the other folder: the whole name is kept, so that
``a.mp3`` and ``a.wav`` do not meet. A recording that has a transcript is never submitted again; to have it
transcribed anew, delete the transcript. A recording that cannot be transcribed is tried, and may be billed, every
hour until it is taken out of the inbox.
"""

import json
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import ObjectStoragePath, Param, Variable, dag, task, task_group

from airflow_provider_laplas.operators import SubmitSTTOperator
from airflow_provider_laplas.results import load_transcript
from airflow_provider_laplas.sensors import STTCompletionSensor

SUFFIXES = frozenset({".aac", ".flac", ".m4a", ".mp3", ".mp4", ".ogg", ".opus", ".wav", ".webm"})
# Below Airflow's [core] max_map_length; the rest is taken by the next run.
FILES_PER_RUN = 500

FOLDER = {"type": ["null", "string"]}


@dag(
    schedule="@hourly",
    catchup=False,
    # Two runs at once would both find the same recording without a transcript, and both pay for it.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["laplas", "speech-to-text"],
    params={
        "inbox": Param(None, **FOLDER, description="Folder of recordings; by default Variable laplas_inbox."),
        "transcripts": Param(
            None, **FOLDER, description="Folder of results; by default Variable laplas_transcripts."
        ),
        "settle_seconds": Param(
            10,
            type="number",
            minimum=0,
            description="A recording that changes in this time is left for later.",
        ),
    },
    doc_md=__doc__,
)
def ingest_folder() -> None:
    """Find new recordings, transcribe each, save each transcript."""

    @task
    def find_new(params: dict[str, Any] | None = None) -> list[dict[str, str]]:
        """Return the URI of each new recording and of its transcript to be."""
        params = params or {}
        # Looked up when the task runs: at parse time a missing Variable would break the DAG file.
        inbox = ObjectStoragePath(params["inbox"] or Variable.get("laplas_inbox"))
        transcripts = ObjectStoragePath(params["transcripts"] or Variable.get("laplas_transcripts"))
        # One listing instead of a request for each recording.
        done = {path.path for path in transcripts.rglob("*.json")}
        missing = {
            recording: transcript
            for recording in sorted(inbox.rglob("*"), key=str)
            if recording.suffix.lower() in SUFFIXES
            and (transcript := transcript_of(recording, inbox, transcripts)).path not in done
        }
        before = {recording: signature(recording) for recording in missing}
        if before:
            time.sleep(params["settle_seconds"])
        settled = [recording for recording, seen in before.items() if seen and signature(recording) == seen]
        return [
            {"audio": uri(recording), "transcript": uri(missing[recording])}
            for recording in settled[:FILES_PER_RUN]
        ]

    # A mapped group, not three mapped tasks: there, one bad recording would keep all the others, which are paid
    # for, from being saved.
    @task_group
    def recording(audio: str, transcript: str) -> None:
        submit = SubmitSTTOperator(task_id="submit", audio=audio)
        wait = STTCompletionSensor(task_id="wait", generation_id=submit.output)
        wait >> save(audio, transcript)

    @task
    def save(audio: str, transcript: str, ti: Any = None) -> str:
        """Write the transcript, whole or not at all, and return its URI."""
        result = ti.xcom_pull(task_ids="recording.wait", map_indexes=ti.map_index)
        spoken = load_transcript(result)
        document = {
            "audio": audio,
            "generation_id": result["generation_id"],
            "model": result["model"],
            "language": spoken.language,
            "duration": spoken.duration,
            "text": spoken.text,
            "words": [{"text": word.text, "start": word.start, "end": word.end} for word in spoken.words],
        }
        target = ObjectStoragePath(transcript)
        target.parent.mkdir(parents=True, exist_ok=True)
        # A file that is cut off would count as done for ever.
        temporary = target.with_name(f".{target.name}.part")
        temporary.write_text(json.dumps(document, ensure_ascii=False, indent=2), encoding="utf-8")
        temporary.replace(target)
        return transcript

    recording.expand_kwargs(find_new())


def transcript_of(
    recording: ObjectStoragePath, inbox: ObjectStoragePath, transcripts: ObjectStoragePath
) -> ObjectStoragePath:
    """Return where a recording's transcript belongs: the same place in the other folder, ``.json`` added."""
    name = recording.path.removeprefix(inbox.path.rstrip("/") + "/")
    return transcripts / f"{name}.json"


def signature(recording: ObjectStoragePath) -> tuple[int, float] | None:
    """Return a file's size in bytes and its modification time; None for a folder, an empty file, one that is gone."""
    try:
        found = recording.stat()
    except FileNotFoundError:
        return None
    return (found.st_size, found.st_mtime) if found["type"] == "file" and found.st_size else None


def uri(path: ObjectStoragePath) -> str:
    """Return the path as text with its connection id, which ``str`` leaves out."""
    scheme, _, rest = str(path).partition("://")
    return f"{scheme}://{path.conn_id}@{rest}" if path.conn_id else str(path)


ingest_folder()
