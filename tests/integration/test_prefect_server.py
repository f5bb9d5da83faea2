"""The temporary Prefect server ends with the process that started it, however that ends and whenever."""

import subprocess
import sys
import time

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

DRIVER = """
import time
from flows.prefect_settings import prefect_settings
with prefect_settings():
    print("up", flush=True)
    time.sleep(60)
"""


def is_server(process: psutil.Process) -> bool:
    try:
        return "uvicorn" in process.cmdline()
    except psutil.Error:
        return False


@pytest.mark.parametrize("when", ["starting", pytest.param("up", marks=pytest.mark.long)])
def test_a_killed_driver_leaves_no_server(when):
    with subprocess.Popen([sys.executable, "-c", DRIVER], stdout=subprocess.PIPE) as driver:
        if when == "up":
            assert driver.stdout.readline() == b"up\n"
        until_s = time.monotonic() + 60
        children: list[psutil.Process] = []
        while not any(map(is_server, children)):
            assert time.monotonic() < until_s, "no server came"
            children = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
    assert not psutil.wait_procs(children, timeout=60)[1]
