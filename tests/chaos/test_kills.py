"""Killed between any two writes or at any moment, and started again: nothing lost, nothing twice, nothing different.

`make chaos` kills at every point and at many moments; CI at one point of each kind of work.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.forget import has_begun
from infra.lake import paths
from tests.chaos.forks import Forks
from tests.chaos.lakes import change_corpus, first_corpus, shown_by
from tests.chaos.tally import tally
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

POINTS = os.environ.get("GRISTMILL_CHAOS_POINTS", "1")  # of each kind of work; "all" for every one
MOMENTS = int(os.environ.get("GRISTMILL_CHAOS_MOMENTS", "25"))  # of each kind of work
SEED = int(os.environ.get("GRISTMILL_CHAOS_SEED", "20261121"))  # which of them
WORK = {"first run": "run", "second run": "run", "gc": "gc", "forget": "purge"}


@dataclass(frozen=True)
class Scene:
    """A piece of work: the lake before it, its points and seconds, and what an undisturbed one leaves."""

    before: Path
    what: str
    names: list[str]
    points: list[str]
    seconds: float
    expected: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where it was undisturbed: the place of a lake is part of its uris, so each is killed there."""
        return self.before.parent / "whole"

    def restore(self) -> None:
        """Put everything back to what it was before the work."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.before, self.folder)

    def recover(self, forks: Forks) -> None:
        """The same command again, unless it had done all it had to."""
        if self.what != "purge" or knows_private(self.folder):
            forks.work(self.folder, self.what, *self.names)


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> dict[str, Scene]:
    base = tmp_path_factory.mktemp("chaos")
    found = {}
    forks.work(base, "ingest")  # starting takes longer than what is measured here
    shutil.rmtree(base / "lake")
    shutil.rmtree(base / "corpus")
    folder = base / "whole"
    folder.mkdir()
    first_corpus(folder / "corpus")
    for name, what in WORK.items():
        if name == "second run":
            change_corpus(folder / "corpus")
        before = base / f"before {name}"
        shutil.copytree(folder, before)
        started_s = time.monotonic()
        names = ["*private*"] if what == "purge" else []
        points = forks.work(folder, what, *names)["points"]
        seconds = time.monotonic() - started_s
        found[name] = Scene(before, what, names, points, seconds, shown_by(Mill(folder)))
    return found


@pytest.mark.parametrize("name", WORK)
def test_a_kill_at_any_write_changes_nothing(scenes, forks, name):
    scene = scenes[name]
    chosen = range(len(scene.points))
    if POINTS != "all":
        chosen = random.Random(SEED).sample(chosen, min(int(POINTS), len(chosen)))
    for number in chosen:
        scene.restore()
        assert forks.kill(scene.folder, scene.what, *scene.names, number=number), (name, number)
        scene.recover(forks)
        assert shown_by(Mill(scene.folder)) == scene.expected, (name, scene.points[number])
        tally(name, "driver, at a named point")


@pytest.mark.long
@pytest.mark.parametrize("name", WORK)
def test_a_kill_at_any_moment_changes_nothing(scenes, forks, name):
    scene = scenes[name]
    rng = random.Random(SEED)
    for _ in range(MOMENTS):
        scene.restore()
        after_s = rng.uniform(0, scene.seconds)
        killed = forks.kill(scene.folder, scene.what, *scene.names, after_s=after_s)
        scene.recover(forks)
        assert shown_by(Mill(scene.folder)) == scene.expected, (name, after_s)
        if killed:
            tally(name, "driver, at a random moment")


def knows_private(folder: Path) -> bool:
    """Whether there still is something for the same `forget` to do."""
    lake = Mill(folder).lake
    rows = lake.view().all_rows(paths.SOURCES, ["path"])["path"].to_pylist()
    return has_begun(lake.blobs) or any("private" in path for path in rows)
