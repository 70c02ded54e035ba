"""Progress from afar: Ray actors and workers post what they finished, the command shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import ray
from ray.exceptions import GetTimeoutError, RayError

POLL = 0.5  # seconds


class Counter(Protocol):
    """What a mailbox passes its posts on to: a `StageProgress`, or something that stands before one."""

    def advance(self, n: int = 1, **fields: Any) -> None: ...


class _Box:
    """The actor: what was posted since the last time somebody looked."""

    def __init__(self) -> None:
        self._count = 0
        self._fields: dict[str, Any] = {}

    def post(self, n: int, fields: dict[str, Any]) -> None:
        self._count += n
        self._fields.update(fields)

    def take(self) -> tuple[int, dict[str, Any]]:
        taken = self._count, self._fields
        self._count, self._fields = 0, {}
        return taken


class Mailbox:
    """Made by the command inside a Ray session; sent to actors, tasks and workers as it is."""

    def __init__(self) -> None:
        self._box: Any = ray.remote(num_cpus=0, max_restarts=-1)(_Box).remote()

    def post(self, n: int = 1, **fields: Any) -> None:
        """From anywhere: `n` more are done. Returns at once; a post that is lost loses a count, never work."""
        self._box.post.remote(n, fields)

    @contextmanager
    def forward(self, stage: Counter) -> Iterator[None]:
        """On the command's side: pass what is posted on to `stage` until the block ends, then what is left."""
        stop = threading.Event()

        def pump() -> None:
            while not stop.wait(POLL):
                self._pass_on(stage)

        thread = threading.Thread(target=pump, name="mailbox", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            time.sleep(0.1)  # posts still on their way
            self._pass_on(stage)

    def _pass_on(self, stage: Counter) -> None:
        """A mailbox lost with its node restarts empty: the display falls behind, the work does not."""
        try:
            count, fields = ray.get(self._box.take.remote(), timeout=10)
        except (RayError, GetTimeoutError):
            return
        if count or fields:
            stage.advance(count, **fields)
