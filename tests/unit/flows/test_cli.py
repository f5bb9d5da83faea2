import json
import re

import pytest
from typer.testing import CliRunner

from flows.cli import app

COMMANDS = [
    "run", "ingest", "index", "publish", "rollback", "snapshots", "search", "status", "rejects",
    "evaluate", "verify", "doctor",
]  # fmt: skip
RUNNER = CliRunner()


def test_help_lists_every_command():
    shown = RUNNER.invoke(app, ["--help"])
    assert shown.exit_code == 0
    assert set(COMMANDS) <= set(re.findall(r"[a-z]+", shown.output))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str):
    shown = RUNNER.invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output


def test_a_missing_lake_is_a_usage_error():
    assert RUNNER.invoke(app, ["search", "query"]).exit_code == 2


@pytest.mark.slow
def test_doctor_names_models_and_says_what_to_do():
    done = RUNNER.invoke(app, ["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["text encoder MiniLM"]["ok"]
    assert checks["faiss"]["ok"]
    missing = [check for check in checks.values() if not check["ok"]]
    assert all(check["advice"] for check in missing)
    assert done.exit_code == int(any(check["needed"] for check in missing))
