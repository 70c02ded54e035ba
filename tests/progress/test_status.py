import json
import os
import socket
import subprocess
import sys
import time

import pytest

from cjd.progress import read_status
from cjd.progress.words import duration, rate_text
from cjd.storage import open_store


def pulse(**changes):
    base = {"stage": "generate", "state": "running", "done": 1, "total": 4, "unit": "samples", "rate": 1.0}
    return base | {"updated": time.time(), "pid": os.getpid(), "host": socket.gethostname(), "time_left": 3.0} | changes


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"age": 100}, "running"),  # slow, yet alive
        ({"age": 100, "pid": None}, "stopped"),
        ({"pid": None}, "running"),  # a pulse so fresh is not doubted
        ({"age": 100, "host": "elsewhere"}, "stopped"),
        ({"age": 30, "host": "elsewhere"}, "running"),
        ({"age": 100, "pid": None, "state": "done"}, "done"),
    ],
)
def test_a_silent_stage_of_a_dead_process_has_stopped(tmp_path, changes, state):
    changes = dict(changes)
    if "age" in changes:
        changes["updated"] = time.time() - changes.pop("age")
    if "pid" in changes:
        changes["pid"] = dead_pid()
    open_store(tmp_path).write("status/generate.json", json.dumps(pulse(**changes)).encode())
    (status,) = read_status(open_store(tmp_path))
    assert status.state == state
    assert (status.time_left is None) == (state != "running")


def test_stages_come_in_the_order_they_started_and_foreign_files_are_passed_over(tmp_path):
    store = open_store(tmp_path)
    for started, stage in ((3.0, "a"), (1.0, "c"), (2.0, "b")):
        store.write(f"status/{stage}.json", json.dumps(pulse(stage=stage, started=started)).encode())
    store.write("status/x.json", b"{not json")
    assert [s.stage for s in read_status(store)] == ["c", "b", "a"]


def test_words():
    assert [duration(s) for s in (0, 59, 61, 3600, 90000)] == ["0 s", "59 s", "1 min 01 s", "1 h 00 min", "1 d 01 h"]
    assert rate_text(0.1, "steps") == "6.0 steps/min" and rate_text(2, "steps") == "2.0 steps/s"


def test_what_was_spent_adds_up_over_starts(tmp_path):
    from cjd.progress import Progress

    store = open_store(tmp_path)
    for total in (2, 2):
        with Progress(store).stage("generate", total, "pictures"):
            time.sleep(0.06)
    (status,) = read_status(store)
    assert status.spent >= 0.12 > status.seconds
