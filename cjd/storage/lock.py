"""One writer per run. A second one is told who the first is, and to try again later."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cjd.errors import BusyError, CjdError
from cjd.storage.store import LocalStore, Store

LOCK = ".lock"
BEAT_SECONDS = 5.0
STALE_SECONDS = 30.0


@contextmanager
def run_lock(store: Store) -> Iterator[None]:
    """Hold the run for this process. Raises BusyError while another process holds it. What writers that were killed
    have left half written is removed, before and after.

    Locally the kernel releases the lock with the process, however it dies. On S3 the lock is an object
    that its owner renews; one that has not been renewed for half a minute is taken over.
    """
    with _local_lock(store) if isinstance(store, LocalStore) else _remote_lock(store):
        store.sweep()
        yield
        store.sweep()


def _me() -> dict[str, Any]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "token": uuid.uuid4().hex}


def _busy(store: Store, owner: dict[str, Any]) -> BusyError:
    who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
    return BusyError(f"{store.uri} is in use by {who}; wait for it, or stop it, then run the same command again")


@contextmanager
def _local_lock(store: LocalStore) -> Iterator[None]:
    path = store.root / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+")
    except OSError as error:
        raise CjdError(
            f"cannot write {store.uri}: {error.strerror}; mend the permissions or name another folder"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            text = file.read()
            raise _busy(store, json.loads(text) if text.startswith("{") else {}) from None
        file.truncate(0)
        file.write(json.dumps(_me()))
        file.flush()
        yield


@contextmanager
def _remote_lock(store: Store) -> Iterator[None]:
    me = _me()
    _take(store, me)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(BEAT_SECONDS):
            try:
                owner = _owner(store)
                if owner is not None and owner["token"] != me["token"]:
                    os.kill(os.getpid(), signal.SIGTERM)  # taken over while this process was away: leave the run
                    return
                store.write(LOCK, json.dumps({**me, "beat": time.time()}).encode())
            except (OSError, CjdError):
                continue  # the store is away for a moment; the next beat tries again

    thread = threading.Thread(target=beat, name="run-lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        if (owner := _owner(store)) is not None and owner["token"] == me["token"]:
            store.delete(LOCK)


def _take(store: Store, me: dict[str, Any]) -> None:
    """S3 stores differ in conditional writes, so: write, wait, and see whose name is there."""
    deadline = time.monotonic() + STALE_SECONDS + BEAT_SECONDS
    seen: dict[str, Any] | None = None
    while (owner := _owner(store)) is not None:
        if seen is not None and owner.get("beat") != seen.get("beat"):
            raise _busy(store, owner)
        if time.time() - owner.get("beat", 0) > STALE_SECONDS or time.monotonic() > deadline:
            break
        seen = owner
        time.sleep(1.0)
    store.write(LOCK, json.dumps({**me, "beat": time.time()}).encode())
    time.sleep(1.0)
    owner = _owner(store)
    if owner is None or owner["token"] != me["token"]:
        raise _busy(store, owner or {})


def _owner(store: Store) -> dict[str, Any] | None:
    try:
        return json.loads(store.read(LOCK))
    except FileNotFoundError:
        return None
