"""Which of transcript and subtitles is taken for what is said."""

from __future__ import annotations

import pytest

from schemas.content import (
    ClipContent,
    Content,
    SoundContent,
    SpokenWords,
    SubtitleTrack,
    VideoContent,
)
from stages.recognise.subtitles import agreement, with_subtitles

HEARD = (
    SpokenWords(1, 4, "the milner opens the sluice at dawn"),
    SpokenWords(6, 9, "then the wheel beguines to turn"),
)
WRITTEN = (
    SpokenWords(0.5, 3.5, "The miller opens the sluice at dawn."),
    SpokenWords(6.2, 9.5, "Then the wheel begins to turn."),
)
GERMAN = (
    SpokenWords(0.5, 3.5, "Der Müller öffnet die Schleuse."),
    SpokenWords(6.2, 9.5, "Dann dreht sich das Rad."),
)


def content(*tracks: SubtitleTrack, words: tuple[SpokenWords, ...] | None = HEARD) -> Content:
    clip = ClipContent(0, 10, (0.0,), 0)
    video = VideoContent(10, 64, 64, 25, (clip,), clip, subtitles=tracks)
    sound = None if words is None else SoundContent(10, None, words=words, language="en")
    return Content("video/mp4", video=video, sound=sound)


def test_subtitles_of_what_is_said_become_the_transcript() -> None:
    found = with_subtitles(content(SubtitleTrack("deu", GERMAN), SubtitleTrack("eng", WRITTEN)))
    assert found.sound is not None
    assert found.sound.words == WRITTEN
    assert found.video is not None
    assert found.video.subtitles == ()
    assert found.notes == (
        "the subtitles (eng) are taken for the transcript: 85% of the words recognised are in them",
    )


def test_in_another_language_the_first_stays_beside_it() -> None:
    german = SubtitleTrack("deu", GERMAN)
    found = with_subtitles(content(german, SubtitleTrack("fra", GERMAN)))
    assert found == content(german)


@pytest.mark.parametrize("words", [None, ()])
def test_where_nothing_is_recognised_the_first_stays(words: tuple[SpokenWords, ...] | None) -> None:
    english = SubtitleTrack("eng", WRITTEN)
    found = with_subtitles(content(english, SubtitleTrack("deu", GERMAN), words=words))
    assert found == content(english, words=words)


def test_nothing_to_settle() -> None:
    assert with_subtitles(content()) == content()
    assert with_subtitles(Content("audio/wav")) == Content("audio/wav")


def test_the_right_words_at_the_wrong_time_do_not_agree() -> None:
    late = tuple(SpokenWords(w.start_s + 60, w.end_s + 60, w.text) for w in WRITTEN)
    assert agreement(HEARD, WRITTEN) == pytest.approx(11 / 13)
    assert agreement(HEARD, late) == 0


def test_words_count_as_often_as_they_are_shown() -> None:
    assert agreement([SpokenWords(0, 2, "no no no no")], [SpokenWords(0, 2, "No.")]) == 0.25


def test_writing_without_spaces_is_compared_by_characters() -> None:
    said, shown = "水車が回り始める", "水車が動き始める"
    share = agreement([SpokenWords(0, 2, said)], [SpokenWords(0, 2, shown)])
    assert share == pytest.approx(6 / 8)


def test_an_end_that_is_a_lie_costs_nothing() -> None:
    forever = [SpokenWords(0, 9_999 * 3600, "The miller opens")]
    assert agreement([SpokenWords(1, 9_999 * 3600, "the miller")], forever) == 1
