"""
One transcript model for the API's three reply formats. All times are in seconds.

The views (sentences, paragraphs, turns, search) are computed on access. No repr contains transcript text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript.json_objects import DEEPEST_STORED, read_object
from airflow_provider_laplas.transcript.parts import Fields, Paragraph, Part, Segment, Word
from airflow_provider_laplas.transcript.replies import read_reply
from airflow_provider_laplas.transcript.stored import FORMAT, read_stored, write_stored
from airflow_provider_laplas.transcript.text import searchable, split_sentences
from airflow_provider_laplas.transcript.views import (
    find_phrase,
    in_time,
    merge,
    paragraphs_of,
    sentences_of_words,
)


@dataclass(frozen=True, slots=True)
class Transcript:
    """
    A transcript, in the same form for every reply format.

    :ivar text: the whole transcript; the texts of several channels are joined with a newline, in channel order
    :ivar language: as the API detected it (BCP-47), None if detection was not requested
    :ivar duration: seconds of audio
    :ivar confidence: 0 to 1; the mean over the channels with speech
    :ivar words: in order of channel, then time
    :ivar segments: the reply's utterances if it has them, else the sentences of its paragraphs
    :ivar channels: the number of channels in the reply
    :ivar model: the model that ran, according to the reply
    :ivar usage: the API's own usage figures (tokens), if the reply has them
    :ivar raw: the whole reply, unmodified: its texts may hold what no file or database can, so write it as ASCII JSON
    :ivar given_paragraphs: the API's own paragraphs, if the reply has them; see :attr:`paragraphs`
    :ivar billed_seconds: seconds of audio that were sent, and billed, of a recording that was sent in parts; None where
        that is the duration
    """

    text: str = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)
    language: str | None = None
    duration: float | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = field(default=(), repr=False)
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    channels: int = 1
    model: str | None = None
    usage: Mapping[str, Any] | None = None
    given_paragraphs: tuple[Paragraph, ...] = field(default=(), repr=False)
    billed_seconds: float | None = None

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> "Transcript":
        """
        Read a whole reply of the API: one with ``status`` and ``result``, or a bare result.

        :raises LaplasMalformedReplyError: if the reply has no field for the text
        :raises LaplasArgumentError: naming ``reply``, if it was written by :meth:`to_dict`
        """
        if reply.get("format") == FORMAT:
            raise LaplasArgumentError(
                "`reply` is a stored transcript, not a reply of the API: read it with Transcript.from_dict.",
                argument="reply",
            )
        return cls(**read_reply(reply))

    @classmethod
    def from_json(cls, content: str | bytes) -> "Transcript":
        """
        Read the content of a file: a whole reply of the API, or what :meth:`to_dict` wrote.

        :raises LaplasArgumentError: naming ``content``, without quoting it, if it is not a JSON object
        :raises LaplasMalformedReplyError: if it contains no transcript
        """
        text = content.decode("utf-8-sig", "replace") if isinstance(content, bytes) else content
        data = read_object(text, levels=DEEPEST_STORED)
        if data is None:
            raise LaplasArgumentError("`content` is not a JSON object.", argument="content")
        return cls.from_dict(data) if data.get("format") == FORMAT else cls.from_reply(data)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of all speakers, in order of appearance; empty if the speakers are not identified."""
        voices = (self.voice(part) for part in self.words or self.segments or self.sentences)
        return tuple(dict.fromkeys(filter(None, voices)))

    @property
    def sentences(self) -> tuple[Segment, ...]:
        """
        The sentences in order of time.

        They are the first available of: the API's own, if the reply has paragraphs; the words, split at full stops (at
        pauses if there is no punctuation) and changes of speaker; the segments; the text split at full stops, without
        times.
        """
        if self.given_paragraphs:
            return in_time([s for paragraph in self.given_paragraphs for s in paragraph.sentences])
        if self.words:
            return in_time(list(sentences_of_words(self.words)))
        if self.segments:
            return in_time(self.segments)
        return tuple(Segment(text=text) for text in split_sentences(self.text))

    @property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        """
        The paragraphs in order of time.

        They are the API's own if the reply has them. Otherwise sentences of the same speaker are grouped, until a pause
        of :data:`~airflow_provider_laplas.transcript.PARAGRAPH_PAUSE` seconds or
        :data:`~airflow_provider_laplas.transcript.PARAGRAPH_SENTENCES` sentences.
        """
        if self.given_paragraphs:
            return in_time(self.given_paragraphs)
        return tuple(paragraphs_of(self.sentences))

    @property
    def turns(self) -> tuple[Segment, ...]:
        """The turns, each until the speaker changes, in order of time."""
        groups = groupby(self.sentences, key=lambda sentence: (sentence.channel, sentence.speaker))
        return tuple(merge(list(group)) for _, group in groups)

    def by_speaker(self) -> dict[str | None, tuple[Segment, ...]]:
        """Return each speaker's turns in order of time, by :meth:`voice`; None is an unknown speaker."""
        turns: dict[str | None, list[Segment]] = {}
        for turn in self.turns:
            turns.setdefault(self.voice(turn), []).append(turn)
        return {voice: tuple(said) for voice, said in turns.items()}

    def voice(self, part: Part) -> str | None:
        """
        Return a speaker's display name: ``Speaker 0``, ``Channel 1``, ``Channel 1 Speaker 0``, or None.

        The channel is included if there are several, because the API numbers the speakers of each channel from 0.
        """
        label = part.speaker
        speaker = None if label is None else f"Speaker {label}" if len(label) <= 2 else label  # noqa: PLR2004
        if self.channels == 1:
            return speaker
        return f"Channel {part.channel} {speaker}" if speaker else f"Channel {part.channel}"

    def search(self, phrase: str) -> tuple[Segment, ...]:
        """
        Return every occurrence of a phrase, in order of time, with its times, speaker and channel.

        Case, punctuation and Unicode variants of characters are ignored. Only whole words match, except in scripts
        without spaces. If the transcript has no words, whole segments (or sentences) are returned.

        :raises LaplasArgumentError: naming ``phrase``, if it contains neither a letter nor a digit
        """
        wanted = searchable(phrase)
        if not wanted:
            raise LaplasArgumentError("`phrase` must contain a letter or a digit.", argument="phrase")
        if not self.words:
            return tuple(
                s
                for s in in_time(self.segments or self.sentences)
                if f" {wanted} " in f" {searchable(s.text)} "
            )
        channels = groupby(self.words, key=lambda word: word.channel)
        return in_time([match for _, words in channels for match in find_phrase(wanted, list(words))])

    def to_txt(self) -> str:
        """Return readable text: paragraphs, with the speaker's name at each change of speaker. Needs no times."""
        blocks: list[str] = []
        before = None
        for paragraph in self.paragraphs:
            voice = self.voice(paragraph)
            blocks.append(f"{voice}: {paragraph.text}" if voice and voice != before else paragraph.text)
            before = voice
        return "\n\n".join(blocks) + "\n" if blocks else ""

    def to_dict(self, *, raw: bool = True) -> dict[str, Any]:
        """
        Return JSON-serializable values that :meth:`from_dict` reads back into an equal transcript.

        :param raw: whether to include the API's whole reply (not copied); without it the size is about half
        """
        return write_stored(
            Fields(
                text=self.text,
                raw=self.raw if raw else {},
                language=self.language,
                duration=self.duration,
                confidence=self.confidence,
                words=self.words,
                segments=self.segments,
                channels=self.channels,
                model=self.model,
                usage=self.usage,
                given_paragraphs=self.given_paragraphs,
                billed_seconds=self.billed_seconds,
            )
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Transcript":
        """
        Read what :meth:`to_dict` wrote. Unknown keys are ignored.

        :raises LaplasArgumentError: naming ``data``, if it is not a stored transcript of this version
        """
        return cls(**read_stored(data))
