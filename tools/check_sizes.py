"""Hold the size limits: a Python file has at most 400 lines, a function at most 60. Exit code 1 names the offenders."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

MAX_FILE_LINES: Final = 400
MAX_FUNCTION_LINES: Final = 60
FOLDERS: Final = ("schemas", "stages", "infra", "flows", "benchmarks", "samples", "tests", "tools")


def main() -> int:
    """Check every Python file of the project."""
    root = Path(__file__).resolve().parents[1]
    paths = [*root.glob("*.py"), *(p for folder in FOLDERS for p in (root / folder).rglob("*.py"))]
    offences = [
        line
        for path in sorted(paths)
        for line in offences_of(path.read_text(encoding="utf-8"), str(path.relative_to(root)))
    ]
    sys.stdout.writelines(f"{line}\n" for line in offences)
    return 1 if offences else 0


def offences_of(source: str, name: str) -> list[str]:
    """Readable ``file:line: what is too long`` lines; decorators and docstrings count."""
    n_lines = len(source.splitlines())
    found = (
        [f"{name}: {n_lines} lines, at most {MAX_FILE_LINES}"] if n_lines > MAX_FILE_LINES else []
    )
    for node in ast.walk(ast.parse(source, name)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MAX_FUNCTION_LINES:
            found.append(
                f"{name}:{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}"
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
