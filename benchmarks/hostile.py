"""What each file of a folder costs to decode: its code, seconds and peak memory, as one Markdown table.

Every file is decoded by the real decode stage with the default limits (fence included) in a child forked from a
warmed process: decoders are loaded, the tokeniser too, so that only the file itself is measured.

- code: ``ok``, or that of the error tree; ``timeout`` and ``crash`` are what the engine would make of a child that ran
  past `limits.decode_timeout_s` or died. The engine's memory limit is not held here: the column says what was taken.
  Of a long file the ranges are read one after the other.
- lost: parts that did not come through while the rest of the file did; a run lists them as rejects of their own.
- seconds: wall time from the fork to the child's end.
- peak MiB: resident memory at its highest, by ``wait4``, shared libraries included: of the child or of the largest
  ffmpeg that it ran, whichever is more, not their sum. The totals say what a child has that decodes nothing.

    python -m benchmarks.hostile FOLDER --out FILE.md [--limit N]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flows import wiring
from flows.listing import hash_files, list_sources
from schemas.config import Config
from schemas.engine import Answer, Task
from stages.decode.registry import DECODERS
from stages.messages import DecodeRequest, LongFile, Milled

if TYPE_CHECKING:
    from schemas.engine import Stage
    from schemas.source import SourceFile
    from stages.messages import Decoded
    from stages.ranges import Piece

_SEED: Final = 7
_CODE_BYTES: Final = 64
_KIB_A_MIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One file."""

    path: str
    size_bytes: int
    code: str
    lost: int
    seconds: float
    peak_mib: float


def warmed_stage(config: Config) -> Stage:
    """The decode stage with everything loaded that files would load."""
    stage: Stage = wiring.stage_specs(config)[0].factory()
    stage.setup()
    for name in {name.partition(":")[0] for name in DECODERS.values()}:
        import_module(name)
    return stage


def cost_of(file: SourceFile, stage: Stage, timeout_s: float) -> Row:
    """Decode one file in a child."""
    started_s = time.perf_counter()
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        _decode_and_leave(file, stage, writes, timeout_s)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        code, _, lost = pipe.read(_CODE_BYTES).decode().partition(" ")
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started_s
    if os.WIFSIGNALED(status):
        code = "timeout" if os.WTERMSIG(status) == signal.SIGALRM else "crash"
    peak_mib = usage.ru_maxrss / _KIB_A_MIB
    return Row(file.path, file.size_bytes, code, int(lost or 0), seconds, peak_mib)


def _decode_and_leave(file: SourceFile, stage: Stage, writes: int, timeout_s: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    code, lost = _told(file, stage)
    os.write(writes, f"{code} {lost}".encode())
    os._exit(0)


def _told(file: SourceFile, stage: Stage) -> tuple[str, int]:
    """Code, and number of lost parts."""
    (answer,) = stage.process([Task(DecodeRequest(file))])
    if not isinstance(answer, Answer):
        return answer.code, 0
    if not isinstance(answer.value, LongFile):
        return "ok", _lost(answer.value)
    read = [stage.process([Task(DecodeRequest(file, span))])[0] for span in answer.value.spans]
    pieces = [piece.value for piece in read if isinstance(piece, Answer)]
    failures = [piece for piece in read if not isinstance(piece, Answer)]
    if not pieces:
        return failures[0].code, 0
    return "ok", len(failures) + sum(_lost(piece.piece) for piece in pieces)


def _lost(read: Milled | Decoded | Piece) -> int:
    return len(read.rejects if isinstance(read, Milled) else read.content.rejects)


def idle_mib() -> float:
    """Peak of a child that does nothing: what a fork has from its parent."""
    child = os.fork()
    if not child:
        os._exit(0)
    return os.wait4(child, 0)[2].ru_maxrss / _KIB_A_MIB


def table(rows: list[Row], base_mib: float) -> str:
    """The rows and their totals, in Markdown."""
    lines = ["| path | bytes | code | lost | seconds | peak MiB |", "|---|---:|---|---:|---:|---:|"]
    for row in rows:
        name = row.path.replace("|", "\\|").replace("\n", "\\n")
        lines.append(
            f"| {name} | {row.size_bytes} | {row.code} | {row.lost or ''} | {row.seconds:.2f} | {row.peak_mib:.0f} |"
        )
    codes = sorted({row.code for row in rows})
    counts = ", ".join(f"{code} {sum(row.code == code for row in rows)}" for code in codes)
    size = sum(row.size_bytes for row in rows)
    partly = sum(row.lost > 0 for row in rows)
    seconds = sum(row.seconds for row in rows)
    slowest = max((row.seconds for row in rows), default=0.0)
    largest = max((row.peak_mib for row in rows), default=0.0)
    totals = (
        f"{len(rows)} files, {size} bytes: {counts}; {partly} of the ok in part."
        f" {seconds:.0f} s in all, the slowest {slowest:.1f} s."
        f" The largest took {largest:.0f} MiB; a process that decodes nothing has {base_mib:.0f} MiB."
    )
    return "\n".join([totals, "", *lines, ""])


def main() -> None:
    """Measure a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=0, help="so many files, drawn by a fixed seed")
    options = parser.parse_args()
    files = [file for file, _ in hash_files(list_sources([str(options.folder)]).files)]
    if options.limit:
        files = sorted(
            random.Random(_SEED).sample(files, min(options.limit, len(files))),  # noqa: S311  # a sample
            key=lambda file: file.uri,
        )
    config = Config()
    stage = warmed_stage(config)
    base_mib = idle_mib()
    rows = []
    for number, file in enumerate(files, 1):
        rows.append(cost_of(file, stage, config.limits.decode_timeout_s))
        print(f"{number} of {len(files)}: {rows[-1].code} {file.path!r}", file=sys.stderr)
    options.out.write_text(table(rows, base_mib), encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
