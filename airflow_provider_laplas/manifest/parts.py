"""The parts of a file that is too large or too long for one generation: each is a record of its own. Pure."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_laplas.manifest.files import FileRecord

FOLDER = ".parts"
"""Below the folder of the outputs: where the replies of the parts lie."""


def part_outputs(file: FileRecord, plan: Mapping[str, Any] | None = None) -> list[str]:
    """
    Return what the outputs of a file's parts are called, in their order.

    Of other audio, or another plan, none is called the same: a reply is never taken for that of another part.

    :param plan: how it is cut, as a :class:`~airflow_provider_laplas.media.MediaPlan` says. Default: the file's own
    """
    plan = plan or file.plan or {"parts": []}
    identity = json.dumps([file.fingerprint, file.attempt, plan], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    count = len(plan["parts"])
    stem = file.output.removesuffix(".json")
    return [f"{FOLDER}/{stem}/{digest}-{number}of{count}.json" for number in range(1, count + 1)]


def part_records(file: FileRecord, plan: Mapping[str, Any] | None = None) -> list[FileRecord]:
    """Return the parts of a file that is to be submitted in parts, as new records."""
    return [
        FileRecord(file.source, file.fingerprint, output, part_of=file.output, part=number)
        for number, output in enumerate(part_outputs(file, plan))
    ]
