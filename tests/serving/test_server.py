"""A real `cjd serve` in a process of its own, and the official client."""

import base64
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from cjd.serving.schemas import PictureRequest


@pytest.fixture(scope="module")
def address(served_run) -> Iterator[str]:
    command = [sys.executable, "-m", "cjd.cli", "serve", served_run.uri, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_env()) as server:
        assert server.stdout and server.stderr
        line = server.stdout.readline()
        found = re.search(r"http://[\d.]+:\d+", line)
        try:
            assert found, line + server.stderr.read()
            assert server.stdout.readline().startswith("try: curl")
            yield found.group()
        finally:
            server.send_signal(signal.SIGINT)
            rest, complaints = server.communicate(timeout=60)
        assert server.returncode == 0 and rest.strip() == "stopping …"
        assert complaints == ""


def _env() -> dict[str, str]:
    """A newcomer's: without what a Ray session in this process has set."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def client(address) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)


def pixels(b64: str | None) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(b64 or ""))) as image:
        return np.asarray(image.convert("RGB"))


def test_the_official_client_gets_its_pictures(client, service):
    answer = client.images.generate(
        prompt="a girl", model="untrained", n=2, size="16x16", response_format="b64_json", extra_body={"seed": 5}
    )
    assert answer.data is not None and len(answer.data) == 2
    expected = service.paint(PictureRequest("a girl", seed=5, n=2))
    for item, picture in zip(answer.data, expected, strict=True):
        assert np.array_equal(pixels(item.b64_json), picture.image_HWC)
        assert item.model_extra is not None and item.model_extra["seed"] == picture.seed


def test_the_same_seed_in_company(client):
    def ask(seed: int) -> np.ndarray:
        answer = client.images.generate(prompt="a girl", extra_body={"seed": seed, "guidance_scale": 3.0})
        return pixels(answer.data[0].b64_json)

    alone = ask(1)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(ask, [1, 2, 3, 4, 5, 1]))
    assert np.array_equal(together[0], alone) and np.array_equal(together[5], alone)
    assert not np.array_equal(together[1], alone)


def test_models_and_health(client, address):
    assert [model.id for model in client.models.list()] == ["untrained"]
    assert client.models.retrieve("untrained").owned_by
    health = httpx.get(f"{address}/healthz")
    assert health.json() == {"status": "ok"} and health.headers["x-request-id"]
    assert httpx.get(f"{address}/openapi.json").json()["info"]["title"]


@pytest.mark.parametrize(
    ("extra", "param", "words"),
    [
        ({"size": "1x1"}, "size", "16x16, 8x8"),
        ({"size": "16x8"}, "size", "16x16, 8x8"),
        ({"quality": "hd"}, "quality", "not supported"),
        ({"sede": 1}, "sede", "unknown"),
        ({"n": 11}, "n", "less than or equal to 10"),
    ],
)
def test_what_is_wrong_is_refused_by_name(client, extra, param, words):
    with pytest.raises(openai.BadRequestError, match=words) as caught:
        client.images.generate(prompt="a girl", extra_body=extra)
    assert caught.value.param == param and caught.value.type == "invalid_request_error"


def test_the_policy_refuses(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(prompt="a girl, by Greg Rutkowski")
    assert caught.value.code == "moderation_blocked"


def test_a_model_that_is_not_here(client):
    with pytest.raises(openai.NotFoundError, match="untrained"):
        client.images.generate(prompt="a girl", model="dall-e-3")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b"x" * (2 << 20), 413)],
)
def test_garbage_is_answered_without_a_traceback(address, body, status):
    answer = httpx.post(f"{address}/v1/images/generations", content=body)
    assert answer.status_code == status and set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in answer.text


def test_an_unknown_address(address):
    answer = httpx.get(f"{address}/v1/nothing")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "unknown_url"
    assert httpx.get(f"{address}/v1/images/generations").status_code == 405


def test_beyond_the_queue_is_try_again(address):
    """Many slow pictures at once: each is either painted or refused with a time to come back."""
    body = {"prompt": "a girl", "n": 10, "num_inference_steps": 60}
    with ThreadPoolExecutor(12) as pool:
        url = f"{address}/v1/images/generations"
        answers = list(pool.map(lambda _: httpx.post(url, json=body, timeout=120), range(12)))
    assert {answer.status_code for answer in answers} == {200, 429}, [answer.text[:300] for answer in answers]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) > 0 and refused.json()["error"]["type"] == "rate_limit_error"
