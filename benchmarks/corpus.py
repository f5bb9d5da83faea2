"""Corpora for measuring: seeded, made on the spot, with the length distributions of real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

_TEXTS: Final = 40
_PDFS: Final = 8
_PDF_PAGES: Final = 4
_VIDEOS: Final = 6
_SCENES: Final = 6
_SCENE_S: Final = 8.0
_SPEECH: Final = Path(__file__).parents[1] / "samples/corpus/sound/interview_pell.mp3"
_SPEECH_S: Final = 10.0
_SYLLABLES: Final = ("ba", "co", "di", "gra", "he", "jo", "ki", "mill", "no", "qua", "re", "stone")


def make_text_corpus(folder: Path, seed: int) -> None:
    """Plain texts and PDFs with a text layer; word lengths and paragraph lengths vary as in prose."""
    import pymupdf

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(_TEXTS):
        paragraphs = [_paragraph(rng) for _ in range(int(rng.integers(3, 12)))]
        (folder / f"text-{i}.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    for i in range(_PDFS):
        with pymupdf.open() as pdf:
            for _ in range(_PDF_PAGES):
                page = pdf.new_page()
                text = "\n\n".join(_paragraph(rng) for _ in range(4))
                page.insert_textbox(pymupdf.Rect(60, 60, 535, 780), text, fontsize=10)
            pdf.save(folder / f"paper-{i}.pdf")


def make_video_corpus(folder: Path, seed: int) -> None:
    """Videos of several scenes with moving pictures and speech, H.264 and AAC, 640 x 360, 25 fps."""
    import subprocess

    from stages.decode._ffmpeg import find_ffmpeg

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for i in range(_VIDEOS):
        scenes = []
        for scene in range(_SCENES):
            source = ("testsrc2", "mandelbrot", "rgbtestsrc", "smptebars")[(scene + i) % 4]
            scenes += ["-f", "lavfi", "-t", str(_SCENE_S), "-i", f"{source}=size=640x360:rate=25"]
        start_s = f"{rng.uniform(0, _SPEECH_S):.2f}"
        joined = "".join(f"[{s}:v]" for s in range(_SCENES)) + f"concat=n={_SCENES}:v=1[v]"
        subprocess.run(
            [
                *(find_ffmpeg(), "-y", "-v", "error", *scenes),
                *("-stream_loop", "-1", "-ss", start_s, "-t", str(_SCENES * _SCENE_S)),
                *("-i", str(_SPEECH)),
                *("-filter_complex", joined, "-map", "[v]", "-map", f"{_SCENES}:a"),
                *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"),
                *("-metadata", f"comment=seed {seed} number {i}", str(folder / f"video-{i}.mp4")),
            ],
            check=True,
            timeout=600,
        )


def _paragraph(rng: np.random.Generator) -> str:
    sentences = []
    for _ in range(int(rng.integers(2, 8))):
        words = [_word(rng) for _ in range(int(rng.integers(5, 22)))]
        sentences.append(" ".join(words).capitalize() + ".")
    return " ".join(sentences)


def _word(rng: np.random.Generator) -> str:
    return "".join(rng.choice(_SYLLABLES, size=int(rng.integers(1, 4))))
