"""A cluster of several nodes in a process of its own, on which painting is disturbed: `python -m tests.faults.arena`."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from cjd.config.recipe import PoolConfig, Recipe, ResourcesConfig
from cjd.storage import Run, open_store
from cjd.storage.lock import run_lock
from tests.pipelines import doodler
from tests.s3_server import S3Server

TOTAL, SHARD_ROWS, PAUSE = 96, 4, 0.04
RESOURCES = ResourcesConfig(paint=PoolConfig(actors=2, cpus=1.0), write=PoolConfig(actors=2, cpus=0.5))
WORKER = "MapWorker"


def make(uri: str) -> Run:
    return Run.create(uri, Recipe(name="arena", resources=RESOURCES))


def paint(uri: str) -> dict[str, Any]:
    with run_lock(open_store(uri)):
        return doodler.doodle(make(uri), TOTAL, SHARD_ROWS, pause=PAUSE, pids=os.environ["ARENA_PIDS"])


def workers(pids: Path, painters: bool) -> list[psutil.Process]:
    """The actors' processes that are alive: those that paint leave their number in `pids`, the others write."""
    told = {int(file.name) for file in pids.iterdir()}
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if WORKER in " ".join(process.info["cmdline"] or []) and (process.pid in told) == painters:
            found.append(process)
    return found


def kill_one(pids: Path, painters: bool, chance: random.Random) -> bool:
    alive = workers(pids, painters)
    if alive:
        chance.choice(alive).kill()
    return bool(alive)


def wait_for_shards(uri: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while len(open_store(uri).list("samples")) < count:
        assert time.monotonic() < deadline, f"{uri}: no {count} shards in two minutes"
        time.sleep(0.02)


def disturbed(uri: str, disturb: Callable[[], Any], chance: random.Random) -> dict[str, Any]:
    """Paint, and `disturb` at a random moment between the first shard and the last but few."""
    shards = TOTAL // SHARD_ROWS
    when = chance.randint(1, shards - 6)
    done: list[Any] = []

    def strike() -> None:
        wait_for_shards(uri, when)
        time.sleep(chance.uniform(0, 0.1))
        done.append(disturb())

    thread = threading.Thread(target=strike, daemon=True)
    thread.start()
    counts = paint(uri)
    thread.join()
    assert done and done[0] is not False, "nothing was disturbed"
    return counts


def kill_driver(uri: str, chance: random.Random) -> dict[str, Any]:
    """A command of its own is killed with SIGKILL, and started again."""
    command = [sys.executable, "-m", "tests.faults.arena", "paint", uri]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_shards(uri, chance.randint(1, TOTAL // SHARD_ROWS - 6))
    assert first.poll() is None, "it ended before it was killed"
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert again.returncode == 0, again.stderr[-2000:]
    return json.loads(again.stdout.splitlines()[-1])


def outage(server: S3Server, seconds: float) -> None:
    server.stop()
    time.sleep(seconds)
    server.start()


def main(scenario: str, folder: Path, times: int, seed: int) -> None:
    from ray.cluster_utils import Cluster

    from cjd.pipelines.runtime import ray_session

    os.environ["RAY_AUTH_MODE"] = "disabled"
    pids = folder / "pids"
    pids.mkdir()
    os.environ["ARENA_PIDS"] = str(pids)
    server = S3Server(folder / "s3")
    (folder / "s3" / "bucket").mkdir(parents=True)
    if scenario == "s3":
        server.start()
        os.environ.update(server.environment)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
    nodes = [cluster.add_node(num_cpus=3)]
    os.environ["RAY_ADDRESS"] = str(cluster.address)
    chance = random.Random(seed)
    with ray_session(RESOURCES):
        for i in range(times):
            uri = "s3://bucket" if scenario == "s3" else str(folder)
            uri += f"/run-{i}"
            if scenario == "painter":
                counts = disturbed(uri, lambda: kill_one(pids, True, chance), chance)
            elif scenario == "writer":
                counts = disturbed(uri, lambda: kill_one(pids, False, chance), chance)
            elif scenario == "node":
                victim = nodes.pop()
                counts = disturbed(uri, lambda v=victim: cluster.remove_node(v, allow_graceful=False), chance)
                nodes.append(cluster.add_node(num_cpus=3))
            elif scenario == "s3":
                counts = disturbed(uri, lambda: outage(server, chance.uniform(1, 5)), chance)
            else:
                counts = kill_driver(uri, chance)
            here = str(folder / "s3" / "bucket" / f"run-{i}") if scenario == "s3" else uri
            print(json.dumps({"uri": here, "counts": counts}), flush=True)
    cluster.shutdown()
    server.stop()


if __name__ == "__main__":
    if sys.argv[1] == "paint":
        from cjd.pipelines.runtime import ray_session

        with ray_session(RESOURCES):
            print(json.dumps(paint(sys.argv[2])))
    else:
        main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
