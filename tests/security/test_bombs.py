"""Files that expand, nest, multiply or never end cost themselves and seconds, and the refusal says what to raise."""

from __future__ import annotations

import os
import re
import struct
import threading
import time
import zlib
from itertools import count
from typing import TYPE_CHECKING

import pytest

from flows import wiring
from schemas.config import Config, Limits, Recognition
from schemas.engine import Answer, Failure, Task
from tests.files import decode_request
from tests.security import bombs
from tests.security.bombs import MIB
from tests.unit.stages.decode.media import lavfi, make

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
QUICK = Config(
    limits=Limits(decode_timeout_s=3, expanded_bytes=16 * MIB, media_s=60, frames=1000),
    recognition=Recognition(ocr=False, speech=False, sound_tags=False),
)

ENOUGH_S = 10


@pytest.fixture(scope="module")
def stage():
    made = wiring.stage_specs(QUICK)[0].factory()
    made.setup()
    return made


def answer_to(stage, path: Path) -> Answer | Failure:
    """Soon: by the work of this process, as others may be at work beside it; waiting counts too, but less."""
    began_s, worked_s = time.monotonic(), time.process_time()
    (answer,) = stage.process([Task(decode_request(path))])
    assert time.process_time() - worked_s < ENOUGH_S
    assert time.monotonic() - began_s < 6 * ENOUGH_S
    return answer


def refusal(stage, path: Path) -> tuple[str, str]:
    failure = answer_to(stage, path)
    assert isinstance(failure, Failure), failure
    return failure.code, failure.reason


PICTURES = {
    "a.png": bombs.png(60_000, 60_000),
    "a.gif": bombs.gif(60_000, 60_000),
    "a.tif": bombs.tiff(60_000, 60_000),
    "a.webp": bombs.webp(16_384, 16_384),
}
PACKED = (b"a\0\0" + zlib.compress(b"\0" * (64 * MIB), 9), b"a\0\1\0\0\0")
EXPANDING = {
    "ztxt.png": bombs.png(9, 9, (b"zTXt", PACKED[0])),
    "itxt.png": bombs.png(9, 9, (b"iTXt", PACKED[1] + PACKED[0][3:])),
    "iccp.png": bombs.png(9, 9, (b"iCCP", PACKED[0])),
    "once.pdf": bombs.flate_bomb(1, 64 * MIB),
    "twice.pdf": bombs.flate_bomb(2, 1024 * MIB),
    "form.pdf": bombs.form_bomb(64 * MIB),
}
NESTED = {
    "a.html": b"<html><body>" + b"<div>a" * 100_000,
    "a.md": b"# x\n\n" + b"> " * 100_000 + b"a\n",
    "list.md": b"# x\n\n" + b"- " * 100_000 + b"a\n",
}
PAGES = {
    "million.pdf": bombs.many_pages(1000, 2),
    "loop.pdf": bombs.looping_pages(),
    "count.pdf": bombs.lying_count(1 << 31),
    "negative.pdf": bombs.lying_count(-5),
}
ARCHIVES = {
    "a.docx": bombs.zip_bomb("word/document.xml", 64 * MIB),
    "a.zip": bombs.zip_bomb("a", 8 * MIB, layers=3),
    "a.svg.gz": b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + zlib.compress(b"\0" * (64 * MIB))[2:],
}


@pytest.mark.parametrize(
    ("named", "code", "says"),
    [
        (PICTURES, "limit", "limits.pixels"),
        (EXPANDING, "limit", "limits.expanded_bytes"),
        (NESTED, "limit", "limits.nesting"),
        (PAGES, "corrupt", "pages cannot be counted"),
        (ARCHIVES, "unsupported", "has no decoder"),
    ],
    ids=["pixels", "expansion", "nesting", "pages", "archives"],
)
def test_bombs_are_refused(stage, tmp_path, named, code, says):
    for name, data in named.items():
        path = tmp_path / name
        path.write_bytes(data)
        got, reason = refusal(stage, path)
        assert (name, got) == (name, code)
        assert says in reason


@pytest.mark.parametrize(
    "data",
    [
        bombs.one_page(bombs.stream(bombs.SHOWN), media_box=b"[0 0 1e9 1e9]"),
        bombs.one_page(bombs.stream(bombs.SHOWN), page=b"/A " + b"[" * 1_000_000),
        bombs.one_page(bombs.stream(b"[" * 1_000_000)),
        b'{"a":' * 100_000,
    ],
    ids=["huge page", "nested object", "nested drawing", "nested json"],
)
def test_what_is_odd_is_read_or_refused_and_harms_nobody(stage, tmp_path, data):
    path = tmp_path / ("a.json" if data[:1] == b"{" else "a.pdf")
    path.write_bytes(data)
    answer = answer_to(stage, path)
    assert isinstance(answer, Answer) or answer.code in ("corrupt", "no_content")


@pytest.mark.parametrize("side", [15_000, 16_384])
def test_frames_that_are_too_large_are_refused(stage, tmp_path, side):
    film = make(tmp_path / "a.avi", *lavfi("testsrc=s=32x32:r=5:d=1"), "-c:v", "mjpeg")
    data, size = film.read_bytes(), struct.pack(">HH", side, side)
    film.write_bytes(re.sub(rb"(\xff\xc0\0\x11\x08)....", rb"\g<1>" + size, data, flags=re.S))
    assert refusal(stage, film)[0] in ("corrupt", "limit")


def test_a_video_of_too_many_frames_is_refused(stage, tmp_path):
    film = make(tmp_path / "a.mp4", *lavfi("testsrc=s=32x32:r=500:d=4"), "-c:v", "mpeg4")
    code, reason = refusal(stage, film)
    assert code == "limit"
    assert "limits.frames = 1000" in reason


def test_a_stream_longer_than_it_says_is_cut_off(stage, tmp_path):
    """Pages of Ogg whose clock never stops, and a WAV that announces nothing and goes on."""
    sound = make(tmp_path / "a.ogg", *lavfi("anoisesrc=d=90:r=16000:a=0.1"), "-c:a", "libvorbis")
    assert refusal(stage, sound)[0] == "limit"
    wave = make(tmp_path / "a.wav", *lavfi("sine=d=90:r=16000"))
    head = bytearray(wave.read_bytes())
    head[4:8] = b"\xff\xff\xff\xff"
    size_at = head.index(b"data") + 4
    head[size_at : size_at + 4] = b"\xff\xff\xff\xff"
    wave.write_bytes(head)
    assert refusal(stage, wave)[0] == "limit"


def test_a_duration_that_lies_is_not_believed(stage, tmp_path):
    film = make(tmp_path / "a.mp4", *lavfi("testsrc=s=32x32:r=5:d=2"), "-c:v", "mpeg4")
    data = bytearray(film.read_bytes())
    at = data.index(b"mvhd")
    data[at + 20 : at + 24] = b"\x7f\xff\xff\xff"
    film.write_bytes(data)
    answer = answer_to(stage, film)
    assert isinstance(answer, Answer)
    assert max(unit.locator.end_s or 0 for unit in answer.value.units) < 10


def test_a_file_that_grows_while_it_is_read_ends(stage, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("The mill grinds.\n")
    done = threading.Event()

    def grow() -> None:
        with path.open("a") as file:
            for _ in count():
                if done.is_set():
                    return
                file.write("More and more and more.\n" * 50)
                file.flush()
                time.sleep(0.001)

    grower = threading.Thread(target=grow)
    grower.start()
    try:
        answer = answer_to(stage, path)  # there may be no write while it is read
        assert isinstance(answer, Answer) or answer.code == "unreadable"
    finally:
        done.set()
        grower.join()


def test_pipes_and_devices_are_not_opened(stage, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "zero.txt").symlink_to("/dev/zero")
    for name in ("pipe.mp4", "zero.txt"):
        assert refusal(stage, tmp_path / name)[0] == "unreadable"
