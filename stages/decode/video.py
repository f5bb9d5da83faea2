"""Video through one ffmpeg decode: frames at model size, frames to read, sound and scene borders, in the same pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import ffmpeg
import numpy as np

from schemas.content import SAMPLE_RATE_HZ, ClipContent, Content, ScreenContent, VideoContent
from stages.decode import _ffmpeg
from stages.decode._clips import clip_borders, pick
from stages.decode._damage import damage, refuse
from stages.decode._fflog import MediaInfo, media_info
from stages.decode._scenes import LEAST_SCORE, SCORE_KEY, ScoreSink
from stages.decode._screens import SCREEN_PX, SCREEN_STEP_S, ScreenSink
from stages.decode._sinks import FRAMES_OVER, FrameSink, SoundSink, check_length, pages_of
from stages.decode._tracks import SOUND_FORMAT, Tracks, read_tracks
from stages.decode.audio import decode_audio, keeps_samples, sound_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from schemas.content import PartialReject
    from stages.decode._sinks import TimedFrames
    from stages.decode.options import DecodeOptions

_FIRST_RATE, _FIRST_S, _RATE = 8, 8, 4  # frames a second to choose from: in the first 8 s, then
_STEP: Final = f"floor(min({_FIRST_RATE}*{{0}},{_RATE}*{{0}}+{_FIRST_S * (_FIRST_RATE - _RATE)}))"
# Without both flags RGB comes out up to 2 levels too dark.
_SCALING: Final = "bicubic+accurate_rnd+full_chroma_int"
_NO_CUTS: Final = (
    100  # scdet scores every frame; which of them is a cut is decided when all are known
)
# What kept frames may take of limits.decode_memory_bytes. Three tenths hold a frame every 2 s for 2 h 22 min.
_FRAME_BYTES_SHARE: Final = 0.3
_SCREEN_BYTES_SHARE: Final = 0.1
_MIN_FRAMES: Final = 256
_HELD_S: Final = 1.0


def decode_video(
    path: Path, media_type: str, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Decode a video once, and fan out frames, clips, the whole, frames to read and the sound track.

    In the same ffmpeg process every frame is scored for scene changes at its own time (filter ``scdet``), up to
    4 frames a second (8 in the first 8 s) are cropped to their centre square and scaled to model size, one every 2 s
    is scaled to be read (at most 1280 pixels wide and high, never enlarged), and the first sound track is resampled
    to mono 16 kHz, padded to the video's clock. Rotation and pixel shape are applied; covers are ignored. Clip
    borders: :func:`stages.decode._clips.clip_borders`. Subtitles and other sound tracks: :mod:`stages.decode._tracks`.

    Kept frames take at most three tenths of `limits.decode_memory_bytes` (by default 4,280 frames of 224 x 224):
    beyond it every second is let go, so after 18 min there are 2 a second to choose from, after 36 min one, after
    1 h 11 min one every 2 s. Frames to read take at most a tenth. The samples take 115 MB an hour.

    Args:
        path: The file.
        media_type: What sniffing found; it chooses ffmpeg's demuxer.
        options: Limits, lengths of clips, frames a clip, side of a frame, and who will read and listen.

    Returns:
        Content with `video` (and `sound`); arrays: frames of the whole, uint8 [n, S, S, 3] with n up to
        `video_frames` (fewer where there are fewer different frames), frames of each clip with n up to
        `clip_frames`, frames to read, uint8 [H, W, 1], then samples, int16 [m]. A file without a picture gives what
        `decode_audio` gives.

    Raises:
        NoContentError: Neither picture nor sound track.
        CorruptError: Nothing could be decoded.
        LimitError: Too long, too large a picture, or too much memory needed.
        TimeoutExceededError: Past `limits.decode_timeout_s`.
        CrashError: ffmpeg died.
        UnsupportedError: Not a type for ffmpeg.
    """
    sinks = _Sinks.of(path, options)
    graph = partial(_graph, path, media_type, options=options)
    run = _ffmpeg.run(path, graph, sinks.all, options.limits)
    if not run.log.has_input:
        refuse(path, run, "header")
    if not media_info(run.log).has_video:
        return decode_audio(path, media_type, options)
    return _fanned_out(path, media_type, run, sinks, options)


@dataclass(frozen=True, slots=True)
class _Sinks:
    """Where the outputs of the one process go; `screens` is None if nobody will read."""

    frames: FrameSink
    scores: ScoreSink
    sound: SoundSink
    screens: ScreenSink | None

    @classmethod
    def of(cls, path: Path, options: DecodeOptions) -> _Sinks:
        """Empty ones, with their limits."""
        limits = options.limits
        budget_bytes = int(limits.decode_memory_bytes * _FRAME_BYTES_SHARE)
        screen_bytes = int(limits.decode_memory_bytes * _SCREEN_BYTES_SHARE)
        frames = FrameSink(
            path,
            size=options.frame_size,
            step_s=1 / _FIRST_RATE,
            capacity=max(_MIN_FRAMES, budget_bytes // (3 * options.frame_size**2)),
            limits=limits,
        )
        screens = ScreenSink(path, limits, screen_bytes) if options.recognition.ocr else None
        return cls(frames, ScoreSink(), SoundSink(path, limits.media_s), screens)

    @property
    def all(self) -> list[_ffmpeg.Sink]:
        """In the order in which :func:`_graph` takes their URLs."""
        pairs: list[TimedFrames] = [self.frames, *([self.screens] if self.screens else [])]
        return [self.scores, self.sound, *(sink for pair in pairs for sink in (pair.times, pair))]


def _fanned_out(
    path: Path, media_type: str, run: _ffmpeg.Run, sinks: _Sinks, options: DecodeOptions
) -> tuple[Content, tuple[np.ndarray, ...]]:
    """Content and arrays out of what came through."""
    info = media_info(run.log)
    samples = sinks.sound.samples()
    times_s, pictures = sinks.frames.frames()
    if not pictures and not len(samples):
        refuse(path, run, "picture or sound")
    tracks = read_tracks(path, media_type, info, options)
    samples = samples if tracks.samples is None else tracks.samples
    sound_s = len(samples) / SAMPLE_RATE_HZ
    duration_s = _duration(info, sinks.frames, sound_s)
    check_length(path, duration_s, options.limits.media_s)
    decoded_s = max(sound_s, duration_s if pictures else 0.0, tracks.last_s)
    content = _described(media_type, info, tracks, damage(run, info, decoded_s))
    choice = _Choice(times_s, pictures, max(1 / _RATE, sinks.frames.step_s))
    if pictures:
        video = _video(info, sinks.scores.cuts_s(), duration_s, choice, options)
        screens = _screens(sinks.screens, duration_s, choice.arrays)
        video = replace(video, screens=screens, subtitles=tracks.subtitles)
        content = replace(content, video=video)
    else:
        content = content.with_note("no picture could be decoded; only the sound is indexed")
    return _with_sound(content, choice.arrays, samples, info, options)


def _graph(path: Path, media_type: str, urls: Sequence[str], *, options: DecodeOptions) -> Any:
    """The picture, scored and limited once, then split; a sound track if there is one: no probe is needed first."""
    scores_url, sound_url, times_url, frames_url, *screen_urls = urls
    media = _ffmpeg.source(path, media_type, max_pixels=options.limits.pixels)
    over, (key, value) = f"gte(n,{options.limits.frames})", FRAMES_OVER
    scored = (
        media["V:0"]
        .filter("scdet", threshold=_NO_CUTS)
        .filter(
            "metadata",
            mode="print",
            key=SCORE_KEY,
            value=LEAST_SCORE,
            function="greater",
            file=scores_url,
        )
        .filter("metadata", mode="add", key=key, value=value, enable=over)
    )
    if not screen_urls:
        return _model_output(scored, media, over, (times_url, frames_url, sound_url), options)
    both = scored.filter_multi_output("split")
    return ffmpeg.merge_outputs(
        _model_output(both[0], media, over, (times_url, frames_url, sound_url), options),
        _screen_output(both[1], screen_urls),
    )


def _model_output(
    scored: Any, media: Any, over: str, urls: tuple[str, str, str], options: DecodeOptions
) -> Any:
    """Frames at model size and the sound: the muxer ``tee`` does without a track that is not there."""
    times_url, frames_url, sound_url = urls
    frames = (
        scored.filter(
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
        **SOUND_FORMAT,
    )


def _screen_output(scored: Any, urls: Sequence[str]) -> Any:
    """Frames to read, in the size of the first one, whatever the file does in its middle (``-autoscale``)."""
    times_url, frames_url = urls
    shrink = f"min(1,{SCREEN_PX}/max(iw*sar,ih))"
    frames = (
        scored.filter("select", f"isnan(prev_selected_t)+gte(t-prev_selected_t,{SCREEN_STEP_S})")
        .filter("metadata", mode="print", file=times_url, direct=1)
        .filter("scale", f"max(1,trunc(iw*sar*{shrink}))", f"max(1,trunc(ih*{shrink}))")
        .filter("format", "gray")
    )
    return ffmpeg.output(frames, frames_url, format="yuv4mpegpipe", fps_mode="passthrough")


def _described(
    media_type: str,
    info: MediaInfo,
    tracks: Tracks,
    lost: tuple[tuple[str, ...], tuple[PartialReject, ...]],
) -> Content:
    notes, rejects = lost
    return Content(
        media_type,
        title=dict(info.tags).get("title", ""),
        notes=(*tracks.notes, *notes),
        rejects=(*tracks.rejects, *rejects),
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
        frames = [self._pictures[i] for i in indices]
        self.arrays.append(np.stack(frames, out=pages_of((len(frames), *frames[0].shape))))
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


def _screens(
    sink: ScreenSink | None, duration_s: float, arrays: list[np.ndarray]
) -> tuple[ScreenContent, ...]:
    """The frames to read, put behind `arrays`."""
    found = []
    for start_s, end_s, picture in sink.screens(duration_s) if sink else []:
        found.append(ScreenContent(start_s, end_s, len(arrays)))
        arrays.append(picture[:, :, np.newaxis])
    return tuple(found)
