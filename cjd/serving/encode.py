"""Pictures as files that say how they were made: AUTOMATIC1111's `parameters` text, in PNGs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cjd import __version__

if TYPE_CHECKING:
    from cjd.serving.service import Picture

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def parameters_text(picture: Picture) -> str:
    """The prompt, the negative prompt and the settings, in the lines that other tools read."""
    job = picture.job
    height, width = picture.image_HWC.shape[:2]
    settings = {
        "Steps": picture.num_inference_steps,
        "Sampler": "DPM++ 2M",
        "CFG scale": f"{picture.guidance_scale:g}",
        "Seed": job.seed,
        "Size": f"{width}x{height}",
        "Model hash": picture.student,
        "Version": f"cjd {__version__}",
    }
    lines = [job.prompt]
    if job.negative_prompt:
        lines.append(f"Negative prompt: {job.negative_prompt}")
    return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in settings.items())])


def encode_picture(picture: Picture, output_format: str) -> bytes:
    """PNG (with its parameters), JPEG or lossless WebP."""
    buffer = io.BytesIO()
    image = Image.fromarray(picture.image_HWC)
    if output_format == "png":
        info = PngInfo()
        text = parameters_text(picture)
        if text.isascii():
            info.add_text("parameters", text)
        else:
            info.add_itxt("parameters", text)  # UTF-8
        image.save(buffer, "PNG", pnginfo=info)
    elif output_format == "jpeg":
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    elif output_format == "webp":
        image.save(buffer, "WEBP", lossless=True)
    else:
        raise ValueError(f"output_format must be one of {', '.join(MEDIA_TYPES)}, got {output_format!r}")
    return buffer.getvalue()
