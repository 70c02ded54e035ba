"""A clean run prints only what we say: the libraries' chatter is turned down before they are imported."""

from __future__ import annotations

import logging
import os
import warnings

_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "DIFFUSERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GRPC_VERBOSITY": "ERROR",
    "GLOG_minloglevel": "2",
    "RAY_AUTH_MODE": "disabled",  # a local session of our own; a cluster sets its own mode
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore",  # inherited by Ray's workers
}


def quiet() -> None:
    """Set the environment (what the user has set stays) and silence warnings and informational logs."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if os.environ["PYTHONWARNINGS"] == "ignore":
        warnings.filterwarnings("ignore")
    for name in ("ray", "deepspeed", "DeepSpeed", "torch", "httpx", "PIL", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
