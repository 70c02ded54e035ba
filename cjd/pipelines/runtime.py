"""Joining or starting Ray, quietly, and saying in one line what went wrong inside it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cjd.config.recipe import ResourcesConfig
from cjd.errors import CjdError

# Logical CPUs beyond those that pools and workers ask for: a pool that takes them all never starts its input.
MARGIN = 2

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_DATA_LOG_LEVEL": "CRITICAL",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_worker_maximum_startup_concurrency": "8",  # small pools share few cores: no warning about their number
    "TOKENIZERS_PARALLELISM": "false",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}


def logical_cpus(resources: ResourcesConfig) -> int:
    """Enough for every pool and group of workers of a run at once, however few cores there are."""
    pools = (resources.paint, resources.write, resources.prepare)
    wanted = sum(pool.actors * pool.cpus for pool in pools) + resources.train.workers * resources.train.cpus
    return max(os.cpu_count() or 1, int(wanted + 0.999) + MARGIN)


@contextmanager
def ray_session(resources: ResourcesConfig) -> Iterator[None]:
    """A Ray session around a block of work; inside another one, that one.

    Joins the cluster of RAY_ADDRESS (which a submitted job has), else starts one on this machine and
    stops it at the end. What fails inside Ray comes out as a CjdError of one line.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    started = not ray.is_initialized()
    if started:
        _start(resources)
    configure_data()
    try:
        with plain_errors():
            yield
    finally:
        if started:
            ray.shutdown()


def _start(resources: ResourcesConfig) -> None:
    import ray

    if os.environ.get("RAY_ADDRESS"):
        with _no_native_stderr():
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
        return
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with _no_native_stderr():
        ray.init(
            address="local",
            num_cpus=logical_cpus(resources),
            include_dashboard=False,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )


@contextmanager
def _no_native_stderr() -> Iterator[None]:
    """Ray's C++ side announces its own log level on descriptor 2; what goes wrong is raised, not printed."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def configure_data() -> None:
    """Ray Data as every pipeline here needs it, for this process."""
    import ray.data
    from ray.data._internal.logging import configure_logging

    configure_logging()
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.target_max_block_size = None  # a shard is one block: never split between two writers
    context.raise_original_map_exception = True  # its wrapper loses the error's type and message on the way
    context.max_consecutive_actor_init_deaths = 3  # a node may go while a model loads
    context.issue_detectors_config.detectors = []
    context.execution_options.preserve_order = False


@contextmanager
def plain_errors() -> Iterator[None]:
    """An error raised in an actor or a worker becomes the CjdError at its root, or one that names the root."""
    try:
        yield
    except CjdError as error:
        if type(error).__module__.startswith("cjd."):
            raise
        raise _plain(error) from error  # Ray's own wrapper, which is also of the class that it wraps
    except Exception as error:
        if not type(error).__module__.startswith("ray."):
            raise
        raise _plain(error) from error


def _plain(error: Exception) -> CjdError:
    root = root_cause(error)
    line = (str(root).strip().splitlines() or [""])[0]  # Ray Data adds lines on its retries
    if isinstance(root, CjdError):
        return type(root)(line)
    kind = type(root).__name__
    return CjdError(f"the work failed in a Ray process: {kind}: {line}; run the same command again to go on")


def root_cause(error: BaseException) -> BaseException:
    """The first error of the chain that Ray's wrappers carry: a CjdError of ours where there is one."""
    last, queue, seen = error, [error], set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, CjdError) and type(current).__module__.startswith("cjd."):
            return current
        last = current
        failures = getattr(current, "worker_failures", None) or {}
        inner = [*failures.values(), getattr(current, "cause", None), getattr(current, "_base_exc", None)]
        inner += [current.__cause__, current.__context__]
        queue.extend(each for each in inner if isinstance(each, BaseException))
    return last
