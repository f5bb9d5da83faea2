"""Plans in words that need no knowledge of the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.index.sizes import IndexPlan, Need

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_CLEARLY: Final = 1.2  # estimates that differ by less do not tell


def reason(need: Need, plan: IndexPlan, why: str, considered: Sequence[IndexPlan]) -> str:
    """What is built, why, what it costs, and what was not chosen and why; one line each.

    Args:
        need: What was asked for.
        plan: The plan to explain.
        why: Its rule in words.
        considered: All plans, this one too, best first, those that do not fit among them.
    """
    others = [other for other in considered if other.name != plan.name]
    told = [f"Not {other.name}: {_why_not(need, plan, other)}." for other in others]
    return "\n".join(
        [
            f"{plan.name}: {built(need, plan)}.",
            f"Why: {why}.",
            f"Costs: {costs(need, plan)}.",
            *told,
        ]
    )


def built(need: Need, plan: IndexPlan) -> str:
    """Lists, training and segments."""
    nlist = plan.parameters.get("nlist")
    parts = [f"{need.rows:,} vectors of {need.dim} dims"]
    if nlist:
        parts.append(
            f"{nlist:,} lists of about {max(1, need.rows // nlist):,}, trained on {plan.train_rows:,} vectors"
        )
    beside = f", {plan.workers} built beside each other" if plan.workers > 1 else ""
    each = f" of about {need.rows // plan.shards:,}" if plan.shards > 1 else ""
    parts.append(f"{plan.shards} segment{'s' if plan.shards > 1 else ''}{each}{beside}")
    return "; ".join(parts)


def costs(need: Need, plan: IndexPlan) -> str:
    """Memory, disk and time of a query, beside the budgets."""
    return (
        f"{size(plan.serve_bytes)} of memory while served{_of(need.serve_budget_bytes)},"
        f" {size(plan.disk_bytes)} on disk, up to {size(plan.build_bytes)} to build"
        f"{_of(need.build_budget_bytes)}; a query looks at about {size(plan.scanned_bytes)},"
        f" {milliseconds(plan.query_ms)} on one core"
    )


def over_budget(need: Need, plan: IndexPlan) -> str:
    """Which budget it is over and by how much; empty if it fits."""
    serve, build = need.serve_budget_bytes, need.build_budget_bytes
    over = []
    if serve and plan.serve_bytes > serve:
        over.append(f"{size(plan.serve_bytes)} while served, more than the {size(serve)} there are")
    if build and plan.build_bytes > build:
        over.append(f"{size(plan.build_bytes)} to build, more than the {size(build)} there are")
    return " and ".join(over)


def size(n_bytes: float) -> str:
    """``1.5 GiB``: three digits at the most, but for bytes."""
    value, unit = float(n_bytes), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if value >= 100 or not unit else (1 if value >= 10 else 2)
    return f"{value:,.{digits}f} {_UNITS[unit]}"


def milliseconds(value: float) -> str:
    """``0.35 ms``: two digits."""
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.2g} ms"


def _of(budget_bytes: int) -> str:
    return f" (of {size(budget_bytes)})" if budget_bytes else ""


def _why_not(need: Need, plan: IndexPlan, other: IndexPlan) -> str:
    over = over_budget(need, other)
    if over:
        return over
    less = other.serve_bytes < plan.serve_bytes
    parts = [
        f"{size(other.serve_bytes)} while served, {'for coarser codes' if less else 'more than this'}"
    ]
    if other.query_ms > _CLEARLY * plan.query_ms:
        parts.append(f"about {milliseconds(other.query_ms)} a query")
    if other.parameters.get("rescore_bits") and not plan.parameters.get("rescore_bits"):
        parts.append("candidates are ranked again from disk")
    return ", ".join(parts)
