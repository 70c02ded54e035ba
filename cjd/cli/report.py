"""How a command ends: its exit code, and one clear line when it did not work.

0 done · 1 failed · 2 wrong usage · 3 refused by policy · 75 try again · 130 interrupted
"""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cjd import errors

INTERRUPTED = 130
_IN_TEXT = re.compile(r"cjd\.errors\.(\w+)(?:\x1b\[\d+m)*: ([^\n\x1b]+)")


@contextmanager
def reporting(again: str | None = None) -> Iterator[None]:
    """Around a command's work: any exception becomes one line on standard error and an exit code.

    `again`: what to say after an interruption. CJD_TRACEBACK=1 shows tracebacks as Python would.
    """
    try:
        with _terminate_like_interrupt():
            yield
    except KeyboardInterrupt:
        _line(f"cjd: interrupted{f'; {again}' if again else ''}")
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it flushes
        raise SystemExit(0) from None
    except Exception as error:
        if os.environ.get("CJD_TRACEBACK") == "1":
            raise
        ours = find_ours(error)
        if ours is not None:
            _line(f"cjd: error: {_one_line(str(ours))}")
            raise SystemExit(ours.exit_code) from None
        shown = _one_line(str(error).strip().splitlines()[-1]) if str(error).strip() else "no message"
        _line(f"cjd: error: unexpected {type(error).__name__}: {shown} (CJD_TRACEBACK=1 shows where)")
        raise SystemExit(1) from None


def find_ours(error: BaseException) -> errors.CjdError | None:
    """Our own error inside what Ray wraps around it: causes, contexts, failed workers, or its text."""
    queue, seen = [error], set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        inner = _inside(current)
        if isinstance(current, errors.CjdError) and not isinstance(getattr(current, "cause", None), BaseException):
            return current
        queue.extend(inner)
    match = _IN_TEXT.search(str(error))
    kind: Any = getattr(errors, match.group(1), None) if match else None
    if match and isinstance(kind, type) and issubclass(kind, errors.CjdError):
        return kind(match.group(2))
    return None


def _inside(error: BaseException) -> list[BaseException]:
    failures = getattr(error, "worker_failures", None)
    candidates = [getattr(error, "cause", None), getattr(error, "controller_failure", None)]
    candidates += [*(failures.values() if isinstance(failures, dict) else [])]
    candidates += [error.__cause__, error.__context__, *error.args]
    return [c for c in candidates if isinstance(c, BaseException)]


@contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """SIGTERM stops as Ctrl-C does: what is open is closed, and the run goes on later."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
