"""
The commands that need neither Airflow nor a network.

``python -m airflow_provider_laplas captions`` writes captions of a stored transcript: the API's reply
(``<generation_id>.json`` in ``results_path``) or the output of ``Transcript.to_dict``.

``python -m airflow_provider_laplas media`` prints what would be sent of recordings. Files in object storage need both.

Exit codes: 0 for success, 1 for an error, 2 for invalid arguments.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from airflow_provider_laplas.captions.cues import CaptionLimits
from airflow_provider_laplas.captions.formats import FORMATS
from airflow_provider_laplas.captions.making import write_formats
from airflow_provider_laplas.errors import LaplasArgumentError, LaplasError
from airflow_provider_laplas.media import command as media
from airflow_provider_laplas.transcript.model import Transcript

_WRITTEN = tuple(name for name in FORMATS if name != "json")
STANDARD = "-"
"""Standard input or standard output."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to those of the process."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return (
            _run_captions(parser, options) if options.command == "captions" else _run_media(parser, options)
        )
    except BrokenPipeError:
        # The reader closed the pipe. Without this, flushing the buffer would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run_media(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    try:
        settings = media.settings_of(options)
    except LaplasArgumentError as error:
        parser.error(error.message)
    return media.run(options, settings)


def _run_captions(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    suffix = Path(options.output).suffix
    if options.format is None and suffix and suffix.lower().lstrip(".") not in _WRITTEN:
        parser.error(f"{suffix} is not a known format: choose one with --format")
    try:
        limits = CaptionLimits(**{f.name: getattr(options, f.name) for f in fields(CaptionLimits)})
    except LaplasArgumentError as error:
        parser.error(error.message)
    try:
        written = _captions(_read(options.transcript), _format(options), limits, quiet=options.quiet)
        _write(options.output, written)
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{error.filename or 'the output'}: {error.strerror}")
    except LaplasError as error:
        return _fail(error.message)
    return 0


def _parser() -> argparse.ArgumentParser:
    defaults = CaptionLimits()
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_laplas",
        description="Work with stored transcripts and recordings, without Airflow or a network.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    media.add_command(commands)
    command = commands.add_parser("captions", help="write a stored transcript as SRT, WebVTT or text")
    command.add_argument("transcript", help="a stored reply or transcript, JSON; - is standard input")
    command.add_argument("-f", "--format", choices=_WRITTEN, help="default: the output's suffix, else srt")
    command.add_argument("-o", "--output", default=STANDARD, help="a file; default - is standard output")
    command.add_argument(
        "-q", "--quiet", action="store_true", help="do not report exceptions on standard error"
    )
    for name, kind, text in (
        ("line_length", int, "characters in a line (default: 42; Chinese and Korean 16, Japanese 13)"),
        ("lines", int, f"lines in a cue (default: {defaults.lines})"),
        ("min_duration", float, "seconds on screen, at least (default: 5/6)"),
        ("max_duration", float, f"seconds on screen, at most (default: {defaults.max_duration:g})"),
        ("reading_speed", float, "characters a second (default: 20; Korean 12, Chinese 9, Japanese 4)"),
        ("frame_rate", float, f"frames a second of the video (default: {defaults.frame_rate:g})"),
        ("gap_frames", int, f"frames between two cues (default: {defaults.gap_frames})"),
    ):
        command.add_argument(
            f"--{name.replace('_', '-')}", type=kind, default=getattr(defaults, name), help=text, metavar="N"
        )
    return parser


def _format(options: argparse.Namespace) -> str:
    suffix = Path(options.output).suffix.lower().lstrip(".")
    chosen: str = options.format or (suffix if suffix in _WRITTEN else "srt")
    return chosen


def _read(name: str) -> Transcript:
    content = sys.stdin.buffer.read() if name == STANDARD else Path(name).read_bytes()
    try:
        return Transcript.from_json(content)
    except LaplasArgumentError as error:
        shown = "Standard input" if name == STANDARD else name
        raise LaplasArgumentError(error.message.replace("`content`", shown), argument="transcript") from None


def _captions(transcript: Transcript, kind: str, limits: CaptionLimits, *, quiet: bool) -> str:
    texts, report = write_formats(transcript, [kind], limits)
    if report and not quiet:
        sys.stderr.write(f"{report}\n")
    return texts[kind]


def _write(name: str, text: str) -> None:
    content = text.encode("utf-8", "replace")
    if name == STANDARD:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        Path(name).write_bytes(content)


def _fail(message: str) -> int:
    sys.stderr.write(f"Error: {message}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
