"""
One model over the three shapes in which the API family answers. Times are seconds everywhere.

The views (sentences, paragraphs, turns, search) are made when they are asked for. No repr shows what was said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from airflow_provider_laplas.errors import LaplasArgumentError
from airflow_provider_laplas.transcript.json_objects import read_object
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
    What was said, in one model for every shape of reply.

    :ivar text: the whole transcript; the texts of several channels are joined with a newline, in channel order
    :ivar language: as the API detected it (BCP-47), None where it was not asked to
    :ivar duration: seconds of audio
    :ivar confidence: 0 to 1; the mean over the channels in which there was speech
    :ivar words: in order of channel, then time
    :ivar segments: utterances where the reply has them, else the sentences of its paragraphs
    :ivar channels: how many channels the reply has
    :ivar model: the model that really ran, as the reply names it
    :ivar usage: what the API counted (tokens), where it says so
    :ivar raw: the whole reply, untouched
    :ivar given_paragraphs: the API's own paragraphs, where the reply has them; see :attr:`paragraphs`
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

    @classmethod
    def from_reply(cls, reply: Mapping[str, Any]) -> "Transcript":
        """
        Read a whole reply of the API: one with ``status`` and ``result``, or a bare result.

        :raises LaplasMalformedReplyError: where the reply has no place for a text
        :raises LaplasArgumentError: naming ``reply``, where it is what :meth:`to_dict` wrote
        """
        if reply.get("format") == FORMAT:
            raise LaplasArgumentError(
                "`reply` is a stored transcript and no reply of the API: read it with Transcript.from_dict.",
                argument="reply",
            )
        return cls(**read_reply(reply))

    @classmethod
    def from_json(cls, content: str | bytes) -> "Transcript":
        """
        Read a file: a whole reply of the API, or what :meth:`to_dict` wrote.

        :raises LaplasArgumentError: naming ``content``, where it is no JSON object; what it is, is not quoted
        :raises LaplasMalformedReplyError: where it holds no transcript
        """
        text = content.decode("utf-8-sig", "replace") if isinstance(content, bytes) else content
        data = read_object(text)
        if data is None:
            raise LaplasArgumentError("`content` is not a JSON object.", argument="content")
        return cls.from_dict(data) if data.get("format") == FORMAT else cls.from_reply(data)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The names of everybody who speaks, in order of appearance; empty where speakers were not told apart."""
        voices = (self.voice(part) for part in self.words or self.segments or self.sentences)
        return tuple(dict.fromkeys(filter(None, voices)))

    @property
    def sentences(self) -> tuple[Segment, ...]:
        """
        The sentences in order of time.

        They are the API's own where the reply has paragraphs, else made of the words (at full stops, changes of
        speaker, and pauses where nothing is punctuated), else the segments, else the text cut at full stops,
        without times.
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

        They are the API's own where the reply has them, else sentences of one speaker, up to a pause of
        :data:`~airflow_provider_laplas.transcript.PARAGRAPH_PAUSE` or
        :data:`~airflow_provider_laplas.transcript.PARAGRAPH_SENTENCES`.
        """
        if self.given_paragraphs:
            return in_time(self.given_paragraphs)
        return tuple(paragraphs_of(self.sentences))

    @property
    def turns(self) -> tuple[Segment, ...]:
        """What each speaker said until somebody else did, in order of time."""
        groups = groupby(self.sentences, key=lambda sentence: (sentence.channel, sentence.speaker))
        return tuple(merge(list(group)) for _, group in groups)

    def by_speaker(self) -> dict[str | None, tuple[Segment, ...]]:
        """Return each speaker's turns in order of time, under :meth:`voice`; None is where that is not known."""
        turns: dict[str | None, list[Segment]] = {}
        for turn in self.turns:
            turns.setdefault(self.voice(turn), []).append(turn)
        return {voice: tuple(said) for voice, said in turns.items()}

    def voice(self, part: Part) -> str | None:
        """
        Return a speaker's name for people: ``Speaker 0``, ``Channel 1``, ``Channel 1 Speaker 0``, or None.

        The channel is named where there are several: the API counts the speakers of each from 0 again.
        """
        label = part.speaker
        speaker = None if label is None else f"Speaker {label}" if len(label) <= 2 else label  # noqa: PLR2004
        if self.channels == 1:
            return speaker
        return f"Channel {part.channel} {speaker}" if speaker else f"Channel {part.channel}"

    def search(self, phrase: str) -> tuple[Segment, ...]:
        """
        Return every place where a phrase was said, in order of time, with its times, speaker and channel.

        Case, punctuation and forms of characters do not matter; whole words do, except where the script has no
        spaces. Without words the whole segments (or sentences) that hold it are returned.

        :raises LaplasArgumentError: naming ``phrase``, where it holds neither a letter nor a digit
        """
        wanted = searchable(phrase)
        if not wanted:
            raise LaplasArgumentError("`phrase` must hold a letter or a digit.", argument="phrase")
        if not self.words:
            return tuple(
                s
                for s in in_time(self.segments or self.sentences)
                if f" {wanted} " in f" {searchable(s.text)} "
            )
        channels = groupby(self.words, key=lambda word: word.channel)
        return in_time([match for _, words in channels for match in find_phrase(wanted, list(words))])

    def to_txt(self) -> str:
        """Return the text for reading: paragraphs, and before each change of speaker who speaks. Needs no times."""
        blocks: list[str] = []
        before = None
        for paragraph in self.paragraphs:
            voice = self.voice(paragraph)
            blocks.append(f"{voice}: {paragraph.text}" if voice and voice != before else paragraph.text)
            before = voice
        return "\n\n".join(blocks) + "\n" if blocks else ""

    def to_dict(self, *, raw: bool = True) -> dict[str, Any]:
        """
        Return plain JSON values that :meth:`from_dict` reads back into an equal transcript.

        :param raw: whether the API's whole reply is in it; it is not copied. Without it, about half the size
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
            )
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Transcript":
        """
        Read what :meth:`to_dict` wrote. Keys that this version does not know are left alone.

        :raises LaplasArgumentError: naming ``data``, where that is something else, or of a later version
        """
        return cls(**read_stored(data))
