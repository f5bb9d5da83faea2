"""What is drawn on a PDF page: pictures, vector figures and ruling lines, from one pass over its bounding boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from stages.decode._mupdf import pymupdf
from stages.decode._pdf_blocks import CAPTION
from stages.decode.layout import area, join_lines, share_inside, union

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.content import BBox
    from stages.decode._pdf_text import PageText
    from stages.decode.layout import Line

_MIN_SIDE_PT: Final = 36.0  # half an inch: smaller is an icon, a bullet or a logo
_MAX_PAGE_SHARE: Final = 0.9  # larger is a background or the scan of the page itself
_GAP_PT: Final = 4.0  # paths of one drawing lie closer together
_THIN_PT: Final = 3.0
_EDGE_PT: Final = 6.0  # a frame that is drawn line by line lies within this of its outer edge
_MIN_SHAPES: Final = 4  # fewer make a box or a rule, not a figure
_FRAME_SHARE: Final = 0.85  # of the width or height of a drawing
_MAX_TEXT_SHARE: Final = 0.45  # a frame around running text is not a figure
_LABEL_PT: Final = 14.0  # a line of small type
_MAX_LABEL_CHARS: Final = 16
_CAPTION_PT: Final = 45.0
_MAX_CAPTION_CHARS: Final = 600
_TITLE_PT: Final = 20.0
_MAX_TITLE_CHARS: Final = 120


@dataclass(frozen=True, slots=True)
class Drawn:
    """Boxes of what is drawn on a page, in points as it is displayed."""

    images: tuple[BBox, ...]
    paths: tuple[BBox, ...]
    strokes: tuple[BBox, ...]  # those of the paths that are lines, not areas


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture (pixels in the file) or a figure (vector drawing)."""

    kind: Literal["figure", "picture"]
    bbox: BBox


def read_drawn(page: Any) -> Drawn:
    """One pass over a pymupdf.Page; text is left out, boxes are cut to the page."""
    images: list[BBox] = []
    paths: dict[BBox, None] = {}
    strokes: dict[BBox, None] = {}
    turn = page.rotation_matrix if page.rotation else None
    limit: BBox = tuple(page.rect)
    for kind, raw, *_ in page.get_bboxlog():
        if "text" in kind or kind.startswith("ignore"):
            continue
        box = _clipped(tuple(pymupdf.Rect(raw) * turn) if turn else raw, limit)
        if box is None:
            continue
        if "image" in kind:
            images.append(box)
        else:
            paths[box] = None
            if "stroke" in kind:
                strokes[box] = None
    return Drawn(tuple(images), tuple(paths), tuple(strokes))


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
        if _is_figure(cluster, text):
            kind: Literal["figure", "picture"] = "picture" if cluster.images else "figure"
            found.append(Figure(kind, _with_labels(bbox, text)))
    largest = sorted(found, key=lambda figure: (-area(figure.bbox), figure.bbox))[:most]
    return sorted(largest, key=lambda figure: (figure.bbox[1], figure.bbox[0]))


def find_caption(bbox: BBox, text: PageText, *, above: bool = False) -> str:
    """The caption next to a box, or empty.

    Args:
        bbox: Box of the figure or table.
        text: Text of its page.
        above: Whether captions stand above their object (tables) rather than below (figures); both are looked at.
    """
    best: tuple[float, str] | None = None
    for group in text.groups:
        for start, line in enumerate(group):
            if not CAPTION.match(line.text):
                continue
            distance = _distance(line.bbox, bbox, above=above)
            if distance is not None and (best is None or distance < best[0]):
                best = (distance, _caption_text(group[start:]))
    return best[1] if best else ""


def find_title(bbox: BBox, text: PageText) -> str:
    """The bold line right above a table, which stands for a caption where there is none; or empty."""
    above = [
        line
        for line in text.lines
        if line.bold
        and 0 <= bbox[1] - line.bbox[3] + _THIN_PT <= _TITLE_PT
        and line.bbox[0] < bbox[2]
        and line.bbox[2] > bbox[0]
    ]
    nearest = max(above, key=lambda line: line.bbox[3], default=None)
    return nearest.text if nearest and len(nearest.text) <= _MAX_TITLE_CHARS else ""


def _caption_text(lines: Sequence[Line]) -> str:
    first = lines[0]
    kept = [first.text]
    for line in lines[1:]:
        if CAPTION.match(line.text) or abs(line.size - first.size) > 1:
            break
        kept.append(line.text)
    return join_lines(kept)[:_MAX_CAPTION_CHARS]


def _distance(line: BBox, bbox: BBox, *, above: bool) -> float | None:
    """Vertical distance of a caption line in points, the usual side preferred; None if it is not next to the box."""
    if line[0] > bbox[2] or line[2] < bbox[0]:
        return None
    over, under = bbox[1] - line[3], line[1] - bbox[3]
    gap = max(over, under, 0.0)
    if gap > _CAPTION_PT:
        return None
    usual = over >= under if above else under >= over
    return gap if usual else gap + _CAPTION_PT / 2


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


def _is_figure(cluster: _Cluster, text: PageText) -> bool:
    bbox = cluster.bbox
    if min(bbox[2] - bbox[0], bbox[3] - bbox[1]) < _MIN_SIDE_PT:
        return False
    if area(bbox) > _MAX_PAGE_SHARE * text.width_pt * text.height_pt:
        return False
    if cluster.images and not cluster.paths:
        return True
    if not cluster.images and cluster.shapes < _MIN_SHAPES:
        return False
    written = sum(area(line.bbox) for line in text.lines if share_inside(line.bbox, bbox) > 0.5)
    return written <= _MAX_TEXT_SHARE * area(bbox)


def _with_labels(bbox: BBox, text: PageText) -> BBox:
    """The box with the numbers and names around it, such as the scale of an axis."""
    x0, y0, x1, y1 = bbox
    near = (x0 - _LABEL_PT, y0 - _LABEL_PT, x1 + _LABEL_PT, y1 + _LABEL_PT)
    labels = [
        line.bbox
        for line in text.lines
        if len(line.text) <= _MAX_LABEL_CHARS
        and not CAPTION.match(line.text)
        and share_inside(line.bbox, near) > 0.5
    ]
    return union([bbox, *labels])


def _clipped(box: Sequence[float], limit: BBox) -> BBox | None:
    x0, y0 = max(box[0], limit[0]), max(box[1], limit[1])
    x1, y1 = min(box[2], limit[2]), min(box[3], limit[3])
    return (x0, y0, x1, y1) if x1 >= x0 and y1 >= y0 else None
