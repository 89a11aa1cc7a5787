"""What it takes to mask secrets, as a text grows."""

import statistics
import time
from collections.abc import Callable

from airflow_provider_laplas.known_secrets import Secrets
from airflow_provider_laplas.redaction import redact, redacted
from tests.benchmarks.common import Comparison, show

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ROUNDS = 5
SECRETS = Secrets.of_url(f"https://user:passw0rd@example.com/a.mp3?X-Amz-Signature={'0123456789abcdef' * 4}")

# Texts that cost patterns most, repeated: nothing to be found, what nearly is a secret, and what is one.
PIECES = (
    "x",
    "word ",
    "a.",
    "?",
    "/",
    "\\",
    "%25",
    "token",
    "token=",
    "://",
    "a:/",
    'token="',
    "@",
    "a:a@",
    "&amp;",
)


def compare_masking(rounds: int = ROUNDS) -> Comparison:
    """The slowest of all texts, for each size."""
    result = Comparison(
        "Masking of secrets",
        f"The slowest of {len(PIECES)} kinds of text, made of {', '.join(f'`{piece.strip()}`' for piece in PIECES)}, for each "
        f"size; CPU time, medians of {rounds} runs. A foreign text is what a server answers: its first 4,096 characters are looked at. An "
        "argument is looked at whole.",
    )
    for size in SIZES:
        foreign = worst(size, lambda text: redact(text, secrets=SECRETS), rounds)
        argument = worst(size, redacted, rounds)
        result.rows.append(
            {
                "bytes": size,
                "foreign text, ms": 1e3 * foreign,
                "foreign text, ns/byte": 1e9 * foreign / size,
                "argument, ms": 1e3 * argument,
                "argument, ns/byte": 1e9 * argument / size,
            }
        )
    first, last = result.rows[0], result.rows[-1]
    result.aim(
        "longest foreign text", "<= 50 ms", last["foreign text, ms"], met=last["foreign text, ms"] <= 50
    )
    ratio = last["argument, ns/byte"] / first["argument, ns/byte"]
    result.aim("ns/byte of an argument, last / first", "<= 2", ratio, met=ratio <= 2)
    result.notes.append(
        f"A byte of the longest argument takes {show(ratio)} times what one of the shortest takes, and a byte of the longest "
        f"foreign text {show(last['foreign text, ns/byte'] / first['foreign text, ns/byte'])} times."
    )
    return result


def worst(size: int, mask: Callable[[str], str], rounds: int) -> float:
    """Return the seconds of CPU time that the slowest text takes."""
    texts = [(piece * (size // len(piece) + 1))[:size] for piece in PIECES]
    return max(statistics.median(seconds(mask, text) for _ in range(rounds)) for text in texts)


def seconds(mask: Callable[[str], str], text: str) -> float:
    """Return the CPU time that it takes."""
    began = time.process_time()
    mask(text)
    return time.process_time() - began
