"""Same input, same bytes: a kill changes no segment digest. Nor does the number of workers: see test_line.py."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.test_line import gristmill, make_corpus, segments

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.chaos]


def add_texts(folder: Path, count: int) -> None:
    for i in range(count):
        words = " ".join(f"word{(i * 37 + j * j) % 211}" for j in range(30 + 13 * (i % 7)))
        (folder / f"text-{i:03}.txt").write_text(f"Number {i}.\n\n{words}.\n")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    make_corpus(folder)
    add_texts(folder, 48)
    return folder


@pytest.mark.long  # the gate kills without the engine, in tests/chaos
def test_a_killed_run_goes_on_and_publishes_equal_segments(corpus, tmp_path):
    config = tmp_path / "gristmill.toml"
    config.write_text("[engine]\ncommit_interval_s = 0.5\n")
    options = ["--config", str(config)]
    one = gristmill("run", str(corpus), "--lake", str(tmp_path / "one"), *options)
    lake = tmp_path / "killed"
    children = kill_after_commits(["run", str(corpus), "--lake", str(lake), *options], lake)
    resumed = gristmill("run", str(corpus), "--lake", str(lake), *options)
    assert segments(resumed) == segments(one)
    assert resumed["snapshot"] == one["snapshot"]
    assert resumed["balance"]["unchanged"] > 0, "nothing was committed before the kill"
    status = gristmill("status", "--lake", str(lake))
    undisturbed = gristmill("status", "--lake", str(tmp_path / "one"))
    assert status["rows"] == undisturbed["rows"]
    # Ray's agents look for their parent now and then, and give it a minute.
    assert not psutil.wait_procs(children, timeout=150)[1], "a killed driver leaves processes"


def kill_after_commits(arguments: list[str], lake: Path) -> list[psutil.Process]:
    """Start a run and kill -9 its driver when some of its batches have landed; gives the processes it had."""
    run = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    log = lake / "tables" / "completions" / "_delta_log"
    while len(list(log.glob("*.json"))) < 5:  # the first one makes the table
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no commit came"
        time.sleep(0.05)
    children = psutil.Process(run.pid).children(recursive=True)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(timeout=60)
    return children
