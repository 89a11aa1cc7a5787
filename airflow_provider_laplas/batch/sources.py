"""The audio of a batch: which files there are, and what the folder says of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.sources import is_web_url, list_audio, open_source
from airflow_provider_laplas.backends import FileInfo
from airflow_provider_laplas.captions.formats import FORMATS
from airflow_provider_laplas.manifest.names import output_name
from airflow_provider_laplas.storage import Storage


@dataclass(frozen=True, slots=True)
class Source:
    """
    One file's audio.

    :ivar audio: a URL, a path or a URI
    :ivar folder: the folder that was listed; None for an item of a list
    :ivar info: what the listing said of it
    """

    audio: str = field(repr=False)
    folder: str | None = None
    info: FileInfo | None = None

    @property
    def asks(self) -> bool:
        """Whether its storage has to be asked about it."""
        return self.info is None and not is_web_url(self.audio)

    def open(self, storage: Storage) -> str | Upload:
        """Return what is submitted."""
        return open_source(self.audio, storage, self.info)

    def modified(self, storage: Storage) -> float:
        """Return when it was changed, in epoch seconds; 0 for a web URL. Blocking."""
        if self.info is not None:
            return self.info.modified
        return storage.info(self.audio).modified if self.asks else 0.0


def find_sources(audio: Any, results: str, storage: Storage, *, min_age: float = 0.0) -> dict[str, Source]:
    """
    Return each file, by the path of its output. Blocking.

    :param audio: a list of sources, or a folder or glob
    :param results: the folder of the outputs: they are no audio, also where a glob matches them
    :param min_age: seconds; files in a folder that were changed more recently are left out
    """
    if not isinstance(audio, str):
        return {output_name(each, None): Source(each) for each in audio}
    folder, found = list_audio(audio, storage, min_age=min_age)
    uris = {f"{folder.rstrip('/')}/{name}": info for name, info in found.items()}
    outputs = _outputs_among(uris, results)
    return {
        output_name(uri, folder): Source(uri, folder, info)
        for uri, info in uris.items()
        if uri not in outputs
    }


def _outputs_among(uris: Iterable[str], results: str) -> set[str]:
    own = f"{results.rstrip('/')}/"
    suffixes = tuple(f".{name}" for name in FORMATS)
    return {
        uri
        for uri in uris
        if uri.startswith(own) and (uri.endswith(suffixes) or uri.startswith(f"{own}.manifest/"))
    }
