"""What a vector costs as sets grow, and what a billion would take: docs/scale.md, measured.

Each size gets a lake of its own (made, indexed, deleted). Of the index command the wall time, the memory of its process
tree and the bytes it leaves are measured; lines through them give the cost of one more vector.

    python -m benchmarks.scale WORK --rows 1000000 2000000 4000000 10000000 [--write]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.lake_of_vectors import write_lake
from benchmarks.ours_side import file_bytes, index_lake
from benchmarks.vectors import Maker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.ours_side import Built

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN: Final = "<!-- measured by benchmarks/scale.py: begin -->"
END: Final = "<!-- measured by benchmarks/scale.py: end -->"
_GB: Final = 1e9
_BILLION: Final = 1_000_000_000
_START_ROWS: Final = 2_000
# The machine that the billion is told for: what clouds rent by the hour, with a local disk.
_CORES: Final = 32
_MEMORY_GB: Final = 128
_FLAT: Final = 0.10


def measured(
    work: Path, rows: int, options: argparse.Namespace, serve_bytes: int = 0
) -> dict[str, Any]:
    """Make a lake of so many rows, index it within `serve_bytes` (0: no limit), delete it."""
    lake = work / f"lake-{rows}"
    try:
        told = write_lake(str(lake), Maker.stored().blocks(rows))
        lake_bytes = _bytes(lake / "tables")
        built = index_lake(
            str(lake),
            serve_bytes=serve_bytes,
            build_bytes=options.build_mb * 1_000_000,
            workers=options.threads,
        )
    finally:
        shutil.rmtree(lake, ignore_errors=True)
    return {"rows": rows, "lake_s": told["make_s"] + told["commit_s"], "lake_bytes": lake_bytes} | (
        _of(built)
    )


def _of(built: Built) -> dict[str, Any]:
    (entry,) = built.manifest.indexes
    sizes = file_bytes(entry)
    return {
        "build_s": built.seconds,
        "cpu_s": built.used.cpu_s,
        "tree_bytes": built.used.tree_bytes,
        "largest_bytes": built.used.largest_bytes,
        "largest_name": built.used.largest_name,
        "family": entry.family,
        "parameters": entry.parameters,
        "segments": len(entry.segments),
        "recall_at_10": entry.recall_at_10,
        "latency_ms_p99": entry.latency_ms_p99,
        "served_bytes": sizes["index.faiss"],
        "disk_bytes": sum(sizes.values()),
    }


def line(points: Sequence[dict[str, Any]], key: str) -> tuple[float, float]:
    """(value of nothing, value of one more row): the least-squares line through the points."""
    rows = np.array([point["rows"] for point in points], dtype=np.float64)
    values = np.array([point[key] for point in points], dtype=np.float64)
    if len(points) == 1:
        return 0.0, float(values[0] / rows[0])
    slope, start = np.polyfit(rows, values, 1)
    return float(start), float(slope)


def flatness(points: Sequence[dict[str, Any]], start_s: float) -> float:
    """Seconds of a vector at the largest size, divided by those at the smallest; the start alone is left out."""
    each = [(point["build_s"] - start_s) / point["rows"] for point in points]
    return float(each[-1] / each[0])


def billion(points: Sequence[dict[str, Any]], cores: int) -> dict[str, float]:
    """What 10**9 vectors would take, by the slopes.

    Reading, training, encoding and validating are taken as linear in rows; finding the nearest of `nlist` lists is not,
    if the plan lets them grow with the root of the rows: a vector is compared with groups of lists, as many as the
    root of them. ``most_core_hours`` counts all of the time as if it were that, which is the worst case.
    """
    core_s = line(points, "build_s")[1] * cores
    largest = points[-1]["rows"]
    served = line(points, "served_bytes")[1] * _BILLION
    return {
        "core_hours": core_s * _BILLION / 3600,
        "most_core_hours": core_s * _BILLION / 3600 * (_BILLION / largest) ** 0.25,
        "served_gb": served / _GB,
        "disk_gb": line(points, "disk_bytes")[1] * _BILLION / _GB,
        "lake_gb": line(points, "lake_bytes")[1] * _BILLION / _GB,
        "machines": math.ceil(served / _GB / (0.75 * _MEMORY_GB)),
        "tree_gb_per_million": line(points, "tree_bytes")[1] * 1e6 / _GB,
    }


def text(points: Sequence[dict[str, Any]], start_s: float, cores: int) -> str:
    """The measured part of docs/scale.md."""
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "rows": lambda p: f"{p['rows']:,}",
        "index": lambda p: f"{p['family']} {p['parameters']}, {p['segments']} segments",
        "seconds": lambda p: f"{p['build_s']:,.0f}",
        "processor seconds": lambda p: f"{p['cpu_s']:,.0f}",
        "microseconds a vector": lambda p: f"{(p['build_s'] - start_s) / p['rows'] * 1e6:,.1f}",
        "peak GB, all processes": lambda p: f"{p['tree_bytes'] / _GB:.2f}",
        "peak GB, largest process": lambda p: (
            f"{p['largest_bytes'] / _GB:.2f} ({p['largest_name']})"
        ),
        "served GB": lambda p: f"{p['served_bytes'] / _GB:.2f}",
        "snapshot on disk GB": lambda p: f"{p['disk_bytes'] / _GB:.2f}",
        "tables on disk GB": lambda p: f"{p['lake_bytes'] / _GB:.2f}",
        "recall@10": lambda p: f"{p['recall_at_10']:.3f}",
        "p99 ms": lambda p: f"{p['latency_ms_p99']:.1f}",
    }
    head = ["| " + " | ".join(columns) + " |", "|" + "---:|" * len(columns)]
    rows = ["| " + " | ".join(of(point) for of in columns.values()) + " |" for point in points]
    return "\n".join([*head, *rows, "", *_conclusions(points, start_s, cores)])


def _conclusions(points: Sequence[dict[str, Any]], start_s: float, cores: int) -> list[str]:
    ratio, need = flatness(points, start_s), billion(points, cores)
    hours = need["core_hours"] / (_CORES * need["machines"])
    worst = need["most_core_hours"] / (_CORES * need["machines"])
    flat = "within" if abs(ratio - 1) <= _FLAT else "NOT within"
    return [
        f"Measured on {cores} cores. The command alone (Ray, models, a lake of {_START_ROWS:,} rows) takes"
        f" {start_s:,.0f} s, which the cost of a vector leaves out.",
        "",
        f"- Cost of a vector at {points[-1]['rows']:,} rows is {ratio:.2f} of that at {points[0]['rows']:,}: {flat}"
        f" {_FLAT:.0%}.",
        f"- One more million rows adds {line(points, 'build_s')[1] * 1e6:,.0f} s on these cores,"
        f" {need['tree_gb_per_million']:.2f} GB of peak memory, {need['served_gb'] / 1000:.2f} GB served,"
        f" {need['disk_gb'] / 1000:.2f} GB of snapshot and {need['lake_gb'] / 1000:.2f} GB of tables.",
        "",
        f"A billion, by these slopes: {need['core_hours']:,.0f} core hours if every part stays linear,"
        f" {need['most_core_hours']:,.0f} if all of it were the search for the nearest list, which grows with the"
        f" fourth root of the rows. It is served from {need['served_gb']:,.0f} GB of memory: {need['machines']:.0f}"
        f" machines of {_MEMORY_GB} GB, a quarter of each left free. If the same machines, of {_CORES} cores, build"
        f" it, that is {hours:,.1f} to {worst:,.1f} hours. The snapshot takes {need['disk_gb']:,.0f} GB of disk, the"
        f" tables {need['lake_gb']:,.0f} GB.",
    ]


def written(document: str, part: str) -> str:
    """The document with its measured part replaced."""
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{part}\n{END}{tail}"


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Measure each size and say what follows; the numbers go to WORK/scale.json as they come."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument(
        "work", type=Path, help="folder for one lake at a time: 3.2 GB a million rows"
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 2_000_000, 10_000_000])
    parser.add_argument("--build-mb", type=int, default=8192)
    parser.add_argument("--serve-bytes-per-row", type=int, default=600, help="0 for no limit")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--write", action="store_true", help="put it into docs/scale.md")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    start_s = measured(options.work, _START_ROWS, options)["build_s"]
    points = []
    for rows in sorted(options.rows):
        points.append(measured(options.work, rows, options, rows * options.serve_bytes_per_row))
        told = {"start_s": start_s, "points": points, "when": time.strftime("%Y-%m-%d")}
        (options.work / "scale.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    part = text(points, start_s, options.threads)
    print(part)
    if options.write:
        DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), part), encoding="utf-8")


if __name__ == "__main__":
    main()
