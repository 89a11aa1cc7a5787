"""The part of Airflow that a batch meets: tries, deferrals, triggers, retries, lost heartbeats, kills and Clears."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow_provider_laplas.airflow_compat import TriggerFailure
from airflow_provider_laplas.api.resume import ResumePolicy
from airflow_provider_laplas.batch import timing
from airflow_provider_laplas.batch.limits import BatchLimits
from airflow_provider_laplas.results.output import Output
from airflow_provider_laplas.task.batch import BatchTask
from airflow_provider_laplas.task.outcome import Defer
from tests.simulation.api import API, Client
from tests.simulation.recordings import Preparation
from tests.simulation.world import FOLDER, Killed, World, Writer, _world

RETRIES = 2


class _BatchTask(BatchTask):
    """The task, which asks no connection for the price."""

    def _price(self) -> None:
        return None

    def _preparation(self) -> Any:
        return self.preparation


class Store:
    """The task's state store. Airflow gives each try an id, and refuses those of earlier ones."""

    def __init__(self, world: World) -> None:
        self._world, self._content = world, {}
        self.set_at: list[float] = []

    def get(self, key: str) -> Any:
        self._world.pause(self._world.latency())
        self._check()
        return self._content.get(key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self._world.pause(self._world.latency())
        self._check()
        self._content[key] = value
        self.set_at.append(self._world.elapsed)

    def _check(self) -> None:
        writer = self._world.current
        assert writer is not None
        if writer.tries != writer.task.tries:
            raise RuntimeError("404: there is no such task instance")


@dataclass(frozen=True)
class Settings:
    """A task's arguments."""

    deferrable: bool
    policy: ResumePolicy
    limits: BatchLimits
    timeout: float
    cuts: int | None = None
    """Where recordings are cut; None if they are submitted whole."""

    @classmethod
    def drawn(cls, world: World) -> "Settings":
        rng = world.rng
        return cls(
            rng.random() < 0.6,
            cls.policy_drawn(world),
            cls.limits_drawn(world),
            rng.choice([300.0, 3600.0]),
        )

    @staticmethod
    def policy_drawn(world: World) -> ResumePolicy:
        rng = world.rng
        return ResumePolicy(
            "resubmit" if rng.random() < 0.15 else "fail", "resubmit" if rng.random() < 0.2 else "fail"
        )

    @staticmethod
    def limits_drawn(world: World) -> BatchLimits:
        rng = world.rng
        most = rng.choice([None, None, None, None, 3])
        return BatchLimits(rng.choice([2, 4, 10]), rng.choice([0, 1, 100, 100]), most, None, False)


@dataclass(eq=False)
class Task:
    """
    A task of a DAG run.

    :ivar phase: counts what Airflow has made of it: who belongs to an earlier one is not heard any more
    :ivar clears: when a user cleared it
    """

    airflow: "Airflow"
    name: str
    urls: list[str]
    settings: Settings
    store: Store
    state: str = "none"
    max_tries: int = RETRIES
    tries: int = 0
    phase: int = 0
    clears: list[float] = field(default_factory=list)
    outcome: Any = None

    def batch_task(self) -> BatchTask:
        """Make what a worker makes of the operator."""
        settings = self.settings
        ti = SimpleNamespace(
            dag_id="d",
            run_id=self.name,
            task_id="t",
            map_index=-1,
            max_tries=self.max_tries,
            xcom_push=lambda **_: None,
        )
        task = _BatchTask(
            context={"ti": ti, "task_state_store": self.store},
            conn_id="c",
            audio=list(self.urls),
            results_path=FOLDER,
            model="m",
            options={},
            policy=settings.policy,
            limits=settings.limits,
            output=Output(("json",), None, None),
            min_age=0.0,
            poll_interval=30.0,
            timeout=settings.timeout,
            durable=True,
            preparation=Preparation(self.airflow.world, settings.cuts) if settings.cuts is not None else None,
            deferrable=settings.deferrable,
            execution_timeout=None,
            outlets=[],
            place=None,
        )
        task.batch = replace(task.batch, storage=self.airflow.world.storage)
        return task


class Airflow:
    """Runs tasks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.api = API(world)
        self.tasks: list[Task] = []
        world.missed = self._missed

    def add(self, name: str, urls: list[str], settings: Settings) -> Task:
        task = Task(self, name, urls, settings, Store(self.world))
        self.tasks.append(task)
        return task

    # What a task's process does

    def start_try(self, task: Task) -> None:
        """Start the next try."""
        task.tries += 1
        task.state = "running"
        self._work(task, self._name(task), lambda batch_task: batch_task.start())

    def _work(self, task: Task, name: str, step: Callable[[BatchTask], Any]) -> None:
        phase = task.phase

        def run() -> Any:
            batch_task = task.batch_task()
            writer.asked_stop = batch_task.on_kill
            writer.policy = batch_task.policy
            return step(batch_task)

        writer = Writer(name, task, run, self._worker_ended, phase, task.tries)

        def start() -> None:
            if task.phase == phase:
                self.world.spawn(writer)

        start()

    def _worker_ended(self, writer: Writer, outcome: Any, error: BaseException | None) -> None:
        world, task = self.world, writer.task
        if writer.phase != task.phase:
            return
        if isinstance(error, Killed):
            # Until the heartbeats are missed.
            world.at(world.rng.uniform(1, 400), lambda: self._fail(task, writer.phase))
        elif error is not None:
            self._fail(task, writer.phase)
        elif isinstance(outcome, Defer):
            task.phase += 1
            task.state = "deferred"
            self._defer(task, outcome)
        else:
            task.phase += 1
            task.state, task.outcome = "success", outcome

    def _fail(self, task: Task, phase: int) -> None:
        if phase != task.phase:
            return
        task.phase += 1
        if task.tries > task.max_tries:
            task.state = "failed"
            return
        task.state = "up for retry"
        self._later(task, self.world.rng.choice([1.0, 30.0]), lambda: self.start_try(task))

    def _later(self, task: Task, most: float, action: Callable[[], object]) -> None:
        phase = task.phase
        self.world.at(self.world.rng.random() * most, action, when=lambda: task.phase == phase)

    def _name(self, task: Task, kind: str = "") -> str:
        return f"{task.name}{task.tries}.{len(self.world.writers)}{kind}"

    def _defer(self, task: Task, defer: Defer) -> None:
        phase = task.phase
        self._later(task, 3.0, lambda: self._start_trigger(task, defer))
        self.world.at(
            defer.timeout.total_seconds(),
            lambda: self._timed_out(task),
            when=lambda: task.phase == phase,
        )

    def _start_trigger(self, task: Task, defer: Defer) -> None:
        kind = type(defer.trigger)
        arguments = defer.trigger.serialize()[1]

        def run() -> Any:
            with asyncio.Runner() as runner:
                return runner.run(self._triggered(writer, kind(**arguments)))

        def ended(writer: Writer, payload: Any, error: BaseException | None) -> None:
            if writer.phase != task.phase:
                return
            if error is not None or payload is None:
                # Another triggerer takes it over.
                self._later(task, 60.0, lambda: self._start_trigger(task, defer))
                return
            task.phase += 1
            task.state = "scheduled"
            self._later(
                task,
                20.0,
                lambda: self._work(task, self._name(task), lambda batch_task: batch_task.resume(payload)),
            )

        writer = Writer(self._name(task, "t"), task, run, ended, task.phase, task.tries)
        writer.again = lambda: self._start_trigger(task, defer)  # type: ignore[attr-defined]
        self.world.spawn(writer)

    async def _triggered(self, writer: Writer, trigger: Any) -> Any:
        writer.main = asyncio.create_task(anext(trigger.run()))
        payload = None
        with contextlib.suppress(asyncio.CancelledError):
            payload = (await writer.main).payload
        # The triggerer lives on, and with it what is shielded.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*rest, return_exceptions=True)
        return payload

    def _timed_out(self, task: Task) -> None:
        self.stop(task)
        task.phase += 1
        failure = TriggerFailure("Trigger timeout", timed_out=True)
        self._work(task, self._name(task), lambda batch_task: batch_task.trigger_failed(failure))

    # What happens to it from outside

    def at_work(self, task: Task) -> Iterator[Writer]:
        return (writer for writer in self.world.writers if writer.alive and writer.task is task)

    def stop(self, task: Task) -> None:
        """End its processes, or some of them: one that is cut off is not reached."""
        world = self.world
        for writer in list(self.at_work(task)):
            how = world.rng.choice(["signal", "signal", "kill", "cut off"])
            world.note(f"[{how}]", writer)
            if how == "kill":
                world.kill(writer)
            elif how == "signal":
                self.signal(writer)

    def signal(self, writer: Writer) -> None:
        """Ask a process to end, and kill it if it does not."""
        if writer.asked_stop is not None:
            writer.asked_stop()
            self.world.at(self.world.rng.uniform(0, 8), lambda: self.world.kill(writer))
        else:
            self._interrupt(writer)

    def _interrupt(self, writer: Writer) -> None:
        # A time-out is raised once.
        if not writer.interrupted:
            self.world.note("[interrupted]", writer)
            writer.interrupted = writer.interrupt = True

    def cut_off(self, task: Task) -> None:
        """Take its processes for dead, which they are not."""
        if task.state == "running":
            self.world.note(f"[cut off] {task.name}")
            self._fail(task, task.phase)
        elif task.state == "deferred":
            for writer in list(self.at_work(task)):
                if writer.phase == task.phase and hasattr(writer, "again"):
                    self.world.note("[started twice]", writer)
                    writer.again()
                    break

    def _missed(self, writer: Writer) -> None:
        """Miss the heartbeats of a process."""
        if writer.alive and writer.task is not None and writer.phase == writer.task.phase:
            self.cut_off(writer.task)

    def interrupt(self, task: Task) -> None:
        """Have Airflow's time-out end a worker, or a triggerer shut down."""
        for writer in self.at_work(task):
            self._interrupt(writer)

    def edit(self, task: Task) -> None:
        """Change the limits in its DAG file, as a user does; processes that run have the old ones."""
        limits = Settings.limits_drawn(self.world)
        self.world.note(f"[edit] {task.name}: {limits}")
        task.settings = replace(task.settings, limits=limits)

    def set_cuts(self, task: Task) -> None:
        """Change, or take away, the settings of the preparation in its DAG file."""
        cuts = self.world.rng.choice([None, 0, 1, 2])
        self.world.note(f"[cuts] {task.name}: {cuts}")
        task.settings = replace(task.settings, cuts=cuts)

    def set_policy(self, task: Task) -> None:
        """Change what is done about ambiguous and expired submissions in its DAG file."""
        policy = Settings.policy_drawn(self.world)
        self.world.note(f"[policy] {task.name}: {policy}")
        task.settings = replace(task.settings, policy=policy)

    def change_audio(self, task: Task) -> None:
        """Replace a recording."""
        world = self.world
        url = world.rng.choice(task.urls)
        world.note(f"[audio changes] {url}")
        world.storage.record(url)

    def relist(self, task: Task) -> None:
        """Take a file out of the list in its DAG file, and put it back later."""
        world, url = self.world, self.world.rng.choice(task.urls)
        if len(task.urls) < 2:
            return
        world.note(f"[unlisted] {url}")
        task.urls.remove(url)
        world.at(world.rng.random() * world.rng.choice([60.0, 1500.0]), lambda: self._list(task, url))

    def _list(self, task: Task, url: str) -> None:
        self.world.note(f"[listed] {url}")
        task.urls.append(url)

    def clear(self, task: Task) -> None:
        """Clear it, as a user does."""
        self.world.note(f"[Clear] {task.name}")
        task.clears.append(self.world.elapsed)
        self.stop(task)
        task.phase += 1
        task.max_tries = task.tries + RETRIES
        task.state = "cleared"
        self._later(task, self.world.rng.choice([0.1, 2.0, 20.0]), lambda: self.start_try(task))


@contextmanager
def patched() -> Iterator[None]:
    """Have the package use the simulated API and storage."""

    def client(conn_id: str) -> Client:
        world = _world()
        assert world.current is not None
        return Client(world.airflow.api, world.current)

    def storage() -> Any:
        return _world().storage

    package = "airflow_provider_laplas"
    with ExitStack() as stack:
        for name in ("hooks.shared_client", "batch.batch.shared_client"):
            stack.enter_context(mock.patch(f"{package}.{name}", client))
        for name in ("triggers", "manifest.manifest", "results.keeping", "batch.batch"):
            stack.enter_context(mock.patch(f"{package}.{name}.object_storage", storage))
        stack.enter_context(mock.patch.object(timing, "CONCURRENT_SUBMISSIONS", 3))
        yield
