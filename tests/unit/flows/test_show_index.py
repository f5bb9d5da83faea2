from __future__ import annotations

from dataclasses import replace

import pytest

from flows.changes import Foreseen
from flows.index_plan import PlannedIndex, PlannedLake
from flows.inverted import PlannedInverted
from flows.show_index import bar, show_plans, show_tuned
from flows.tune import TunedIndex, TunedSnapshot
from schemas.config import Indexing
from schemas.manifest import CurvePoint, FileRef, IndexManifest
from stages.index.plan import Need, plans
from stages.index.tune import Tuned

FILE = FileRef("k", 1, "s")
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def planned(rows: int, budget_bytes: int = 0) -> PlannedIndex:
    need = Need(rows, 384, serve_budget_bytes=budget_bytes, build_budget_bytes=4 << 30, workers=2)
    return PlannedIndex(
        "text/paragraph", "minilm", rows, 384, plans(need, Indexing()), Foreseen("new")
    )


def test_a_plan_shows_what_is_built_why_and_what_comes_next(capsys: pytest.CaptureFixture[str]):
    show_plans(PlannedLake("lake", 500 * MIB, (planned(1_000_000, 500 * MIB),)))
    shown = capsys.readouterr().out

    assert "1,000,000      new  ivf_sq8 nlist=2048" in shown
    assert "379 MiB of 500 MiB of memory to serve all of it, 1.32 GiB on disk, up to" in shown
    assert "Why: from 200,000 rows on" in shown
    assert "Not ivf_flat: 1.44 GiB while served, more than the 500 MiB there are." in shown
    assert "Next, where recall or latency do not hold: ivf_rabitq (66.0 MiB served" in shown


def test_a_plan_fits_a_terminal_of_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    many = replace(planned(10_000_000), partition="audio/recording")
    show_plans(PlannedLake("lake", 0, (many, replace(planned(10), partition="text/document"))))
    table = capsys.readouterr().out.split(" of memory to serve")[0]

    assert all(len(line) <= 80 for line in table.splitlines())
    assert "audio/recording  minilm  10,000,000      new  ivf_sq8" in table


def test_words_and_sparse_postings_are_counted(capsys: pytest.CaptureFixture[str]):
    words = PlannedInverted("text/paragraph", "", 10, 3 * MIB)
    show_plans(PlannedLake("lake", 0, (planned(10),), (words, replace(words, space="splade"))))
    shown = capsys.readouterr().out

    assert shown.count("~3.00 MiB") == 2
    assert "sparse postings" in shown
    assert "6.01 MiB of memory to serve all of it" in shown


def test_small_indices_are_told_in_one_line(capsys: pytest.CaptureFixture[str]):
    show_plans(PlannedLake("lake", 0, (planned(10), planned(20))))
    shown = capsys.readouterr().out

    assert "2 of those to build are searched exactly" in shown
    assert "Not " not in shown


def test_what_does_not_fit_is_told(capsys: pytest.CaptureFixture[str]):
    why = "it does [not] fit"
    not_planned = PlannedIndex("a/b", "minilm", 5, 384, (), Foreseen("anew", why), why)
    lake = PlannedLake("lake", 9, (not_planned,))
    show_plans(lake)
    shown = capsys.readouterr().out

    assert not lake.holds
    assert "none fits" in shown
    assert "it does [not] fit" in shown


def test_what_becomes_of_published_indices_is_told(capsys: pytest.CaptureFixture[str]):
    stays, grows, anew = (
        replace(planned(rows), partition=f"text/{seen.start}", foreseen=seen)
        for rows, seen in [
            (300_000, Foreseen("stays", kept_segments=3)),
            (300_001, Foreseen("grows", "", 1_204, 30, 2, 1)),
            (300_002, Foreseen("anew", "it was trained for 90 rows", 299_912, 0)),
        ]
    )
    show_plans(PlannedLake("lake", 0, (stays, grows, anew)))
    shown = capsys.readouterr().out

    assert "+1,204 -30" in shown
    assert (
        "text/grows in minilm grows: 1,204 new rows, 30 gone; 2 segments stay, 1 are merged."
        in shown
    )
    assert "text/anew in minilm is built anew: it was trained for 90 rows" in shown
    assert shown.count("Why: ") == 1  # of what is built


def test_an_empty_lake_says_what_to_do(capsys: pytest.CaptureFixture[str]):
    show_plans(PlannedLake("lake", 0, (), others=("mean-123",)))
    assert "only in mean-123: gristmill reindex --space NAME" in capsys.readouterr().out
    show_plans(PlannedLake("lake", 0, ()))
    assert "no vectors yet: gristmill ingest SRC --lake lake" in capsys.readouterr().out


def tuned(*, met: bool = True, nprobe: int = 4) -> TunedIndex:
    curve = tuple(
        CurvePoint({"nprobe": n}, 1 - 0.2 / n, 0.1 * n, 0.2 * n, 1e6 * n) for n in (2, 4, 8)
    )
    entry = IndexManifest(
        "text/paragraph",
        "s",
        "ivf_sq8",
        {"nlist": 64},
        {"nprobe": nprobe},
        1234,
        0.97,
        1,
        2,
        (),
        (),
        {},
        FILE,
        FILE,
    )
    found = Tuned(curve[1], {"rows": 0.96, "text": 0.95}, curve, met, "reached 0.950 at nprobe 4")
    return TunedIndex(entry, "minilm", (0.95, 2.0), found)


def test_a_curve_marks_what_is_chosen_and_what_is_published(capsys: pytest.CaptureFixture[str]):
    show_tuned(TunedSnapshot("snap", (tuned(nprobe=8),)))
    lines = capsys.readouterr().out.splitlines()

    assert any("nprobe=4" in line and line.rstrip().endswith("<- chosen") for line in lines)
    assert any("nprobe=8" in line and line.rstrip().endswith("<- published") for line in lines)
    assert "wanted recall 0.95 within 2 ms; reached 0.950 at nprobe 4" in lines
    assert "recall by kind of query: rows 0.960, text 0.950" in lines
    assert lines[-1].startswith("nothing was changed; with --publish")


def test_a_published_choice_beside_the_curve_is_named(capsys: pytest.CaptureFixture[str]):
    show_tuned(TunedSnapshot("snap", (tuned(nprobe=64),)))
    assert "published: nprobe=64, recall 0.970 when it was built" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (TunedSnapshot("snap", (tuned(),)), "snapshot snap is tuned to this already"),
        (
            TunedSnapshot("snap", (tuned(nprobe=8),), "other"),
            "published other: the files of snap, searched anew",
        ),
        (TunedSnapshot("snap", (tuned(met=False, nprobe=8),)), "NOT REACHED: wanted recall 0.95"),
    ],
)
def test_the_outcome_is_told(found: TunedSnapshot, told: str, capsys: pytest.CaptureFixture[str]):
    show_tuned(found)
    assert told in capsys.readouterr().out


def test_bars_have_eighths():
    assert [len(bar(share)) for share in (0, 0.5, 1, 2)] == [10] * 4
    assert bar(0.5) == "█" * 5 + " " * 5
    assert bar(0.52).strip("█ ") == "▎"
