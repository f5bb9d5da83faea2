"""The command about units that look the same. Thin, as those of flows/cli.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.options import AsJson, LakeUrl, give

if TYPE_CHECKING:
    import typer


def near_duplicates(lake: LakeUrl, as_json: AsJson = False) -> None:
    """Pictures and figures that look the same: groups, the best copy of each first. Nothing is changed."""
    from flows.near import near_duplicates as find
    from flows.show_near import show_near

    found = find(lake)
    give(as_json, found.as_dict(), lambda: show_near(found))


def register(app: typer.Typer) -> None:
    """Add it to the command line."""
    app.command(name="near-duplicates")(near_duplicates)
