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
        metadata=(
            ("artist", "Someone"),
            ("title", "A title"),
            ("derived", "no"),
            ("generator", "x"),
        ),
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
    quiet = SoundContent(duration_s, None, silences)
    assert list(segment_spans(quiet, 30, 5)) == spans


@pytest.mark.parametrize(
    ("silences", "gaps", "cut_s"),
    [
        (
            (),
            (20.0, 22.0, 24.0),
            22.5,
        ),  # the longest gap: words follow each other after 0.5 s, here 1 s
        ((), (), 30.0),
        ((), (5.0, 12.0), 30.0),  # too early
        (((17.0, 17.4),), (22.0,), 17.2),  # a pause that was measured, though shorter
    ],
)
def test_cuts_between_words_where_there_is_no_pause(
    silences: tuple[tuple[float, float], ...], gaps: tuple[float, ...], cut_s: float
) -> None:
    ends = {22.0: 23.0}
    edges = [0.0, *(edge for gap in gaps for edge in (gap, ends.get(gap, gap + 0.5))), 40.0]
    words = tuple(SpokenWords(a, b, "w") for a, b in zip(edges[::2], edges[1::2], strict=True))
    noisy = SoundContent(40.0, None, silences, words)
    assert segment_spans(noisy, 30, 5) == ((0.0, cut_s), (cut_s, 40.0))


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
    spans = segment_spans(SoundContent(duration_s, None, tuple(silences)), segment_s, tail_s)
    assert (spans[0][0], spans[-1][1]) == (0, duration_s)
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    lengths = [end_s - start_s for start_s, end_s in spans]
    assert max(lengths) <= segment_s + tail_s + 1e-6
    assert min(lengths) > 0
    assert len(spans) == 1 or lengths[-1] >= min(tail_s, segment_s) - 1e-6


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 2)), min_size=1, max_size=60),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.3, 3)), max_size=5),
    st.floats(2, 40),
)
def test_each_word_is_in_exactly_one_segment(
    steps: list[tuple[float, float]], pauses: list[tuple[float, float]], segment_s: float
) -> None:
    words: list[SpokenWords] = []
    at_s = 0.0
    for i, (gap_s, length_s) in enumerate(steps):
        words.append(SpokenWords(at_s + gap_s, at_s + gap_s + length_s, f"w{i}"))
        at_s = words[-1].end_s
    silences = tuple(sorted((start_s, start_s + length_s) for start_s, length_s in pauses))
    content = sound(duration_s=at_s + 0.01, words=tuple(words), silences=silences)
    options = SegmentOptions(Segmentation(segment_s=segment_s, tail_s=min(5.0, segment_s / 2)))
    found = segment_sound(SOURCE, content, (), options)
    segments = [unit for unit in found if unit.partition == AUDIO_SEGMENT]
    assert " ".join(unit.text for unit in segments).split() == [word.text for word in words]


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (("今天", "天气", "好。", "OK", "吗"), "今天天气好。 OK 吗"),
        (("สวัสดี", "ครับ"), "สวัสดีครับ"),
        (("Guten", "Morgen."), "Guten Morgen."),
    ],
)
def test_scripts_without_blanks_are_joined_without(texts: tuple[str, ...], joined: str) -> None:
    words = tuple(SpokenWords(i, i + 1, text) for i, text in enumerate(texts))
    assert units(sound(duration_s=9.0, words=words))[0][2] == joined


def test_tags_belong_to_their_time() -> None:
    tags = tuple(SoundTags(t, t + 0.96, ((f"Bell {t}", 0.5),)) for t in range(50))
    content = sound(silences=((24.0, 26.0),), tags=tags)
    _, first, second = segment_sound(SOURCE, content, (), SegmentOptions())
    assert first.attributes["tags"].startswith("Bell 0 0.50; Bell 1 0.50")
    assert second.attributes["tags"].startswith("Bell 25 0.50; Bell 26 0.50")
