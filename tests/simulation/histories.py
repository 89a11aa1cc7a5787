"""One history: what happens to a folder from its first task until all is quiet, and what must be true of it then."""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.simulation import airflow as simulated
from tests.simulation.airflow import Airflow, Settings, Task
from tests.simulation.faults_back import put_back
from tests.simulation.properties import (
    check_end,
    check_ids,
    check_payments,
    check_transcripts,
    read_as_a_user,
)
from tests.simulation.world import INBOX, BrokenPropertyError, Patches, World, Writer, inhabited


@dataclass(frozen=True)
class History:
    """
    What became of a seed.

    :ivar broken: the property that does not hold
    :ivar trace: what happened, in lines
    """

    seed: int
    broken: str | None
    steps: int
    faults: int
    posts: int
    trace: list[str]


@contextmanager
def prepared(fault: str | None = None) -> Iterator[None]:
    """
    Have the package live in simulated worlds.

    :param fault: one that it once had, to be put back
    """
    with ExitStack() as stack:
        stack.enter_context(Patches().applied())
        stack.enter_context(simulated.patched())
        if fault is not None:
            stack.enter_context(put_back(fault))
        yield


def run(seed: int, *, parts: bool = False, trace: bool = False) -> History:
    """
    Run one history.

    :param parts: whether its files are recordings, some of which are submitted in parts, and may change
    """
    if seed % 20 == 0:
        gc.collect()
    with inhabited(seed) as world:
        airflow = world.airflow = Airflow(world)  # type: ignore[attr-defined]
        broken = None
        try:
            _happen(world, airflow, parts=parts)
        except BrokenPropertyError as error:
            broken = str(error)
        lines = [f"{at:10.3f}  {who:<8} {what}" for at, who, what in world.trace] if trace or broken else []
        return History(seed, broken, world.steps, len(world.faults), len(airflow.api.posts), lines)


def _happen(world: World, airflow: Airflow, *, parts: bool) -> None:
    rng = world.rng
    place = INBOX if parts else "https://example.com"
    urls = [f"{place}/{n}.mp3" for n in range(rng.randint(2, 6))]
    settings = Settings.drawn(world)
    world.most_files = len(urls) + 1
    if parts:
        settings = replace(settings, cuts=rng.choice([0, 0, 0, 1]))
        for url in (*urls, f"{place}/new.mp3"):
            world.storage.record(url)
    first = airflow.add("A", list(urls), settings)
    tasks = [first]
    world.at(0.0, lambda: airflow.start_try(first))
    if rng.random() < 0.3:
        other = airflow.add(
            "B", [*urls[rng.randint(0, 1) :], *[f"{place}/new.mp3"][: rng.randint(0, 1)]], settings
        )
        tasks.append(other)
        world.at(rng.random() * rng.choice([0.1, 30.0, 900.0]), lambda: airflow.start_try(other))
    events: list[Callable[[Task], Any]] = [
        airflow.clear,
        airflow.cut_off,
        airflow.interrupt,
        airflow.stop,
        airflow.edit,
    ]
    if parts:
        events += [
            airflow.set_cuts,
            airflow.set_policy,
            airflow.change_audio,
            airflow.change_audio,
            airflow.relist,
        ]
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        event, task = rng.choice(events), rng.choice(tasks)
        world.at(
            rng.random() * rng.choice([0.5, 5.0, 60.0, 1500.0]),
            lambda event=event, task=task: event(task) if task.tries else None,
        )
    for n in range(rng.choice([0, 0, 0, 4])):
        reader = Writer(f"reader {n}", None, lambda: read_as_a_user(airflow), lambda *_: None)
        world.at(rng.random() * rng.choice([60.0, 1500.0]), lambda reader=reader: world.spawn(reader))
    world.run()
    if rng.random() < 0.3:
        airflow.clear(rng.choice(tasks))
        world.run()
    check_ids(airflow)
    _calm_down(world, airflow)


def _calm_down(world: World, airflow: Airflow) -> None:
    """Run the last task once more, with nothing that hinders it."""
    world.calm = True
    world.outage_until = -1.0
    world.elapsed += 400.0
    task = _last(airflow)
    task.settings = replace(task.settings, limits=replace(task.settings.limits, max_files=None))
    for _ in range(3):
        task.phase += 1
        airflow.start_try(task)
        world.run()
        if task.state == "success":
            break
    check_payments(airflow)
    manifest = check_ids(airflow)
    check_transcripts(airflow, manifest)
    check_end(airflow, task, manifest)


def _last(airflow: Airflow) -> Task:
    leases = sorted(uri for uri in airflow.world.storage.files if "/leases/" in uri)
    text = airflow.world.storage.files[leases[-1]][0] if leases else ""
    return next((task for task in airflow.tasks if f'"run_id": "{task.name}"' in text), airflow.tasks[0])
