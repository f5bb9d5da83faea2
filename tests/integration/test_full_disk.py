"""A disk that fills up in mid-run: the run says so, nothing half-written counts, and the next one completes it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.prefect_settings import make_room
from flows.space import SpaceWatch
from schemas.errors import GateError, LakeError

ROOT = Path(__file__).parents[2]
UNSHARE = shutil.which("unshare") or ""
EVERY_KIB = list(range(20, 300, 12))


def may_mount() -> bool:
    """Root in a namespace of its own may; most containers and other systems may not."""
    if not UNSHARE:
        return False
    command = "mount -t tmpfs -o size=16k tmpfs /mnt"
    tried = subprocess.run(
        [UNSHARE, "--mount", "sh", "-c", command], capture_output=True, check=False
    )
    return tried.returncode == 0


needs_mount = pytest.mark.skipif(not may_mount(), reason="no file system can be mounted here")


def in_namespace(*arguments: str) -> list[dict]:
    command = [
        UNSHARE,
        "--mount",
        sys.executable,
        "-m",
        "tests.integration.full_disk",
        *arguments,
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=560, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@needs_mount
@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes",
    [EVERY_KIB[4::11], pytest.param(EVERY_KIB, marks=pytest.mark.long)],
    ids=["some", "all"],
)
def test_a_full_disk_is_named_and_costs_nothing(tmp_path, sizes):
    whole, *filled = in_namespace(str(tmp_path), *map(str, sizes))
    assert whole["said"] == ""
    assert sum(bool(one["said"]) for one in filled) > len(sizes) / 2
    for one in filled:
        if one["said"]:
            assert "no space is left on the file system of" in one["said"]
            assert "free some" in one["said"]
        assert (one["damaged"], one["again"]) == ([], "")
        assert one["shown"] == whole["shown"]


def test_an_error_of_another_library_on_a_full_disk_is_one_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "flows.space.free_bytes", lambda path: 0 if path == str(tmp_path) else 1 << 30
    )
    with (
        pytest.raises(
            LakeError, match=f"no space is left on the file system of Prefect, {tmp_path}"
        ),
        SpaceWatch("s3://bucket/lake", tmp_path),
    ):
        raise RuntimeError("the database is locked")
    with pytest.raises(GateError), SpaceWatch("s3://bucket/lake", tmp_path):
        raise GateError("not this one")


def test_any_write_that_finds_no_space_says_so(tmp_path):
    with pytest.raises(LakeError, match="no space is left"), SpaceWatch(str(tmp_path), tmp_path):
        Path("/dev/full").write_bytes(b"x")


@needs_mount
def test_prefect_is_not_started_on_a_full_disk(tmp_path):
    code = f"from pathlib import Path; from flows.prefect_settings import make_room; make_room(Path('{tmp_path}/home'))"
    command = f'mount -t tmpfs -o size=64k tmpfs {tmp_path} && {sys.executable} -c "{code}"'
    done = subprocess.run(
        [UNSHARE, "--mount", "sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no space is left on the file system of Prefect" in done.stderr
    make_room(tmp_path / "elsewhere")
