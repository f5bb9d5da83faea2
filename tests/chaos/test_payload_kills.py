"""Runs that keep pixels, killed between any two writes: what they leave is whole, and gc takes what nothing names."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.payloads import Payloads
from tests.chaos.forks import Forks
from tests.chaos.lakes import write_pdf, write_png
from tests.chaos.tally import tally
from tests.chaos.test_kills import POINTS, SEED, knows_private
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

HOW = {"config": "keeping"}


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    write_png(tmp_path / "corpus" / "picture.png", "noise")
    write_png(tmp_path / "corpus" / "private.png", "private")
    write_pdf(tmp_path / "corpus" / "page.pdf", "Flour is ground between two stones.")
    return tmp_path


def kept(folder: Path) -> list[str]:
    payloads = Payloads(Mill(folder).lake.blobs)
    assert payloads.faults(lambda *_: None) == {}
    return list(payloads.sizes())


def named(folder: Path) -> int:
    rows = Mill(folder).lake.live_units(columns=["pixels_hash"])["pixels_hash"]
    return len(set(rows.to_pylist()) - {""})


def chosen(points: list[str]) -> list[int]:
    """All that are about payloads, or some of them, and the last before the units are named."""
    about = [number for number, point in enumerate(points) if "payloads" in point]
    assert about
    if POINTS == "all":
        return list(range(len(points)))
    return random.Random(SEED).sample(about, min(int(POINTS), len(about)))


def test_a_killed_run_leaves_whole_payloads_and_gc_takes_those_of_nothing(folder, forks):
    points = forks.work(folder, "ingest", **HOW)["points"]
    expected = kept(folder)
    assert len(expected) == 3
    for number in chosen(points):
        for recovers in (False, True):
            shutil.rmtree(folder / "lake")
            assert forks.kill(folder, "ingest", number=number, **HOW)
            assert set(kept(folder)) <= set(expected)
            if recovers:
                forks.work(folder, "ingest", **HOW)
                assert kept(folder) == expected
            forks.work(folder, "gc", **HOW)
            assert len(kept(folder)) == named(folder) == (3 if recovers else named(folder))
            tally("run that keeps pixels", "driver, at a named point")


def test_a_killed_purge_is_finished_and_leaves_no_payload(folder, forks):
    forks.work(folder, "run", **HOW)
    shutil.copytree(folder / "lake", folder / "before")
    points = forks.work(folder, "purge", "private.png", **HOW)["points"]
    expected = kept(folder)
    assert len(expected) == 2
    for number in chosen(points):
        shutil.rmtree(folder / "lake")
        shutil.copytree(folder / "before", folder / "lake")
        assert forks.kill(folder, "purge", "private.png", number=number, **HOW)
        if knows_private(folder):
            forks.work(folder, "purge", "private.png", **HOW)
        assert kept(folder) == expected
        tally("purge of kept pixels", "driver, at a named point")
