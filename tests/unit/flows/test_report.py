from dataclasses import replace
from typing import Any

from lxml import etree

from flows.report import render
from schemas.balance import Balance, StageTime
from schemas.inverted import InvertedIndex, PostingsRef
from schemas.manifest import CurvePoint, FileRef, GateCheck, IndexManifest, Manifest
from schemas.space import SpaceContract

SPACE = SpaceContract("minilm", "minilm", "m", "1", "", 2, "float32", "text", "mean")


FILE = FileRef("k", 1, "s")
CURVE = tuple(
    CurvePoint({"nprobe": n}, 1 - 0.4 / n, 0.1 * n, 0.2 * n, 100.0 * n) for n in (1, 2, 4, 8)
)


def manifest(curve: tuple[CurvePoint, ...] = ()) -> Manifest:
    entry = IndexManifest(
        "text/paragraph",
        SPACE.key,
        "ivf_flat",
        {"nlist": 4},
        {"nprobe": 2},
        1234,
        0.97,
        0.5,
        1.5,
        (GateCheck("recall_at_10", 0.97, 0.95, at_least=True, passed=True),),
        (),
        {},
        FILE,
        FILE,
        curve=curve,
        reason="ivf_flat: a line\nWhy: <another>",
    )
    return Manifest("abc123", "2026-11-21", "r", {}, (SPACE,), (entry,), FileRef("k", 1, "s"))


def test_the_report_names_every_outcome_and_number():
    balance = Balance(found=4, indexed=2, duplicate=1, rejected={"corrupt": 1}, seconds=12.5)
    balance.stages["decode"] = StageTime(items=4, seconds=3.25, wait_seconds=1.0)
    page = render("run-1", balance, manifest(), [])
    for text in ("run-1", "4 files found", "1 corrupt", "1,234", "nprobe=2", "0.970", "3.2"):
        assert text in page, text


def test_the_report_has_the_words_of_each_partition():
    postings = PostingsRef("d", "i", 1200, 345, 9000, (FileRef("k", 3 << 20, "s"),), {"en": 1200})
    check = GateCheck("same_scores", 0.0, 1e-6, at_least=False, passed=True)
    words = InvertedIndex("text/paragraph", SPACE.key, "", {}, 1200, (postings,), (check,))
    page = render("r", Balance(), replace(manifest(), inverted=(words,)), [])
    for text in ("Found by terms", "its words", "1,200", "345", "3.0 MiB", "en", "same_scores"):
        assert text in page, text


def test_what_comes_from_files_is_escaped():
    reject = {"path": "<script>alert(1)</script>.pdf", "page": 3, "stage": "decode"}
    page = render("r", Balance(), None, [{**reject, "code": "corrupt", "reason": "<b>bad</b>"}])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "(page 3)" in page


def test_very_many_rejects_are_cut_and_counted():
    row = {"path": "a", "page": None, "stage": "decode", "code": "corrupt", "reason": "x"}
    assert "and 50 more" in render("r", Balance(), None, [row] * 250)


def drawing(page: str) -> Any:
    return etree.fromstring(page[page.index("<svg") : page.index("</svg>") + len("</svg>")])


def test_a_curve_is_drawn_with_the_choice_and_the_wanted_recall():
    svg = drawing(render("r", Balance(), manifest(CURVE), []))

    words = ["".join(text.itertext()) for text in svg.iter("text")]
    assert "◉ chosen: nprobe 2: 0.800 in 0.20 ms" in words
    assert "wanted: 0.95" in words
    assert {"0.60", "1.00", "0.1", "0.5"} <= set(words)
    dots = {title.text for title in svg.iter("title")}
    assert dots == {
        "nprobe 1: 0.600 in 0.10 ms",
        "nprobe 4: 0.900 in 0.40 ms",
        "nprobe 8: 0.950 in 0.80 ms",
    }


def test_the_reason_stands_beside_the_curve_and_is_escaped():
    page = render("r", Balance(), manifest(CURVE), [])

    assert "Why: &lt;another&gt;" in page
    assert "text/paragraph in minilm: ivf_flat" in page


def test_one_point_is_no_curve():
    assert "<svg" not in render("r", Balance(), manifest(CURVE[:1]), [])
