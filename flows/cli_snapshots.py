"""The commands about snapshots. Thin, as those of flows/cli.py."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import NAMES, AsJson, LakeUrl, give, say


def publish(
    lake: LakeUrl,
    snapshot: Annotated[
        str, typer.Argument(help=f"Which; default: the newest built. {NAMES}")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Make a built snapshot the current one."""
    from flows.snapshots import publish_snapshot

    chosen = publish_snapshot(lake, snapshot)
    give(as_json, {"snapshot": chosen}, lambda: say(f"published {chosen}"))


def rollback(
    lake: LakeUrl,
    snapshot: Annotated[str, typer.Argument(help=f"Which; default: the one before. {NAMES}")] = "",
    as_json: AsJson = False,
) -> None:
    """Make an earlier snapshot the current one again."""
    from flows.snapshots import rollback_snapshot

    chosen = rollback_snapshot(lake, snapshot)
    give(as_json, {"snapshot": chosen}, lambda: say(f"rolled back to {chosen}"))


def snapshots(
    lake: LakeUrl,
    protect: Annotated[
        str, typer.Option("--protect", metavar="ID", help="Keep this one through all maintenance.")
    ] = "",
    unprotect: Annotated[str, typer.Option("--unprotect", metavar="ID", help="No longer.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the snapshots of a lake; the current one and protected ones are marked."""
    from flows.show import show_snapshots
    from flows.snapshots import list_snapshots, protect_snapshot

    if protect:
        protect_snapshot(lake, protect, protect=True)
    if unprotect:
        protect_snapshot(lake, unprotect, protect=False)
    rows = list_snapshots(lake)
    give(as_json, {"snapshots": rows}, lambda: show_snapshots(rows))


def diff(
    lake: LakeUrl,
    old: Annotated[
        str, typer.Argument(metavar="[A]", help=f"The one to compare with. {NAMES}")
    ] = "previous",
    new: Annotated[str, typer.Argument(metavar="[B]", help="The one to compare.")] = "current",
    as_json: AsJson = False,
) -> None:
    """What B has that A has not, and the other way round: rows, segments, recall, spaces, sources."""
    from flows.diff import diff_snapshots
    from flows.show_diff import show_diff

    found = diff_snapshots(lake, old, new)
    give(as_json, found.as_dict(), lambda: show_diff(found))


def register(app: typer.Typer) -> None:
    """Add them to the command line."""
    for command in (publish, rollback, snapshots, diff):
        app.command()(command)
