"""A stage's pulse: `status/<stage>.json` in the run, rewritten every few seconds while it works."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from cjd.errors import CjdError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cjd.storage.store import Store

FOLDER = "status"


def status_name(stage: str) -> str:
    """The object that holds a stage's pulse; `train/base` is kept as `status/train-base.json`."""
    return f"{FOLDER}/{stage.replace('/', '-')}.json"


def identity() -> dict[str, Any]:
    """Who is at work: process id and host name."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


class Heartbeat:
    """Writes one stage's pulse to `store` (nothing when there is no store).

    The first and the last pulse raise when they cannot be written. A failure in between is said once
    through `warn` and work goes on: the work itself will hit whatever is wrong with the disk.
    """

    def __init__(self, store: Store | None, stage: str, warn: Callable[[str], None]) -> None:
        self.store = store
        self.name = status_name(stage)
        self.warn = warn
        self.period = 2.0 if store is None or not store.uri.startswith("s3://") else 10.0  # seconds
        self._next = 0.0
        self._warned = False

    def spent_before(self) -> float:
        """Seconds that earlier starts of the stage took, by what they left."""
        if self.store is None or not self.store.exists(self.name):
            return 0.0
        try:
            return float(json.loads(self.store.read(self.name)).get("spent", 0.0))
        except (ValueError, AttributeError, TypeError):
            return 0.0

    def due(self) -> bool:
        return time.monotonic() >= self._next

    def beat(self, pulse: dict[str, Any], must: bool = False) -> None:
        """Write `pulse` now. Raises CjdError only when `must`."""
        self._next = time.monotonic() + self.period
        if self.store is None:
            return
        content = {**pulse, "updated": time.time(), **identity()}
        try:
            self.store.write(self.name, (json.dumps(content, default=str, ensure_ascii=False) + "\n").encode())
        except CjdError as error:
            if must:
                raise
            if not self._warned:
                self._warned = True
                self.warn(f"warning: {error}")
