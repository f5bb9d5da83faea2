"""The corpus that is killed over, how it changes, and all that a lake shows of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pymupdf
from PIL import Image

from flows import snapshots
from infra import pointer
from infra.lake import paths
from stages.index.verify import verify
from tests.integration.mill import Mill

MILLS = "The mill has a wheel, the wheel has nine paddles."


def first_corpus(corpus: Path) -> None:
    """Texts, a table, a page, a picture, one thing twice, something broken, something private."""
    corpus.mkdir()
    (corpus / "mill.txt").write_text(MILLS)
    (corpus / "copy.txt").write_text(MILLS)
    (corpus / "prices.csv").write_text("grain,price\nwheat,3\nrye,2\n")
    (corpus / "broken.pdf").write_text("%PDF-1.4 nothing")
    (corpus / "my private notes.md").write_text("# Notes\n\nThe key lies under the third stone.")
    (corpus / "goes.txt").write_text("This one will be deleted.")
    write_pdf(corpus / "page.pdf", "Flour is ground between two stones.")
    write_png(corpus / "picture.png", "noise")


def change_corpus(corpus: Path) -> None:
    """One file each that is new, changed, moved, deleted, and mended."""
    (corpus / "new.txt").write_text("A new page about bread.")
    (corpus / "prices.csv").write_text("grain,price\nwheat,4\nrye,2\n")
    (corpus / "mill.txt").rename(corpus / "moved.txt")
    (corpus / "goes.txt").unlink()
    (corpus / "broken.pdf").write_text("It is a text after all.")


def write_pdf(path: Path, text: str) -> None:
    """A page with a line on it."""
    with pymupdf.open() as document:
        document.new_page(width=200, height=100).insert_text((20, 50), text, fontsize=9)
        document.save(path, no_new_id=True)


def write_png(path: Path, seed: str) -> None:
    """A picture of coarse noise, another for every seed."""
    coarse = np.random.default_rng(list(seed.encode())).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse.repeat(24, axis=0).repeat(24, axis=1)).save(path)


def shown_by(mill: Mill) -> dict[str, Any]:
    """All that a lake shows, but for when and by which run."""
    current = pointer.current(mill.lake.blobs)
    if current is None:
        return {}
    manifest = snapshots.read_manifest(mill.lake.blobs, current)
    checks = verify(manifest, mill.lake.blobs.local_path)
    view = mill.lake.view()
    state = view.state()
    return {
        "snapshot": current,
        "segments": [segment.digest for index in manifest.indexes for segment in index.segments],
        "verified": all(check.passed for index in checks for check in index.checks),
        "paths": {p.path: (p.source_id, p.outcome, p.reject_code) for p in state.paths.values()},
        "complete": sorted(
            state.spaces_done & {(s, k) for s in state.live_sources for k in view.space_keys()}
        ),
        "units": view.live_units(columns=["unit_id", "text"]).to_pylist(),
        "vectors": {key: complete_vectors(mill, key) for key in view.space_keys()},
        "counts": view.counts(),
        "rejects": [(row["path"], row["code"]) for row in view.rejects().to_pylist()],
    }


def complete_vectors(mill: Mill, space: str) -> list[tuple[str, ...]]:
    """(modality, granularity, content) of every vector of a complete batch, in order: repeats would show."""
    view = mill.lake.view()
    batches = set(view.live.batches["batch"].to_pylist())
    columns = ["modality", "granularity", "input_hash", "batch"]
    rows = view.all_rows(paths.embeddings(space), columns).to_pylist()
    return sorted(tuple(row[c] for c in columns[:3]) for row in rows if row["batch"] in batches)
