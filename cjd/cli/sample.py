"""`cjd sample`: a prompt becomes PNG files that say how they were made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cjd.cli.quiet import quiet
from cjd.errors import CjdError, UsageError
from cjd.prompts import MAX_PROMPT_CHARS

if TYPE_CHECKING:
    from cjd.serving.schemas import PictureRequest


def sample_to_files(uri: str, request: PictureRequest, output: Path, device: str = "cpu") -> list[Path]:
    """Paint, write and print the names. Raises PolicyError when the prompt or a picture is refused."""
    if not 0 < len(request.prompt.strip()) <= MAX_PROMPT_CHARS or len(request.negative_prompt) > MAX_PROMPT_CHARS:
        raise UsageError(f"a prompt has 1 to {MAX_PROMPT_CHARS} characters, not {len(request.prompt)}; write it anew")
    if output.suffix.lower() != ".png":
        raise UsageError(f"{output}: samples are written as PNG; name a file that ends in .png")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent} is not a folder; make it first or name another file")
    quiet()
    from cjd.serving.encode import encode_picture
    from cjd.serving.service import load_service
    from cjd.storage import Run

    service = load_service(Run.open(uri), device)
    files = [output.with_stem(f"{output.stem}-{i + 1}") if i else output for i in range(request.n)]
    for file, picture in zip(files, service.paint(request), strict=True):
        try:
            file.write_bytes(encode_picture(picture, "png"))
        except OSError as error:
            raise CjdError(f"cannot write {file}: {error.strerror}") from error
        print(f"{file}  seed {picture.seed}")
    return files
