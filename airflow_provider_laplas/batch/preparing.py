"""The worker's half of preparing recordings: plans them, and makes their parts, a few at a time, off the event loop."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.sources import is_web_url
from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.manifest.files import FileRecord, FileState
from airflow_provider_laplas.manifest.state import BatchState
from airflow_provider_laplas.media.plan import MediaPlan
from airflow_provider_laplas.media.preparation import Preparation, media_threads
from airflow_provider_laplas.redaction import redacted

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True)
class _Download:
    """
    What a web URL has led to.

    :ivar users: how many uploads are being made of it
    """

    files: ExitStack = field(default_factory=ExitStack)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    upload: Upload | None = None
    users: int = 0


def not_prepared(argument: str) -> LaplasArgumentError:
    """Return the error for a part that cannot be made: the recording must not be sent in its place."""
    return LaplasArgumentError(
        f"`{argument}` is not set any more, but the recording was cut into parts, of which some are not submitted yet. "
        "Set it as it was, and clear the task.",
        argument=argument,
    )


class PreparedAudio:
    """Prepares the audio of a batch's files."""

    def __init__(self, state: BatchState, preparation: Preparation) -> None:
        self._state = state
        self._preparation = preparation
        self._threads = media_threads()
        self._downloads: dict[str, _Download] = {}

    def close(self) -> None:
        """Delete what was downloaded. What is being prepared is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for download in self._downloads.values():
            download.files.close()
        self._downloads.clear()

    async def enter(
        self, stack: AsyncExitStack, record: FileRecord, changed: str, audio: str | Upload
    ) -> str | Upload | None:
        """
        Return what is submitted of a file, or of a part of one, until the stack ends.

        :param changed: the fingerprint of the audio as it is now
        :return: None if the file is submitted in parts: they are pending from here on
        :raises LaplasArgumentError: if the recording cannot be used, or has changed since it was cut
        """
        if isinstance(audio, str):
            if not self._preparation.settings.fetch:
                if record.part is not None:
                    raise not_prepared("media.fetch")
                return audio
            audio = await self._download(stack, record, audio)
        if record.part is not None:
            plan = self._plan_of(record, changed, audio)
            return await self._enter(stack, self._preparation.prepared(audio, plan, record.part))
        plan = await self._plan(record, changed, audio)
        if not plan.is_whole:
            return None
        return await self._enter(stack, self._preparation.prepared(audio, plan, 0))

    async def _plan(self, record: FileRecord, changed: str, audio: Upload) -> MediaPlan:
        plan = await self._run(self._preparation.plan, audio, record.source)
        if not plan.is_whole:
            # The fingerprint of a URL does not change with its content.
            version = {"version": audio.version} if is_web_url(record.source) else {}
            self._state.split(record, changed, plan.to_fields() | version)
            log.info("%s is submitted in %d parts.", redacted(record.source), len(plan.parts))
        return plan

    def _plan_of(self, part: FileRecord, changed: str, audio: Upload) -> MediaPlan:
        file = self._state.find(str(part.part_of))
        if file is None or file.plan is None or changed != part.fingerprint:
            raise LaplasArgumentError(
                "`audio` changed after it was cut into parts. Clear the task: it is cut anew then.",
                argument="audio",
            )
        if audio.version != file.plan.get("version", audio.version):
            raise LaplasArgumentError(
                "`audio`: what the URL leads to has changed after it was cut into parts. Run the task once with "
                "durable=False: it is cut anew then, and all of it is submitted.",
                argument="audio",
            )
        try:
            return MediaPlan.from_fields(file.plan)
        except ValueError as error:
            raise LaplasArgumentError(
                f"`audio` was cut into parts by another version of this package: {error}", argument="audio"
            ) from None

    async def _download(self, stack: AsyncExitStack, record: FileRecord, url: str) -> Upload:
        output = record.part_of or record.output
        download = self._downloads.setdefault(output, _Download())

        async def used() -> None:
            download.users -= 1
            # Those parts that are about to be submitted are made of the same download.
            if not download.users and not self._has_pending_parts(output):
                del self._downloads[output]
                await asyncio.to_thread(download.files.close)

        download.users += 1
        stack.push_async_callback(used)
        async with download.lock:
            if download.upload is None:
                fetched = self._preparation.fetched(url)
                upload: Upload = await self._run(download.files.enter_context, fetched)
                download.upload = upload
            return download.upload

    def _has_pending_parts(self, output: str) -> bool:
        return any(part.part_of == output for part in self._state.having(FileState.PENDING))

    async def _enter(self, stack: AsyncExitStack, context: AbstractContextManager[Upload]) -> Upload:
        entering = asyncio.ensure_future(self._run(context.__enter__))
        try:
            upload = await asyncio.shield(entering)
        except asyncio.CancelledError:
            # The thread goes on, and its file is to be deleted all the same.
            entering.add_done_callback(lambda done: done.exception() or context.__exit__(None, None, None))
            raise
        stack.push_async_callback(asyncio.to_thread, context.__exit__, None, None, None)
        return upload

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
