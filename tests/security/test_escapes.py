"""A file that points elsewhere fetches nothing, with the kernel's fence and without it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from flows import wiring
from schemas.config import Config
from schemas.engine import Answer, Task
from schemas.errors import SourceError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.messages import Milled
from tests.files import decode_request
from tests.security.lures import lures
from tests.security.trap import CANARY, Trap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemas.engine import Stage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = wiring.stage_specs(Config())[0].factory()
    made.setup()
    yield made
    made.teardown()


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    with Trap(tmp_path_factory.mktemp("secret") / "secret.txt") as trap:
        yield trap


@pytest.fixture(scope="module")
def baits(tmp_path_factory: pytest.TempPathFactory, trap: Trap) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lures")
    paths = {}
    for name, (suffix, data) in lures(folder, trap.secret, trap.url).items():
        paths[name] = folder / f"{name}.{suffix}"
        paths[name].write_bytes(data)
    return paths


def test_nothing_is_fetched_by_the_stage(stage: Stage, trap: Trap, baits: dict[str, Path]):
    indexed = []
    for name, path in baits.items():
        (answer,) = stage.process([Task(decode_request(path))])
        assert CANARY not in repr(answer), name
        if isinstance(answer, Answer) and isinstance(answer.value, Milled):
            indexed.append(name)
        assert isinstance(answer, Answer) or answer.code != "error", (name, answer)
    assert trap.calls == []
    # They are real files of their kinds, not refused for being broken.
    assert {"html", "markdown", "pdf with actions", "pdf with external images"} <= set(indexed)


def test_nothing_is_fetched_without_the_fence(trap: Trap, baits: dict[str, Path]):
    for name, path in baits.items():
        try:
            found = repr(decode(path, path.suffix[1:], DecodeOptions()))
        except SourceError as error:
            found = str(error)
        assert CANARY not in found, name
    assert trap.calls == []


def test_the_trap_snaps(tmp_path: Path):
    import socket

    with Trap(tmp_path / "secret.txt") as trap:
        socket.create_connection(("127.0.0.1", trap.port)).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", ("127.0.0.1", trap.port))
        until = time.monotonic() + 5
        while len(trap.calls) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert sorted(trap.stop()) == ["tcp", "udp"]
