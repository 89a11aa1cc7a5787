"""A task's output arguments: the folder, formats, captions and quality checks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.airflow_compat import option
from airflow_provider_laplas.arguments import check_settings, is_template, read_settings
from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.captions.formats import check_formats
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.redaction import holds_password, shown
from airflow_provider_laplas.transcript.quality import QualitySettings
from airflow_provider_laplas.transcript.values import LATEST


@dataclass(frozen=True, slots=True)
class Output:
    """
    The formats and checks of a transcript.

    :ivar formats: any of ``json``, ``srt``, ``vtt`` and ``txt``
    :ivar captions: limits of ``srt`` and ``vtt``; None uses the defaults
    :ivar quality: the checks; None for no checks
    """

    formats: tuple[str, ...]
    captions: CaptionLimits | None
    quality: QualitySettings | None

    @classmethod
    def read(cls, formats: Any, captions: Any, quality: Any) -> "Output":
        """
        Read the rendered arguments.

        :raises LaplasArgumentError: naming the argument, or the setting in it
        """
        return cls(
            tuple(check_formats(formats)),
            read_settings("captions", CaptionLimits, captions),
            read_settings("quality", QualitySettings, quality),
        )


ONLY_JSON = Output(("json",), None, None)
"""Nothing is made of a transcript beside its reply, and nothing is checked."""


def check_output(
    formats: Sequence[str] | str,
    captions: CaptionLimits | Mapping[str, Any] | None,
    quality: QualitySettings | Mapping[str, Any] | None,
) -> tuple[Any, Any, Any]:
    """
    Return the three arguments as plain values. Templates in them are checked after rendering.

    :raises LaplasArgumentError: naming the argument, or the setting in it
    """
    limits = {"min_duration": 0, "max_duration": LATEST}
    return (
        check_formats(formats),
        check_settings("captions", CaptionLimits, captions, stand_ins=limits),
        check_settings("quality", QualitySettings, quality, stand_ins={"expected_language": "und"}),
    )


def check_results_path(results_path: Any) -> str | None:
    """
    Return a folder in object storage, with ``~`` expanded; None if none is given. A template is checked after rendering.

    :raises LaplasArgumentError: naming ``results_path``
    """
    folder: str | None = results_path
    if is_template(results_path):
        return folder
    # A template renders a missing XCom as "None".
    if results_path is not None and (
        not isinstance(results_path, str) or not results_path.strip() or results_path == "None"
    ):
        raise LaplasArgumentError(
            f"`results_path` must be a folder in object storage, not {shown(results_path)}.",
            argument="results_path",
        )
    # s3://connection@bucket is Airflow's syntax. A password in it would be stored with the trigger, in plain text.
    if results_path and holds_password(results_path):
        raise LaplasArgumentError(
            "`results_path` must not contain a password: name the storage's connection, as in "
            "s3://connection_id@bucket/folder.",
            argument="results_path",
        )
    return os.path.expanduser(folder) if folder else folder  # noqa: PTH111 - it may be a URI.


def choose_folder(task: str | None, connection: str | None) -> str | None:
    """
    Return the folder for replies: the task's, else the connection's, else ``[laplas] results_path``, else None.

    :raises LaplasArgumentError: if it is not a valid folder
    """
    return check_results_path(task or connection or option("results_path") or None)
