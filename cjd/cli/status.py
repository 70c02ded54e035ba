"""`cjd status`: the run's heartbeats as a table."""

from __future__ import annotations

import json
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from cjd.progress.status import StageStatus, read_status
from cjd.progress.words import duration, fields_text, rate_text
from cjd.storage import Run

PERIOD = 2.0  # seconds
COLOURS = {"done": "green", "running": "cyan", "failed": "red", "stopped": "yellow"}


def show_status(uri: str, watch: bool, as_json: bool) -> None:
    """Print the table once, or keep it up to date. Raises UsageError when there is no run."""
    run = Run.open(uri)
    console = Console(highlight=False)
    if not watch:
        _print(run, console, as_json)
    elif as_json or not console.is_terminal:
        while True:
            _print(run, console, as_json)
            time.sleep(PERIOD)
    else:
        with Live(_table(run, read_status(run.store)), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(PERIOD)
                live.update(_table(run, read_status(run.store)), refresh=True)


def _print(run: Run, console: Console, as_json: bool) -> None:
    stages = read_status(run.store)
    if as_json:
        rows = [s.as_dict() | {"cost": _cost(run, s)} for s in stages]
        content = {"run": run.uri, "recipe": run.recipe.name, "stages": rows}
        print(json.dumps(content, ensure_ascii=False), flush=True)
    elif stages:
        console.print(_table(run, stages))
    else:
        print(f"{run.uri}: recipe {run.recipe.name}, nothing has started yet", flush=True)


def _cost(run: Run, stage: StageStatus) -> float | None:
    """So far, over every start of the stage, at the price that the recipe gives."""
    price = run.recipe.resources.price_per_hour
    return None if price is None else stage.spent / 3600 * price


def _table(run: Run, stages: list[StageStatus]) -> Table:
    table = Table(title=f"{run.uri}  (recipe {run.recipe.name})", title_justify="left", box=None, pad_edge=False)
    priced = run.recipe.resources.price_per_hour is not None
    for heading in ("stage", "state", "done", "%", "rate", "took", "time left", *(["cost"] if priced else []), ""):
        to_the_left = heading in ("stage", "state", "rate", "")
        table.add_column(heading, justify="left" if to_the_left else "right")
    for s in stages:
        share = f"{100 * s.done / s.total:.0f}" if s.total else ""
        left = duration(s.time_left) if s.time_left is not None else ""
        state = f"[{COLOURS.get(s.state, 'white')}]{s.state}[/]"
        counts = f"{s.done}/{s.total} {s.unit}"
        table.add_row(
            s.stage,
            state,
            counts,
            share,
            rate_text(s.rate, s.unit),
            duration(s.spent),
            left,
            *([f"{_cost(run, s):.2f}"] if priced else []),
            fields_text(s.fields).strip(),
        )
    return table
