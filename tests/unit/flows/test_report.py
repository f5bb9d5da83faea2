from flows.report import render
from schemas.balance import Balance, StageTime
from schemas.manifest import FileRef, GateCheck, IndexManifest, Manifest
from schemas.space import SpaceContract

SPACE = SpaceContract("minilm", "minilm", "m", "1", "", 2, "float32", "text", "mean")


def manifest() -> Manifest:
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
    )
    return Manifest("abc123", "2026-11-21", "r", {}, (SPACE,), (entry,), FileRef("k", 1, "s"))


def test_the_report_names_every_outcome_and_number():
    balance = Balance(found=4, indexed=2, duplicate=1, rejected={"corrupt": 1}, seconds=12.5)
    balance.stages["decode"] = StageTime(items=4, seconds=3.25, wait_seconds=1.0)
    page = render("run-1", balance, manifest(), [])
    for text in ("run-1", "4 files found", "1 corrupt", "1,234", "nprobe=2", "0.970", "3.2"):
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
