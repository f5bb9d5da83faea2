"""Every row of DECODERS: an example decodes, always to the same; a part of it gives content or a SourceError."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from schemas.config import Limits, Recognition
from schemas.content_json import content_from_plain, content_to_plain
from schemas.errors import SourceError
from stages.decode._fence import fenced
from stages.decode._ffmpeg import program
from stages.decode.options import DecodeOptions
from stages.decode.registry import DECODERS, decode
from stages.decode.sniff import sniff
from stages.segment.hashes import with_hashes
from stages.segment.options import SegmentOptions
from stages.segment.registry import segment
from tests.contracts.decoder_examples import MAKERS, MEDIA

if TYPE_CHECKING:
    from pathlib import Path

    from schemas.content import Content

OPTIONS = DecodeOptions(
    limits=Limits(decode_timeout_s=30),
    recognition=Recognition(ocr=False, speech=False, sound_tags=False),
)
SHARES = (0.02, 0.3, 0.5, 0.9, 0.99)
EACH = [
    pytest.param(suffix, marks=pytest.mark.slow) if suffix in MEDIA else suffix
    for suffix in sorted(MAKERS)
]


def content_or_none(path: Path, suffix: str) -> Content | None:
    """The content, or nothing where the file is refused; anything else that is raised fails the test."""
    try:
        return decode(path, suffix, OPTIONS)[0]
    except SourceError:
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


def example(folder: Path, suffix: str) -> Path:
    """The example of this suffix, made when it is first asked for."""
    path = folder / f"example.{suffix}"
    if not path.exists():
        MAKERS[suffix](path)
    return path


@pytest.mark.slow
def test_every_row_has_an_example(folder: Path) -> None:
    made = {sniff(example(folder, suffix), suffix) for suffix in MAKERS}
    missing = set(DECODERS) - made
    assert not missing, f"add a maker to tests/contracts/decoder_examples.py for {sorted(missing)}"
    assert made == set(DECODERS)


@pytest.mark.parametrize("suffix", EACH)
def test_an_example_gives_units_and_always_the_same(folder: Path, suffix: str) -> None:
    path = example(folder, suffix)
    media_type = sniff(path, suffix)
    content, arrays = decode(path, suffix, OPTIONS)
    assert content.media_type == media_type
    assert content.rejects == ()
    if content.sound is None:  # which has units once it is recognised
        units = segment("source", content, arrays, SegmentOptions())
        assert units
        # What is kept of it is cut into the very same, though its pictures are out of reach.
        text = json.dumps(content_to_plain(with_hashes(content, arrays)))
        kept = content_from_plain(json.loads(text))
        assert segment("source", kept, (), SegmentOptions()) == units
    again, same = decode(path, suffix, OPTIONS)
    assert again == content
    assert len(same) == len(arrays)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, same, strict=True))


@pytest.mark.parametrize("suffix", EACH)
def test_an_example_decodes_behind_the_fence(folder: Path, suffix: str) -> None:
    path = example(folder, suffix)
    work = partial(decode, path, suffix, OPTIONS)
    assert fenced(path, work, program=program())[0] == work()[0]


@pytest.mark.parametrize("suffix", EACH)
def test_a_part_of_an_example_gives_content_or_a_source_error(
    folder: Path, suffix: str, tmp_path: Path
) -> None:
    data = example(folder, suffix).read_bytes()
    path = tmp_path / f"part.{suffix}"
    for share in SHARES:
        path.write_bytes(data[: int(len(data) * share)])
        content = content_or_none(path, suffix)
        assert content is None or content.media_type == sniff(path, suffix)


@pytest.mark.parametrize("suffix", EACH)
def test_spoilt_bytes_give_content_or_a_source_error(
    folder: Path, suffix: str, tmp_path: Path
) -> None:
    data = example(folder, suffix).read_bytes()
    random = np.random.default_rng(len(data))
    path = tmp_path / f"spoilt.{suffix}"
    for _ in range(3):
        spoilt = bytearray(data)
        for place in random.integers(0, len(data), 1 + len(data) // 500):
            spoilt[place] = int(random.integers(256))
        path.write_bytes(spoilt)
        content = content_or_none(path, suffix)
        assert content is None or content.media_type == sniff(path, suffix)
