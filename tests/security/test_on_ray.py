"""Through the real engine: what bursts memory, hangs or dies costs its file, and its neighbours come through."""

from __future__ import annotations

import time

import pytest

from flows import wiring
from schemas.config import Config, Limits, Recognition
from tests.contracts.engine_items import codes, drain
from tests.files import decode_request
from tests.security import bombs
from tests.security.bombs import MIB

pytestmark = [pytest.mark.ray, pytest.mark.slow]
NO_RECOGNITION = Recognition(ocr=False, speech=False, sound_tags=False)


def burst(times: int) -> bytes:
    """A page of which every byte becomes many in memory: strokes that MuPDF keeps as a list."""
    return bombs.flate_bomb(2, times * MIB, b"0 0 m 9 9 l S ")


def outcomes_of(ray_executor, tmp_path, limits: Limits, files: dict[str, bytes]):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    spec = wiring.stage_specs(Config(limits=limits, recognition=NO_RECOGNITION))[0]
    with ray_executor.open([spec]) as session:
        for name in files:
            path = tmp_path / name
            session.submit("decode", name, decode_request(path))
        return drain(session)


GOOD = {"good.txt": b"The mill grinds.\n", "good.pdf": bombs.one_page(bombs.stream(bombs.SHOWN))}


def test_a_file_that_bursts_memory_is_oom(ray_executor, tmp_path):
    started_s = time.monotonic()
    limits = Limits(decode_memory_bytes=200 * MIB, decode_timeout_s=60)
    outcomes = outcomes_of(
        ray_executor, tmp_path, limits, {"first.txt": b"One.\n", "bad.pdf": burst(200), **GOOD}
    )
    assert codes(outcomes) == {"bad.pdf": "oom"}
    assert outcomes["bad.pdf"].attempts == 2
    assert time.monotonic() - started_s < 60


@pytest.mark.long  # the engine's own suite has a deadline as well
def test_a_file_that_takes_too_long_is_timeout(ray_executor, tmp_path):
    limits = Limits(decode_timeout_s=3)
    outcomes = outcomes_of(
        ray_executor, tmp_path, limits, {"bad.pdf": bombs.laughing_forms(), **GOOD}
    )
    assert codes(outcomes) == {"bad.pdf": "timeout"}
    assert outcomes["bad.pdf"].attempts == 1
    assert outcomes["bad.pdf"].seconds < 10
