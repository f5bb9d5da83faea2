"""A serving process: opens what is published, over and over, and notes down what it saw. Run by test_readers.py."""

import json
import os
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import gristmill
from tests.tiny_snapshots import ROWS, wrong_answers

_HELD_READS = (
    25  # reads during which an opened snapshot is asked again, whatever becomes of the lake
)
# What a serving process must not need.
_ENGINE = {"ray", "prefect", "deltalake", "torch", "pydantic", "transformers", "obstore"}


@dataclass(frozen=True)
class Counters:
    """Numbers that processes share: publications that began, those that returned, and the reads of each reader."""

    path: Path
    BEGUN = 0
    DONE = 1
    READS = 2

    def get(self, slot: int) -> int:
        return self._all()[slot]

    def set(self, slot: int, value: int) -> None:
        with self.path.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), struct.pack("<q", value), 8 * slot)

    def reads(self) -> int:
        return sum(self._all()[self.READS :])

    def _all(self) -> tuple[int, ...]:
        data = self.path.read_bytes()
        return struct.unpack(f"<{len(data) // 8}q", data)


def read(url: str, counters: Counters, slot: int, reads: int, moves: int) -> dict:
    seen, wrong, held = [], [], None
    for number in range(reads):
        while counters.get(Counters.DONE) < number * moves // reads:
            time.sleep(0.001)  # the publisher may be one move behind, no more
        floor = counters.get(Counters.DONE)
        snapshot = gristmill.open_snapshot(url, verify=True)
        ceiling = counters.get(Counters.BEGUN)
        seen.append((floor, ceiling, snapshot.manifest.snapshot_id))
        wrong += wrong_answers(snapshot, number % ROWS)
        held = snapshot if number % _HELD_READS == 0 else held
        wrong += wrong_answers(held, (number + 1) % ROWS)
        counters.set(slot, number + 1)
    engine = _ENGINE - ({"obstore"} if "://" in url else set())
    return {"seen": seen, "wrong": wrong, "needed": sorted(engine & sys.modules.keys())}


if __name__ == "__main__":
    lake, shared, *numbers = sys.argv[1:]
    at, count, publications = map(int, numbers)
    print(json.dumps(read(lake, Counters(Path(shared)), Counters.READS + at, count, publications)))  # noqa: T201 - its answer
