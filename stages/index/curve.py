"""Recall against latency as a drawing: SVG for a page that has no script, in the page's own colours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schemas.manifest import CurvePoint

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 34, 44
_TICKS: Final = (1, 2, 5)
_LEAST_MS: Final = 1e-3  # a clock's noise; the logarithm needs something
_RECALL_STEP: Final = 0.05
_MOST_RECALL_TICKS: Final = 6

# Colours are the page's: --line, --dim, --bar and --rejected of flows/report.html.
_GRID: Final = 'stroke="var(--line, #8884)"'
# Words over lines keep a border in the colour of the page, light or dark.
_HALO: Final = (
    'style="paint-order: stroke; stroke: Canvas; stroke-width: 5px; stroke-linejoin: round"'
)
_DIM: Final = 'fill="var(--dim, #888)" font-size="11"'


def draw_curve(curve: Sequence[CurvePoint], chosen: Mapping[str, int], target: float = 0.0) -> str:
    """An ``<svg>`` element: every measured choice, the line of the best ones, the chosen one, the wanted recall.

    Args:
        curve: Points that were measured, at least one.
        chosen: Search parameters of the chosen one.
        target: Wanted recall@10; 0 to draw none.

    Returns:
        Latency (median, logarithmic) to the right, recall@10 upwards. Whatever is not a number is escaped.
    """
    frame = _Frame.around(curve, target)
    parts = [
        f'<svg class="curve" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{_summary(curve, chosen)}"'
        ' font-family="system-ui, sans-serif">',
        *_axes(frame),
        *_target(frame, target),
        _best_line(frame, curve),
        *(_dot(frame, point) for point in curve if point.search != dict(chosen)),
        *(_chosen(frame, point) for point in curve if point.search == dict(chosen)),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part)


def best_points(curve: Sequence[CurvePoint]) -> list[CurvePoint]:
    """The points that no other one beats in both recall and latency, by latency."""
    best: list[CurvePoint] = []
    for point in sorted(curve, key=lambda p: (p.latency_ms_p50, -p.recall_at_10)):
        if not best or point.recall_at_10 > best[-1].recall_at_10:
            best.append(point)
    return best


@dataclass(frozen=True, slots=True)
class _Frame:
    """What lies within the axes."""

    from_ms: float
    to_ms: float
    from_recall: float

    @classmethod
    def around(cls, curve: Sequence[CurvePoint], target: float) -> _Frame:
        times = [max(_LEAST_MS, point.latency_ms_p50) for point in curve]
        low = min([*(point.recall_at_10 for point in curve), *([target] if target else [])])
        steps = math.floor(round(low / _RECALL_STEP, 6))
        return cls(0.8 * min(times), 1.25 * max(times), min(0.95, max(0, steps - 1) * _RECALL_STEP))

    def x(self, latency_ms: float) -> float:
        share = math.log(max(_LEAST_MS, latency_ms) / self.from_ms) / math.log(
            self.to_ms / self.from_ms
        )
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, recall: float) -> float:
        share = (recall - self.from_recall) / (1 - self.from_recall)
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)


def _axes(frame: _Frame) -> list[str]:
    floor, parts = _HEIGHT - _BOTTOM, []
    for recall in _recall_ticks(frame.from_recall):
        y = frame.y(recall)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" {_GRID}/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" {_DIM}>{recall:.2f}</text>'
        )
    for time_ms in _time_ticks(frame.from_ms, frame.to_ms):
        x = frame.x(time_ms)
        parts.append(f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{floor}" {_GRID}/>')
        parts.append(
            f'<text x="{x}" y="{floor + 16}" text-anchor="middle" {_DIM}>{time_ms:g}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle" {_DIM}>milliseconds of one query, median</text>'
    )
    parts.append(f'<text x="{_LEFT - 40}" y="14" {_DIM}>recall@10</text>')
    return parts


def _target(frame: _Frame, target: float) -> list[str]:
    if not target:
        return []
    y = frame.y(target)
    return [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="var(--rejected, #c24a3f)"'
        ' stroke-width="1.5" stroke-dasharray="6 4"/>',
        f'<text x="{_LEFT + 6}" y="{y - 5:.1f}" font-size="11" fill="var(--rejected, #c24a3f)"'
        f" {_HALO}>"
        f"wanted: {target:g}</text>",
    ]


def _best_line(frame: _Frame, curve: Sequence[CurvePoint]) -> str:
    best = best_points(curve)
    if len(best) < 2:
        return ""
    path = " ".join(f"{frame.x(p.latency_ms_p50)},{frame.y(p.recall_at_10)}" for p in best)
    return f'<polyline points="{path}" fill="none" stroke="var(--bar, #4a7fb5)" stroke-width="2"/>'


def _dot(frame: _Frame, point: CurvePoint) -> str:
    x, y = frame.x(point.latency_ms_p50), frame.y(point.recall_at_10)
    return f'<circle cx="{x}" cy="{y}" r="3.5" fill="var(--bar, #4a7fb5)"><title>{_told(point)}</title></circle>'


def _chosen(frame: _Frame, point: CurvePoint) -> str:
    """A ring, and what it stands for above the axes, where no line can run."""
    x, y = frame.x(point.latency_ms_p50), frame.y(point.recall_at_10)
    told = f"chosen: {_told(point)}"
    return (
        f'<circle cx="{x}" cy="{y}" r="5" fill="currentColor"/>'
        f'<circle cx="{x}" cy="{y}" r="9" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<text x="{_WIDTH - _RIGHT}" y="16" text-anchor="end" font-size="12" font-weight="600"'
        f' fill="currentColor">&#9673; {told}</text>'
    )


def _told(point: CurvePoint) -> str:
    chosen = ", ".join(f"{name} {value}" for name, value in sorted(point.search.items()))
    return escape(
        f"{chosen or 'exhaustive'}: {point.recall_at_10:.3f} in {point.latency_ms_p50:.2f} ms"
    )


def _summary(curve: Sequence[CurvePoint], chosen: Mapping[str, int]) -> str:
    told = [_told(point) for point in curve if point.search == dict(chosen)]
    return f"Recall against latency at {len(curve)} choices; chosen is {told[0] if told else 'none of them'}"


def _recall_ticks(start: float) -> list[float]:
    steps = round((1 - start) / _RECALL_STEP)
    stride = max(1, math.ceil(steps / _MOST_RECALL_TICKS))
    return [round(1 - i * _RECALL_STEP, 2) for i in range(0, steps + 1, stride)]


def _time_ticks(start_ms: float, end_ms: float) -> list[float]:
    first, last = math.floor(math.log10(start_ms)), math.ceil(math.log10(end_ms))
    ticks = [m * 10.0**e for e in range(first, last + 1) for m in _TICKS]
    return [tick for tick in ticks if start_ms <= tick <= end_ms]
