"""Progress of a command: rich bars on a terminal, plain lines elsewhere, JSON lines on request.

Each stage also keeps a heartbeat in the run, so that `cjd status` can tell how far it is.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

from cjd.progress.heartbeat import Heartbeat
from cjd.progress.words import duration, fields_text, number, rate_text

if TYPE_CHECKING:
    from cjd.storage.store import Store

TICK = 0.5  # seconds between looks at the clock
LINE_PERIOD = 5.0  # seconds between plain or JSON lines of a stage
RATE_WINDOW = 60.0  # seconds over which the rate is measured


class Progress:
    """One per command. `store` is the run's (None: no heartbeats); bars and lines go to standard error,
    JSON lines to standard output."""

    def __init__(self, store: Store | None = None, json_lines: bool = False, console: Console | None = None) -> None:
        self.store = store
        self.json_lines = json_lines
        self.console = console or Console(stderr=True, highlight=False)
        self._bars: RichProgress | None = None
        self._open = 0
        self._lock = threading.RLock()

    def say(self, text: str) -> None:
        """A plain line, above the bars."""
        if self.json_lines:
            self.emit({"event": "say", "text": text})
        else:
            console = self._bars.console if self._bars else self.console
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    def emit(self, content: dict[str, Any]) -> None:
        """One JSON line."""
        line = json.dumps({"time": round(time.time(), 3), **content}, default=str, ensure_ascii=False)
        with self._lock:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    @contextmanager
    def stage(self, name: str, total: int, unit: str, done: int = 0) -> Iterator[StageProgress]:
        """Follow `total` pieces of work counted in `unit`, of which `done` were done before.

        On the way out the state becomes "done", "failed" (an exception) or "stopped" (Ctrl-C, exit).
        """
        bars = self._enter_bars()
        stage = StageProgress(self, name, total, unit, done, bars)
        try:
            stage.start()
            yield stage
        except Exception:
            stage.close("failed")
            raise
        except BaseException:
            stage.close("stopped")
            raise
        else:
            stage.close("done")
        finally:
            self._leave_bars()

    def _enter_bars(self) -> RichProgress | None:
        if self.json_lines or not self.console.is_terminal:
            return None
        with self._lock:
            if self._bars is None:
                self._bars = RichProgress(
                    TextColumn("{task.description:<16}"),
                    BarColumn(bar_width=28),
                    MofNCompleteColumn(),
                    TextColumn("{task.fields[note]}", markup=False),
                    console=self.console,
                )
                self._bars.start()
            self._open += 1
            return self._bars

    def _leave_bars(self) -> None:
        with self._lock:
            self._open -= 1
            if self._bars is not None and self._open <= 0:
                self._bars.stop()
                self._bars, self._open = None, 0


class StageProgress:
    """One stage's counter. `advance` may be called from any thread."""

    def __init__(self, owner: Progress, name: str, total: int, unit: str, done: int, bars: RichProgress | None) -> None:
        self.owner, self.name, self.total, self.unit, self.done = owner, name, total, unit, done
        self.fields: dict[str, Any] = {}
        self._before = done
        self._state = "running"
        self._began, self._began_unix = time.monotonic(), time.time()
        self._marks: deque[tuple[float, int]] = deque([(self._began, done)])
        self._heartbeat = Heartbeat(owner.store, name, owner.say)
        self._spent_before = 0.0
        self._bars = bars
        self._bar = bars.add_task(name, total=total, completed=done, note="") if bars else None
        self._next_line = time.monotonic() + LINE_PERIOD
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name=f"progress-{name}", daemon=True)

    def advance(self, n: int = 1, **fields: Any) -> None:
        """`n` more pieces are done; `fields` (loss=…, refused=…) are shown and kept in the heartbeat; `say=` is a
        line for the reader.
        """
        if say := fields.pop("say", None):
            self.owner.say(say)
        with self._lock:
            self.done += n
            self.fields.update({key: number(value) for key, value in fields.items()})
            now = time.monotonic()
            self._marks.append((now, self.done))
            while len(self._marks) > 2 and now - self._marks[0][0] > RATE_WINDOW:
                self._marks.popleft()

    def start(self) -> None:
        self._spent_before = self._heartbeat.spent_before()
        self._heartbeat.beat(self.pulse(), must=True)
        if self._bars is None:
            before = f", {self.done} of them done before" if self.done else ""
            self._line(f"{self.name}: {self.total} {self.unit}{before}")
        self._ticker.start()

    def close(self, state: str) -> None:
        """The last pulse, bar and line."""
        self._stop.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self._state = state
        self._draw()
        if self._bars is None:
            took = duration(time.monotonic() - self._began)
            self._line(
                f"{self.name}: {state}, {self.done}/{self.total} {self.unit} in {took}{fields_text(self.fields)}"
            )
        self._heartbeat.beat(self.pulse(), must=state == "done")

    def pulse(self) -> dict[str, Any]:
        """The heartbeat's content: rate in units per second, seconds since the start, seconds left or None."""
        with self._lock:
            rate = self._rate()
            left = (self.total - self.done) / rate if rate > 0 else None
            return {
                "stage": self.name,
                "state": self._state,
                "done": self.done,
                "total": self.total,
                "unit": self.unit,
                "rate": round(rate, 4),
                "seconds": round(time.monotonic() - self._began, 2),
                "spent": round(self._spent_before + time.monotonic() - self._began, 2),
                "time_left": None if left is None else round(max(0.0, left), 1),
                "started": self._began_unix,
                **self.fields,
            }

    def _rate(self) -> float:
        """Over the last minute while running, from report to report so that it does not sag in between;
        over the whole stage afterwards."""
        (start, first), (end, last) = self._marks[0], self._marks[-1]
        if self._state != "running":
            start, first, end = self._began, self._before, time.monotonic()
        return (last - first) / max(1e-3, end - start) if last > first else 0.0

    def _tick(self) -> None:
        while not self._stop.wait(TICK):
            if self._heartbeat.due():
                self._heartbeat.beat(self.pulse())
            self._draw()
            if self._bars is None and time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + LINE_PERIOD
                self._line(f"{self.name}: {self.done}/{self.total} {self.unit}{self._note()}")

    def _note(self) -> str:
        pulse = self.pulse()
        left = pulse["time_left"]
        shown_left = f"  {duration(left)} left" if left is not None and self._state == "running" else ""
        return f"  {rate_text(pulse['rate'], self.unit)}{shown_left}{fields_text(self.fields)}"

    def _draw(self) -> None:
        if self._bars is not None and self._bar is not None:
            self._bars.update(self._bar, completed=self.done, note=self._note().strip())

    def _line(self, text: str) -> None:
        if self.owner.json_lines:
            self.owner.emit({"event": "progress", **self.pulse()})
        else:
            self.owner.say(text)
