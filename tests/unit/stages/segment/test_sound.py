from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.config import Segmentation
from schemas.content import Content, SoundContent, SoundTags, SpokenWords
from schemas.partition import AUDIO_RECORDING, AUDIO_SEGMENT
from stages.segment.options import SegmentOptions
from stages.segment.sound import segment_sound, segment_spans

SOURCE = "0" * 32
SPEECH = ("Speech", 0.99)


def sound(**fields: object) -> Content:
    values = {"duration_s": 50.0, "samples_array": None, **fields}
    return Content(
        "audio/wav",
        title="A title",
        sound=SoundContent(**values),  # type: ignore[arg-type]  # any of its fields
    )


def units(content: Content) -> list[tuple[str, tuple[float | None, float | None], str]]:
    return [
        (unit.partition.granularity, (unit.locator.start_s, unit.locator.end_s), unit.text)
        for unit in segment_sound(SOURCE, content, (), SegmentOptions())
    ]


def test_words_and_tags_go_to_their_segment() -> None:
    content = sound(
        silences=((24.0, 26.0),),
        words=(SpokenWords(1, 4, "Good morning."), SpokenWords(24.5, 30, "Good night.")),
        tags=(
            SoundTags(0, 10, (SPEECH, ("Bell", 0.4))),
            SoundTags(40, 50, (("Dog", 0.9), ("Bark", 0.7))),
        ),
        language="en",
        metadata=(("artist", "Someone"), ("title", "A title")),
    )
    assert units(content) == [
        ("recording", (0, 50), "Good morning. Good night.\nSounds: dog; bark; bell"),
        ("segment", (0, 25), "Good morning.\nSounds: bell"),
        ("segment", (25, 50), "Good night.\nSounds: dog; bark"),
    ]
    recording, first, second = segment_sound(SOURCE, content, (), SegmentOptions())
    assert recording.partition == AUDIO_RECORDING
    assert first.partition == second.partition == AUDIO_SEGMENT
    assert first.parent_id == second.parent_id == recording.unit_id
    assert {unit.context for unit in (recording, first)} == {"A title"}
    assert {unit.language for unit in (recording, first)} == {"en"}
    assert first.attributes == {
        "speech": "yes",
        "tags": "Speech 0.99; Bell 0.40",
        "artist": "Someone",
    }


def test_a_short_recording_is_a_segment_too() -> None:
    content = sound(duration_s=2.0, tags=(SoundTags(0, 2, (SPEECH,)),))
    assert units(content) == [
        ("recording", (0, 2), "Sounds: speech"),
        ("segment", (0, 2), "Sounds: speech"),
    ]
    assert segment_sound(SOURCE, content, (), SegmentOptions())[0].language == ""


def test_nothing_recognised_is_no_unit() -> None:
    assert units(sound()) == []
    assert units(Content("audio/wav")) == []


def test_a_segment_without_anything_is_left_out() -> None:
    content = sound(words=(SpokenWords(40, 42, "Late."),))
    assert [(kind, span) for kind, span, _ in units(content)] == [
        ("recording", (0, 50)),
        ("segment", (30, 50)),
    ]


def test_words_said_to_end_after_the_recording_are_kept() -> None:
    content = sound(duration_s=3.0, words=(SpokenWords(2.9, 30.0, "Bye."),))
    assert [text for _, _, text in units(content)] == ["Bye.", "Bye."]


def test_a_long_transcript_is_cut_in_the_recording_only() -> None:
    content = sound(duration_s=30.0, words=(SpokenWords(0, 29, "word " * 249 + "end"),))
    recording, segment = (text for _, _, text in units(content))
    assert recording == "word " * 200 + "..."
    assert segment.endswith("word end")


def test_another_length() -> None:
    options = SegmentOptions(Segmentation(segment_s=10, tail_s=2))
    content = sound(words=tuple(SpokenWords(t, t + 1, f"at {t}") for t in range(0, 50, 5)))
    found = segment_sound(SOURCE, content, (), options)
    assert [unit.text for unit in found[1:]] == [f"at {t} at {t + 5}" for t in range(0, 50, 10)]


@pytest.mark.parametrize(
    ("silences", "duration_s", "spans"),
    [
        ((), 34.0, [(0, 34)]),  # the tail joins
        ((), 36.0, [(0, 30), (30, 36)]),
        (((16.0, 18.0), (25.0, 26.0)), 40.0, [(0, 17), (17, 40)]),  # the longest pause
        (((5.0, 9.0),), 40.0, [(0, 30), (30, 40)]),  # too early to cut at
    ],
)
def test_cuts(
    silences: tuple[tuple[float, float], ...],
    duration_s: float,
    spans: list[tuple[float, float]],
) -> None:
    assert list(segment_spans(silences, duration_s, 30, 5)) == spans


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0.3, 5)), max_size=50),
    st.floats(0.01, 500),
    st.floats(1, 60),
    st.floats(0, 10),
)
def test_segments_cover_the_recording(
    pauses: list[tuple[float, float]], duration_s: float, segment_s: float, tail_s: float
) -> None:
    silences = sorted((start_s, start_s + length_s) for start_s, length_s in pauses)
    spans = segment_spans(silences, duration_s, segment_s, tail_s)
    assert (spans[0][0], spans[-1][1]) == (0, duration_s)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    lengths = [end_s - start_s for start_s, end_s in spans]
    assert max(lengths) <= segment_s + tail_s + 1e-6
    assert min(lengths) > 0
    assert len(spans) == 1 or lengths[-1] >= min(tail_s, segment_s) - 1e-6
