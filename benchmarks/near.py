"""How well perceptual hashes tell copies from other pictures: recall by what was done to a copy, and false pairs.

    python -m benchmarks.near FOLDER [--copies N] [--figures | --pages] [--json] [--pairs N]

Every picture of FOLDER is decoded as in a run. N of them (evenly spread) are changed in the ways listed in `CHANGES`,
saved and decoded again: at each distance the share of those copies that are found. All pairs of different files of
FOLDER are counted at each distance too; files with equal bytes count once. `--pairs` names the nearest of them, to be
looked at: a folder may hold copies of its own. With `--figures` the figures and pictures of the PDFs of FOLDER are
paired instead, with `--pages` their pages and tables too; then nothing is changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageEnhance

from schemas.config import Recognition
from schemas.errors import SourceError
from stages.decode.options import DecodeOptions
from stages.decode.registry import decode
from stages.near import distance_bits
from stages.segment._pixels import hash_looks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OPTIONS: Final = DecodeOptions(recognition=Recognition(ocr=False, speech=False, sound_tags=False))
_SUFFIXES: Final = (
    ".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".svg", ".jp2",
)  # fmt: skip
_MOST_BITS: Final = 16


def _scaled(share: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.resize(
        (max(1, round(image.width * share)), max(1, round(image.height * share)))
    )


def _cropped(share: float) -> Callable[[Image.Image], Image.Image]:
    """A share of the width and height gone at each border."""
    return lambda image: image.crop(
        (
            round(image.width * share),
            round(image.height * share),
            round(image.width * (1 - share)),
            round(image.height * (1 - share)),
        )
    )


# What is done, and how it is saved.
CHANGES: Final[dict[str, tuple[Callable[[Image.Image], Image.Image], str, dict[str, Any]]]] = {
    "half the size": (_scaled(0.5), "png", {}),
    "a quarter of the size": (_scaled(0.25), "png", {}),
    "JPEG of quality 30": (lambda image: image, "jpg", {"quality": 30}),
    "WebP of quality 30, half the size": (_scaled(0.5), "webp", {"quality": 30}),
    "palette of 16 colours": (lambda image: image.quantize(16).convert("RGB"), "png", {}),
    "a fifth brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), "png", {}),
    "grey": (lambda image: image.convert("L"), "png", {}),
    "1 % cropped at each border": (_cropped(0.01), "png", {}),
    "3 % cropped at each border": (_cropped(0.03), "png", {}),
    "5 % cropped at each border": (_cropped(0.05), "png", {}),
}


def phash_of_file(path: Path) -> str:
    """As a run has it; empty where the file gives no picture with a hash."""
    try:
        content, _ = decode(path, "", _OPTIONS)
    except SourceError:
        return ""
    return content.image.phash if content.image else ""


def originals_of(folder: Path) -> dict[Path, str]:
    """Pictures with a hash, each content once."""
    found, known = {}, set()
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES):
        digest = hashlib.sha256(path.read_bytes()).digest()
        phash = "" if digest in known else phash_of_file(path)
        known.add(digest)
        if phash:
            found[path] = phash
    return found


def figures_of(folder: Path, *, pages: bool) -> dict[str, str]:
    """Figures and pictures of PDFs by ``file.pdf#page=3:figure-0``, or their pages and tables too."""
    found = {}
    for path in sorted(folder.rglob("*.pdf")):
        try:
            content, arrays = decode(path, "", _OPTIONS)
        except SourceError:
            continue
        name = path.relative_to(folder)
        for page in content.pages if pages else ():
            pixels = arrays[page.pixels_array]
            found[f"{name}#page={page.number}"] = hash_looks(pixels, page.width_pt, page.height_pt)
        for number, region in enumerate(content.regions):
            if pages or region.kind != "table":
                x0, y0, x1, y1 = region.bbox
                looks = hash_looks(arrays[region.pixels_array], x1 - x0, y1 - y0)
                found[f"{name}#page={region.page}:{region.kind}-{number}"] = looks
    return {name: phash for name, phash in found.items() if phash}


def copy_distances(paths: Sequence[Path], hashes: dict[Path, str]) -> dict[str, list[int]]:
    """Distance of each changed copy from its original, by change; 65 where the copy has no hash."""
    found: dict[str, list[int]] = {name: [] for name in CHANGES}
    with tempfile.TemporaryDirectory() as scratch:
        for path in paths:
            try:
                with Image.open(path) as image:
                    image = _plain(image)
            except (OSError, ValueError):  # drawings, which Pillow does not open
                continue
            for name, (change, suffix, options) in CHANGES.items():
                copy = Path(scratch) / f"copy.{suffix}"
                change(image).save(copy, **options)
                phash = phash_of_file(copy)
                found[name].append(distance_bits(phash, hashes[path]) if phash else 65)
    return found


def _plain(image: Image.Image) -> Image.Image:
    """What an image program would save: RGB on white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return ground.convert("RGB")


def pair_distances(hashes: Sequence[str]) -> np.ndarray:
    """Bits between all pairs of different rows, uint8 [n, n]; 255 at and below the diagonal."""
    codes = np.array([int(phash, 16) for phash in hashes], dtype=np.uint64)
    bits = np.bitwise_count(codes[:, None] ^ codes[None, :]).astype(np.uint8)
    bits[np.tril_indices(len(codes))] = 255
    return bits


def main() -> None:
    """Measure a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    hashes: dict[Any, str] = (
        figures_of(asked.folder, pages=asked.pages)
        if asked.figures or asked.pages
        else originals_of(asked.folder)
    )
    paths = list(hashes)
    copied = [] if asked.figures or asked.pages else paths[:: max(1, len(paths) // asked.copies)]
    copies = copy_distances(copied, hashes) if copied else {}
    bits = pair_distances(list(hashes.values()))
    n_pairs = len(paths) * (len(paths) - 1) // 2
    rows = [
        {
            "bits": most,
            "recall": {n: round(float(np.mean(np.array(d) <= most)), 4) for n, d in copies.items()},
            "pairs": int((bits <= most).sum()),
        }
        for most in range(_MOST_BITS + 1)
    ]
    nearest = np.argsort(bits, axis=None, kind="stable")[: asked.pairs]
    near = [
        (
            int(bits.flat[at]),
            *(str(paths[i]) for i in divmod(int(at), len(paths))),
        )
        for at in nearest
    ]
    told = {"pictures": len(paths), "all_pairs": n_pairs, "rows": rows, "nearest": near}
    if asked.json:
        print(json.dumps(told))
        return
    print(f"{len(paths)} pictures, {n_pairs} pairs of different ones")
    print(" | ".join(["| bits", *copies, "pairs |"]))
    print("|---:|" + "---:|" * (len(copies) + 1))
    for row in rows:
        cells = [str(row["bits"]), *(f"{v:.3f}" for v in row["recall"].values()), str(row["pairs"])]
        print("| " + " | ".join(cells) + " |")
    for pair in near:
        print(*pair)


if __name__ == "__main__":
    main()
