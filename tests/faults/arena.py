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
from ray.cluster_utils import Cluster

from cjd.config.recipe import PoolConfig, Recipe, ResourcesConfig
from cjd.pipelines.runtime import ray_session
from cjd.storage import Run, open_store
from cjd.storage.lock import run_lock
from tests.pipelines import doodler
from tests.s3_server import S3Server

TOTAL, SHARD_ROWS, PAUSE = 160, 4, 0.08
SHARDS = TOTAL // SHARD_ROWS
RESOURCES = ResourcesConfig(paint=PoolConfig(actors=2, cpus=1.0), write=PoolConfig(actors=1, cpus=0.5))
WORKER = "MapWorker"
RUNS = {"painter": 2, "writer": 2, "s3": 2, "driver": 1, "node": 2}
STRIKES = {"painter": 3, "writer": 3, "s3": 3, "driver": 5, "node": 3}  # in each run


def make(uri: str) -> Run:
    return Run.create(uri, Recipe(name="arena", resources=RESOURCES))


def paint(uri: str) -> dict[str, Any]:
    with run_lock(open_store(uri)):
        return doodler.doodle(make(uri), TOTAL, SHARD_ROWS, pause=PAUSE, pids=os.environ["ARENA_PIDS"])


def shards_in(uri: str) -> int:
    return len([name for name in open_store(uri).list("samples") if name.endswith(".parquet")])


def wait_for_shards(uri: str, count: int) -> None:
    deadline = time.monotonic() + 120
    while shards_in(uri) < count:
        assert time.monotonic() < deadline, f"{uri}: no {count} shards in two minutes"
        time.sleep(0.02)


class Arena:
    """Ray nodes, an S3 server, and what may happen to them."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.pids = folder / "pids"
        self.pids.mkdir()
        (folder / "s3" / "bucket").mkdir(parents=True)
        self.server = S3Server(folder / "s3")
        os.environ.update(self.server.environment, ARENA_PIDS=str(self.pids), RAY_AUTH_MODE="disabled")
        self.server.start()
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 3})
        self.nodes: list[Any] = []
        os.environ["RAY_ADDRESS"] = str(self.cluster.address)

    def close(self) -> None:
        self.cluster.shutdown()
        self.server.stop()

    def workers(self, painters: bool) -> list[psutil.Process]:
        """The actors' processes that are alive: those that paint leave their number in `pids`, the others write."""
        told = {int(file.name) for file in self.pids.iterdir()}
        found = psutil.process_iter(["cmdline", "status"])
        return [
            process
            for process in found
            if WORKER in " ".join(process.info["cmdline"] or []) and (process.pid in told) == painters
        ]

    def kill_one(self, painters: bool) -> bool:
        alive = self.workers(painters)
        if alive:
            self.chance.choice(alive).kill()
        return bool(alive)

    def remove_node(self) -> bool:
        """One that has actors, where there is one."""

        def busy(node: Any) -> int:
            raylet = node.all_processes["raylet"][0].process.pid
            return sum(worker.ppid() == raylet for worker in self.workers(True) + self.workers(False))

        victim = max(self.nodes, key=busy)
        self.nodes.remove(victim)
        self.cluster.remove_node(victim, allow_graceful=False)
        return True

    def outage(self) -> bool:
        self.server.stop()
        time.sleep(self.chance.uniform(1, 4))
        self.server.start()
        return True

    def disturbed(self, uri: str, strike: Callable[[], bool], times: int) -> dict[str, Any]:
        """Paint, and strike at `times` random moments between the first shard and the last but few."""
        moments = sorted(self.chance.sample(range(1, SHARDS - 8), times))
        struck = []

        def strikes() -> None:
            for moment in moments:
                wait_for_shards(uri, moment)
                time.sleep(self.chance.uniform(0, 0.1))
                while not strike():
                    time.sleep(0.02)
                struck.append(shards_in(uri))

        thread = threading.Thread(target=strikes, daemon=True)
        thread.start()
        counts = paint(uri)
        thread.join(60)
        assert len(struck) == times, f"struck {len(struck)} times"
        return counts

    def driver_killed(self, uri: str, times: int) -> dict[str, Any]:
        """A command of its own is killed with SIGKILL, and started again, and so on."""
        command = [sys.executable, "-m", "tests.faults.arena", "paint", uri]
        for _ in range(times):
            painting = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            left = SHARDS - shards_in(uri)
            wait_for_shards(uri, shards_in(uri) + self.chance.randint(1, max(1, left // 4)))
            assert painting.poll() is None, "it ended before it was killed"
            painting.send_signal(signal.SIGKILL)
            painting.wait()
        last = subprocess.run(command, capture_output=True, text=True, timeout=180)
        assert last.returncode == 0, last.stderr[-2000:]
        return json.loads(last.stdout.splitlines()[-1])

    def run(self, scenario: str, number: int) -> tuple[str, dict[str, Any]]:
        """(the run's folder, its counts)."""
        here = self.folder / ("s3/bucket" if scenario == "s3" else "") / f"{scenario}-{number}"
        uri, times = str(here), STRIKES[scenario]
        if scenario == "driver":
            return uri, self.driver_killed(uri, times)
        if scenario == "node":
            self.nodes += [self.cluster.add_node(num_cpus=3) for _ in range(times)]
            return uri, self.disturbed(uri, self.remove_node, times)
        if scenario == "s3":
            return uri, self.disturbed(f"s3://bucket/{here.name}", self.outage, times)
        return uri, self.disturbed(uri, lambda: self.kill_one(scenario == "painter"), times)


def main(folder: Path, seed: int) -> None:
    arena = Arena(folder, random.Random(seed))
    with ray_session(RESOURCES):
        for scenario, runs in RUNS.items():
            for number in range(runs):
                uri, counts = arena.run(scenario, number)
                print(json.dumps({"scenario": scenario, "uri": uri, "counts": counts}), flush=True)
    arena.close()


if __name__ == "__main__":
    if sys.argv[1] == "paint":
        with ray_session(RESOURCES):
            print(json.dumps(paint(sys.argv[2])))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]))
