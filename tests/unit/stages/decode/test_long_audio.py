"""A long recording that is read in ranges gives what it gives as a whole."""

import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.config import Recognition
from schemas.content import SAMPLE_RATE_HZ, SoundTags, SpokenWords
from schemas.errors import CorruptError
from stages.decode.options import DecodeOptions
from stages.decode.registry import LONG, decode, decode_span, find_spans, join_pieces
from stages.ranges import Piece, Span
from tests.unit.stages.decode.media import make

OPTIONS = DecodeOptions()
LENGTH_S = 120
SPANS = [Span(0, 40, 3, "second"), Span(40, 80, 3, "second"), Span(80, None, 3, "second")]
CODECS = {
    "a.wav": [],
    "a.flac": [],
    "a.aiff": [],
    "a.mp3": ["-b:a", "64k"],
    "a.m4a": ["-b:a", "64k"],
    "a.ogg": ["-c:a", "libvorbis"],
    "a.opus": ["-b:a", "32k"],
    "a.mka": ["-c:a", "libvorbis"],
    "a.tta": [],
    "a.wv": [],
    "a.au": [],
}


@pytest.fixture(scope="session")
def recording(tmp_path_factory) -> Path:
    """Bursts of noise of 2 to 4 s, no two alike, with pauses of 0.4 to 1 s between them."""
    rng = np.random.default_rng(7)
    parts = []
    while sum(map(len, parts)) < LENGTH_S * SAMPLE_RATE_HZ:
        burst = rng.normal(0, 3000, int(rng.uniform(2, 4) * SAMPLE_RATE_HZ))
        parts += [burst, np.zeros(int(rng.uniform(0.4, 1) * SAMPLE_RATE_HZ))]
    samples = np.concatenate(parts)[: LENGTH_S * SAMPLE_RATE_HZ].astype("<i2")
    path = tmp_path_factory.mktemp("sound") / "recording.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def read(path: Path, spans=SPANS):
    pieces, arrays = zip(
        *(decode_span(path, path.suffix[1:], OPTIONS, span) for span in spans), strict=True
    )
    return list(pieces), [a[0] if a else np.zeros(0, np.int16) for a in arrays]


@pytest.mark.parametrize("name", CODECS)
def test_ranges_have_every_sample_once(recording, tmp_path, name):
    path = make(tmp_path / name, "-i", str(recording), *CODECS[name])
    _, (whole,) = decode(path, path.suffix[1:], OPTIONS)
    pieces, samples = read(path)
    starts = [round(piece.beside.start_s * SAMPLE_RATE_HZ) for piece in pieces]
    assert starts[0] == 0
    for start, part in zip(starts, samples, strict=True):
        same = whole[start : start + len(part)].astype(int)
        away = np.abs(same - part[: len(same)])
        # Vorbis in Matroska comes out 16 ms later when it is come to from elsewhere.
        assert np.median(away) <= 3 or name == "a.mka"
        assert abs(len(same) - len(part)) <= SAMPLE_RATE_HZ // 50
    for end, start in zip(
        [s + len(p) for s, p in zip(starts, samples, strict=True)], starts[1:], strict=False
    ):
        assert end > start  # they overlap until they are joined


def test_joined_sound_has_the_length_the_pauses_and_the_tags_of_the_whole(recording):
    whole, _ = decode(recording, "wav", OPTIONS)
    joined = join_pieces(recording, "audio/wav", read(recording)[0])
    assert joined.sound.duration_s == whole.sound.duration_s == LENGTH_S
    assert joined.sound.metadata == whole.sound.metadata
    assert (joined.notes, joined.rejects) == ((), ())
    middles = [(a + b) / 2 for a, b in joined.sound.silences]
    assert middles == sorted(middles)
    expected = {round((a + b) / 2, 1) for a, b in whole.sound.silences}
    assert len(expected - {round(m, 1) for m in middles}) <= 4  # those at the borders are cut


def test_a_range_begins_at_a_pause(recording):
    pieces, samples = read(recording)
    for piece, part in zip(pieces[1:], samples[1:], strict=True):
        assert np.abs(part[: SAMPLE_RATE_HZ // 10]).max() == 0
        assert piece.beside.start_s % 40 >= 25 or piece.beside.start_s % 40 <= 15


def with_words(piece: Piece, step_s: float = 0.5) -> Piece:
    """As if something was recognised every half second of the range."""
    sound = piece.content.sound
    starts = np.arange(0, sound.duration_s - step_s, step_s)
    words = tuple(SpokenWords(float(s), float(s) + 0.3, "word") for s in starts)
    tags = tuple(SoundTags(float(s), float(s) + 0.5, (("Noise", 0.5),)) for s in starts)
    sound = replace(sound, words=words, tags=tags, language="en", samples_array=None)
    return replace(piece, content=replace(piece.content, sound=sound), n_arrays=0)


def test_times_are_those_of_the_recording_and_no_word_is_told_twice(recording):
    joined = join_pieces(recording, "audio/wav", [with_words(p) for p in read(recording)[0]])
    starts = [word.start_s for word in joined.sound.words]
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] > LENGTH_S - 1.5
    assert steps.min() > 0
    assert steps.max() <= 1.1  # nothing is missing at a border
    tag_steps = np.diff([tags.start_s for tags in joined.sound.tags])
    assert 0 < tag_steps.min() <= tag_steps.max() <= 1.1
    assert joined.sound.language == "en"


def test_a_range_that_is_lost_is_told(recording):
    pieces, _ = read(recording)
    joined = join_pieces(recording, "audio/wav", [pieces[0], pieces[2]])
    assert len(joined.rejects) == 1
    assert 40 <= joined.rejects[0].second <= 56
    assert "nothing could be decoded" in joined.rejects[0].reason
    assert joined.sound.duration_s == LENGTH_S


def test_what_a_truncated_file_lacks_is_told_once(recording, tmp_path):
    path = tmp_path / "cut.wav"
    data = recording.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    joined = join_pieces(path, "audio/wav", read(path)[0])
    assert 59 <= joined.sound.duration_s <= 61
    assert len(joined.rejects) <= 1


def test_a_recording_that_ends_at_a_border_is_whole(recording, tmp_path):
    path = make(tmp_path / "short.wav", "-i", str(recording), "-t", "82")
    joined = join_pieces(path, "audio/wav", read(path)[0])
    assert joined.sound.duration_s == 82


def test_nothing_in_any_range_is_corrupt(recording, tmp_path):
    pieces, _ = read(make(tmp_path / "s.wav", "-i", str(recording), "-t", "1"), SPANS[2:])
    with pytest.raises(CorruptError, match="no sound could be decoded"):
        join_pieces(recording, "audio/wav", pieces)


def test_notes_say_of_which_part_they_are(recording):
    pieces, _ = read(recording)
    noted = [replace(p, content=p.content.with_note("5 s were not transcribed")) for p in pieces]
    joined = join_pieces(recording, "audio/wav", noted)
    assert len(joined.notes) == 3
    assert joined.notes[0] == "from 0:00:00: 5 s were not transcribed"


def test_an_hour_and_a_half_is_read_in_three(tmp_path):
    path = make(
        tmp_path / "long.flac", "-f", "lavfi", "-i", "anoisesrc=r=8000:a=0.01:d=5400", "-ac", "1"
    )
    media_type, spans = find_spans(path, "flac", OPTIONS)
    assert media_type == "audio/flac"
    assert [(s.first, s.end, s.unit) for s in spans] == [
        (0, 1800, "second"),
        (1800, 3600, "second"),
        (3600, None, "second"),
    ]


def test_nothing_is_kept_to_listen_to_if_nobody_does(recording):
    deaf = DecodeOptions(recognition=Recognition(speech=False, sound_tags=False))
    piece, arrays = decode_span(recording, "wav", deaf, SPANS[1])
    assert (arrays, piece.n_arrays, piece.content.needs_recognition) == ((), 0, False)


def test_every_long_format_has_a_decoder():
    from stages.decode.registry import DECODERS

    assert LONG.keys() <= DECODERS.keys()
