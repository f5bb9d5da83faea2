"""What is drawn on a PDF page: pictures, vector figures and ruling lines, from one pass over its bounding boxes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from stages.decode._mupdf import pymupdf
from stages.decode._pdf_blocks import CAPTION
from stages.decode._pdf_gaps import is_code, is_gappy
from stages.decode.layout import area, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_text import PageText

_mupdf: Final[Any] = pymupdf.mupdf
_MIN_SIDE_PT: Final = 36.0  # half an inch: smaller is an icon, a bullet or a logo
_MAX_PAGE_SHARE: Final = 0.9  # larger is a background or the scan of the page itself
_GAP_PT: Final = 4.0  # paths of one drawing lie closer together
_THIN_PT: Final = 3.0
_EDGE_PT: Final = 6.0  # a frame that is drawn line by line lies within this of its outer edge
_MIN_SHAPES: Final = 4  # fewer make a box or a rule, not a figure
_FRAME_SHARE: Final = 0.85  # of the width or height of a drawing
_MAX_TEXT_SHARE: Final = 0.45  # a frame around running text is not a figure
_FEW_TEXT_SHARE: Final = 0.2  # labels
_DOUBTFUL_TEXT_SHARE: Final = (
    0.6  # a flow chart has much text in its boxes; above that it is a frame
)
_MIN_DOUBT_SHARE: Final = 0.04  # of the page
_LABEL_PT: Final = 14.0  # a line of small type
_MAX_LABEL_CHARS: Final = 16


@dataclass(frozen=True, slots=True)
class Drawn:
    """Boxes of what is drawn on a page, in points as it is displayed."""

    images: tuple[BBox, ...]
    paths: tuple[BBox, ...]
    strokes: tuple[BBox, ...]  # those of the paths that are lines, not areas, and not one rectangle


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture (pixels in the file) or a figure (vector drawing).

    Attributes:
        kind: Which of them.
        bbox: Its box with the labels around it.
        sure: Whether what is drawn leaves no doubt that it is one.
        stands: Whether it is taken for one if nobody can tell.
        alone: Whether it is one picture of the file and nothing else.
    """

    kind: Literal["figure", "picture"]
    bbox: BBox
    sure: bool
    stands: bool
    alone: bool


class _Boxes(_mupdf.FzDevice2):  # type: ignore[misc]  # its class is of type Any
    """Notes the boxes of what is drawn, as pymupdf's `Page.get_bboxlog` does.

    It is not told of text, which there is most of on most pages; images of one colour (masks) count as paths.
    """

    def __init__(self, limit: BBox) -> None:
        super().__init__()
        self.limit = limit
        self.images: list[BBox] = []
        self.paths: dict[BBox, None] = {}
        self.strokes: dict[BBox, None] = {}
        self.use_virtual_fill_path()
        self.use_virtual_stroke_path()
        self.use_virtual_fill_shade()
        self.use_virtual_fill_image()
        self.use_virtual_fill_image_mask()

    def fill_path(self, _: Any, path: Any, __: int, matrix: Any, *___: Any) -> None:
        if box := self._cut(_mupdf.ll_fz_bound_path(path, None, matrix)):
            self.paths[box] = None

    def stroke_path(self, _: Any, path: Any, stroke: Any, matrix: Any, *__: Any) -> None:
        if box := self._cut(_mupdf.ll_fz_bound_path(path, stroke, matrix)):
            self.paths[box] = None
            if not _mupdf.ll_fz_path_is_rect(path, matrix):
                self.strokes[box] = None

    def fill_shade(self, _: Any, shade: Any, matrix: Any, *__: Any) -> None:
        if box := self._cut(_mupdf.ll_fz_bound_shade(shade, matrix)):
            self.paths[box] = None

    def fill_image(self, _: Any, __: Any, matrix: Any, *___: Any) -> None:
        if box := self._cut(_mupdf.ll_fz_transform_rect(_mupdf.fz_unit_rect, matrix)):
            self.images.append(box)

    def fill_image_mask(self, _: Any, __: Any, matrix: Any, *___: Any) -> None:
        if box := self._cut(_mupdf.ll_fz_transform_rect(_mupdf.fz_unit_rect, matrix)):
            self.paths[box] = None

    def _cut(self, rect: Any) -> BBox | None:
        return _clipped((rect.x0, rect.y0, rect.x1, rect.y1), self.limit)


def read_drawn(shown: Any) -> Drawn:
    """One pass over a pymupdf.DisplayList; text is left out, boxes are cut to the page."""
    device = _Boxes(tuple(shown.rect))
    everything = _mupdf.FzRect(_mupdf.FzRect.Fixed_INFINITE)
    _mupdf.fz_run_display_list(shown.this, device, _mupdf.FzMatrix(), everything, _mupdf.FzCookie())
    _mupdf.fz_close_device(device)
    return Drawn(tuple(device.images), tuple(device.paths), tuple(device.strokes))


def is_thin(box: BBox) -> bool:
    """A ruling line."""
    return box[2] - box[0] <= _THIN_PT or box[3] - box[1] <= _THIN_PT


def find_figures(drawn: Drawn, text: PageText, tables: Sequence[BBox], most: int) -> list[Figure]:
    """Figures and pictures of a page, the largest `most` of them, from top to bottom.

    Args:
        drawn: What is drawn on it.
        text: Its text; a box that is full of text is no figure.
        tables: Boxes of tables, which are regions of their own.
        most: Most figures to give.
    """
    page_area = text.width_pt * text.height_pt
    found = []
    for cluster in _clusters(drawn, page_area):
        bbox = cluster.bbox
        if any(max(share_inside(bbox, t), share_inside(t, bbox)) > 0.5 for t in tables):
            continue
        verdict = _verdict(cluster, text)
        if verdict is not None:
            kind: Literal["figure", "picture"] = "picture" if cluster.images else "figure"
            alone = cluster.images == 1 and not cluster.paths
            found.append(Figure(kind, _with_labels(bbox, text), *verdict, alone))
    largest = sorted(found, key=lambda figure: (-area(figure.bbox), figure.bbox))[:most]
    return sorted(largest, key=lambda figure: (figure.bbox[1], figure.bbox[0]))


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Things drawn close together."""

    bbox: BBox
    paths: tuple[BBox, ...]
    images: int

    @property
    def shapes(self) -> int:
        """Paths apart from frames, backgrounds and rules that span it: those make a box or a listing."""
        x0, y0, x1, y1 = self.bbox
        wide, high = _FRAME_SHARE * (x1 - x0), _FRAME_SHARE * (y1 - y0)
        inner = (x0 + _EDGE_PT, y0 + _EDGE_PT, x1 - _EDGE_PT, y1 - _EDGE_PT)
        return sum(
            box[2] - box[0] < wide and box[3] - box[1] < high and _touches(box, inner, gap=0)
            for box in self.paths
        )


def _clusters(drawn: Drawn, page_area: float) -> list[_Cluster]:
    marks = [_Cluster(box, (box,), 0) for box in drawn.paths]
    marks += [_Cluster(box, (), 1) for box in drawn.images]
    clusters: list[_Cluster] = []
    for mark in marks:
        if area(mark.bbox) > _MAX_PAGE_SHARE * page_area:
            continue
        merged = mark
        while near := [c for c in clusters if _touches(c.bbox, merged.bbox)]:
            clusters = [c for c in clusters if not _touches(c.bbox, merged.bbox)]
            merged = _merged([merged, *near])
        clusters.append(merged)
    return clusters


def _merged(clusters: Sequence[_Cluster]) -> _Cluster:
    paths = tuple(box for cluster in clusters for box in cluster.paths)
    return _Cluster(union(c.bbox for c in clusters), paths, sum(c.images for c in clusters))


def _touches(a: BBox, b: BBox, gap: float = _GAP_PT) -> bool:
    return a[0] <= b[2] + gap and b[0] <= a[2] + gap and a[1] <= b[3] + gap and b[1] <= a[3] + gap


def _verdict(cluster: _Cluster, text: PageText) -> tuple[bool, bool] | None:
    """Whether a cluster is a figure for sure, and whether it is one in doubt; None if it cannot be one."""
    bbox = cluster.bbox
    page_area = text.width_pt * text.height_pt
    too_small = min(bbox[2] - bbox[0], bbox[3] - bbox[1]) < _MIN_SIDE_PT
    if too_small or area(bbox) > _MAX_PAGE_SHARE * page_area:
        return None
    if cluster.images and not cluster.paths:
        return True, True
    written = sum(area(line.bbox) for line in text.lines if share_inside(line.bbox, bbox) > 0.5)
    share = written / area(bbox)
    if cluster.images or cluster.shapes >= _MIN_SHAPES:
        possible = share <= _DOUBTFUL_TEXT_SHARE
        return (share <= _FEW_TEXT_SHARE, share <= _MAX_TEXT_SHARE) if possible else None
    if is_code(bbox, text) or _is_listing(bbox, text):
        return None
    # One path may be a whole chart, or a frame.
    large = area(bbox) >= _MIN_DOUBT_SHARE * page_area and not all(map(is_thin, cluster.paths))
    return (False, False) if large and share <= _FEW_TEXT_SHARE else None


def _is_listing(bbox: BBox, text: PageText) -> bool:
    """Whether most lines in a box begin at the same x: a frame or a ground with text on it."""
    starts = Counter(
        round(line.bbox[0]) for line in text.lines if share_inside(line.bbox, bbox) > 0.5
    )
    return starts.total() > 1 and 2 * max(starts.values()) > starts.total()


def _with_labels(bbox: BBox, text: PageText) -> BBox:
    """The box with the numbers and names around it, such as the scale of an axis."""
    x0, y0, x1, y1 = bbox
    near = (x0 - _LABEL_PT, y0 - _LABEL_PT, x1 + _LABEL_PT, y1 + _LABEL_PT)
    labels = [
        line.bbox
        for line in text.lines
        if (len(line.text) <= _MAX_LABEL_CHARS or is_gappy([line]))
        and not CAPTION.match(line.text)
        and share_inside(line.bbox, near) > 0.5
    ]
    return union([bbox, *labels])


def _clipped(box: Sequence[float], limit: BBox) -> BBox | None:
    x0, y0 = max(box[0], limit[0]), max(box[1], limit[1])
    x1, y1 = min(box[2], limit[2]), min(box[3], limit[3])
    return (x0, y0, x1, y1) if x1 >= x0 and y1 >= y0 else None
