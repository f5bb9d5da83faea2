"""Video through one ffmpeg decode: frames at model size, sound and scene borders, all in the same pass."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import ffmpeg
import numpy as np

from schemas.content import SAMPLE_RATE_HZ, ClipContent, Content, VideoContent
from stages.decode import _ffmpeg
from stages.decode._clips import clip_borders, pick
from stages.decode._damage import damage, refuse
from stages.decode._fflog import MediaInfo, media_info
from stages.decode._sinks import FRAMES_OVER, FrameSink, LineSink, SoundSink, check_length
from stages.decode.audio import decode_audio, keeps_samples, sound_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from stages.decode.options import DecodeOptions

_FIRST_RATE, _FIRST_S, _RATE = 8, 8, 4  # frames a second to choose from: in the first 8 s, then
_STEP: Final = f"floor(min({_FIRST_RATE}*{{0}},{_RATE}*{{0}}+{_FIRST_S * (_FIRST_RATE - _RATE)}))"
# Without both flags RGB comes out up to 2 levels too dark.
_SCALING: Final = "bicubic+accurate_rnd+full_chroma_int"
# The manual of scdet recommends 8 to 14. Of 120 known cuts between drawings on white 8 finds 104 and 10 finds 95,
# neither one that is none.
_SCENE_SCORE: Final = 8
_FRAME_BYTES_SHARE: Final = 4  # kept frames may take this fraction of limits.decode_memory_bytes
_MIN_FRAMES: Final = 256
_HELD_S: Final = 1.0


def decode_video(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode a video once, and fan out frames, clips, the whole and the sound track.

    In the same ffmpeg process every frame is scored for scene changes at its own time (filter ``scdet``), up to
    4 frames a second (8 in the first 8 s) are cropped to their centre square and scaled to model size, and the first
    sound track is resampled to mono 16 kHz, padded to the video's clock. Rotation and pixel shape are applied;
    covers are ignored. Clip borders: :func:`stages.decode._clips.clip_borders`.

    Kept frames take at most a quarter of `limits.decode_memory_bytes` (by default 3,566 frames of 224 x 224): beyond
    it every second is let go, so after 15 min there are 2 a second to choose from, after 30 min one, after 1 h one
    every 2 s. The samples take 115 MB an hour.

    Args:
        path: The file.
        media_type: What sniffing found; it chooses ffmpeg's demuxer.
        options: Limits, lengths of clips, frames a clip, side of a frame.

    Returns:
        Content with `video` (and `sound`); arrays: frames of the whole, uint8 [n, S, S, 3] with n up to
        `video_frames` (fewer where there are fewer different frames), frames of each clip with n up to
        `clip_frames`, then samples, int16 [m]. A file without a picture gives what `decode_audio` gives.

    Raises:
        NoContentError: Neither picture nor sound track.
        CorruptError: Nothing could be decoded.
        LimitError: Too long, too large a picture, or too much memory needed.
        TimeoutExceededError: Past `limits.decode_timeout_s`.
        CrashError: ffmpeg died.
        UnsupportedError: Not a type for ffmpeg.
    """
    frames = _frame_sink(path, options)
    cuts = LineSink()
    sound = SoundSink(path, options.limits.media_s)
    graph = partial(_graph, path, media_type, options=options)
    run = _ffmpeg.run(path, graph, [frames.times, cuts, frames, sound], options.limits)
    info = media_info(run.log)
    if not run.log.has_input:
        refuse(path, run, "header")
    if not info.has_video:
        return decode_audio(path, media_type, options)
    samples = sound.samples()
    times_s, pictures = frames.frames()
    if not pictures and not len(samples):
        refuse(path, run, "picture or sound")
    sound_s = len(samples) / SAMPLE_RATE_HZ
    duration_s = _duration(info, frames, sound_s)
    check_length(path, duration_s, options.limits.media_s)
    notes, rejects = damage(run, info, max(sound_s, duration_s if pictures else 0.0))
    title = dict(info.tags).get("title", "")
    content = Content(media_type, title=title, notes=notes, rejects=rejects)
    choice = _Choice(times_s, pictures, max(1 / _RATE, frames.step_s))
    if pictures:
        video = _video(info, tuple(cuts.times_s), duration_s, choice, options)
        content = replace(content, video=video)
    else:
        content = content.with_note("no picture could be decoded; only the sound is indexed")
    return _with_sound(content, choice.arrays, samples, info, options)


def _frame_sink(path: Path, options: DecodeOptions) -> FrameSink:
    frame_bytes = 3 * options.frame_size**2
    budget_bytes = options.limits.decode_memory_bytes // _FRAME_BYTES_SHARE
    return FrameSink(
        path,
        size=options.frame_size,
        step_s=1 / _FIRST_RATE,
        capacity=max(_MIN_FRAMES, budget_bytes // frame_bytes),
        limits=options.limits,
    )


def _graph(path: Path, media_type: str, urls: Sequence[str], *, options: DecodeOptions) -> Any:
    """One output with the optional sound track in it, fanned out by the muxer `tee`: no probe is needed first."""
    times_url, cuts_url, frames_url, sound_url = urls
    media = _ffmpeg.source(path, media_type, max_pixels=options.limits.pixels)
    over, (key, value) = f"gte(n,{options.limits.frames})", FRAMES_OVER
    frames = (
        media["V:0"]
        .filter("scdet", threshold=_SCENE_SCORE)
        .filter("metadata", mode="print", key="lavfi.scd.time", file=cuts_url)
        .filter("metadata", mode="add", key=key, value=value, enable=over)
        .filter(
            "select",
            f"{over}+isnan(prev_selected_t)+gt({_STEP.format('t')},{_STEP.format('prev_selected_t')})",
        )
        .filter("metadata", mode="print", file=times_url, direct=1)
        .filter("crop", "min(iw,ih/sar)", "min(ih,iw*sar)")
        .filter("scale", options.frame_size, options.frame_size, flags=_SCALING)
    )
    return ffmpeg.output(
        frames,
        media["a:0?"],
        f"[select=v:f=rawvideo]{frames_url}|[select=a:f=s16le:flush_packets=0:onfail=ignore]{sound_url}",
        format="tee",
        vcodec="rawvideo",
        pix_fmt="rgb24",
        fps_mode="passthrough",
        acodec="pcm_s16le",
        ac=1,
        ar=SAMPLE_RATE_HZ,
        af="aresample=async=1:first_pts=0",
    )


def _duration(info: MediaInfo, frames: FrameSink, sound_s: float) -> float:
    """End of the last thing shown or heard.

    The announced end is believed if until then the last frame would be shown no longer than 1 s, or twice as long as
    any before (slides); else the rest is missing.
    """
    frame_s = 1 / (info.fps or _FIRST_RATE)
    seen_s = max(frames.last_s + min(frame_s, frames.step_s), sound_s)
    announced_s = info.duration_s or 0.0
    if info.estimated or announced_s > seen_s + max(_HELD_S, 2 * frames.longest_s):
        return seen_s
    return max(announced_s, seen_s)


class _Choice:
    """Picks frames of spans and stacks them; `arrays` grows by one a span."""

    def __init__(
        self, times_s: NDArray[np.float64], pictures: dict[int, NDArray[np.uint8]], step_s: float
    ) -> None:
        self.arrays: list[np.ndarray] = []
        self._times_s = times_s
        self._pictures = pictures
        self._step_s = step_s

    def clip(self, span_s: tuple[float, float], count: int) -> ClipContent:
        """Frames of one span."""
        indices = pick(self._times_s, span_s, count, self._step_s)
        self.arrays.append(np.stack([self._pictures[i] for i in indices]))
        times_s = tuple(round(float(self._times_s[i]), 3) for i in indices)
        return ClipContent(span_s[0], span_s[1], times_s, len(self.arrays) - 1)

    def next_clip(self, span_s: tuple[float, float], count: int) -> ClipContent:
        """The same, letting go of all frames before it, so that they are not held twice."""
        clip = self.clip(span_s, count)
        first = int(np.searchsorted(self._times_s, clip.frame_times_s[0] - 0.001))
        for index in [i for i in self._pictures if i < first]:
            del self._pictures[index]
        return clip


def _video(
    info: MediaInfo,
    cuts_s: tuple[float, ...],
    duration_s: float,
    choice: _Choice,
    options: DecodeOptions,
) -> VideoContent:
    cutting = options.segmentation
    borders = clip_borders(cuts_s, duration_s, cutting.clip_s, cutting.tail_s)
    whole = choice.clip((0.0, duration_s), cutting.video_frames)
    return VideoContent(
        duration_s=duration_s,
        width=info.width,
        height=info.height,
        fps=info.fps,
        clips=tuple(choice.next_clip(span, cutting.clip_frames) for span in borders),
        whole=whole,
        scene_cuts_s=cuts_s,
        metadata=info.tags,
    )


def _with_sound(
    content: Content,
    arrays: list[np.ndarray],
    samples: NDArray[np.int16],
    info: MediaInfo,
    options: DecodeOptions,
) -> tuple[Content, tuple[np.ndarray, ...]]:
    if not len(samples):
        return content, tuple(arrays)
    keep = keeps_samples(options)
    sound = sound_content(samples, info, len(arrays) if keep else None)
    return replace(content, sound=sound), (*arrays, *([samples] if keep else []))
