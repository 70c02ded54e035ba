import io
import json
import time

import pytest
from rich.console import Console

from cjd.errors import CjdError
from cjd.progress import Progress, read_status
from cjd.storage import open_store


def plain() -> tuple[Progress, io.StringIO]:
    out = io.StringIO()
    return Progress(console=Console(file=out, width=200)), out


def test_plain_lines_where_there_is_no_terminal():
    progress, out = plain()
    with progress.stage("generate", total=10, unit="samples", done=4) as stage:
        stage.advance(6, refused=1)
    lines = out.getvalue().splitlines()
    assert lines[0] == "generate: 10 samples, 4 of them done before"
    assert lines[-1].startswith("generate: done, 10/10 samples in") and "refused=1" in lines[-1]
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_a_bar_and_lines_above_it():
    out = io.StringIO()
    progress = Progress(console=Console(file=out, force_terminal=True, width=120))
    with progress.stage("train/base", total=3, unit="samples") as stage:
        progress.say("a line [not markup]")
        stage.advance(3, loss=0.25)
    assert "3/3" in out.getvalue() and "a line [not markup]" in out.getvalue() and "loss=0.25" in out.getvalue()


def test_json_lines_are_json(capsys):
    progress = Progress(json_lines=True)
    with progress.stage("prompts", total=2, unit="prompts") as stage:
        progress.say("hello")
        stage.advance(2)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["progress", "say", "progress"]
    assert lines[-1]["state"] == "done" and lines[-1]["done"] == 2


@pytest.mark.parametrize(
    ("error", "state"), [(None, "done"), (ValueError(), "failed"), (KeyboardInterrupt(), "stopped")]
)
def test_the_heartbeat_tells_how_a_stage_ended(tmp_path, error, state):
    store = open_store(tmp_path)
    progress = Progress(store, console=Console(file=io.StringIO()))
    try:
        with progress.stage("train/base", total=5, unit="samples") as stage:
            assert read_status(store)[0].state == "running"
            stage.advance(2, loss=1.5)
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        pass
    (status,) = read_status(store)
    assert (status.stage, status.state, status.done, status.total) == ("train/base", state, 2, 5)
    assert status.fields == {"loss": 1.5}


def test_time_left_follows_the_rate():
    progress, _ = plain()
    with progress.stage("x", total=100, unit="things") as stage:
        time.sleep(0.1)
        stage.advance(10)
        pulse = stage.pulse()
    assert pulse["time_left"] == pytest.approx(90 / pulse["rate"], abs=0.1)
    assert 10 < pulse["rate"] <= 100


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path):
    (tmp_path / "status").write_text("a file in the way")
    progress = Progress(open_store(tmp_path), console=Console(file=io.StringIO()))
    with pytest.raises(CjdError, match="cannot write"), progress.stage("x", total=1, unit="things"):
        pass
