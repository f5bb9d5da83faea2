"""Killed at every point between two writes, and started again: nothing lost, nothing twice, nothing different.

`make chaos` kills at every point; CI at one of each kind of work.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows import snapshots
from flows.forget import has_begun
from infra import pointer
from infra.lake import paths
from stages.index.verify import verify
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

ROOT = Path(__file__).parents[2]
POINTS = os.environ.get("GRISTMILL_CHAOS_POINTS", "1")  # of each kind of work; "all" for every one
SEED = int(os.environ.get("GRISTMILL_CHAOS_SEED", "20261121"))  # which of them
MILLS = "The mill has a wheel, the wheel has nine paddles."


def first_corpus(corpus: Path) -> None:
    """Texts, a table, one thing twice, something broken, something private."""
    corpus.mkdir()
    (corpus / "mill.txt").write_text(MILLS)
    (corpus / "copy.txt").write_text(MILLS)
    (corpus / "prices.csv").write_text("grain,price\nwheat,3\nrye,2\n")
    (corpus / "broken.pdf").write_text("%PDF-1.4 nothing")
    (corpus / "my private notes.md").write_text("# Notes\n\nThe key lies under the third stone.")
    (corpus / "goes.txt").write_text("This one will be deleted.")


def change_corpus(corpus: Path) -> None:
    """One file each that is new, changed, moved, deleted, and mended."""
    (corpus / "new.txt").write_text("A new page about bread.")
    (corpus / "prices.csv").write_text("grain,price\nwheat,4\nrye,2\n")
    (corpus / "mill.txt").rename(corpus / "moved.txt")
    (corpus / "goes.txt").unlink()
    (corpus / "broken.pdf").write_text("It is a text after all.")


def drive(folder: Path, what: str, number: int | None = None) -> list[str]:
    """Run the driver; gives its points if it was to live."""
    command = [sys.executable, "-m", "tests.chaos.driver", str(folder), what]
    command += [] if number is None else [str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if number is None:
        assert done.returncode == 0, done.stderr
        points: list[str] = json.loads(done.stdout.splitlines()[-1])
        return points
    assert done.returncode == -9, (number, done.returncode, done.stderr)
    return []


def state(folder: Path) -> dict:
    """All that a lake shows, but for when and by which run."""
    mill = Mill(folder)
    current = pointer.current(mill.lake.blobs)
    manifest = snapshots.read_manifest(mill.lake.blobs, current)
    checks = verify(manifest, mill.lake.blobs.local_path)
    lake_state = mill.lake.state()
    return {
        "snapshot": current,
        "segments": [segment.digest for index in manifest.indexes for segment in index.segments],
        "verified": all(check.passed for index in checks for check in index.checks),
        "paths": {
            p.path: (p.source_id, p.outcome, p.reject_code) for p in lake_state.paths.values()
        },
        "complete": sorted(
            lake_state.spaces_done
            & {(s, k) for s in lake_state.live_sources for k in mill.lake.space_keys()}
        ),
        "units": mill.lake.live_units(columns=["unit_id", "text"]).to_pylist(),
        "counts": mill.lake.counts(),
        "rejects": [(r["path"], r["code"]) for r in mill.lake.rejects().to_pylist()],
    }


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str], dict]]:
    """By kind of work: the lake before it, its points, and what an undisturbed one leaves."""
    base = tmp_path_factory.mktemp("chaos")
    found = {}
    folder = base / "whole"
    folder.mkdir()
    first_corpus(folder / "corpus")
    steps = [("first run", "run"), ("second run", "run"), ("gc", "gc"), ("forget", "forget")]
    for name, what in steps:
        if name == "second run":
            change_corpus(folder / "corpus")
        before = base / f"before {name}"
        shutil.copytree(folder, before)
        points = drive(folder, what)
        found[name] = (before, points, state(folder))
    return found


@pytest.mark.parametrize("name", ["first run", "second run", "gc", "forget"])
def test_a_kill_at_any_write_changes_nothing(stages, tmp_path, name):
    before, points, expected = stages[name]
    what = name.rpartition(" ")[2]
    chosen = range(len(points))
    if POINTS != "all":
        chosen = random.Random(SEED).sample(chosen, min(int(POINTS), len(points)))
    for number in chosen:
        # The place of a lake is part of its uris: each is killed where the undisturbed one ran.
        folder = stages_folder(before)
        restore(before, folder)
        drive(folder, what, number)
        recover(folder, what)
        assert state(folder) == expected, (name, number, points[number])


def stages_folder(before: Path) -> Path:
    return before.parent / "whole"


def restore(before: Path, folder: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(before, folder)


def recover(folder: Path, what: str) -> None:
    """The same command again, unless it had done all it had to."""
    if what != "forget" or knows(folder):
        drive(folder, what)


def knows(folder: Path) -> bool:
    lake = Mill(folder).lake
    rows = lake.view().all_rows(paths.SOURCES, ["path"])["path"].to_pylist()
    return has_begun(lake.blobs) or any("private" in path for path in rows)
