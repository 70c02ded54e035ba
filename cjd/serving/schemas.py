"""What may be asked: the fields of the OpenAI Images API that this server has, the others refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cjd.errors import UsageError
from cjd.prompts import MAX_PROMPT_CHARS
from cjd.seeds import derive_seed

MAX_PROMPT = MAX_PROMPT_CHARS
MAX_SEED = (1 << 53) - 1  # exact in every JSON reader

# Fields of the OpenAI API that a client may send and that this server does not have.
UNSUPPORTED = ("background", "moderation", "output_compression", "partial_images", "quality", "stream", "style")


class RequestError(UsageError):
    """A request that is wrong: `param` names the field, `code` is for programs, `status` is HTTP's."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_value", status: int = 400) -> None:
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


@dataclass(frozen=True)
class PictureRequest:
    """`n` pictures of one prompt. None: what the student was made with. `size`: pixels a side of one of its stages."""

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    n: int = 1
    guidance_scale: float | None = None
    num_inference_steps: int | None = None
    size: int | None = None

    def seeds(self) -> list[int]:
        """The first picture has the request's own seed, the others derived ones: each, asked for alone,
        gives the same picture again."""
        return [self.seed, *(derive_seed(self.seed, i) & MAX_SEED for i in range(1, self.n))]


class ImagesRequest(BaseModel):
    """The body of `POST /v1/images/generations`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = Field(min_length=1, max_length=MAX_PROMPT)
    model: str | None = None
    n: int | None = Field(default=1, ge=1, le=10)
    size: str | None = Field(default="auto", pattern=r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$")
    response_format: Literal["b64_json"] | None = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = "png"
    user: str | None = Field(default=None, max_length=256)
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED)
    guidance_scale: float | None = Field(default=None, ge=0, le=50, allow_inf_nan=False)
    num_inference_steps: int | None = Field(default=None, ge=1, le=1000)
    negative_prompt: str | None = Field(default=None, max_length=MAX_PROMPT)

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _text_only(cls, text: str | None) -> str | None:
        if text is not None and ("\0" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text)):
            raise ValueError("must be text without NUL bytes and lone surrogates")
        return text

    def pixels(self) -> tuple[int, int] | None:
        """(width, height), or None for "auto"."""
        if self.size in (None, "auto"):
            return None
        width, height = self.size.split("x")
        return int(width), int(height)


def parse_request(body: Any) -> ImagesRequest:
    """Raises RequestError that names the first field which is wrong."""
    if not isinstance(body, dict):
        raise RequestError("the body must be a JSON object", code="invalid_json")
    try:
        return ImagesRequest.model_validate(body)
    except ValidationError as error:
        raise _explain(error, body) from None


def _explain(error: ValidationError, body: dict[str, Any]) -> RequestError:
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        if param in UNSUPPORTED:
            return RequestError(f"{param!r} is not supported by this server", param, "unsupported_parameter")
        return RequestError(f"unknown parameter {str(param)[:80]!r}", param, "unknown_parameter")
    if first["type"] == "missing":
        return RequestError(f"{param!r} is required", param, "missing_required_parameter")
    if param == "response_format" and body.get("response_format") == "url":
        return RequestError(
            "response_format 'url' is not supported by this server; use 'b64_json'", param, "unsupported_value"
        )
    return RequestError(f"{param!r}: {first['msg'].removeprefix('Value error, ')}", param)
