import pytest

from cjd.serving.schemas import UNSUPPORTED, PictureRequest, RequestError, parse_request


def test_what_the_openai_client_sends_is_read():
    body = {"prompt": "a girl", "model": "tiny", "n": 2, "size": "64x64", "response_format": "b64_json"}
    request = parse_request(body | {"output_format": "webp", "user": "me", "seed": 7, "guidance_scale": 2})
    assert request.pixels() == (64, 64) and request.seed == 7 and request.guidance_scale == 2.0


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 11}, "n", "invalid_value"),
        ({"n": True}, "n", "invalid_value"),
        ({"n": "2"}, "n", "invalid_value"),
        ({"prompt": ""}, "prompt", "invalid_value"),
        ({"prompt": "a\0b"}, "prompt", "invalid_value"),
        ({"prompt": "\ud800"}, "prompt", "invalid_value"),
        ({"prompt": "x" * 10_000}, "prompt", "invalid_value"),
        ({"prompt": None}, "prompt", "invalid_value"),
        ({"size": "big"}, "size", "invalid_value"),
        ({"seed": -1}, "seed", "invalid_value"),
        ({"guidance_scale": float("nan")}, "guidance_scale", "invalid_value"),
        ({"response_format": "url"}, "response_format", "unsupported_value"),
        ({"output_format": "gif"}, "output_format", "invalid_value"),
        ({"sede": 1}, "sede", "unknown_parameter"),
        *(({name: None}, name, "unsupported_parameter") for name in UNSUPPORTED),
    ],
)
def test_what_is_wrong_is_refused_by_name(change, param, code):
    with pytest.raises(RequestError) as caught:
        parse_request({"prompt": "a girl"} | change)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert param in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [None, [], "text", 3])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(RequestError):
        parse_request(body)


def test_the_first_picture_has_the_requests_own_seed():
    seeds = PictureRequest("x", seed=5, n=4).seeds()
    assert seeds[0] == 5 and len(set(seeds)) == 4
    assert PictureRequest("x", seed=5, n=2).seeds() == seeds[:2]
    assert all(PictureRequest("x", seed=s).seeds() == [s] for s in seeds)
