"""``python -m airflow_provider_laplas media``: print what would be sent of recordings. Nothing is submitted."""

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from airflow_provider_laplas.api.calls import Upload
from airflow_provider_laplas.audio.sources import is_web_url, open_upload
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.media.plan import clock
from airflow_provider_laplas.media.preparation import Preparation
from airflow_provider_laplas.media.preview import preview, totals
from airflow_provider_laplas.media.settings import CODECS, EXTRACT, SAMPLE_RATES, MediaSettings
from airflow_provider_laplas.redaction import redacted
from airflow_provider_laplas.storage import LOCAL, is_local, object_storage


def add_command(commands: Any) -> None:
    """Add the command to those of a parser."""
    defaults = MediaSettings()
    command = commands.add_parser(
        "media", help="print what would be sent of recordings, and where they are cut"
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE", help="a local path, or a URI of Airflow's object storage"
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument(
        "--price-per-minute", type=float, metavar="N", help="of audio; prints what it would cost, estimated"
    )
    command.add_argument(
        "--multi-channel", action="store_true", help="as the option of the API: do not mix the channels"
    )
    command.add_argument(
        "--extract-audio",
        choices=EXTRACT,
        default=defaults.extract_audio,
        help="when only the audio is sent; auto (default): of video, and of what is larger than an upload may be",
    )
    command.add_argument("--track", metavar="N", help="number of an audio track, from 0, or its language")
    command.add_argument(
        "--codec",
        choices=CODECS,
        default=defaults.codec,
        help=f"of what is encoded (default: {defaults.codec})",
    )
    command.add_argument(
        "--sample-rate",
        type=int,
        choices=SAMPLE_RATES,
        default=defaults.sample_rate,
        help=f"of what is encoded, in Hz (default: {defaults.sample_rate})",
    )
    command.add_argument("--no-split", dest="split", action="store_false", help="refuse what has to be cut")
    command.add_argument("--trim-silence", action="store_true", help="leave out long silence")
    command.add_argument("--max-upload-bytes", type=int, metavar="N", help="that the API takes in one upload")
    command.add_argument("--max-part-seconds", type=float, metavar="N", help="of audio in one generation")


def settings_of(options: argparse.Namespace) -> MediaSettings:
    """
    Return the settings that the options say.

    :raises LaplasArgumentError: naming the one that is invalid
    """
    price = options.price_per_minute
    if price is not None and not 0 <= price < float("inf"):
        raise LaplasArgumentError("`--price-per-minute` must not be negative.", argument="price_per_minute")
    return MediaSettings(
        extract_audio=options.extract_audio,
        track=options.track,
        codec=options.codec,
        sample_rate=options.sample_rate,
        split=options.split,
        trim_silence=options.trim_silence,
        max_upload_bytes=options.max_upload_bytes,
        max_part_seconds=options.max_part_seconds,
    )


def run(options: argparse.Namespace, settings: MediaSettings) -> int:
    """Print what would be sent of each file, and return the exit code: 1 if one cannot be used; the others go on."""
    preparation = Preparation(settings, options.multi_channel)
    found, price = [], options.price_per_minute
    for name in options.files:
        shown = redacted(name)
        try:
            file = {"source": shown, **_file(name, preparation)}
        except LaplasError as error:
            file = {"source": shown, "error": error.message}
            sys.stderr.write(f"Error: {shown}: {error.message}\n")
        found.append(file)
        if not options.json and "error" not in file:
            sys.stdout.write("".join(f"{line}\n" for line in _lines(file, price)))
    if options.json:
        sys.stdout.write(json.dumps({"files": found, "sums": totals(found, price)}, indent=2) + "\n")
    elif len(found) > 1:
        sys.stdout.write(f"{_sums(totals(found, price))}\n")
    sys.stdout.flush()
    return int(any("error" in file for file in found))


def _file(name: str, preparation: Preparation) -> dict[str, Any]:
    if is_web_url(name):
        raise LaplasArgumentError("A URL is not downloaded: give a file.", argument="audio")
    # Airflow is only imported for its object storage.
    upload = open_upload(name, LOCAL if is_local(name) else object_storage())
    # First, as it is what says that the extra is not installed.
    planned = preview(upload, name, preparation)
    return {"tracks": _tracks(upload, preparation), **planned}


def _tracks(upload: Upload, preparation: Preparation) -> list[dict[str, Any]]:
    from airflow_provider_laplas.media.probing import choose_track, probe  # noqa: PLC0415 - heavy

    found = probe(upload)
    if found is None:
        return []
    chosen = choose_track(found, preparation.settings.track)
    return [
        {
            "number": track.number,
            "codec": track.codec,
            "channels": track.channels,
            "rate": track.rate,
            "language": track.language,
            "chosen": track is chosen,
        }
        for track in found.tracks
    ]


_KINDS = {
    "as_it_is": "sent as it is",
    "copy": "its audio is copied, and not encoded anew",
    "encode": "its audio is encoded anew",
}


def _lines(file: dict[str, Any], price: float | None) -> Iterator[str]:
    yield file["source"]
    for track in file["tracks"]:
        language = track["language"] or "no language"
        chosen = ", chosen" if track["chosen"] and len(file["tracks"]) > 1 else ""
        yield (
            f"  track {track['number']}: {track['codec'] or 'unknown codec'}, channels: {track['channels']}, "
            f"{track['rate']} Hz, {language}{chosen}"
        )
    yield f"  length: {'unknown' if file['seconds'] is None else clock(file['seconds'])}"
    about = "about " if file["estimated"] else ""
    yield f"  bytes: {file['bytes']:,}; to be sent: {about}{file['bytes_to_send']:,} ({_KINDS[file['kind']]})"
    if len(file["parts"]) > 1:
        yield f"  parts: {len(file['parts'])}"
        for number, part in enumerate(file["parts"], 1):
            yield (
                f"    {number}: {clock(part['start'])} to {clock(part['end'])}, {part['seconds']:.1f} s "
                f"({part['why']})"
            )
    elif (sent := file["parts"][0]["seconds"]) is not None and sent != file["seconds"]:
        yield f"  without silence: {clock(sent)}"
    if "estimated_cost" in (sums := totals([file], price)):
        yield f"  estimated cost: {sums['estimated_cost']:.4g}"


def _sums(sums: dict[str, Any]) -> str:
    cost = f", estimated cost {sums['estimated_cost']:.4g}" if "estimated_cost" in sums else ""
    return (
        f"{sums['files']} files, {sums['errors']} that cannot be used; {sums['generations']} generations, "
        f"{clock(sums['seconds'])} of audio, about {sums['bytes_to_send']:,} bytes{cost}"
    )
