"""The same vectors indexed by autofaiss and by us, at the same memory budgets, one after the other in one run.

    python -m benchmarks.indexing WORK [--rows 1000000 | --folder FOLDER] [--serve-mb 600] [--build-mb 4096] [--json]

The vectors are made ones (benchmarks/vectors.py), or those of the paragraphs of a folder. They are written twice into
WORK: as .npy files, which autofaiss reads, and as a lake, which we read. Exact neighbours are found once, by brute
force.

What is fair, and what is not:
- Budgets: `--serve-mb` is autofaiss' max_index_memory_usage and our indexing.serve_memory_bytes; `--build-mb` is its
  current_memory_available and our indexing.build_memory_bytes. Both get the same threads; nothing else is set.
- Build: its call of build_index, against our whole command. Ours also starts Python and Ray, joins tables, writes rows,
  validates against exact neighbours, computes what the router needs and leaves checksummed files that can be
  published; it reads Parquet behind a transaction log. `start` (the same command on a lake of a few rows) and `scan`
  (reading all vectors of the lake once, and all .npy files) are measured by themselves; nothing is subtracted.
- Peak: ours is the proportional set size of the whole process tree, sampled every quarter of a second; that of
  autofaiss, which is one process, is VmHWM right after its call, which misses nothing.
- Served: bytes of what must be in memory. Full vectors that a rescoring family maps from disk are shown apart; the
  pages of them that searches touch are memory too, though memory that the system may take back.
- Queries: the same ones by the same code (benchmarks/vector_set.py): all at once on all threads, and one by one on one
  thread. The fastest point of each side's sweep with recall@10 of at least 0.95 counts. autofaiss promises no recall:
  its row at its own parameters is what a user gets who changes nothing. Ours includes the fan-out over segments.
- faiss: autofaiss runs with 1.8.0, we with what the lock file has; its index types are compiled differently there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import autofaiss_side, ours_side
from benchmarks.lake_of_vectors import write_lake
from benchmarks.vector_set import TARGET, VectorSet, write_set
from benchmarks.vectors import BLOCK_ROWS, Block, Maker, queries_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(__file__).parents[1]
_MB: Final = 1_000_000
_START_ROWS: Final = 2_000
_REAL_QUERIES: Final = 500
_BUILD_SHARE: Final = 0.1  # of autofaiss' time: the target
_DEFAULT_PARAGRAPHS: Final = 9_000


def real_blocks(folder: Path, paragraphs: int) -> tuple[list[Block], dict[str, np.ndarray]]:
    """The paragraphs of a folder, and queries: paragraphs of documents that were left out, and questions about them."""
    from benchmarks.paragraphs import paragraphs_of

    real = paragraphs_of(folder, paragraphs, threads=len(os.sched_getaffinity(0)))
    held = real.held_out(_REAL_QUERIES)
    rows, kept = np.flatnonzero(~held), real.documents[~held]
    blocks = []
    for number, start in enumerate(range(0, len(rows), BLOCK_ROWS)):
        part = slice(start, start + BLOCK_ROWS)
        numbers = np.unique(kept[part], return_inverse=True)[1]
        blocks.append(Block(number, start, real.vectors[rows[part]], numbers))
    return blocks, queries_of(real.vectors[held], real.questions)


def prepare(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Set and lake of the same vectors in `work`, unless they are there; gives what that took."""
    if (work / "prepared.json").exists():
        told: dict[str, Any] = json.loads((work / "prepared.json").read_text(encoding="utf-8"))
        return told
    maker = Maker.stored()
    real = real_blocks(options.folder, options.paragraphs) if options.folder else None

    def blocks() -> Iterator[Block]:
        return iter(real[0]) if real else maker.blocks(options.rows)

    start_s = time.perf_counter()
    queries = real[1] if real else maker.queries()
    write_set(work / "set", (block.vectors for block in blocks()), queries)
    told = {"set_s": time.perf_counter() - start_s}
    told["lake"] = write_lake(str(work / "lake"), blocks())
    (work / "prepared.json").write_text(json.dumps(told), encoding="utf-8")
    return told


def start_s(options: argparse.Namespace) -> float:
    """Seconds of our command on a lake of a few rows: what is there before any vector is."""
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        write_lake(folder, Maker.stored().blocks(_START_ROWS))
        return _index(folder, options).seconds


def _index(lake: str, options: argparse.Namespace) -> ours_side.Built:
    return ours_side.index_lake(
        lake,
        serve_bytes=options.serve_mb * _MB,
        build_bytes=options.build_mb * _MB,
        workers=options.threads,
    )


def ours(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Our side."""
    built = _index(str(work / "lake"), options)
    vectors = VectorSet(work / "set")
    return ours_side.result(str(work / "lake"), built, vectors, options.threads)


def autofaiss(work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Its side, in its own environment and process."""
    python = autofaiss_side.environment(options.environment or work / "autofaiss-environment")
    budgets = (options.serve_mb * _MB, options.build_mb * _MB)
    command = autofaiss_side.command(python, work / "set", budgets, options.threads)
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env=environment)
    if done.returncode:
        sys.exit(f"autofaiss' side exited with {done.returncode}; its own lines above say why")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"tree_bytes": told["peak_bytes"], "scan_s": _read_s(work / "set")}


def _read_s(folder: Path) -> float:
    began_s = time.perf_counter()
    for part in sorted((folder / "parts").iterdir()):
        np.load(part)
    return time.perf_counter() - began_s


def ratios(
    mine: dict[str, Any], theirs: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Ours divided by theirs, and whether each target holds.

    Speeds are compared at recall: our fastest point that finds no less than its fastest one at TARGET (or its best).
    """
    build = mine["build_s"] / theirs["build_s"]
    speeds = {
        mode: _speed(mine, theirs["best"]["rows"][mode], mode) for mode in ("batch", "single")
    }
    recall = theirs["best"]["rows"]["batch"]["recall_at_10"]["rows"]
    return {
        "build": build,
        "tree_bytes": mine["tree_bytes"] / theirs["tree_bytes"],
        "index_bytes": mine["index_bytes"] / theirs["index_bytes"],
        "batch_qps": speeds["batch"],
        "single_qps": speeds["single"],
        "holds": {
            f"build at most {_BUILD_SHARE} of its time": build <= _BUILD_SHARE,
            "served within the budget": mine["index_bytes"] <= options.serve_mb * _MB,
            "built within the budget": mine["tree_bytes"] <= options.build_mb * _MB,
            f"recall of at least {TARGET}": mine["best"]["rows"]["held"],
            f"at least its queries a second at no less recall ({recall:.3f})": speeds["batch"] >= 1,
            "the same for single queries": speeds["single"] >= 1,
        },
    }


def _speed(mine: dict[str, Any], its: dict[str, Any], mode: str) -> float:
    """Our fastest point that finds no less, divided by `its` point; 0 if we have none."""
    recall = its["recall_at_10"]["rows"]
    able = [p[f"{mode}_qps"] for p in mine["curve"] if p["recall_at_10"]["rows"] >= recall]
    return max(able, default=0.0) / float(its[f"{mode}_qps"])


def show(told: dict[str, Any]) -> str:
    """A table for people, in Markdown."""
    sides = [told[name] for name in ("autofaiss", "ours") if name in told]
    lines = ["| | " + " | ".join(name for name in ("autofaiss", "ours") if name in told) + " |"]
    lines.append("|---|" + "---|" * len(sides))
    for name, of in _ROWS.items():
        lines.append(f"| {name} | " + " | ".join(of(side) for side in sides) + " |")
    if "ratios" in told:
        held = told["ratios"]["holds"]
        lines += ["", *(f"- {'holds' if yes else 'FAILS'}: {name}" for name, yes in held.items())]
    return "\n".join(lines)


def _mb(key: str) -> Any:
    return lambda side: f"{side.get(key, 0) / _MB:,.0f} MB"


def _at(kind: str, mode: str) -> Any:
    def text(side: dict[str, Any]) -> str:
        best = side["best"][kind]
        point = best[mode]
        held = "" if best["held"] else ", the highest it reaches"
        recall = ", ".join(f"{value:.3f}" for value in point["recall_at_10"].values())
        return f"{point[f'{mode}_qps']:,.0f} at recall {recall}{held} ({point['search']})"

    return text


def _own(side: dict[str, Any]) -> str:
    own = side["own"]
    recall = ", ".join(f"{value:.3f}" for value in own["recall_at_10"].values())
    return (
        f"{own['batch_qps']:,.0f} and {own['single_qps']:,.0f} at recall {recall} ({own['search']})"
    )


_ROWS: Final[dict[str, Any]] = {
    "index": lambda side: side["chosen"],
    "build": lambda side: f"{side['build_s']:,.1f} s",
    "of it, start alone": lambda side: f"{side['start_s']:,.1f} s" if "start_s" in side else "",
    "build, processor seconds": lambda side: f"{side['cpu_s']:,.0f} s",
    "reading all vectors alone": lambda side: f"{side['scan_s']:,.1f} s",
    "peak, all processes": _mb("tree_bytes"),
    "peak, largest process": _mb("peak_bytes"),
    "served from memory": _mb("index_bytes"),
    "mapped for rescoring": _mb("mapped_bytes"),
    "queries/s, batch and single, as built (recall: rows, questions)": _own,
    f"batch queries/s, recall of rows {TARGET}": _at("rows", "batch"),
    f"single queries/s, recall of rows {TARGET}": _at("rows", "single"),
    f"batch queries/s, recall of both {TARGET}": _at("lowest", "batch"),
}


def main() -> None:
    """Make, build, measure, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("work", type=Path, help="folder for the set, the lake and autofaiss' index")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="real texts, or an npz of their vectors")
    parser.add_argument("--paragraphs", type=int, default=_DEFAULT_PARAGRAPHS)
    parser.add_argument("--serve-mb", type=int, default=600)
    parser.add_argument("--build-mb", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--environment", type=Path, help="autofaiss' environment; default: in WORK")
    parser.add_argument("--only", choices=["ours", "autofaiss"])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args()
    told: dict[str, Any] = {"prepared": prepare(options.work, options)}
    if options.only != "autofaiss":
        told["ours"] = ours(options.work, options) | {"start_s": start_s(options)}
    if options.only != "ours":
        told["autofaiss"] = autofaiss(options.work, options)
    if options.only is None:
        told["ratios"] = ratios(told["ours"], told["autofaiss"], options)
    print(json.dumps(told) if options.json else show(told))


if __name__ == "__main__":
    main()
