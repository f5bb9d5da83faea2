"""The report of a run: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.index.curve import draw_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.balance import Balance
    from schemas.blobs import BlobStore
    from schemas.manifest import IndexManifest, Manifest

_KEPT_REJECTS = 200


def write_report(
    blobs: BlobStore,
    run_id: str,
    balance: Balance,
    manifest: Manifest | None,
    rejects: Sequence[dict[str, Any]],
) -> str:
    """Write ``reports/<run_id>.html`` into the lake and give the path (or URL) to open."""
    key = f"reports/{run_id}.html"
    blobs.put(key, render(run_id, balance, manifest, rejects).encode())
    return str(blobs.local_path(key)) if "://" not in blobs.url else f"{blobs.url}/{key}"


def render(
    run_id: str,
    balance: Balance,
    manifest: Manifest | None,
    rejects: Sequence[dict[str, Any]],
) -> str:
    """The page as text; everything that comes from files is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["gib"] = lambda size: f"{size / (1 << 30):.2f} GiB"
    environment.filters["mib"] = lambda size: f"{size / (1 << 20):.1f} MiB"
    environment.filters["thousands"] = lambda number: f"{number:,}"
    names = {space.key: space.name for space in (manifest.spaces if manifest else ())}
    return environment.get_template("report.html").render(
        run_id=run_id,
        balance=balance,
        outcomes=_outcomes(balance),
        stages=[(name, stage) for name, stage in balance.stages.items() if stage.items],
        longest_s=max((s.seconds + s.wait_seconds for s in balance.stages.values()), default=0)
        or 1,
        manifest=manifest,
        names=names,
        most_rows=max((entry.rows for entry in (manifest.indexes if manifest else ())), default=1),
        curves=[
            _curve(entry, names[entry.space])
            for entry in (manifest.indexes if manifest else ())
            if _shown(entry)
        ],
        rejects=rejects[:_KEPT_REJECTS],
        more_rejects=max(0, len(rejects) - _KEPT_REJECTS),
    )


def escaped(text: str) -> str:
    """A text as it stands in the page."""
    import jinja2

    page: str = jinja2.Template("{{ text }}", autoescape=True).render(text=text)
    return page


def _shown(entry: IndexManifest) -> bool:
    """Whether there is something to tell of how it was chosen: an index that is searched exhaustively is as it is."""
    return len(entry.curve) > 1


def _curve(entry: IndexManifest, space: str) -> dict[str, str]:
    """What the page shows of one index; the drawing has escaped what is in it."""
    targets = [check.threshold for check in entry.checks if check.name == "recall_at_10"]
    return {
        "partition": entry.partition,
        "space": space,
        "family": entry.family,
        "reason": entry.reason,
        "svg": draw_curve(entry.curve, entry.search, max(targets, default=0.0)),
    }


def _outcomes(balance: Balance) -> list[tuple[str, int, float]]:
    """(name, files, share in percent) of every outcome that occurred."""
    counts = {
        "indexed": balance.indexed,
        "embedded again": balance.reembedded,
        "cut anew": balance.resegmented,
        "decoded again": balance.redecoded,
        "unchanged": balance.unchanged,
        "duplicate": balance.duplicate,
        "rejected": balance.rejected_total,
    }
    return [
        (name, count, 100 * count / max(1, balance.found))
        for name, count in counts.items()
        if count
    ]
