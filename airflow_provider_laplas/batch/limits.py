"""The limits of a batch. Imported by every DAG file, so keep it light."""

from dataclasses import dataclass
from typing import Any

from airflow_provider_laplas.arguments import MOST, check_count, check_flag, check_seconds


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The limits of a batch; see :class:`~airflow_provider_laplas.operators.TranscribeBatchOperator`."""

    max_in_flight: int
    max_failed: int
    max_files: int | None
    max_audio_seconds: float | None
    deduplicate: bool

    @classmethod
    def check(
        cls, *, max_in_flight: Any, max_failed: Any, deduplicate: Any, max_files: Any, max_audio_seconds: Any
    ) -> "BatchLimits":
        """
        Check an operator's arguments and return them as limits.

        :raises LaplasArgumentError: naming the argument
        """
        return cls(
            max_in_flight=check_count("max_in_flight", max_in_flight, least=1),
            max_failed=check_count("max_failed", max_failed),
            max_files=None if max_files is None else check_count("max_files", max_files, least=1),
            max_audio_seconds=(
                None
                if max_audio_seconds is None
                else check_seconds("max_audio_seconds", max_audio_seconds, most=MOST)
            ),
            deduplicate=check_flag("deduplicate", deduplicate),
        )
