"""Read the heartbeats of a run: what is done, what works, what has stopped."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cjd.progress.heartbeat import FOLDER

if TYPE_CHECKING:
    from cjd.storage.store import Store

SILENT = 15.0  # seconds without a pulse after which a dead process id counts
SILENT_ELSEWHERE = 60.0  # the same when the process cannot be looked at

_OWN = (
    "stage",
    "state",
    "done",
    "total",
    "unit",
    "rate",
    "seconds",
    "spent",
    "time_left",
    "updated",
    "started",
    "pid",
    "host",
)


@dataclass(frozen=True)
class StageStatus:
    """`state`: running | done | failed | stopped. `rate`: units a second. Times in seconds, `updated` in Unix time;
    `spent` counts every start of the stage.
    """

    stage: str
    state: str
    done: int
    total: int
    unit: str
    rate: float
    seconds: float
    spent: float
    time_left: float | None
    updated: float
    fields: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_status(store: Store) -> list[StageStatus]:
    """Every stage that left a heartbeat, in the order in which they started."""
    pulses = [_read(store, name) for name in store.list(FOLDER) if name.endswith(".json")]
    known = [pulse for pulse in pulses if pulse is not None]
    return [_status(pulse) for pulse in sorted(known, key=lambda p: p.get("started", 0.0))]


def _read(store: Store, name: str) -> dict[str, Any] | None:
    """None for a file that is not a heartbeat."""
    try:
        pulse = json.loads(store.read(name))
        return pulse if isinstance(pulse, dict) and {"stage", "state", "updated"} <= pulse.keys() else None
    except ValueError:
        return None


def _status(pulse: dict[str, Any]) -> StageStatus:
    state = "stopped" if pulse["state"] == "running" and _is_silent(pulse) else str(pulse["state"])
    return StageStatus(
        stage=str(pulse["stage"]),
        state=state,
        done=int(pulse.get("done", 0)),
        total=int(pulse.get("total", 0)),
        unit=str(pulse.get("unit", "")),
        rate=float(pulse.get("rate", 0.0)),
        seconds=float(pulse.get("seconds", 0.0)),
        spent=float(pulse.get("spent", pulse.get("seconds", 0.0))),
        time_left=pulse.get("time_left") if state == "running" else None,
        updated=float(pulse["updated"]),
        fields={key: value for key, value in pulse.items() if key not in _OWN},
    )


def _is_silent(pulse: dict[str, Any]) -> bool:
    age = time.time() - float(pulse["updated"])
    if pulse.get("host") == socket.gethostname():
        return age > SILENT and not _is_alive(int(pulse.get("pid", 0)))
    return age > SILENT_ELSEWHERE


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
