"""How often the language of a text is found, on a corpus whose manifest names languages.

Run as ``python -m benchmarks.languages FOLDER [--json]``. FOLDER has a ``manifest.jsonl`` with ``path`` and ``lang``
(``pt_BR`` counts as ``pt``, ``nb`` as ``no``). PDFs and texts are decoded and cut as in a run; a text is right
if its unit's language is the manifest's. Transcripts of recordings, which are short, are asked as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import SourceError
from schemas.partition import TEXT_DOCUMENT, TEXT_PARAGRAPH
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.segment._language import language_of
from stages.segment.options import SegmentOptions
from stages.segment.passages import segment_passages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SAME = {"nb": "no", "nn": "no", "iw": "he", "in": "id"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    figures = measure(options.folder)
    if options.json:
        print(json.dumps(figures, indent=1, sort_keys=True))
    else:
        for kind, figure in figures.items():
            counts = ", ".join(
                f"{figure[name]} {name}" for name in ("right", "wrong", "silent", "all")
            )
            print(f"{kind}: {counts}")
            print(
                "  wrong:",
                ", ".join(f"{pair} {n}" for pair, n in figure["mistakes"].items()) or "none",
            )
    return 0


def measure(folder: Path) -> dict[str, dict[str, Any]]:
    """Right, wrong and silent by kind of text, and the commonest mistakes as ``true>found``."""
    answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry.get("lang"):
            for kind, found in _found(folder, entry):
                answers[kind].append((_code(entry["lang"]), _code(found)))
    return {kind: _figures(pairs) for kind, pairs in sorted(answers.items())}


def _found(folder: Path, entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if entry["modality"] in ("pdf", "text"):
        path = folder / entry["path"]
        try:
            content, _ = decode(path, path.suffix[1:], DecodeOptions())
        except SourceError as error:
            print(error, file=sys.stderr)
            return
        for unit in segment_passages("source", content, (), SegmentOptions()):
            if unit.partition in (TEXT_PARAGRAPH, TEXT_DOCUMENT):
                yield str(unit.partition), unit.language
        return
    if text := entry.get("transcript") or "":
        yield "transcripts (speech)", language_of(text)


def _code(language: str) -> str:
    code = language.replace("-", "_").partition("_")[0]
    return _SAME.get(code, code)


def _figures(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    mistakes = Counter(f"{true}>{found}" for true, found in pairs if found and found != true)
    wrong = sum(mistakes.values())
    silent = sum(not found for _, found in pairs)
    return {
        "all": len(pairs),
        "right": len(pairs) - wrong - silent,
        "wrong": wrong,
        "silent": silent,
        "mistakes": dict(mistakes.most_common(20)),
    }


if __name__ == "__main__":
    sys.exit(main())
