"""Ctrl-C leaves within seconds, says how to go on, and leaves nothing running."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import psutil

from tests.end_to_end.chain import cjd, heartbeat, kill_group, start, wait_for


def test_ctrl_c_while_painting(tmp_path: Path) -> None:
    run, log = tmp_path / "run", tmp_path / "log.txt"
    process = start(str(run), log)
    try:
        wait_for(process, run, "generate", log)
        time.sleep(3)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130, log.read_text()[-2000:]
    finally:
        if process.poll() is None:
            kill_group(process)
    assert "the run continues where it was with the same command" in log.read_text()
    assert "Traceback" not in log.read_text()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [p.cmdline() for p in alive]
    assert heartbeat(run, "generate")["state"] == "stopped"
    assert "stopped" in cjd("status", str(run)).stdout
