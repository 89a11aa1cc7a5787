"""
Transcribe every new recording of a folder, once an hour, load the transcripts into a database, and report.

``ingest_recordings`` sends what is new in the inbox through one task, however many recordings there are. Transcripts
and captions land in the other folder under the recording's own path: ``talks/a.mp3`` becomes ``talks/a.mp3.json``,
``.srt``, ``.vtt`` and ``.txt``. A recording that has a transcript is never submitted again; one that cannot be
transcribed is reported, holds nobody back, and is not paid for again every hour: a retry or a Clear tries it again.
Transcripts that the database does not have yet are loaded into it, and ``report_transcripts`` then writes
``report.html`` beside them.

The folders are object storage URIs, such as ``s3://aws_default@bucket/inbox`` or ``file:///data/inbox``. They come
from the Airflow Variables ``laplas_inbox`` and ``laplas_transcripts``, so also from the environment variables
AIRFLOW_VAR_LAPLAS_INBOX and AIRFLOW_VAR_LAPLAS_TRANSCRIPTS; a run's own parameters come first. The database is the
Airflow connection ``transcripts_db``, SQLite or PostgreSQL.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, Connection, Param, Variable, dag, task

from airflow_provider_laplas.manifest import FAILED_STATES, Manifest
from airflow_provider_laplas.operators import TranscribeBatchOperator
from airflow_provider_laplas.storage import write_text

try:
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:  # Airflow 3.0 and 3.1
    from airflow.exceptions import AirflowSkipException

DATABASE_CONN_ID = "transcripts_db"
DATABASE = Asset("laplas_transcripts")
"""Says that the database has new transcripts; the event names the folder in which they lie."""

TAGS = ["laplas", "speech-to-text"]
FOLDER = {"type": ["null", "string"]}


@dag(
    schedule="@hourly",
    catchup=False,
    # Two runs at once would both find the same recording without a transcript, and both pay for it.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=TAGS,
    params={
        "inbox": Param(None, **FOLDER, description="Folder of recordings; by default Variable laplas_inbox."),
        "transcripts": Param(
            None, **FOLDER, description="Folder of results; by default Variable laplas_transcripts."
        ),
        "settle_seconds": Param(
            60,
            type="number",
            minimum=0,
            description="A recording that changed less than so many seconds ago is left for the next run.",
        ),
    },
    doc_md=__doc__,
)
def ingest_recordings() -> None:
    """Transcribe what is new, and load it."""
    transcribe = TranscribeBatchOperator(
        task_id="transcribe",
        audio="{{ params.inbox or var.value.laplas_inbox }}",
        results_path="{{ params.transcripts or var.value.laplas_transcripts }}",
        formats=["srt", "vtt", "txt"],
        min_age="{{ params.settle_seconds }}",
        detect_language=True,
        # More than these in one folder is not a broken recording, but something to look at.
        max_failed=100,
    )

    @task(outlets=[DATABASE])
    def load(batch: dict[str, Any], *, outlet_events: Any = None) -> dict[str, int]:
        """Load the transcripts that the database does not have; skip, and so say nothing, where nothing is new."""
        from airflow_provider_laplas import sql  # noqa: PLC0415
        from airflow_provider_laplas.hooks import LaplasHook  # noqa: PLC0415

        database: Any = Connection.get(DATABASE_CONN_ID).get_hook()
        sql.create_tables(database)
        manifest = Manifest.load(batch["manifest"])
        counts = sql.load_batch(database, manifest, price_per_minute=LaplasHook().settings.price_per_minute)
        # A try that was killed after its last commit has loaded them, and told nobody; and what failed is to be reported.
        if not (counts["transcripts"] or batch["new"] or batch["new_failed"]):
            raise AirflowSkipException("The database has every transcript already.")
        outlet_events[DATABASE].extra = {"results_path": batch["results_path"]}
        return counts

    load(transcribe.output)


@dag(schedule=[DATABASE], catchup=False, max_active_runs=1, tags=TAGS, doc_md=__doc__)
def report_transcripts() -> None:
    """Write one HTML page on all transcripts: files, hours, languages, words, cost, and what failed."""

    @task
    def report(*, triggering_asset_events: Any = None) -> list[str]:
        """Write the page beside the transcripts, in each folder that has new ones, and return the pages' URIs."""
        from airflow_provider_laplas import sql  # noqa: PLC0415
        from airflow_provider_laplas.report import render  # noqa: PLC0415

        try:
            folders = {event.extra["results_path"] for event in triggering_asset_events[DATABASE]}
        except KeyError:
            # Triggered by hand, there is no event.
            folders = {Variable.get("laplas_transcripts")}
        database: Any = Connection.get(DATABASE_CONN_ID).get_hook()
        figures, pages = sql.figures(database), []
        for folder in sorted(folder.rstrip("/") for folder in folders):
            manifest = Manifest.find(f"{folder}/manifest.json")
            failed = (
                [(entry.source, entry.error) for entry in manifest.having(*FAILED_STATES)] if manifest else []
            )
            pages.append(f"{folder}/report.html")
            write_text(pages[-1], render(figures, failed=failed, made_at=datetime.now(UTC)))
        return pages

    report()


ingest_recordings()
report_transcripts()
