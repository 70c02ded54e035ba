"""What `serve run serve.app:build run=RUN` and `serve deploy serve/config.yaml` name."""

from typing import Any

from ray.serve import Application


def build(args: dict[str, Any]) -> Application:
    """`args`: run, and optionally device, replicas, num_cpus, num_gpus, max_batch_size, max_queued_requests."""
    from cjd.serving.deployments import build_application

    return build_application(args)
