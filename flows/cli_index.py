"""The commands that plan, build and tune indices. Thin, as those of flows/cli.py."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from flows.options import (
    EXIT_FAILED,
    AsJson,
    ConfigFile,
    LakeUrl,
    Wait,
    Workers,
    give,
    make_config,
)


def index(
    lake: LakeUrl,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be built and why; build nothing.")
    ] = False,
    config: ConfigFile = None,
    workers: Workers = 0,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Build and check a snapshot from the tables; the current one stays published."""
    chosen = make_config(config, workers, wait)
    if dry_run:
        from flows.index_plan import plan_lake
        from flows.show_index import show_plans

        planned = plan_lake(lake, chosen)
        give(as_json, planned.as_dict(), lambda: show_plans(planned))
        if not planned.holds:
            raise typer.Exit(EXIT_FAILED)
        return
    from flows import flows
    from flows.show import show_manifest

    manifest = flows.index(lake, chosen)
    give(as_json, json.loads(manifest.to_json()), lambda: show_manifest(manifest))


def tune(
    lake: LakeUrl,
    partition: Annotated[
        str, typer.Option(help="This one only, e.g. text/paragraph; default: every one.")
    ] = "",
    space: Annotated[str, typer.Option(help="This space only; default: every one.")] = "",
    recall: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Wanted recall@10; default: as it was published."),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Limit of the slowest of 100 queries, one thread; 0 for none; default: as it was published.",
        ),
    ] = None,
    snapshot: Annotated[
        str, typer.Option(metavar="ID", help="A snapshot, current or previous.")
    ] = "current",
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the same files, searched as was found here.")
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure recall against latency on a snapshot's own bytes, and choose the cheapest search that is good enough."""
    from flows.progress import LookBar
    from flows.show_index import show_tuned
    from flows.tune import WhatToTune, tune_snapshot

    chosen = make_config(config, 0, None)
    what = WhatToTune(partition, space, snapshot, recall, latency_ms)
    with LookBar("indices") as bar:
        found = tune_snapshot(lake, what, chosen.indexing, bar.look, publish=publish)
    give(as_json, found.as_dict(), lambda: show_tuned(found))
    if not all(index.tuned.met for index in found.indexes):
        raise typer.Exit(EXIT_FAILED)


def register(app: typer.Typer) -> None:
    """Add them to the command line."""
    for command in (index, tune):
        app.command()(command)
