"""One seam over local folders and S3: whole objects in, whole objects out, names listed.

A reader never sees half an object under its final name: locally a temporary file is renamed into
place, on S3 an object is one PUT (or a multipart upload that is completed at its end).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from cjd.errors import CjdError, UsageError

TEMPORARY = ".tmp-"
ATTEMPTS = 10  # with pauses that grow: a server may be away for about a minute


def open_store(uri: str | Path) -> Store:
    """A store for a local folder or an `s3://bucket/prefix` address. Nothing is created or contacted yet."""
    uri = str(uri)
    if uri.startswith("s3://"):
        return S3Store(uri)
    if "://" in uri:
        raise UsageError(f"{uri}: only local folders and s3:// addresses hold runs")
    return LocalStore(uri)


class Store:
    """Objects under one root. Names are relative, with forward slashes.

    Picklable: it is sent to actors and workers as it is.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return open_store, (self.uri,)

    def __repr__(self) -> str:
        return f"open_store({self.uri!r})"

    def sub(self, name: str) -> Store:
        """The store of a folder below this one."""
        return open_store(f"{self.uri}/{name}")

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError."""
        raise NotImplementedError

    def write(self, name: str, data: bytes) -> None:
        """Whole or not at all; replaces what is there."""
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        raise NotImplementedError

    def list(self, folder: str = "", recursive: bool = False) -> list[str]:
        """Sorted names (relative to the root) of the objects in a folder; [] when there is none."""
        raise NotImplementedError

    def arrow(self, name: str) -> tuple[pafs.FileSystem, str]:
        """The pyarrow filesystem and the path of an object or folder, for libraries that take these."""
        raise NotImplementedError

    def entries(self) -> list[str]:
        """Sorted names of what lies at the root, folders too; hidden ones aside."""
        raise NotImplementedError

    def delete(self, name: str) -> None:
        """An object or a folder and all below it; nothing happens when it is not there."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Remove what writes that were killed have left; only for the process that alone writes here."""
        raise NotImplementedError

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file or folder to `name`; a folder's files arrive one by one."""
        if source.is_dir():
            for file in sorted(p for p in source.rglob("*") if p.is_file()):
                self._put_file(file, f"{name}/{file.relative_to(source).as_posix()}")
        else:
            self._put_file(source, name)

    def _put_file(self, file: Path, name: str) -> None:
        self.write(name, file.read_bytes())

    def local(self, name: str = "") -> Path:
        """A local path that holds the object or folder: itself locally, a cached copy for S3."""
        raise NotImplementedError


class LocalStore(Store):
    def __init__(self, uri: str) -> None:
        super().__init__(str(Path(uri).expanduser().absolute()))
        self.root = Path(self.uri)

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self.root / name
        temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{path.name}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):  # what was wrong with the folder may be wrong here too
                temporary.unlink()
            raise _cannot_write(path, error) from error

    def exists(self, name: str) -> bool:
        return (self.root / name).exists()

    def list(self, folder: str = "", recursive: bool = False) -> list[str]:
        base = self.root / folder
        if not base.is_dir():
            return []
        files = base.rglob("*") if recursive else base.iterdir()
        names = (p.relative_to(self.root).as_posix() for p in files if not p.name.startswith(TEMPORARY) and p.is_file())
        return sorted(names)

    def arrow(self, name: str) -> tuple[pafs.FileSystem, str]:
        return pafs.LocalFileSystem(), str(self.root / name)

    def entries(self) -> list[str]:
        return sorted(p.name for p in self.root.glob("*") if not p.name.startswith("."))

    def delete(self, name: str) -> None:
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        for folder, _, files in os.walk(self.root):
            for file in files:
                if file.startswith(TEMPORARY):
                    (Path(folder) / file).unlink(missing_ok=True)

    def _put_file(self, file: Path, name: str) -> None:
        path = self.root / name
        temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{path.name}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, temporary)
            os.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):  # what was wrong with the folder may be wrong here too
                temporary.unlink()
            raise _cannot_write(path, error) from error

    def local(self, name: str = "") -> Path:
        return self.root / name


class S3Store(Store):
    """Reads and lists through pyarrow; writes are one PUT through boto3, which never leaves half an object."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self.bucket, _, self.prefix = uri.rstrip("/").removeprefix("s3:").lstrip("/").partition("/")
        if not self.bucket:
            raise UsageError(f"{uri}: an s3 address needs a bucket, as in s3://bucket/run")
        self._filesystem: pafs.FileSystem | None = None
        self._client: Any = None

    @property
    def filesystem(self) -> pafs.FileSystem:
        if self._filesystem is None:
            patience = pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
            self._filesystem = pafs.S3FileSystem(endpoint_override=_endpoint(), retry_strategy=patience)
        return self._filesystem

    @property
    def client(self) -> Any:
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.client(
                "s3", config=Config(retries={"total_max_attempts": ATTEMPTS, "mode": "standard"})
            )
        return self._client

    def key(self, name: str) -> str:
        return "/".join(part for part in (self.prefix, name) if part)

    def read(self, name: str) -> bytes:
        with self.filesystem.open_input_stream(f"{self.bucket}/{self.key(name)}") as stream:
            return stream.read()

    def write(self, name: str, data: bytes) -> None:
        try:
            self.client.put_object(Bucket=self.bucket, Key=self.key(name), Body=data)
        except Exception as error:
            raise CjdError(f"cannot write {self.uri}/{name}: {error}") from error

    def _put_file(self, file: Path, name: str) -> None:
        self.client.upload_file(str(file), self.bucket, self.key(name))

    def exists(self, name: str) -> bool:
        return self.filesystem.get_file_info(f"{self.bucket}/{self.key(name)}").type != pafs.FileType.NotFound

    def list(self, folder: str = "", recursive: bool = False) -> list[str]:
        base = f"{self.bucket}/{self.key(folder)}".rstrip("/")
        selector = pafs.FileSelector(base, recursive=recursive, allow_not_found=True)
        start = len(self.bucket) + 1 + (len(self.prefix) + 1 if self.prefix else 0)
        found = self.filesystem.get_file_info(selector)
        return sorted(info.path[start:] for info in found if info.type == pafs.FileType.File)

    def arrow(self, name: str) -> tuple[pafs.FileSystem, str]:
        return self.filesystem, f"{self.bucket}/{self.key(name)}"

    def entries(self) -> list[str]:
        selector = pafs.FileSelector(f"{self.bucket}/{self.prefix}".rstrip("/"), allow_not_found=True)
        names = (info.base_name for info in self.filesystem.get_file_info(selector))
        return sorted(name for name in names if not name.startswith("."))

    def delete(self, name: str) -> None:
        for below in self.list(name, recursive=True) or [name]:
            self.client.delete_object(Bucket=self.bucket, Key=self.key(below))

    def sweep(self) -> None:
        from botocore.exceptions import ClientError

        prefix = f"{self.prefix}/" if self.prefix else ""
        try:
            pages = list(
                self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=prefix)
            )
        except ClientError:  # a role that may not: what is left costs a little storage, and harms nothing
            return
        for upload in (each for page in pages for each in page.get("Uploads", ())):
            with contextlib.suppress(self.client.exceptions.NoSuchUpload):
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])

    def local(self, name: str = "") -> Path:
        """Downloads below a per-user cache; a copy of the object's size and time of writing is kept, and one
        whose object is gone goes too.
        """
        server = re.sub(r"\W+", "-", _endpoint() or "aws")
        cache = Path(tempfile.gettempdir()) / f"cjd-cache-{os.getuid()}" / server / self.bucket / self.prefix
        names = self.list(name, recursive=True) or [name]
        found = self.filesystem.get_file_info([f"{self.bucket}/{self.key(n)}" for n in names])
        copies = LocalStore(str(cache))
        for each, info in zip(names, found, strict=True):
            if info.type == pafs.FileType.NotFound:
                raise FileNotFoundError(f"{self.uri}/{each}")
            stamp = (info.mtime_ns or 0, info.mtime_ns or 0)
            copy = cache / each
            if not copy.is_file() or (copy.stat().st_size, copy.stat().st_mtime_ns) != (info.size, stamp[0]):
                copies.write(each, self.read(each))
                os.utime(copy, ns=stamp)
        for stale in set(copies.list(name, recursive=True)) - set(names):
            copies.delete(stale)
        return cache / name


def _endpoint() -> str | None:
    """The S3 server, where it is not Amazon's: boto3 reads these by itself, pyarrow does not."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")


def _cannot_write(path: Path, error: OSError) -> CjdError:
    return CjdError(
        f"cannot write {path}: {error.strerror or error}; free space or mend the permissions, then run the same command again"
    )
