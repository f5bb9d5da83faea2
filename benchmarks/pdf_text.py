"""What reading PDFs costs beside PyMuPDF's own `get_text`, as shares within one run.

Each file is done by one process, which does all jobs on it in turn, round after round: so all jobs have the same
processes, files and disturbances. `--processes` work side by side, each on one file at a time. What counts is the
median over the rounds of the process's seconds of CPU. MuPDF's cache is emptied before each job.

Bare: `get_text("text")` of every page; `get_text("words")` and `get_text("dict")`, which carry the positions that
everything needs that looks at layout. Ours: `paragraphs`, the text layer up to blocks (lines, broken fonts, reading
order, headers and footers, headings, hyphens), without pictures, figures or tables; `text_only`, all that
`decode_pdf` does with `segmentation.page_pictures = false`; `decode`, all of it. OCR and layout models run later
and are not in it, pictures made for them are. The share is bare / ours: 1 is as fast as bare.

Steps are seconds of CPU of one further decoding of each file, each without the steps inside of it.

    python -m benchmarks.pdf_text FOLDER [--rounds N] [--processes N] [--most-pages N] [--json]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial, wraps
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from schemas.config import Limits, Segmentation
from schemas.errors import ConfigError, SourceError
from stages.decode import _pdf_objects, _pdf_reader, _pdf_text, pdf
from stages.decode._mupdf import MUPDF_ERRORS, pymupdf
from stages.decode._pdf_blocks import Outline, build_blocks
from stages.decode._pdf_open import opened
from stages.decode._pdf_reader import page_size
from stages.decode._pdf_text import body_size, read_text, text_layer
from stages.decode.options import DecodeOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BARE: Final = ("text", "words", "dict")
_OURS: Final = ("paragraphs", "text_only", "decode")
_PICTURED: Final = DecodeOptions()
_TEXT_ONLY: Final = DecodeOptions(segmentation=Segmentation(page_pictures=False))
_STEPS: Final = (  # where it stands, its name there, and the step that it is
    (_pdf_reader, "picture_sizes", "guards"),
    (_pdf_reader, "check_drawing", "guards"),
    (pymupdf.Page, "get_displaylist", "interpret"),
    (_pdf_reader, "text_layer", "characters to lines"),
    (_pdf_text, "read_blocks", "spans"),
    (_pdf_reader, "read_text", "fonts, columns, order"),
    (_pdf_reader, "read_drawn", "drawings"),
    (_pdf_reader, "render", "pictures"),
    (_pdf_reader, "render_grey", "renders for OCR and layout"),
    (_pdf_objects, "render", "pictures"),
    (_pdf_objects, "render_grey", "renders for OCR and layout"),
    (_pdf_objects.ObjectReader, "read", "figures, captions, guards of tables"),
    (_pdf_objects, "find_tables", "tables with rules"),
    (_pdf_objects, "find_columns", "tables without rules"),
    (pdf, "build_blocks", "blocks"),
)
# Looked up here, where a step that was renamed is an error: in `measure` it would be one of the file.
_WORK: Final = tuple((*step, getattr(*step[:2])) for step in _STEPS)


def bare(path: Path, kind: str) -> int:
    """`get_text` of every page; gives their number."""
    with pymupdf.open(path, filetype="pdf") as document:
        if document.needs_pass:
            document.authenticate("")
        for page in document:
            page.get_text(kind)
        return int(document.page_count)


def paragraphs(path: Path) -> None:
    """The text layer up to blocks."""
    with opened(path, Limits(), ()) as document:
        texts = []
        for page in document:
            layer = text_layer(page.get_displaylist())
            texts.append(read_text(page.number + 1, layer, page_size(page)))
        build_blocks(texts, Outline.of(document.get_toc(simple=True)), body_size(texts), {})


def decode(path: Path, options: DecodeOptions) -> None:
    """All that an ingest decodes, without the engine."""
    pdf.decode_pdf(path, "application/pdf", options)


def measure(path: Path, rounds: int, most_pages: int) -> dict[str, Any] | None:
    """Seconds, shares and steps of one file; None for one that is longer or cannot be read."""
    jobs: dict[str, Callable[[], Any]] = {kind: partial(bare, path, kind) for kind in _BARE}
    jobs["paragraphs"] = partial(paragraphs, path)
    jobs["text_only"] = partial(decode, path, _TEXT_ONLY)
    jobs["decode"] = partial(decode, path, _PICTURED)
    try:
        pages = bare(path, "text")
        if pages > most_pages:
            return None
        times = [{name: _timed(job) for name, job in jobs.items()} for _ in range(rounds)]
        steps = {name: _steps(jobs[name]) for name in ("text_only", "decode")}
    except (SourceError, *MUPDF_ERRORS):
        return None
    seconds = {name: statistics.median(row[name] for row in times) for name in jobs}
    return {"file": path.name, "pages": pages, "seconds": seconds, "steps": steps}


def _timed(job: Callable[[], Any]) -> float:
    """Seconds of CPU."""
    pymupdf.TOOLS.store_shrink(100)
    before = process_time()
    job()
    return process_time() - before


def _steps(job: Callable[[], Any]) -> dict[str, float]:
    """Seconds of CPU of each step, and of what is in none."""
    steps: Counter[str] = Counter()
    inner = [0.0]  # seconds inside of the steps that are running, from the outermost

    def stepped(work: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(work)
        def run(*arguments: Any, **named: Any) -> Any:
            inner.append(0.0)
            before = process_time()
            try:
                return work(*arguments, **named)
            finally:
                spent = process_time() - before
                steps[name] += spent - inner.pop()
                inner[-1] += spent

        return run

    with ExitStack() as patches:
        for owner, place, name, work in _WORK:
            patches.enter_context(patch.object(owner, place, stepped(work, name)))
        whole = _timed(job)
    return {**steps, "rest": whole - inner[0]}


def together(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over all files, with shares; steps as shares of their sum."""
    seconds: Counter[str] = Counter()
    steps: dict[str, Counter[str]] = {}
    for row in rows:
        seconds.update(row["seconds"])
        for job, spent in row["steps"].items():
            steps.setdefault(job, Counter()).update(spent)
    pages = sum(row["pages"] for row in rows)
    return {
        "files": len(rows),
        "pages": pages,
        "ms_a_page": {name: round(1000 * s / pages, 2) for name, s in seconds.items()},
        **shares(seconds),
        "steps": {
            job: {name: round(s / spent.total(), 3) for name, s in spent.most_common()}
            for job, spent in steps.items()
        },
    }


def shares(seconds: dict[str, float]) -> dict[str, float]:
    """Of each of ours, how much of it the bare ones take."""
    return {
        f"{ours}, share of {kind}": round(seconds[kind] / seconds[ours], 3)
        for ours in _OURS
        for kind in _BARE
    }


def main() -> None:
    """Measure the PDFs of a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--most-pages", type=int, default=300, help="leave out longer files")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    paths = sorted(options.folder.rglob("*.pdf"))
    work = partial(measure, rounds=options.rounds, most_pages=options.most_pages)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        rows = [row for row in pool.map(work, paths) if row]
    if not rows:
        raise ConfigError(f"{options.folder} has no PDF that can be read")
    if not options.json:
        for row in rows:
            told = (f"{name} {value}" for name, value in shares(row["seconds"]).items())
            print(f"{row['file']}  {row['pages']} pages ", "  ".join(told), flush=True)
    total = together(rows)
    print(json.dumps({"files": rows, "together": total} if options.json else total, indent=1))


if __name__ == "__main__":
    main()
