"""What the benchmarks of the index say of their numbers."""

import argparse
import copy

import pytest

from benchmarks import indexing, scale


def point(rows, seconds):
    return {
        "rows": rows,
        "lake_s": rows / 1e5,
        "lake_bytes": rows * 1600,
        "build_s": seconds,
        "tree_bytes": 2_000_000_000 + 100 * rows,
        "cpu_s": 2e-4 * rows,
        "largest_bytes": 1_000_000_000,
        "largest_name": "worker",
        "family": "ivf_sq8",
        "parameters": {"nlist": 4096},
        "segments": 8,
        "recall_at_10": 0.96,
        "latency_ms_p99": 3.0,
        "served_bytes": 400 * rows,
        "disk_bytes": 600 * rows,
    }


POINTS = [point(1_000_000, 110.0), point(2_000_000, 210.0), point(10_000_000, 1010.0)]


def test_slopes_leave_the_start_out():
    start, slope = scale.line(POINTS, "build_s")
    assert start == pytest.approx(10)
    assert slope == pytest.approx(1e-4)
    assert scale.flatness(POINTS, start_s=10.0) == pytest.approx(1.0)
    assert scale.flatness(POINTS, start_s=0.0) < 1


def test_a_billion_follows_from_the_slopes():
    need = scale.billion(POINTS, cores=2)
    assert need["core_hours"] == pytest.approx(1e-4 * 2 * 1e9 / 3600)
    assert need["most_core_hours"] == pytest.approx(100**0.25 * need["core_hours"])
    assert need["served_gb"] == pytest.approx(400)
    assert need["disk_gb"] == pytest.approx(600)
    assert need["machines"] == 5  # of 96 GB each


def test_the_document_keeps_what_is_around_the_measured_part():
    document = scale.DOCUMENT.read_text(encoding="utf-8")
    assert document.count(scale.BEGIN) == document.count(scale.END) == 1
    part = scale.text(POINTS, 10.0, 2)
    assert "| 10,000,000 | ivf_sq8" in part
    assert "is 1.00 of that at 1,000,000: within 10%" in part
    new = scale.written(document, part)
    assert part in new
    assert scale.written(new, "again") == scale.written(document, "again")
    assert new.startswith(document.partition(scale.BEGIN)[0])
    assert new.endswith(document.partition(scale.END)[2])


def one(qps, recall, search):
    return {
        "search": search,
        "recall_at_10": {"rows": recall, "questions": recall},
        "batch_qps": qps,
        "single_qps": qps / 2,
    }


def side(build_s, curve):
    best = {"held": True, "batch": curve[0], "single": curve[0]}
    return {
        "build_s": build_s,
        "scan_s": 1.0,
        "tree_bytes": 10**9,
        "cpu_s": 100.0,
        "peak_bytes": 10**9,
        "index_bytes": 5 * 10**8,
        "chosen": "ivf",
        "own": curve[0],
        "best": {"rows": best, "lowest": best},
        "curve": curve,
    }


BUDGETS = argparse.Namespace(serve_mb=600, build_mb=4096)


def test_speed_is_compared_at_no_less_recall():
    theirs = side(1000.0, [one(100.0, 0.97, "nprobe=64")])
    mine = side(50.0, [one(900.0, 0.96, {"nprobe": 8}), one(150.0, 0.98, {"nprobe": 32})])
    told = indexing.ratios(mine, theirs, BUDGETS)
    assert told["build"] == 0.05
    assert told["batch_qps"] == 1.5
    assert all(told["holds"].values())
    mine["curve"].pop()
    assert indexing.ratios(mine, theirs, BUDGETS)["batch_qps"] == 0


@pytest.mark.parametrize("key", ["index_bytes", "tree_bytes", "build_s"])
def test_a_target_that_is_missed_is_said(key):
    theirs = side(1000.0, [one(100.0, 0.97, "nprobe=64")])
    mine = side(50.0, [one(150.0, 0.98, {"nprobe": 32})])
    mine[key] = 10**10
    told = {"autofaiss": theirs, "ours": mine}
    told["ratios"] = indexing.ratios(mine, theirs, BUDGETS)
    assert sum(not yes for yes in told["ratios"]["holds"].values()) == 1
    assert indexing.show(told).count("FAILS") == 1


def test_the_table_has_both_sides():
    theirs = side(1000.0, [one(100.0, 0.97, "nprobe=64")])
    mine = side(50.0, [one(150.0, 0.98, {"nprobe": 32})]) | {"start_s": 12.0}
    shown = indexing.show({"autofaiss": copy.deepcopy(theirs), "ours": mine})
    assert "| build | 1,000.0 s | 50.0 s |" in shown
    assert "100 at recall 0.970, 0.970 (nprobe=64)" in shown
