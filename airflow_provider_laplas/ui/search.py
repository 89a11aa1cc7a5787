"""
Search in the transcripts that were loaded into a database, DAG by DAG.

The database does not say which DAG a transcript is of. For that of a single recording, the XCom ``result`` of its task names
it, which counts if it lies in that task's own folder: XComs can be edited. For that of a batch, the summary in its folder
names the task, which counts if the batch has such an output: others may write there. What neither names is shown only to those who may read every DAG.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from airflow_provider_laplas.airflow_compat import option
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.manifest.manifest import NAME
from airflow_provider_laplas.manifest.names import may_be_called
from airflow_provider_laplas.manifest.summary import read_summary
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.report.stats import CollectionStats
from airflow_provider_laplas.results.keeping import TaskKey
from airflow_provider_laplas.sql.counting import figures
from airflow_provider_laplas.sql.searching import SearchHit, search
from airflow_provider_laplas.storage import Storage
from airflow_provider_laplas.ui.answers import not_there, wrong
from airflow_provider_laplas.ui.batch import MOST_KNOWN, Manifests
from airflow_provider_laplas.ui.facts import labelled
from airflow_provider_laplas.ui.server import claims_of, hook_of, may_read_all, may_read_xcoms, release
from airflow_provider_laplas.ui.task import stores

log = logging.getLogger(__name__)

OPTION = "transcripts_conn_id"

HOW = (
    "Set `[laplas] transcripts_conn_id` (AIRFLOW__LAPLAS__TRANSCRIPTS_CONN_ID) of the API server to the connection of the "
    "SQLite or PostgreSQL database that your transcripts are loaded into."
)

PAGE = 20
"""Hits on a page."""

MOST = 200
"""The most hits of which those are shown that the user may read: of the newest transcripts first."""

_DEEPEST = 8
"""Folders between a batch's folder and a file in it, in which its manifest is looked for."""

_MOST_FOLDERS = 100


def answer(
    q: str, page: int, *, user: Any, session: Any, manifests: Manifests, storage: Storage
) -> dict[str, Any]:
    """
    Return a page of the hits that a user may read, and the figures of all transcripts to those who may read all. Blocking.

    :param q: the phrase; empty for the figures alone
    :param page: counted from 0
    :raises HTTPException: 400, if the phrase has no word in it; 404, if the database cannot be read
    """
    conn_id = option(OPTION)
    found: dict[str, Any] = {
        "configured": bool(conn_id),
        "how": None,
        "total": 0,
        "page": page,
        "pages": 0,
        "hits": [],
    }
    if not conn_id:
        return {**found, "how": HOW, "report": []}
    everything = may_read_all(user, session)
    try:
        hook = hook_of(conn_id)
        release(session)
        hits = search(hook, q, MOST) if q.strip() else ()
        report = _report(figures(hook)) if everything else []
    except LaplasArgumentError as error:
        raise wrong(str(error)) from None
    except Exception as error:  # noqa: BLE001
        # Its message may have the phrase in it.
        log.warning("The database of transcripts cannot be read: %s", type(error).__name__)
        raise not_there(
            "The database of transcripts cannot be read. If something was loaded into it already, see the API server's log, and "
            "its connection."
        ) from None
    readable = _Readable(user, session, manifests, storage, everything)
    shown = readable.of(hits)
    return {
        **found,
        "total": len(shown),
        "pages": -(-len(shown) // PAGE),
        "hits": [_row(hit, readable.links.get(hit.uri)) for hit in shown[page * PAGE : (page + 1) * PAGE]],
        "report": report,
    }


@dataclass(slots=True)
class _Readable:
    """
    Which hits a user may read.

    :ivar everything: whether the user may read every DAG
    :ivar links: the page of each transcript of which the task is known
    """

    user: Any
    session: Any
    manifests: Manifests
    storage: Storage = field(repr=False)
    everything: bool
    links: dict[str, str] = field(default_factory=dict)
    _allowed: dict[str, bool] = field(default_factory=dict)
    _folders: dict[str, TaskKey | None] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)
    _asked: set[str] = field(default_factory=set)

    def of(self, hits: tuple[SearchHit, ...]) -> list[SearchHit]:
        """Return those that may be read."""
        sources = {hit.uri: hit.source for hit in hits}
        claims, readable = claims_of(self.session, sources), set()
        for uri, source in sources.items():
            owners = [key for key in claims.get(uri, ()) if stores(self.session, key, uri)]
            batch, output = self._batch_of(uri, source)
            key, file = (owners[0], None) if owners else (batch, output)
            if batch is not None:
                # A task that shares the batch's folder may claim what the batch has written.
                owners.append(batch)
            if not (all(self._may_read(one.dag_id) for one in owners) if owners else self.everything):
                continue
            readable.add(uri)
            if key is not None:
                self.links[uri] = _link(key, file)
        return [hit for hit in hits if hit.uri in readable]

    def _may_read(self, dag_id: str) -> bool:
        if dag_id not in self._allowed:
            self._allowed[dag_id] = may_read_xcoms(self.user, dag_id)
        return self._allowed[dag_id]

    def _batch_of(self, uri: str, source: str) -> tuple[TaskKey | None, str | None]:
        """Return the task of the batch that has written a transcript, and its output's name in the batch's folder."""
        folder = uri
        for _ in range(_DEEPEST):
            folder = folder.rpartition("/")[0]
            if not folder or folder.endswith(("/", ":")):
                break
            if (key := self._owner(folder)) is not None:
                output = uri.removeprefix(f"{folder}/")
                return (key, output) if self._has_written(key, folder, output, source) else (None, None)
        return None, None

    def _has_written(self, key: TaskKey, folder: str, output: str, source: str) -> bool:
        # Others may write below a batch's folder. What an output is called tells mostly, and costs nothing.
        if may_be_called(source, output):
            return True
        if folder not in self._asked and len(self._asked) >= MOST_KNOWN:
            return False
        self._asked.add(folder)
        release(self.session)
        return self.manifests.has(f"{folder}/{NAME}", output, key.dag_id, self.storage)

    def _owner(self, folder: str) -> TaskKey | None:
        if folder in self._folders:
            return self._folders[folder]
        place = "/".join(folder.split("/")[:3])
        if place in self._away or len(self._folders) >= _MOST_FOLDERS:
            return None
        release(self.session)
        try:
            summary = read_summary(f"{folder}/{NAME}", self.storage)
        except LaplasError:
            # It may have taken a minute to say so: it is not asked again for this search.
            self._away.add(place)
            summary = None
        self._folders[folder] = _task_of(summary)
        return self._folders[folder]


def _task_of(summary: Any) -> TaskKey | None:
    """Return the task that the summary of a batch names."""
    task = summary.get("task") if isinstance(summary, Mapping) else None
    if not isinstance(task, str):
        return None
    dag_id, _, rest = task.partition("/")
    run_id, _, task_id = rest.rpartition("/")
    return TaskKey(dag_id, run_id, task_id) if dag_id and run_id and task_id else None


def _link(key: TaskKey, output: str | None) -> str:
    query = {
        "dag_id": key.dag_id,
        "run_id": key.run_id,
        "task_id": key.task_id,
        "map_index": key.map_index,
        **({} if output is None else {"file": output}),
    }
    return f"page?{urlencode(query, errors='replace')}"


def _row(hit: SearchHit, link: str | None) -> dict[str, Any]:
    moment = "" if hit.start is None else f"#t={hit.start:g}"
    return {
        "source": redacted(hit.source),
        "text": hit.text,
        "start": hit.start,
        "speaker": hit.speaker,
        "transcript": None if link is None else f"{link}{moment}",
    }


def _report(stats: CollectionStats) -> list[list[str | float]]:
    languages = ", ".join(each.language or "not known" for each in islice(stats.languages, 5))
    newest = stats.newest[0].completed_at if stats.newest else None
    known = {
        "Transcripts": f"{stats.files:,}",
        "Hours of audio": f"{stats.hours:,.1f}",
        "Words": f"{stats.words:,}",
        "Estimated cost": None if stats.cost is None else f"{stats.cost:,.2f}",
        "Languages": languages,
        "Newest": newest and newest.timestamp(),
    }
    return labelled(known)
