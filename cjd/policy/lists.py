"""Lists of names and terms, as TOML files with a version, so that a refusal can say which list it came from.

name = "studio-names"
version = "2026.1"
kind = "artist"                    # artist | term

[[entries]]
name = "Jane Example"              # matched itself
aliases = ["j. example", "例の人"]
attributed = false                 # true: an ordinary word, refused only as "by …", "… style"

[groups]                           # words that are refused only beside words of another group
young = ["child"]
explicit = ["naked"]

[[entries]]
name = "sexualised minor"
together = ["young", "explicit"]   # its name is not matched
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cjd.errors import UsageError


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Strict):
    """One thing that is refused."""

    name: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    attributed: bool = False
    together: tuple[str, ...] = ()

    @property
    def phrases(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


class NameList(_Strict):
    """One file of names or terms."""

    name: str
    version: str
    kind: Literal["artist", "term"]
    groups: dict[str, tuple[str, ...]] = {}
    entries: tuple[Entry, ...] = Field(min_length=1)

    @property
    def label(self) -> str:
        """What a refusal records: the list and its version."""
        return f"{self.name} {self.version}"

    @model_validator(mode="after")
    def _groups_exist(self) -> NameList:
        for entry in self.entries:
            for group in entry.together:
                if group not in self.groups:
                    raise ValueError(f"entry {entry.name!r} names the group {group!r}, which is not in [groups]")
            if entry.together and (entry.aliases or entry.attributed):
                raise ValueError(f"entry {entry.name!r} has groups, so it takes neither aliases nor attributed")
        return self


def shipped_list(kind: Literal["artist", "term"]) -> NameList:
    """The list of that kind that comes with the package."""
    source = files("cjd.policy") / "lists" / f"{kind}s.toml"
    return _parse(source.read_bytes(), f"{kind}s.toml")


def read_list(path: str | Path) -> NameList:
    """A list of the user's own. Raises UsageError for a file that is missing or wrong."""
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the policy list {path} ({error.strerror}); mend [policy] extra_lists") from None
    return _parse(content, str(path))


def _parse(content: bytes, where: str) -> NameList:
    try:
        return NameList.model_validate(tomllib.loads(content.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where}: not a TOML file ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "list"
        raise UsageError(f"{where}: {place}: {first['msg']}") from None
