"""The measurement of decoding: counts frames right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.media_decode import measure, together
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path


def test_every_frame_is_decoded_once_with_two_sound_tracks_and_subtitles(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,500 --> 00:00:01,000\nwords\n\n")
    path = make(
        tmp_path / "v.mkv",
        *lavfi("testsrc=s=64x64:d=2:r=25", "sine=d=2", "sine=d=2"),
        *["-i", str(tmp_path / "a.srt")],
        *[word for i in range(4) for word in ("-map", str(i))],
        *["-c:v", "mpeg4", "-c:a", "flac", "-c:s", "srt"],
        *["-disposition:a:0", "0", "-disposition:a:1", "default"],
    )
    row = measure(path, 1)
    assert (row["frames"], row["amplification"]) == (50, 1.0)
    assert row["share_of_bare"] > 0
    total = together([row, row])
    assert (total["files"], total["frames"], total["amplification"]) == (2, 100, 1.0)
    assert total["peak_mib"] > 1
