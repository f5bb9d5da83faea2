"""The kernel's fence by itself: a decoder that means harm reaches nothing, and its process goes on as before."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from flows import wiring
from schemas.config import Config
from schemas.engine import Task
from schemas.errors import CorruptError
from stages.decode import registry
from stages.decode._fence import fence, fenced
from stages.decode._ffmpeg import find_ffmpeg
from tests.files import decode_request
from tests.security.evil import NAME
from tests.security.trap import CANARY, Trap

# A kernel without Landlock is no failure, `gristmill doctor` says so; there is nothing to test then.
pytestmark = pytest.mark.skipif(
    not (fence().landlock_abi and fence().filters_calls), reason="this kernel has no fence"
)


@pytest.fixture(scope="module")
def stage():
    made = wiring.stage_specs(Config())[0].factory()
    made.setup()
    return made


@pytest.fixture
def evil(stage, monkeypatch, tmp_path):
    """Let the evil decoder do a deed to a target; gives what came of it."""
    monkeypatch.setitem(registry.DECODERS, "text/plain", NAME)
    file = tmp_path / "deed.txt"

    def do(deed: str, target: object = "") -> str:
        file.write_text(f"{deed}\n{target}")
        (answer,) = stage.process([Task(decode_request(file))])
        return answer.value.units[0].text

    return do


def untouched(path: Path) -> tuple[int, ...]:
    """What any deed but reading changes; this test itself reads it, which moves the time of access."""
    stat = path.stat()
    return (
        stat.st_ino,
        stat.st_mode,
        stat.st_nlink,
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
    )


@pytest.mark.parametrize(
    "deed",
    ["read", "read in a thread", "append", "remove", "rename", "link", "mode", "times", "write"],
)
def test_another_file_is_out_of_reach(evil, tmp_path, deed):
    secret = tmp_path / "secret.txt"
    secret.write_text(CANARY)
    before = untouched(secret)
    assert evil(deed, secret).startswith("stopped")
    assert secret.read_text() == CANARY
    assert untouched(secret) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deed.txt", "secret.txt"]


def test_its_own_file_may_be_read_and_nothing_else_done_to_it(evil, tmp_path):
    own = tmp_path / "deed.txt"
    assert evil("read", own).startswith("read")
    for deed in ("append", "write", "remove", "mode", "times"):
        assert evil(deed, own).startswith("stopped")
    assert own.exists()


def test_folders_and_the_environment_are_out_of_reach(evil, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    for target in (tmp_path, Path.home(), "/etc", "/proc"):
        assert evil("list", target).startswith("stopped")
    assert evil("environment").startswith("stopped")


def test_the_network_is_out_of_reach(evil, tmp_path):
    path = str(tmp_path / "socket")
    with Trap(tmp_path / "secret.txt") as trap, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert evil("tcp", trap.port).startswith("stopped")
        assert evil("udp", trap.port).startswith("stopped")
        assert evil("unix", path).startswith("stopped")
        assert evil("ffmpeg calls", trap.port).startswith("stopped")
        assert trap.stop() == []


def test_programs_and_processes_are_out_of_reach(evil, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text(CANARY)
    for deed in ("shell", "python", "fork", "signal"):
        assert evil(deed).startswith("stopped")
    assert evil("ffmpeg reads", secret).startswith("stopped")
    assert psutil.Process().children() == []


def test_the_other_threads_stay_free(evil, tmp_path):
    assert evil("shell").startswith("stopped")
    (tmp_path / "new").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert [thread.name for thread in threading.enumerate() if "fence" in thread.name] == []


def test_what_the_work_raises_comes_out_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")
    error = CorruptError("broken", page=3)

    def fail() -> None:
        raise error

    with pytest.raises(CorruptError) as caught:
        fenced(path, fail)
    assert caught.value is error
    assert fenced(path, path.read_text) == "x"


@pytest.mark.parametrize("name", ["gone.txt", "nul\0.txt", ""])
def test_a_file_that_is_none_gets_no_rule(tmp_path, name):
    assert fenced(tmp_path / name, lambda: "done") == "done"


def test_an_ffmpeg_that_is_a_script_gives_way_to_the_packaged_one(tmp_path, monkeypatch):
    script = tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\nexec {find_ffmpeg()} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    find_ffmpeg.cache_clear()
    try:
        assert find_ffmpeg() != str(script)
        assert Path(find_ffmpeg()).is_file()
    finally:
        find_ffmpeg.cache_clear()


def test_a_kernel_that_refuses_is_said_and_decoding_goes_on(tmp_path):
    """Sixteen rulesets on a thread are all that the kernel takes: then Landlock is as if it were not there."""
    (tmp_path / "a.txt").write_text("The mill grinds.")
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, str(tmp_path / "a.txt")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {
        "text": "The mill grinds.",
        "ok": False,
        "found": "files open, network by seccomp",
    }


REFUSED = """
import json, sys
from pathlib import Path
from landlockpy import AccessFS, Ruleset
from flows.doctor import examine
from stages.decode._fence import fenced
for _ in range(16):
    Ruleset(handled_fs=AccessFS.MAKE_BLOCK).restrict()
path = Path(sys.argv[1])
row = next(row for row in examine() if row["name"] == "decoder fence")
print(json.dumps({"text": fenced(path, path.read_text), "ok": row["ok"], "found": row["found"]}))
"""
