"""
Check against the real API what is known of it: ``make test-live``. Costs what eleven seconds of audio cost.

Read from the environment, so that the key is in no process's arguments: ``LAPLAS_API_KEY``, and ``LAPLAS_BASE_URL`` for
another address than the API's. Exit codes: 0 if everything holds, 1 if something does not, 2 if nothing was submitted.
"""

import os
import sys
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from airflow_provider_laplas.client.settings import DEFAULT_BASE_URL
from tests.live.facts import CLIP_SECONDS, FACTS, NotSeenError
from tests.live.observing import Observed, Session, observe
from tests.paths import JFK_MP3, ROOT

HOLDS, DOES_NOT, NOT_RUN = 0, 1, 2


def main(environment: Mapping[str, str] = os.environ, *, poll_interval: float = 2.0) -> int:
    """Submit, wait, judge and print. Returns the exit code."""
    key = environment.get("LAPLAS_API_KEY", "").strip()
    base_url = environment.get("LAPLAS_BASE_URL") or DEFAULT_BASE_URL
    host = urlsplit(base_url).hostname or base_url

    def tell(text: str) -> None:
        # The API may repeat the key, and send what a terminal obeys.
        shown = "".join(character if character.isprintable() else "?" for character in text)
        print(shown.replace(key, "***") if key else shown, flush=True)

    if not key:
        tell("No key: export LAPLAS_API_KEY first. Nothing was submitted.")
        return NOT_RUN
    if environment.get("CI") and host not in {"127.0.0.1", "localhost"}:
        tell("CI does not pay: this is run by people. Nothing was submitted.")
        return NOT_RUN
    tell(
        f"This submits {JFK_MP3.relative_to(ROOT)} to {host}, once. The API bills by the second of audio: "
        f"{CLIP_SECONDS:g} seconds, at your account's price."
    )
    if sys.stdin is not None and sys.stdin.isatty() and input("Submit it? [y/N] ").strip().lower() != "y":
        tell("Nothing was submitted.")
        return NOT_RUN
    try:
        observed = observe(Session(base_url, key), JFK_MP3, poll_interval=poll_interval, told=tell)
    except requests.RequestException as error:
        # Its text may hold the address with all that is in it.
        tell(
            f"A call got no answer ({type(error).__name__}). If it was the submission, it may have been billed."
        )
        return DOES_NOT
    return report(observed, tell)


def report(observed: Observed, tell) -> int:
    """Print each fact and whether it holds, and return the exit code."""
    broken = unseen = 0
    for fact in FACTS:
        try:
            found = fact.check(observed)
        except NotSeenError:
            unseen += 1
            tell(f"not seen  {fact.name}: {fact.sentence}")
            continue
        if found is None:
            tell(f"holds     {fact.name}: {fact.sentence}")
        else:
            broken += 1
            tell(f"DOES NOT  {fact.name}: {fact.sentence} Found: {found}")
    if observed.seconds is not None:
        tell(f"Done {observed.seconds:.1f} s after the submission, at poll {len(observed.polls)}.")
    if observed.generation_id is None:
        tell("Nothing was transcribed.")
    tell("Not checked, as it takes an hour: a finished transcript is kept for one hour from its creation.")
    tell(f"{len(FACTS) - broken - unseen} hold, {broken} do not, {unseen} not seen")
    return DOES_NOT if broken or observed.generation_id is None else HOLDS


if __name__ == "__main__":
    sys.exit(main())
