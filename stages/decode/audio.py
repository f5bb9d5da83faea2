"""Sound of any container and codec, through ffmpeg, to mono 16 kHz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.content import SAMPLE_RATE_HZ, Content, SoundContent
from schemas.errors import NoContentError
from stages.decode import _ffmpeg
from stages.decode._damage import damage, refuse
from stages.decode._fflog import MediaInfo, media_info
from stages.decode._silence import find_silences
from stages.decode._sinks import SoundSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from stages.decode.options import DecodeOptions


_LEAD_S: Final = 1  # longer than a packet of any codec


def decode_audio(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode the first sound track of a file in one pass.

    Pictures that are covers are ignored; a file that holds a film goes to the video decoder. What comes before
    damage is kept, with a note and a lost part.

    Args:
        path: The file.
        media_type: What sniffing found; it chooses ffmpeg's demuxer.
        options: Limits, and whether anything will listen to the samples.

    Returns:
        Content with `sound`, and its samples, int16 [n] at 16 kHz (no array if no recogniser will run).

    Raises:
        NoContentError: No sound track.
        CorruptError: Nothing of it could be decoded.
        LimitError: Longer than `limits.media_s`, or too much memory needed.
        TimeoutExceededError: Past `limits.decode_timeout_s`.
        CrashError: ffmpeg died.
        UnsupportedError: Not a type for ffmpeg.
    """
    sink = SoundSink(path, options.limits.media_s)
    run = _ffmpeg.run(
        path, lambda urls: sound_graph(path, media_type, urls), [sink], options.limits
    )
    info = media_info(run.log)
    if info.has_video:
        from stages.decode.video import decode_video  # here, as the two decoders call each other

        return decode_video(path, media_type, options)
    if not run.log.has_input:
        refuse(path, run, "header")
    if not info.has_audio:
        raise NoContentError(f"{path} ({media_type}) has no sound track")
    samples = sink.samples()
    if not len(samples):
        refuse(path, run, "sound")
    notes, rejects = damage(run, info, len(samples) / SAMPLE_RATE_HZ)
    keep = keeps_samples(options)
    content = Content(
        media_type=media_type,
        title=dict(info.tags).get("title", ""),
        sound=sound_content(samples, info, 0 if keep else None),
        notes=notes,
        rejects=rejects,
    )
    return content, (samples,) if keep else ()


def keeps_samples(options: DecodeOptions) -> bool:
    """Whether a recogniser will listen to the samples."""
    return options.recognition.speech or options.recognition.sound_tags


def sound_content(
    samples: NDArray[np.int16], info: MediaInfo, samples_array: int | None
) -> SoundContent:
    """Describe decoded samples, int16 [n] at 16 kHz."""
    return SoundContent(
        duration_s=len(samples) / SAMPLE_RATE_HZ,
        samples_array=samples_array,
        silences=find_silences(samples),
        metadata=info.tags,
    )


def sound_graph(
    path: Path,
    media_type: str,
    urls: Sequence[str],
    first_s: float = 0.0,
    length_s: float | None = None,
) -> Any:
    """The ffmpeg graph from the first sound track, or so much of it, to s16le samples, mono at 16 kHz.

    A range is cut by the times of its samples: what ffmpeg 9 seeks to in MP4 begins with the next whole packet.
    """
    output = {"f": "s16le", "ac": 1, "ar": SAMPLE_RATE_HZ, "acodec": "pcm_s16le"}
    until = {} if length_s is None else {"end": first_s + length_s}
    if not (first_s or until):
        return _ffmpeg.source(path, media_type)["a:0"].output(urls[0], **output)
    seek: dict[str, Any] = {"ss": first_s - _LEAD_S} if first_s > _LEAD_S else {}
    sound = _ffmpeg.source(path, media_type, **seek)["a:0"]
    part = sound.filter("atrim", start=first_s, **until)
    return part.output(urls[0], **output).global_args("-copyts", "-start_at_zero")
