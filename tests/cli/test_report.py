import pytest

from cjd.cli.report import find_ours, reporting
from cjd.errors import BusyError, CjdError, PolicyError, UsageError


@pytest.mark.parametrize(
    ("error", "code"), [(CjdError("a"), 1), (UsageError("a"), 2), (PolicyError("a"), 3), (BusyError("a"), 75)]
)
def test_our_errors_are_one_line_and_an_exit_code(error, code, capsys):
    with pytest.raises(SystemExit) as end, reporting():
        raise error
    assert end.value.code == code and capsys.readouterr().err == "cjd: error: a\n"


def test_an_unexpected_error_is_one_line_too(capsys, monkeypatch):
    monkeypatch.delenv("CJD_TRACEBACK", raising=False)
    with pytest.raises(SystemExit) as end, reporting():
        raise KeyError("missing")
    assert end.value.code == 1
    assert capsys.readouterr().err == "cjd: error: unexpected KeyError: 'missing' (CJD_TRACEBACK=1 shows where)\n"


def test_tracebacks_on_request(monkeypatch):
    monkeypatch.setenv("CJD_TRACEBACK", "1")
    with pytest.raises(UsageError), reporting():
        raise UsageError("a")


def test_ours_is_found_under_what_ray_wraps_around_it():
    from ray.exceptions import RayTaskError
    from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

    ours = UsageError("the teacher is not there; name another")
    wrapped = RayTaskError("paint", "long traceback", ours).as_instanceof_cause()
    assert find_ours(wrapped) is ours
    assert find_ours(WorkerGroupError("workers failed", {0: wrapped})) is ours
    assert find_ours(ControllerError(wrapped)) is ours
    outer = RuntimeError("stage failed")
    outer.__cause__ = wrapped
    assert find_ours(outer) is ours


def test_ours_is_found_in_text():
    text = "ray::init failed\n  File x\ncjd.errors.UsageError: no teacher at /x; name another\nmore"
    found = find_ours(RuntimeError(text))
    assert isinstance(found, UsageError) and str(found) == "no teacher at /x; name another"
    assert find_ours(RuntimeError("cjd.errors.os: x")) is None
