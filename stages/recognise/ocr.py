"""Optical character recognition by RapidOCR with the PP-OCR models that come inside its package."""

from __future__ import annotations

import logging
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from schemas.content import Block
from schemas.errors import CorruptError, MissingExtraError
from stages.decode.layout import clean_text, join_lines, union
from stages.recognise._ocr_lines import (
    OcrLine,
    Piece,
    are_sideways,
    confidence,
    evidence,
    lines_of,
    turned,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_DETECTOR: Final = "PP-OCRv6_det_small.onnx"
_RECOGNISER: Final = "PP-OCRv6_rec_small.onnx"
# Measured on rendered pages at 144 DPI, one thread: finding text takes 0.7 s at 1280 and 0.3 s at 960, reading its 43
# lines 6 s; 1280 reads 0.6 % more of the words. Squeezing lines to 85 % saves a sixth and costs 1 % of the words, so
# they are left as they are. The angle classifier costs little, but turned good lines over: off.
_DETECT_SIDE_PX: Final = 1280
# Whether there is writing in a picture at all is seen at half of that for a quarter of the time.
_GLANCE_SIDE_PX: Final = 640
_MIN_SCORE: Final = 0.6
_POOR: Final = (
    0.8  # mean score below which a page may be upside down; good scans have 0.95 and more
)
_SHORT_CHARS: Final = 4
_MIN_SHORT_SCORE: Final = (
    0.8  # leaves and wheels are read as one or two letters, with less confidence than real ones
)
_MIN_CHAR_SCORE: Final = 0.97
_SAME_SIZE: Final = 1.5
_PARAGRAPH_GAP: Final = 0.9  # in line heights
_BULLETS: Final = ("\u2022", "\u25cf", "\u25aa", "\u25a0")
_HEADING_SCALE: Final = 1.6
_MAX_HEADING_CHARS: Final = 120


class OcrReader:
    """Reads pictures. Loads its models at the first one, from the package folder; it never opens a connection.

    Args:
        threads: Compute threads.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._engine: Any = None

    def read(self, image: NDArray[np.uint8], *, glance: bool = False) -> tuple[OcrLine, ...]:
        """Read a picture.

        Args:
            image: uint8 [H, W, 3] RGB or [H, W, 1] grey.
            glance: Look at it small first, and no further if there is no writing to be seen.

        Returns:
            Lines in reading order, without those that were read with little confidence.

        Raises:
            MissingExtraError: RapidOCR or its models are not installed.
            CorruptError: The models could not work on this picture.
        """
        bgr = np.ascontiguousarray(_three_channels(image)[:, :, ::-1])
        if glance and max(bgr.shape[:2]) > _GLANCE_SIDE_PX and not self._has_text(bgr):
            return ()
        pieces, quarters = self._pieces_upright(bgr)
        return lines_of([p for p in pieces if _is_credible(p)], quarters, bgr.shape[:2])

    def _pieces_upright(self, bgr: NDArray[np.uint8]) -> tuple[list[Piece], int]:
        """What is written, and the turns counter-clockwise by 90 degrees after which it is level.

        A scan may lie on its side or on its head. Text that runs down the page is read as well as level text; what
        runs up, or stands on its head, is read with little confidence, and well in a turned copy.
        """
        pieces = self._pieces(bgr)
        sideways = are_sideways(pieces)
        if confidence(pieces) >= _POOR:
            return pieces, int(sideways)
        quarters = 3 if sideways else 2
        copy = np.ascontiguousarray(np.rot90(bgr, quarters))
        again = self._pieces(copy)
        if evidence(again) <= evidence(pieces):
            return pieces, int(sideways)
        size = copy.shape[:2]
        back = [Piece(p.text, turned(p.corners, 4 - quarters, size), p.score) for p in again]
        return back, quarters

    def _pieces(self, bgr: NDArray[np.uint8]) -> list[Piece]:
        result = self._run(self._loaded(), bgr)
        if getattr(result, "txts", None) is None:
            return []
        return [
            Piece(clean_text(text), np.asarray(corners, dtype=float), float(score))
            for text, corners, score in zip(result.txts, result.boxes, result.scores, strict=True)
        ]

    def _has_text(self, bgr: NDArray[np.uint8]) -> bool:
        from PIL import Image  # with the models, not with the module

        scale = _GLANCE_SIDE_PX / max(bgr.shape[:2])
        size = (max(1, round(bgr.shape[1] * scale)), max(1, round(bgr.shape[0] * scale)))
        small = np.asarray(Image.fromarray(bgr).resize(size, Image.Resampling.BOX))
        found = self._run(self._loaded(), small, use_rec=False)
        return getattr(found, "boxes", None) is not None

    def _run(self, engine: Any, bgr: NDArray[np.uint8], *, use_rec: bool = True) -> Any:
        from rapidocr.inference_engine.onnxruntime.main import ONNXRuntimeError
        from rapidocr.utils.process_img import ResizeImgError

        try:
            return engine(bgr, use_det=True, use_cls=False, use_rec=use_rec)
        except (ONNXRuntimeError, ResizeImgError, ValueError, IndexError) as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise CorruptError(
                f"a picture of {bgr.shape[1]} x {bgr.shape[0]} pixels: {reason}"
            ) from error

    def _loaded(self) -> Any:
        if self._engine is None:
            self._engine = _load(self._threads)
        return self._engine


def text_of(lines: Sequence[OcrLine]) -> str:
    """Text of lines, one paragraph a line."""
    return "\n".join(join_lines(line.text for line in part) for part in paragraphs(lines))


def blocks_of(lines: Sequence[OcrLine], page: int, points_per_pixel: float) -> tuple[Block, ...]:
    """Headings and paragraphs of a page that was read.

    Args:
        lines: In reading order.
        page: 1-based number of the page.
        points_per_pixel: Turns their boxes to PDF points.
    """
    if not lines:
        return ()
    usual = median(line.height for line in lines)
    blocks = []
    for part in paragraphs(lines):
        x0, y0, x1, y1 = (v * points_per_pixel for v in union(line.box for line in part))
        text = join_lines(line.text for line in part)
        large = min(line.height for line in part) >= _HEADING_SCALE * usual
        if large and len(text) <= _MAX_HEADING_CHARS and any(c.isalpha() for c in text):
            blocks.append(Block("heading", text, 1, page, (x0, y0, x1, y1)))
        else:
            blocks.append(Block("paragraph", text, 0, page, (x0, y0, x1, y1)))
    return tuple(blocks)


def paragraphs(lines: Sequence[OcrLine]) -> list[list[OcrLine]]:
    """Lines in reading order, grouped: close together, one above the other, of about one size."""
    groups: list[list[OcrLine]] = []
    for line in lines:
        if groups and not line.text.startswith(_BULLETS) and _follows(groups[-1][-1], line):
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _load(threads: int) -> Any:
    # Its logger writes to stderr by a handler of its own, and is set to INFO when it is imported.
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    try:
        import rapidocr
        from rapidocr import RapidOCR
    except ImportError as error:
        raise MissingExtraError("OCR needs RapidOCR: pip install rapidocr onnxruntime") from error
    models = Path(rapidocr.__file__).parent / "models"
    missing = [name for name in (_DETECTOR, _RECOGNISER) if not (models / name).is_file()]
    if missing:
        # Without a path RapidOCR would fetch a model from the network.
        raise MissingExtraError(
            f"this RapidOCR has no {' and '.join(missing)} in {models}: pip install 'rapidocr>=3.10,<4'"
        )
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Global.text_score": 0.0,  # what is not credible says that a page is upside down
            "Det.model_path": str(models / _DETECTOR),
            "Det.limit_side_len": _DETECT_SIDE_PX,
            "Det.limit_type": "max",
            "Rec.model_path": str(models / _RECOGNISER),
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _three_channels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image if image.shape[2] == 3 else np.repeat(image[:, :, :1], 3, axis=2)


def _is_credible(piece: Piece) -> bool:
    chars = sum(c.isalnum() for c in piece.text)
    if chars == 0:
        return False
    if chars == 1:
        return piece.score >= _MIN_CHAR_SCORE and piece.text.isascii()
    return piece.score >= (_MIN_SHORT_SCORE if chars < _SHORT_CHARS else _MIN_SCORE)


def _follows(last: OcrLine, line: OcrLine) -> bool:
    upper, lower = last.place, line.place
    heights = sorted((last.height, line.height))
    gap = lower[1] - upper[3]
    beside = lower[0] < upper[2] and lower[2] > upper[0]
    return (
        heights[1] <= _SAME_SIZE * heights[0]
        and beside
        and -heights[1] < gap <= _PARAGRAPH_GAP * heights[0]
    )
