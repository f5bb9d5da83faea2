"""Starting the command line is quick: nothing heavy loads before a command needs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "torch",
    "faiss",
    "ray",
    "prefect",
    "transformers",
    "onnxruntime",
    "pymupdf",
    "deltalake",
    "pyarrow",
)


@pytest.mark.parametrize("module", ["flows.cli", "gristmill"])
def test_importing_loads_nothing_heavy(module: str):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
