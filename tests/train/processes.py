"""Run the loop in real processes with gloo between them, without a cluster."""

from __future__ import annotations

import multiprocessing as mp
import os
import resource
import signal
import time
from pathlib import Path

import torch
import torch.distributed as dist

from cjd.errors import CjdError
from cjd.storage import Run
from cjd.train.loop import train
from cjd.train.task import Task


def _main(rank: int, world: int, meeting: str, task: Task, uri: str, kill_at: int | None, room: int | None) -> None:
    torch.set_num_threads(1)
    if room is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), LOCAL_RANK=str(rank), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=world)

    def tell(at: int = 0, **fields: object) -> None:
        if "say" in fields:
            Path(uri, "said.txt").write_text(str(fields["say"]))
        if kill_at is not None and at >= kill_at:
            os.kill(os.getppid(), signal.SIGUSR1)  # the parent kills every rank where it stands
            signal.pause()

    try:
        train(task, Run.open(uri).store, seed=3, device=torch.device("cpu"), tell=tell)
    except CjdError as error:
        Path(uri, "said.txt").write_text(str(error))
        os._exit(1)
    # gloo aborts a process whose peer hangs up first, so nobody leaves before everybody is through.
    Path(f"{meeting}-{rank}").touch()
    while not all(Path(f"{meeting}-{other}").exists() for other in range(world)):
        time.sleep(0.01)
    dist.destroy_process_group()


class _Killed(Exception):
    pass


def run_loop(task: Task, run: Run, world: int, tmp: Path, kill_at: int | None = None, room: int | None = None) -> None:
    """Train to the end, or until rank 0 has told of `kill_at` samples: then every rank gets SIGKILL.

    `room`: no file may grow beyond so many bytes, as on a full disk. What an error said is in said.txt.
    """
    context = mp.get_context("spawn")
    meeting = tmp / f"meeting-{len(list(tmp.iterdir()))}"
    arguments = (world, str(meeting), task, run.uri, kill_at, room)
    ranks = [context.Process(target=_main, args=(rank, *arguments)) for rank in range(world)]

    def killed(*_: object) -> None:
        raise _Killed

    before = signal.signal(signal.SIGUSR1, killed)
    try:
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        assert all(process.exitcode == 0 for process in ranks), [p.exitcode for p in ranks]
        assert kill_at is None, "the run ended before it was to be killed"
    except _Killed:
        pass
    finally:
        for process in ranks:
            process.kill()
            process.join()
        signal.signal(signal.SIGUSR1, before)
