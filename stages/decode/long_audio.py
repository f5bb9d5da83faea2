"""Long recordings, read in ranges of half an hour.

Neighbours overlap by half a minute, and the later one begins at its longest pause; there the earlier one ends when they
are joined, so no word is in two ranges or in none. It is not cut there before: of some codecs the same half minute has
other samples when it is come to from elsewhere, and another longest pause.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from schemas.content import (
    SAMPLE_RATE_HZ,
    Content,
    PartialReject,
    SoundContent,
    SoundTags,
    SpokenWords,
)
from schemas.errors import CorruptError
from stages.decode import _ffmpeg
from stages.decode._damage import MISSING_S, missing_end, reported
from stages.decode._fflog import MediaInfo, media_info
from stages.decode._silence import FRAME, find_silences, loudness
from stages.decode._sinks import SoundSink
from stages.decode.audio import keeps_samples, sound_content, sound_graph
from stages.ranges import Piece, Span, even_spans

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from stages.decode.options import DecodeOptions

Timed = TypeVar("Timed", SpokenWords, SoundTags)

_SPAN_S: Final = 1800  # 58 MB of samples
_REACH_S: Final = 15  # on either side of a border
_SMALL_BYTES: Final = 1 << 20  # 45 minutes at 3 kbit/s, less than any codec of speech takes


@dataclass(frozen=True, slots=True)
class _Beside:
    """Where a range begins in the recording, and how long that was announced to be (None: not said)."""

    start_s: float
    announced_s: float | None


def spans(path: Path, media_type: str, options: DecodeOptions) -> tuple[Span, ...]:
    """Ranges of a recording whose length its container knows; none if it is short. Raises as `decode_audio`."""
    if path.stat().st_size < _SMALL_BYTES:
        return ()
    info = look(path, media_type, options)
    known_s = 0.0 if info.has_video or info.estimated else info.duration_s or 0.0
    # One that is longer than allowed is refused by whoever reads it as a whole.
    if known_s > options.limits.media_s:
        return ()
    return even_spans(0, int(known_s), _SPAN_S, "second")


def read_span(
    path: Path, media_type: str, options: DecodeOptions, span: Span
) -> tuple[Piece, tuple[np.ndarray, ...]]:
    """Decode a range (see `LongDecoder.read_span`) from the pause at its beginning to where the next one has begun.

    Returns:
        Content with `sound`, times from the beginning of the range; without it if the recording ends before. Samples
        int16 [n] at 16 kHz.
    """
    first_s = max(0, span.first - _REACH_S)
    sink = SoundSink(path, options.limits.media_s)
    length_s = None if span.end is None else span.end + _REACH_S - first_s
    run = _ffmpeg.run(
        path,
        lambda urls: sound_graph(path, media_type, urls, first_s, length_s),
        [sink],
        options.limits,
    )
    info = media_info(run.log)
    samples = sink.samples()
    begin = _from_pause(samples, span)
    samples = samples[begin:]
    beside = _Beside(first_s + begin / SAMPLE_RATE_HZ, info.duration_s)
    notes = reported(run, len(samples) / SAMPLE_RATE_HZ)
    if not len(samples):
        return Piece(Content(media_type, notes=notes), 0, beside), ()
    arrays = (samples,) if keeps_samples(options) else ()
    content = Content(
        media_type,
        title=dict(info.tags).get("title", ""),
        sound=sound_content(samples, info, 0 if arrays else None),
        notes=notes,
    )
    return Piece(content, len(arrays), beside), arrays


def join(path: Path, media_type: str, pieces: Sequence[Piece]) -> Content:
    """Put ranges together (see `LongDecoder.join`), and say what of the recording is missing.

    Raises:
        CorruptError: No sound came out of any of them.
    """
    parts = [_later(piece.content, piece.beside.start_s) for piece in pieces]
    starts = [p.beside.start_s for p in pieces if p.content.sound is not None]
    heard = [part.sound for part in parts if part.sound is not None]
    if not heard:
        raise CorruptError(f"{path}: no sound could be decoded")
    sounds = [_until(sound, end_s) for sound, end_s in zip(heard, [*starts[1:], inf], strict=True)]
    lost = _missing(starts, [sound.duration_s for sound in sounds], pieces[0].beside.announced_s)
    return Content(
        media_type,
        title=next((part.title for part in parts if part.title), ""),
        sound=_joined(sounds),
        notes=(*(note for part in parts for note in part.notes), *(part.reason for part in lost)),
        rejects=(*(reject for part in parts for reject in part.rejects), *lost),
    )


def look(path: Path, media_type: str, options: DecodeOptions) -> MediaInfo:
    """What the header says of a file with sound."""
    sink = SoundSink(path, options.limits.media_s)
    run = _ffmpeg.run(
        path, lambda urls: sound_graph(path, media_type, urls, 0, 0.1), [sink], options.limits
    )
    return media_info(run.log)


def _from_pause(samples: NDArray[np.int16], span: Span) -> int:
    """Where a range begins in what was decoded; at its end if the range before it has all of that."""
    if not span.first:
        return 0
    if len(samples) < 2 * _REACH_S * SAMPLE_RATE_HZ:
        return len(samples)
    return _border(samples[: 2 * _REACH_S * SAMPLE_RATE_HZ])


def _border(samples: NDArray[np.int16]) -> int:
    """The middle of the longest pause; the quietest moment if there is none."""
    pauses = find_silences(samples)
    if pauses:
        start_s, end_s = max(pauses, key=lambda pause: (pause[1] - pause[0], -pause[0]))
        return round((start_s + end_s) / 2 * SAMPLE_RATE_HZ)
    return int(loudness(samples).argmin()) * FRAME + FRAME // 2


def _later(content: Content, by_s: float) -> Content:
    """The same with times counted from the beginning of the recording."""
    clock = f"{int(by_s) // 3600}:{int(by_s) // 60 % 60:02d}:{int(by_s) % 60:02d}"
    sound = content.sound
    if sound is not None:
        sound = replace(
            sound,
            duration_s=by_s + sound.duration_s,
            silences=tuple((_plus(a, by_s), _plus(b, by_s)) for a, b in sound.silences),
            words=_moved(sound.words, by_s),
            tags=_moved(sound.tags, by_s),
        )
    return replace(
        content,
        sound=sound,
        notes=tuple(f"from {clock}: {note}" for note in content.notes),
        rejects=tuple(replace(r, second=by_s + (r.second or 0.0)) for r in content.rejects),
    )


def _until(sound: SoundContent, end_s: float) -> SoundContent:
    """What belongs to a range that ends there, where the next one begins."""
    return replace(
        sound,
        duration_s=min(sound.duration_s, end_s),
        silences=tuple((a, min(b, end_s)) for a, b in sound.silences if a < end_s),
        words=tuple(w for w in sound.words if (w.start_s + w.end_s) / 2 < end_s),
        tags=tuple(t for t in sound.tags if (t.start_s + t.end_s) / 2 < end_s),
    )


def _moved(spans: Sequence[Timed], by_s: float) -> tuple[Timed, ...]:
    return tuple(
        replace(s, start_s=_plus(s.start_s, by_s), end_s=_plus(s.end_s, by_s)) for s in spans
    )


def _plus(time_s: float, by_s: float) -> float:
    return round(time_s + by_s, 3)


def _joined(sounds: Sequence[SoundContent]) -> SoundContent:
    """Sounds, times counted from the beginning of the first, as one; in the language of most of their words."""
    languages: Counter[str] = Counter()
    for sound in sounds:
        languages[sound.language] += len(sound.words)
    return replace(
        sounds[0],
        duration_s=sounds[-1].duration_s,
        silences=tuple(pause for sound in sounds for pause in sound.silences),
        words=tuple(word for sound in sounds for word in sound.words),
        tags=tuple(tags for sound in sounds for tags in sound.tags),
        language=max(languages, key=lambda name: (languages[name], name)),
    )


def _missing(
    starts_s: Sequence[float], ends_s: Sequence[float], announced_s: float | None
) -> list[PartialReject]:
    """What lies between ranges, before the first and after the last."""
    lost = []
    for end_s, start_s in zip([0.0, *ends_s], starts_s, strict=False):
        if start_s - end_s > MISSING_S:
            reason = f"from {end_s:.1f} to {start_s:.1f} s nothing could be decoded"
            lost.append(PartialReject("decode", CorruptError.code, reason, second=end_s))
    end = missing_end(ends_s[-1], announced_s)
    return [*lost, end] if end else lost
