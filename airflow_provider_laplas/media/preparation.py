"""What a task does with its recordings before it submits them. Imported by every DAG file, so keep it light."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.media.plan import MediaPlan
from airflow_provider_laplas.media.settings import MediaSettings
from airflow_provider_laplas.redaction import redacted


class Limits(Protocol):
    """What a connection's API and account take."""

    @property
    def max_upload_bytes(self) -> int | None:
        """Bytes of one upload."""

    @property
    def max_part_seconds(self) -> float | None:
        """Seconds of audio in one generation."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """
    Prepares recordings, as some settings say. Each method blocks.

    :ivar multi_channel: whether the channels are transcribed each for itself
    """

    settings: MediaSettings
    multi_channel: bool = False
    _plans: dict[tuple[str, int, str], MediaPlan] = field(default_factory=dict, repr=False, compare=False)

    def within(self, limits: Limits) -> "Preparation":
        """Return the same, with a connection's limits where the settings have none."""
        settings = replace(
            self.settings,
            max_upload_bytes=self.settings.max_upload_bytes or limits.max_upload_bytes,
            max_part_seconds=self.settings.max_part_seconds or limits.max_part_seconds,
        )
        return replace(self, settings=settings)

    def plan(self, upload: Upload, source: str) -> MediaPlan:
        """
        Do :func:`~airflow_provider_laplas.media.prepare.plan_media`.

        A recording that has to be cut was decoded for that, which is not done twice.

        :param source: where it is; others may have its name, size and version
        """
        # Imported here to keep DAG parsing fast.
        from airflow_provider_laplas.media.prepare import plan_media  # noqa: PLC0415

        version = (redacted(source), upload.size, upload.version)
        plan = self._plans.get(version)
        if plan is None:
            plan = plan_media(upload, self.settings, multi_channel=self.multi_channel)
            if upload.version and not plan.is_whole:
                self._plans[version] = plan
        return plan

    def prepared(self, upload: Upload, plan: MediaPlan, part: int) -> AbstractContextManager[Upload]:
        """Do :func:`~airflow_provider_laplas.media.prepare.prepared`."""
        from airflow_provider_laplas.media.prepare import prepared  # noqa: PLC0415

        return prepared(upload, plan, part, self.settings)

    @contextmanager
    def opened(self, source: str | Upload) -> Iterator[str | Upload]:
        """
        Give a recording as an upload: a web URL is downloaded, if the settings say so. Else the API fetches it, as it is.

        :raises LaplasArgumentError: as :meth:`fetched`
        """
        if isinstance(source, Upload) or not self.settings.fetch:
            yield source
            return
        with self.fetched(source) as upload:
            yield upload

    def fetched(self, url: str) -> AbstractContextManager[Upload]:
        """Do :func:`~airflow_provider_laplas.media.fetching.fetched`."""
        from airflow_provider_laplas.media.fetching import fetched  # noqa: PLC0415

        return fetched(url, self.settings)


def media_threads() -> ThreadPoolExecutor:
    """Return threads to prepare recordings in: as many as there are cores, because it is work, and not waiting."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="laplas-media")
