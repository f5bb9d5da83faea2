"""The sound of spans of a file whose units are known: nothing else of it is decoded, and nothing recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ffmpeg

from schemas.content import SAMPLE_RATE_HZ
from stages.decode import _ffmpeg
from stages.decode._damage import refuse
from stages.decode._sinks import SoundSink
from stages.decode._tracks import SOUND_FORMAT, heard_track
from stages.decode.audio import sound_graph
from stages.decode.long_audio import look

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from schemas.sound import SoundSpan
    from stages.decode._fflog import MediaInfo
    from stages.decode.options import DecodeOptions

_PLAIN: dict[str, Any] = {key: value for key, value in SOUND_FORMAT.items() if key != "af"}


def read_sounds(
    path: Path, media_type: str, options: DecodeOptions, begin_s: int, spans: Sequence[SoundSpan]
) -> tuple[NDArray[np.int16], ...]:
    """Decode a file from `begin_s` to the end of the last span: the track and the clock that its units were cut by.

    Args:
        path: The file.
        media_type: What sniffing found.
        options: Limits.
        begin_s: 0, or in a file that is read in ranges any time before the spans: it is sought.
        spans: What is wanted.

    Returns:
        int16 [n] at 16 kHz for each span: 16 samples a millisecond, fewer (or none) where the sound ends before.

    Raises:
        CorruptError: No sound came out.
        LimitError: The end lies beyond `limits.media_s`.
        TimeoutExceededError: Past `limits.decode_timeout_s`.
        CrashError: ffmpeg died.
        UnsupportedError: Not a type for ffmpeg.
    """
    end_s = max(span.end_ms for span in spans) / 1000
    info = look(path, media_type, options)
    sink = SoundSink(path, options.limits.media_s)

    def graph(urls: Sequence[str]) -> Any:
        if begin_s:
            return sound_graph(path, media_type, urls, begin_s, end_s - begin_s)
        return _from_the_start(path, media_type, urls[0], info, end_s)

    run = _ffmpeg.run(path, graph, [sink], options.limits)
    samples = sink.samples()
    if not len(samples):
        refuse(path, run, "sound")
    return tuple(span.cut(samples, begin_s) for span in spans)


def _from_the_start(path: Path, media_type: str, url: str, info: MediaInfo, end_s: float) -> Any:
    """As decode_audio has it, or decode_video where there is a picture, as far as it is needed."""
    track = heard_track(info.of_kind("audio")) if info.has_video else None
    sound = _ffmpeg.source(path, media_type)[f"a:{track.number if track else 0}"]
    form = SOUND_FORMAT if info.has_video else _PLAIN
    # A sample more: the end is rounded to a millisecond.
    return ffmpeg.output(sound, url, format="s16le", t=end_s + 1 / SAMPLE_RATE_HZ, **form)
