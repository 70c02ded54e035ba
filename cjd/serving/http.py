"""The OpenAI Images API as an ASGI application over any backend that paints jobs."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import time
import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from cjd import __version__
from cjd.errors import BusyError, PolicyError
from cjd.serving.encode import encode_picture
from cjd.serving.schemas import MAX_SEED, ImagesRequest, PictureRequest, RequestError, parse_request
from cjd.serving.service import Job, Picture, Refusal, check_size, jobs_of

MAX_BODY = 1 << 20  # bytes
RETRY_AFTER = 2  # seconds, said with a 429

log = logging.getLogger("cjd.serving")


@dataclass(frozen=True)
class Model:
    """What the server offers. `sizes`: pixels a side, rising."""

    name: str
    created: int
    sizes: tuple[int, ...]


class Backend(Protocol):
    """Who paints. `paint` raises BusyError when its queue is full."""

    async def model(self) -> Model: ...

    async def paint(self, jobs: list[Job]) -> list[Picture | Refusal]: ...


def make_app(backend: Backend) -> FastAPI:
    """The application. It keeps no state."""
    app = FastAPI(title="Cool Japan Diffusion", version=__version__, docs_url=None, redoc_url=None)
    _answer_errors(app)

    @app.middleware("http")
    async def request_id(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-request-id"] = uuid.uuid4().hex
        return response

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        await backend.model()
        return {"status": "ok"}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model_object(await backend.model())]}

    @app.get("/v1/models/{name}")
    async def model(name: str) -> dict[str, Any]:
        known = await backend.model()
        _check_model(name, known)
        return _model_object(known)

    @app.post("/v1/images/generations")
    async def generations(request: Request) -> dict[str, Any]:
        asked = parse_request(await _json_body(request))
        known = await backend.model()
        results = await backend.paint(jobs_of(_picture_request(asked, known)))
        for result in results:
            if isinstance(result, Refusal):
                raise result.error()
        pictures = [result for result in results if isinstance(result, Picture)]
        return await asyncio.to_thread(_answer, pictures, asked.output_format or "png")

    return app


def _picture_request(asked: ImagesRequest, known: Model) -> PictureRequest:
    """Raises RequestError for a model or a size that is not there."""
    if asked.model is not None:
        _check_model(asked.model, known)
    pixels = asked.pixels()
    if pixels is not None and pixels[0] != pixels[1]:
        valid = ", ".join(f"{s}x{s}" for s in reversed(known.sizes))
        raise RequestError(f"size {asked.size} is not one of this student's: {valid}, auto", "size", "invalid_size")
    check_size(pixels[0] if pixels else None, known.sizes)
    return PictureRequest(
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt or "",
        seed=secrets.randbelow(MAX_SEED) if asked.seed is None else asked.seed,
        n=asked.n or 1,
        guidance_scale=asked.guidance_scale,
        num_inference_steps=asked.num_inference_steps,
        size=pixels[0] if pixels else None,
    )


def _answer(pictures: list[Picture], output_format: str) -> dict[str, Any]:
    height, width = pictures[0].image_HWC.shape[:2]
    data = [
        {
            "b64_json": base64.b64encode(encode_picture(p, output_format)).decode(),
            "revised_prompt": None,
            "seed": p.seed,
        }
        for p in pictures
    ]
    return {"created": int(time.time()), "data": data, "output_format": output_format, "size": f"{width}x{height}"}


def _model_object(model: Model) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": model.created, "owned_by": "cool-japan-diffusion"}


def _check_model(name: str, known: Model) -> None:
    if name != known.name:
        message = f"no model {name[:80]!r} here; this server has {known.name!r}"
        raise RequestError(message, "model", "model_not_found", status=404)


async def _json_body(request: Request) -> Any:
    """The body, read up to a limit. Raises RequestError."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise RequestError(f"the body is over {MAX_BODY} bytes", code="body_too_large", status=413)
    try:
        return json.loads(bytes(data))
    except (ValueError, RecursionError):
        raise RequestError("the body is not valid JSON", code="invalid_json") from None


def error_response(
    status: int, message: str, kind: str, param: str | None = None, code: str | None = None, **headers: str
) -> JSONResponse:
    """OpenAI's error body."""
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return JSONResponse(body, status, headers={key.replace("_", "-"): value for key, value in headers.items()})


def _answer_errors(app: FastAPI) -> None:
    """Every error as OpenAI words it; never a traceback. What can be tried again is 429 or 5xx, nothing else."""

    @app.exception_handler(RequestError)
    async def wrong(_: Request, error: RequestError) -> JSONResponse:
        return error_response(error.status, str(error), "invalid_request_error", error.param, error.code)

    @app.exception_handler(PolicyError)
    async def refused(_: Request, error: PolicyError) -> JSONResponse:
        return error_response(400, str(error), "image_generation_user_error", None, "moderation_blocked")

    @app.exception_handler(BusyError)
    async def busy(_: Request, error: BusyError) -> JSONResponse:
        return error_response(429, str(error), "rate_limit_error", None, "queue_full", retry_after=str(RETRY_AFTER))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        message = f"{request.method} {request.url.path}: {error.detail}"
        return error_response(error.status_code, message, "invalid_request_error", None, "unknown_url")

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        log.error("a request failed", exc_info=error)
        return error_response(500, "the server failed; its log says why", "server_error", None, "internal_error")
