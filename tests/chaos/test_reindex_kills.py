"""Reindexing, cutting anew and dropping, killed between any two writes: done again, it is what was wanted."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.manifests import read_manifest
from flows.verify import verify_lake
from infra import pointer
from schemas.manifest import Manifest
from tests.chaos.driver import CONFIGS
from tests.chaos.forks import Forks
from tests.chaos.lakes import write_png
from tests.chaos.tally import tally
from tests.chaos.test_kills import POINTS, SEED
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

TEXT = "The miller fills the hopper in the morning. " * 5


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "long.txt").write_text(TEXT)
    (tmp_path / "corpus" / "short.txt").write_text("The wheel turns.")
    write_png(tmp_path / "corpus" / "picture.png", "noise")
    return tmp_path


def published(folder: Path) -> Manifest:
    blobs = Mill(folder).lake.blobs
    return read_manifest(blobs, str(pointer.current(blobs)))


def check_whole(folder: Path, config: str) -> None:
    mill = Mill(folder, CONFIGS[config])
    assert verify_lake(mill.lake, mill.config, lambda *_: None).findings == []


def chosen(points: list[str]) -> list[int]:
    """Some of the points, or all of them if so asked."""
    numbers = range(len(points))
    if POINTS == "all":
        return list(numbers)
    return sorted(random.Random(SEED).sample(numbers, min(int(POINTS), len(points))))


def check_every_kill(folder: Path, forks: Forks, what: str, *names: str, config: str) -> None:
    """Killed at any point, what is published is the old snapshot or the new one; done again, it is the new one."""
    old = published(folder).snapshot_id
    shutil.copytree(folder / "lake", folder / "before")
    points = forks.work(folder, what, *names, config=config)["points"]
    new = published(folder).snapshot_id
    assert new != old
    for number in chosen(points):
        shutil.rmtree(folder / "lake")
        shutil.copytree(folder / "before", folder / "lake")
        assert forks.kill(folder, what, *names, number=number, config=config)
        assert published(folder).snapshot_id in (old, new)
        check_whole(folder, config)
        forks.work(folder, what, *names, config=config)
        assert published(folder).snapshot_id == new
        check_whole(folder, config)
        tally(f"{what} {' '.join(names)}", "driver, at a named point")


def test_a_killed_reindex_serves_the_old_and_is_finished(folder, forks):
    forks.work(folder, "run", config="text alone")
    check_every_kill(folder, forks, "reindex", "conse", config="text alone")


def test_a_killed_cutting_anew_serves_the_old_and_is_finished(folder, forks):
    forks.work(folder, "run", config="keeping content")
    check_every_kill(folder, forks, "reindex", config="cut short")


def test_a_killed_drop_serves_the_old_or_the_new_and_is_finished(folder, forks):
    forks.work(folder, "run", config="plain")
    check_every_kill(folder, forks, "drop", "conse", config="text alone")
    forks.work(folder, "gc", config="text alone")
    assert [space.name for space in published(folder).spaces] == ["minilm"]
    assert Mill(folder).lake.space_keys() == [published(folder).spaces[0].key]
