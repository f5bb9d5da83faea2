"""Every command in the README runs: ```sh blocks line by line, ```python blocks whole, in order, in one folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

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
    run_checked([sys.executable, "-m", "flows.cli", *quoted], cwd)


def test_readme_has_commands_and_code():
    assert {language for language, _ in BLOCKS} == {"sh", "python"}


def test_every_block_runs_in_order(tmp_path: Path):
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    for language, text in BLOCKS:
        if language == "python":
            run_checked([sys.executable, "-c", text], tmp_path)
            continue
        for line in text.splitlines():
            run_line(line, tmp_path)


def test_the_table_of_commands_is_the_command_line(tmp_path: Path):
    told = set(re.findall(r"^\| `gristmill ([\w-]+)", README, re.MULTILINE))
    from flows.cli import app

    names = {info.name or info.callback.__name__ for info in app.registered_commands}
    assert told == names
