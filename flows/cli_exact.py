"""``gristmill exact``. Thin, as the commands of flows/cli.py."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from flows.options import AsJson, ConfigFile, LakeUrl, Workers, give, make_config, say
from schemas.errors import ConfigError
from schemas.partition import Partition

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.exact import LiveVectors, Question
    from infra.lake import Lake
    from schemas.config import Config
    from schemas.space import DenseEncoder, SpaceContract

_SHOWN: Final = 20  # lines of neighbours that a person is shown

Questions = Annotated[
    Path | None,
    typer.Option("--queries", metavar="FILE.jsonl", help='Questions, one {"query": "..."} a line.'),
]
OutFile = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="FILE.arrow", help="Write query, rank, unit_id, similarity there."
    ),
]


def exact(
    partition: Annotated[str, typer.Argument(help="E.g. text/paragraph.")],
    lake: LakeUrl,
    queries: Questions = None,
    rows: Annotated[
        int, typer.Option(min=0, help="Ask with so many live rows instead, always the same ones.")
    ] = 0,
    space: Annotated[str, typer.Option(help="Where the partition is in several.")] = "",
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="Neighbours of each.")] = 10,
    out: OutFile = None,
    config: ConfigFile = None,
    workers: Workers = 0,
    as_json: AsJson = False,
) -> None:
    """Exact neighbours in the live table by brute force: what approximate search is measured against."""
    from flows.exact import choose_vectors
    from flows.wiring import open_lake

    if (queries is None) == (rows == 0):
        raise ConfigError("ask with --queries FILE.jsonl or with --rows N, one of the two")
    chosen = make_config(config, workers, None)
    opened = open_lake(lake)
    contracts = _known_spaces(opened, chosen)
    contract, live = choose_vectors(opened.view(), _parsed(partition), contracts, space)
    started_s = time.monotonic()
    found = _search(chosen, contract, live, _asked(contract, live, queries, rows), k)
    summary = {
        "partition": partition,
        "space": contract.key,
        "metric": contract.metric,
        "rows": live.rows,
        "seconds": round(time.monotonic() - started_s, 3),
    }
    if out is not None:
        _write(found, out)
    give(
        as_json,
        summary | ({"out": str(out)} if out else {"neighbours": found.to_pylist()}),
        lambda: _show(summary, found, out),
    )


def _parsed(text: str) -> Partition:
    try:
        return Partition.parse(text)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _known_spaces(lake: Lake, config: Config) -> list[SpaceContract]:
    """Dense ones of the configuration, and of what is published."""
    from flows.manifests import published_manifest
    from flows.wiring import contracts

    published = published_manifest(lake.blobs)
    spaces = published.spaces if published else ()
    known = {space.key: space for space in (*contracts(config), *spaces)}
    return [space for space in known.values() if space.representation == "dense"]


def _asked(contract: SpaceContract, live: LiveVectors, queries: Path | None, rows: int) -> Question:
    from flows.exact import Question
    from stages.embed.registry import make_encoder
    from stages.route.evaluate import read_questions

    if queries is None:
        return Question(*live.sample(rows))
    questions = read_questions(queries)
    encoder = cast("DenseEncoder", make_encoder(contract))
    return Question(questions, encoder.encode_queries(questions))


def _search(
    config: Config, contract: SpaceContract, live: LiveVectors, asked: Question, k: int
) -> pa.Table:
    """Reads only, so it takes no lease: the view stays as it was while others write."""
    from flows import wiring
    from flows.exact import INDEX, exact_neighbours
    from flows.progress import LookBar
    from stages.index.exact import ExactRequest

    pools = [spec for spec in wiring.stage_specs(config) if spec.name == INDEX]
    with wiring.make_executor(config).open(pools) as session, LookBar("vectors") as bar:
        return exact_neighbours(
            live,
            asked,
            ExactRequest(k, contract.metric),
            session,
            in_flight_bytes=config.engine.bytes_in_flight,
            progress=partial(bar.look, "exact neighbours"),
        )


def _write(found: pa.Table, path: Path) -> None:
    import pyarrow as pa

    try:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, found.schema) as writer:
            writer.write_table(found)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error}") from error


def _show(summary: dict[str, Any], found: pa.Table, out: Path | None) -> None:
    from rich.markup import escape

    say(
        f"{found.num_rows} neighbours in {summary['rows']} rows of {summary['partition']}"
        f" ({summary['space']}), {summary['seconds']:.1f} s"
    )
    if out is not None:
        say(f"written to {out}")
        return
    for row in found.slice(0, _SHOWN).to_pylist():
        if row["rank"] == 1:
            say(escape(row["query"]))
        say(f"{row['rank']:>4}  {row['similarity']:.6f}  {row['unit_id']}")
    if found.num_rows > _SHOWN:
        say(f"and {found.num_rows - _SHOWN} more: --out FILE.arrow or --json gives all")


def register(app: typer.Typer) -> None:
    """Add it to the command line."""
    app.command()(exact)
