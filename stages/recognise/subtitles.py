"""Subtitles that say what is spoken stand for the transcript: people wrote them, names and all.

Whether they do is not asked of language marks, which are often missing or wrong, but of the words: subtitles in
another language, of a commentary, or out of step have few of the recognised words at their times.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import Content, SpokenWords, VideoContent

_AGREES: Final = (
    0.5  # of the words recognised: small speech models get a fifth to a third of them wrong
)
_SLACK_S: Final = 2.0  # subtitles come a little early and stay a little longer
_LONGEST_S: Final = 60  # of a line or passage, as far as is looked; an end may be a lie
_SPACELESS: Final = "\u3040-\u30ff\u3400-\u9fff"  # kana and han: every character counts as a word
_WORD: Final = re.compile(rf"[{_SPACELESS}]|[^\W{_SPACELESS}]+")


def with_subtitles(content: Content) -> Content:
    """Settle which of transcript and subtitles is shown; call it when speech has been recognised.

    If at least half of the recognised words are in a text track at their time, the track becomes the transcript, and
    no subtitles are left: translations of it would say it again. Else the first track stays beside the transcript.
    """
    video, sound = content.video, content.sound
    if video is None or not video.subtitles:
        return content
    shares = [agreement(sound.words if sound else (), track.lines) for track in video.subtitles]
    best = max(range(len(shares)), key=lambda i: (shares[i], -i))
    if sound is None or shares[best] < _AGREES:
        return replace(content, video=_only_first(video))
    track = video.subtitles[best]
    named = f" ({track.language})" if track.language else ""
    note = (
        f"the subtitles{named} are taken for the transcript: {shares[best]:.0%} of the words"
        " recognised are in them"
    )
    sound = replace(sound, words=track.lines)
    return replace(content, sound=sound, video=replace(video, subtitles=())).with_note(note)


def agreement(words: Sequence[SpokenWords], lines: Sequence[SpokenWords]) -> float:
    """Share of the words in `words` that are also in those of `lines` that are shown at most 2 s away, 0..1.

    Example:
        >>> heard = [SpokenWords(1.0, 3.0, "the sluis is open")]
        >>> agreement(heard, [SpokenWords(0.5, 2.0, "The sluice is open!")])
        0.75
    """
    places: defaultdict[int, list[int]] = defaultdict(list)
    bags = [Counter(_words(line.text)) for line in lines]
    for place, line in enumerate(lines):
        for second in _seconds(line.start_s - _SLACK_S, line.end_s + _SLACK_S):
            places[second].append(place)
    said = found = 0
    for passage in words:
        spoken = Counter(_words(passage.text))
        near = {
            place for second in _seconds(passage.start_s, passage.end_s) for place in places[second]
        }
        shown = sum((bags[place] for place in sorted(near)), start=Counter())
        said += spoken.total()
        found += (spoken & shown).total()
    return found / said if said else 0.0


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _seconds(start_s: float, end_s: float) -> range:
    """Whole seconds that a span touches."""
    return range(int(start_s), int(min(end_s, start_s + _LONGEST_S)) + 1)


def _only_first(video: VideoContent) -> VideoContent:
    return replace(video, subtitles=video.subtitles[:1])
