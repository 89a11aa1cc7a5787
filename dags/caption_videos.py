"""
Make captions of a folder of videos: of each only the audio is sent, of long ones in parts.

Trigger it with ``{"videos": "s3://aws_default@bucket/videos", "captions": "s3://aws_default@bucket/captions"}``, or with
folders on the worker. ``talks/a.mp4`` becomes ``talks/a.mp4.srt`` and ``talks/a.mp4.vtt``, whose times are those of the
video, and ``talks/a.mp4.json``, the API's reply. A video that has captions is not submitted again when the DAG runs again;
one that cannot be used (damaged, protected, without an audio track) fails alone.

It needs the extra ``media``. What the API takes in one upload is in the connection's extra: ``max_upload_bytes`` and
``max_part_seconds``.
"""

from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_laplas.manifest import FAILED_STATES, FileState, Manifest
from airflow_provider_laplas.operators import TranscribeBatchOperator

TAGS = ["laplas", "speech-to-text"]


@dag(
    schedule=None,
    # Two runs at once would both find the same video without captions, and both pay for it.
    max_active_runs=1,
    tags=TAGS,
    params={
        "videos": Param(
            type="string", minLength=1, description="Folder of videos, on the worker or in object storage."
        ),
        "captions": Param(type="string", minLength=1, description="Folder for the captions."),
        "frame_rate": Param(
            25, type="number", description="Frames a second of the videos: cues begin and end on one."
        ),
    },
    doc_md=__doc__,
)
def caption_videos() -> None:
    """Caption every video of a folder."""
    transcribe = TranscribeBatchOperator(
        task_id="transcribe",
        audio="{{ params.videos }}",
        results_path="{{ params.captions }}",
        formats=["srt", "vtt"],
        captions={"frame_rate": "{{ params.frame_rate }}"},
        media={},
        utterances=True,
        # A video that cannot be used is for the list below, and holds nobody back.
        max_failed=100,
        retries=2,
    )

    @task
    def list_captions(batch: dict[str, Any]) -> dict[str, list[str]]:
        """Return where the captions are, and which videos have none, and why."""
        manifest = Manifest.load(batch["manifest"])
        return {
            "captions": [
                f"{batch['results_path']}/{name}"
                for entry in manifest.having(FileState.COMPLETED, FileState.DUPLICATE)
                for name in entry.names()
                if name.endswith(".vtt")
            ],
            "failed": [f"{entry.source}: {entry.error}" for entry in manifest.having(*FAILED_STATES)],
        }

    list_captions(transcribe.output)


caption_videos()
