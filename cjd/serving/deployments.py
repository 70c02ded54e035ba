"""The service on Ray Serve: an HTTP front without a model, and replicas that hold the cascade."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import ray
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle

from cjd.errors import BusyError, CjdError, UsageError
from cjd.serving.http import Model, make_app
from cjd.serving.service import MICRO_BATCH, Job, Picture, Refusal, load_service
from cjd.storage import Run

BATCH_WAIT = 0.01  # seconds that the first picture of a batch waits for company


class ServeArguments(BaseModel):
    """What `build` takes, from a Serve config or from the command line."""

    model_config = ConfigDict(extra="forbid")

    run: str
    device: str = "cpu"
    replicas: PositiveInt = 1
    num_cpus: float = Field(default=1.0, ge=0)  # logical, per replica
    num_gpus: float = Field(default=0.0, ge=0)
    max_batch_size: PositiveInt = 2 * MICRO_BATCH
    max_queued_requests: PositiveInt = 32  # pictures waiting; beyond them 429


@serve.deployment
class Painter:
    """Holds the cascade; pictures of concurrent requests are painted together."""

    def __init__(self, run: str, device: str, max_batch_size: int) -> None:
        opened = Run.open(run)
        self.service = load_service(opened, device)
        self.model_info = Model(opened.recipe.name, int(time.time()), tuple(self.service.sizes))
        batched: Any = self.paint  # Serve hangs its setters on the method
        batched.set_max_batch_size(max_batch_size)

    async def model(self) -> Model:
        return self.model_info

    @serve.batch(max_batch_size=2 * MICRO_BATCH, batch_wait_timeout_s=BATCH_WAIT)
    async def paint(self, jobs: list[Job]) -> list[Picture | Refusal]:
        return await asyncio.to_thread(self.service.paint_jobs, jobs)


@serve.deployment
@serve.ingress()
class Front:
    """The HTTP side: reads, checks and answers; never paints."""

    def __init__(self, painter: DeploymentHandle) -> None:
        self.painter = painter
        self.known: Model | None = None

    def __serve_build_asgi_app__(self) -> Any:
        return make_app(self)

    async def model(self) -> Model:
        known = self.known
        if known is None:
            answer: Any = await self.painter.model.remote()
            self.known = known = answer
        return known

    async def paint(self, jobs: list[Job]) -> list[Picture | Refusal]:
        responses = [self.painter.paint.remote(job) for job in jobs]
        try:
            return list(await asyncio.gather(*responses))
        except BackPressureError:
            raise BusyError("too many pictures are waiting; try again in a moment") from None
        finally:
            for response in responses:
                with contextlib.suppress(BackPressureError):  # those that never got in
                    response.cancel()  # nothing happens to those that are done


def build_application(arguments: dict[str, Any]) -> serve.Application:
    """Raises UsageError when the arguments are wrong or the run has no student."""
    try:
        args = ServeArguments.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"serve argument {'.'.join(map(str, first['loc']))!r}: {first['msg']}") from None
    run = Run.open(args.run)
    if not run.store.exists("student/cascade.json"):
        raise UsageError(f"{run.uri} has no student yet; first run: cjd train {run.uri}")
    painter = Painter.options(
        num_replicas=args.replicas,
        max_ongoing_requests=2 * args.max_batch_size,
        max_queued_requests=args.max_queued_requests,
        ray_actor_options={"num_cpus": args.num_cpus, "num_gpus": args.num_gpus},
    ).bind(run.uri, args.device, args.max_batch_size)
    return Front.options(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0}).bind(painter)


def serve_here(arguments: dict[str, Any], host: str, port: int, say: Callable[[str], None]) -> None:
    """Start Ray and Serve on this machine, say the address, and serve until Ctrl-C."""
    port = _free_port(host, port)
    application = build_application(arguments)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=4, logging_level=logging.ERROR)
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # Serve turns its own log up when it is imported
    try:
        serve.start(http_options={"host": host, "port": port}, logging_config={"enable_access_log": False})
        serve.run(application, name="cjd", route_prefix="/")
        at = f"http://{host}:{port}"
        say(f"serving {arguments['run']} at {at}/v1 (Ctrl-C stops)")
        body = '{"prompt": "anime, a cute girl with long white hair in the coffee shop", "seed": 1}'
        say(f"try: curl -s {at}/v1/images/generations -H 'content-type: application/json' -d '{body}'")
        _wait()
        say("stopping …")
    finally:
        serve.delete("cjd")  # lets what is being painted finish
        ray.shutdown()


def _wait() -> None:
    """Until SIGINT or SIGTERM."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not stop.wait(0.5):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port(host: str, port: int) -> int:
    """`port`, or a free one for 0. Raises CjdError when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CjdError(f"cannot listen on {host}:{port}: {error.strerror}; name another with --port") from None
        return probe.getsockname()[1]
