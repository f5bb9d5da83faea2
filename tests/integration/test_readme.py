"""Every command in the README runs: ```sh blocks line by line, ```python blocks whole, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

# They start no engine, and run in this process: what they load is loaded once.
READING = {
    "search",
    "status",
    "diff",
    "snapshots",
    "tune",
    "verify",
    "rejects",
    "evaluate",
    "spaces",
}

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def run_checked(command: list[str], cwd: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=420, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def run_line(line: str, cwd: Path) -> None:
    program, _, rest = line.partition(" ")
    if program == "make":  # what it does is tested by the gate; here: is there such a target?
        run_checked(["make", "--dry-run", *rest.split()], ROOT)
        return
    assert program == "gristmill", f"not known how to test: {line}"
    quoted = [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', rest)]
    if quoted[0] in READING:
        done = CliRunner().invoke(app, quoted, catch_exceptions=False)
        assert done.exit_code == 0, f"{line}\n{done.output[-3000:]}"
        return
    run_checked([sys.executable, "-m", "flows.cli", *quoted], cwd)


def test_readme_has_commands_and_code():
    assert {language for language, _ in BLOCKS} == {"sh", "python"}


def test_every_block_runs_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    for language, text in BLOCKS:
        if language == "python":
            run_checked([sys.executable, "-c", text], tmp_path)
            continue
        for line in text.splitlines():
            run_line(line, tmp_path)


def test_the_table_of_commands_is_the_command_line(tmp_path: Path):
    told = set(re.findall(r"^\| `gristmill ([\w-]+)", README, re.MULTILINE))
    names = {info.name or info.callback.__name__ for info in app.registered_commands}
    assert told == names
