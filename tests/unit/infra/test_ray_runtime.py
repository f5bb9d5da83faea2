"""What a Ray of our own leaves behind: nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from infra.ray_runtime import TempDir

ROOT = Path(__file__).parents[3]


def test_a_temp_dir_in_use_is_kept_and_a_dead_ones_is_removed():
    code = "import os; from infra.ray_runtime import TempDir; print(TempDir().path, flush=True); os._exit(9)"
    killed = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    in_use = TempDir()
    another = TempDir()
    assert not left.exists()
    assert in_use.path.is_dir()
    for directory in (in_use, another):
        directory.remove()
        assert not directory.path.exists()


DRIVER = """
import json, signal, sys, threading
from infra.faults import Fault, FaultStage
from infra.ray_executor import RayExecutor
from schemas.engine import Resources, StageSpec

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
executor = RayExecutor(cpus=2, object_store_bytes=100 << 20)
before = signal.getsignal(signal.SIGTERM)
starter = threading.Thread(target=executor.__enter__)  # Ray must not die with the thread that asked for it
starter.start()
starter.join()
assert signal.getsignal(signal.SIGTERM) == before
try:
    with executor.open([StageSpec("s", FaultStage, Resources(cpus=0.5))]) as session:
        session.submit("s", "kill", Fault("kill"))
        while not (outcomes := session.poll(1)):
            pass
        print(json.dumps(outcomes[0].failure.code), flush=True)
        session.submit("s", "child", Fault("child"))
        while True:
            session.poll(2)
            print("waiting", file=sys.stderr, flush=True)
finally:
    executor.__exit__(None, None, None)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_ctrl_c_leaves_no_process_no_files_and_a_clean_stdout(tmp_path):
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(90, driver.kill)
    watchdog.start()
    assert driver.stderr.readline() == "waiting\n"
    processes = psutil.Process(driver.pid).children(recursive=True)
    logs = {a for p in processes for a in p.cmdline() if a.startswith("--log_dir=")}
    temp_dirs = {Path(log.removeprefix("--log_dir=")).parents[1] for log in logs}
    assert [d.name.startswith("gristmill-ray-") for d in temp_dirs] == [True]
    assert len(processes) > 3
    os.killpg(driver.pid, signal.SIGINT)
    out, errors = driver.communicate(timeout=60)
    watchdog.cancel()
    assert out == '"crash"\n'
    assert "KeyboardInterrupt" in errors
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert not alive
    assert not [d for d in temp_dirs if d.exists()]
