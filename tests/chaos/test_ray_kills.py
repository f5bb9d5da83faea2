"""Real runs whose processes are killed at random moments: the driver, its raylet, and the workers of each stage.

The undisturbed run and the killed ones use the same folder, since the place of a file is part of its uri.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.chaos.lakes import change_corpus, first_corpus, shown_by, write_pdf, write_png
from tests.chaos.tally import tally
from tests.integration.mill import Mill

pytestmark = [pytest.mark.slow, pytest.mark.chaos, pytest.mark.ray, pytest.mark.long]

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("GRISTMILL_CHAOS_RAY_ROUNDS", "4"))
SEED = int(os.environ.get("GRISTMILL_CHAOS_SEED", "20261121"))
VICTIMS = ("driver", "raylet", "decode", "recognise", "embed", "index", "any worker")
PAUSE_S = (0.5, 4.0)  # between two kills
MOST_KILLS = 5  # of workers in one run
WORKER = "ray::"


def large_corpus(corpus: Path) -> None:
    """Enough for a run of many seconds over all stages."""
    first_corpus(corpus)
    for i in range(24):
        words = " ".join(f"word{(i * 37 + j * j) % 211}" for j in range(200 + 130 * (i % 7)))
        (corpus / f"text-{i:03}.txt").write_text(f"Number {i}.\n\n{words}.\n")
    for i in range(3):
        write_pdf(corpus / f"page-{i}.pdf", f"Page of document {i}.")
        write_png(corpus / f"picture-{i}.png", f"picture {i}")


class Run:
    """`gristmill run` as a process of its own, with all that it starts."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._seen: dict[int, str] = {}
        self.family: set[psutil.Process] = set()
        arguments = [*command, "--lake", str(folder / "lake"), "--config", str(folder / "c.toml")]
        self._log = folder / "log.txt"
        with self._log.open("w") as log:
            self._process = psutil.Popen(
                [sys.executable, "-m", "flows.cli", *arguments, "--json"],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, victim: str, rng: random.Random) -> int:
        """Kill its processes of a kind at random moments until it ends; gives how many."""
        kills = 0
        most = MOST_KILLS if victim not in ("driver", "raylet") else 1
        while self._pause(rng.uniform(*PAUSE_S)):
            if kills == most:
                continue
            targets = self._targets(victim)
            if targets:
                kills += kill(rng.choice(targets))
        return kills

    def _pause(self, seconds: float) -> bool:
        """Watch it for a while; False if it ended."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            if self._process.poll() is not None:
                return False
            self._look()
            time.sleep(0.05)
        return True

    def _look(self) -> None:
        """Remember what each worker works at: an idle one does not say."""
        found = family(self._process)
        self.family |= set(found)
        for process in found:
            title = title_of(process)
            if title.startswith(WORKER):
                self._seen[process.pid] = title.removeprefix(WORKER)

    def _targets(self, victim: str) -> list[psutil.Process]:
        if victim == "driver":
            # Not before it is the writer: a kill of Python's start says nothing.
            return [self._process] if self._seen else []
        found = family(self._process)
        if victim == "raylet":
            return [p for p in found if title_of(p).endswith("/raylet")] if self._seen else []
        if victim == "any worker":
            return [p for p in found if title_of(p).startswith(WORKER)]
        return [p for p in found if self._seen.get(p.pid) == victim]

    def end(self) -> int:
        """Wait for it; gives its exit status."""
        status: int = self._process.wait(timeout=600)
        return status

    def log(self) -> str:
        """What it wrote to stderr."""
        return self._log.read_text()[-5000:]


def family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def title_of(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0].strip()
    except psutil.Error:
        return ""


def kill(process: psutil.Process) -> bool:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return False
    return True


def run_undisturbed(folder: Path, *command: str) -> None:
    run = Run(folder, *command)
    assert run.end() == 0, run.log()


def recover(folder: Path) -> None:
    """What an operator does: the same again, and once more what was rejected for a process that died."""
    corpus = str(folder / "corpus")
    run_undisturbed(folder, "run", corpus)
    rejects = Mill(folder).lake.rejects().to_pylist()
    if any(row["retryable"] for row in rejects):
        run_undisturbed(folder, "retry")
        run_undisturbed(folder, "run", corpus)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    """By kind of run: the folder before it, and what an undisturbed one leaves."""
    base = tmp_path_factory.mktemp("ray-chaos")
    folder = base / "whole"
    folder.mkdir()
    (folder / "c.toml").write_text("[engine]\ncommit_interval_s = 0.5\n")
    large_corpus(folder / "corpus")
    found = {}
    for name in ("first run", "second run"):
        if name == "second run":
            change_corpus(folder / "corpus")
        before = base / name
        shutil.copytree(folder, before)
        run_undisturbed(folder, "run", str(folder / "corpus"))
        found[name] = (before, shown_by(Mill(folder)))
    return found


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("name", ["first run", "second run"])
def test_killed_processes_change_nothing(scenes, name, victim):
    before, expected = scenes[name]
    folder = before.parent / "whole"
    rng = random.Random(f"{SEED} {name} {victim}")
    left: set[psutil.Process] = set()
    for number in range(ROUNDS):
        shutil.rmtree(folder)
        shutil.copytree(before, folder)
        run = Run(folder, "run", str(folder / "corpus"))
        kills = run.kill(victim, rng)
        if run.end() != 0 or shown_by(Mill(folder)) != expected:
            recover(folder)
        assert shown_by(Mill(folder)) == expected, (name, victim, number, run.log())
        for _ in range(kills):
            tally(name, f"on Ray: {victim}")
        left |= run.family
    # Ray's agents look for their parent now and then, and give it a minute.
    assert not psutil.wait_procs(left, timeout=150)[1], "what was killed leaves processes behind"
