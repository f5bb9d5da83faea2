"""The commands about spaces. Thin, as those of flows/cli.py."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.options import (
    AsJson,
    ConfigFile,
    LakeUrl,
    MaxRejectShare,
    Wait,
    Workers,
    check_rejects,
    give,
    make_config,
    say_error,
)


def spaces(
    lake: LakeUrl,
    drop: Annotated[
        str,
        typer.Option(
            "--drop", metavar="NAME", help="Take this one out; maintenance frees its rows."
        ),
    ] = "",
    config: ConfigFile = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """What spaces a lake has: vectors, bytes, whether complete, published and in the profile."""
    from flows.show_spaces import show_dropped, show_spaces
    from flows.spaces import drop_space, list_spaces

    chosen = make_config(config, 0, wait)
    if drop:
        dropped = drop_space(lake, drop, chosen, note=say_error)
        give(as_json, dropped.as_dict(), lambda: show_dropped(dropped))
        return
    rows = list_spaces(lake, chosen)
    give(as_json, {"spaces": [row.as_dict() for row in rows]}, lambda: show_spaces(rows))


def reindex(
    lake: LakeUrl,
    space: Annotated[
        str, typer.Option("--space", metavar="NAME", help="Embed the units there are in this one.")
    ] = "",
    resegment: Annotated[
        bool, typer.Option("--resegment", help="Cut kept content as the configuration says now.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how much there is to do; change nothing.")
    ] = False,
    no_publish: Annotated[
        bool, typer.Option("--no-publish", help="Build the snapshot; the current one stays.")
    ] = False,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    max_reject_share: MaxRejectShare = None,
    as_json: AsJson = False,
) -> None:
    """Embed units in another space, or cut them anew, without listing sources; publish when all is good."""
    from flows.reindex import Reindexing
    from flows.show_spaces import show_cost

    chosen = make_config(config, workers, wait, max_reject_share)
    what = Reindexing.of(space, resegment=resegment, publish=not no_publish)
    if dry_run:
        from flows.reindex_cost import foresee

        cost = foresee(lake, chosen, what)
        give(as_json, cost.as_dict(), lambda: show_cost(cost))
        return
    from flows import flows
    from flows.show import show_run

    summary = flows.reindex(lake, chosen, what)
    give(as_json, summary.as_dict(), lambda: show_run(summary))
    check_rejects(summary.balance, chosen)


def register(app: typer.Typer) -> None:
    """Add them to the command line."""
    for command in (spaces, reindex):
        app.command()(command)
