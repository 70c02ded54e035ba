import io

import numpy as np
import pytest
from PIL import Image

from cjd.errors import PolicyError, UsageError
from cjd.policy import Gate
from cjd.serving.encode import encode_picture, parameters_text
from cjd.serving.schemas import PictureRequest, RequestError
from cjd.serving.service import Job, Picture, PictureService, Refusal, load_service
from cjd.storage import Run


def job(seed: int, **more) -> Job:
    settings = {"negative_prompt": "", "guidance_scale": None, "num_inference_steps": None, "size": None}
    return Job(**({"prompt": "a girl", "seed": seed} | settings | more))


def picture(result: Picture | Refusal) -> np.ndarray:
    assert isinstance(result, Picture), result
    return result.image_HWC


def test_a_picture_does_not_depend_on_its_company(service):
    jobs = [job(1), job(2, guidance_scale=4.0), job(3, prompt="starry sky"), job(4, negative_prompt="hair"), job(5)]
    jobs += [job(6, num_inference_steps=2), job(7)]
    together = service.paint_jobs(jobs)
    for each, result in zip(jobs, together, strict=True):
        assert np.array_equal(picture(result), picture(service.paint_jobs([each])[0]))


def test_n_pictures_are_those_of_their_own_seeds(service):
    several = service.paint(PictureRequest("a girl", seed=11, n=3))
    for one in several:
        (alone,) = service.paint(PictureRequest("a girl", seed=one.seed))
        assert np.array_equal(one.image_HWC, alone.image_HWC)
    assert several[0].seed == 11


def test_settings_reach_the_cascade(service):
    plain = picture(service.paint_jobs([job(1)])[0])
    for change in ({"guidance_scale": 9.0}, {"num_inference_steps": 5}, {"negative_prompt": "sky"}, {"prompt": "sky"}):
        assert not np.array_equal(plain, picture(service.paint_jobs([job(1, **change)])[0])), change


def test_a_stages_own_size_can_be_asked_for(service):
    small = picture(service.paint_jobs([job(1, size=8)])[0])
    assert service.sizes == [8, 16] and small.shape == (8, 8, 3)
    assert picture(service.paint_jobs([job(1)])[0]).shape == (16, 16, 3)
    with pytest.raises(RequestError, match="16x16, 8x8"):
        service.paint(PictureRequest("a girl", size=32))


def test_the_gate_stands_before_and_behind(service, served_run):
    class NoPictures(Gate):
        def image(self, array_HWC):
            return super().image(np.zeros_like(array_HWC))  # as if the cascade had painted black

    closed = PictureService(service.cascade, NoPictures.load(served_run.recipe.policy))
    with pytest.raises(PolicyError, match="picture was refused"):
        closed.paint(PictureRequest("a girl"))
    results = service.paint_jobs([job(1, prompt="a girl by greg rutkowski"), job(2)])
    assert isinstance(results[0], Refusal) and results[0].what == "prompt" and isinstance(results[1], Picture)


@pytest.mark.parametrize("prompt", ["a girl", "少女、白い髪"])
def test_a_png_says_how_it_was_made(service, prompt):
    (one,) = service.paint(PictureRequest(prompt, negative_prompt="sky", seed=3))
    with Image.open(io.BytesIO(encode_picture(one, "png"))) as image:
        text = image.info["parameters"]
        assert np.array_equal(np.asarray(image), one.image_HWC)
    assert text == parameters_text(one)
    first, second, third = text.split("\n")
    assert first == prompt and second == "Negative prompt: sky"
    assert third.startswith("Steps: 3, Sampler: DPM++ 2M, CFG scale: 2, Seed: 3, Size: 16x16")


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_other_formats(service, kind):
    (one,) = service.paint(PictureRequest("a girl"))
    with Image.open(io.BytesIO(encode_picture(one, kind))) as image:
        assert image.format == kind.upper() and image.size == (16, 16)


def test_a_run_without_a_student_is_said(tmp_path, served_run):
    with pytest.raises(UsageError, match="cjd train"):
        load_service(Run.create(str(tmp_path / "new"), served_run.recipe))
    with pytest.raises(UsageError, match="device"):
        load_service(served_run, "nonsense")
