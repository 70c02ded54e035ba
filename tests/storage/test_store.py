"""The same promises on a local folder and on a real S3 server."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from cjd.errors import CjdError, UsageError
from cjd.storage import Store, open_store, read_shard, shard_numbers, write_shard
from cjd.storage.store import S3Store

SCHEMA = pa.schema([("x", pa.int64()), ("name", pa.string())])


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "local":
        return open_store(tmp_path / "run")
    return open_store(f"{request.getfixturevalue('s3')}/{tmp_path.name}")


def test_what_is_written_is_read_listed_and_deleted(store: Store) -> None:
    assert store.list() == []
    store.write("a.txt", b"one")
    store.write("folder/b.txt", b"two")
    store.write("folder/deep/c.txt", b"")
    assert store.read("a.txt") == b"one"
    assert store.list() == ["a.txt"]
    assert store.list("folder") == ["folder/b.txt"]
    assert store.list("folder", recursive=True) == ["folder/b.txt", "folder/deep/c.txt"]
    assert store.exists("folder/b.txt")
    assert not store.exists("folder/none.txt")
    store.write("a.txt", b"another")
    assert store.read("a.txt") == b"another"
    store.delete("folder")
    store.delete("never-there")
    assert store.list("folder", recursive=True) == []
    with pytest.raises(FileNotFoundError):
        store.read("folder/b.txt")


def test_a_sweep_removes_what_a_killed_writer_left(tmp_path: Path, s3: str) -> None:
    local, remote = open_store(tmp_path), open_store(f"{s3}/{tmp_path.name}")
    for store in (local, remote):
        store.write("samples/a.bin", b"whole")
    (tmp_path / "samples" / ".tmp-1234-b.bin").write_bytes(b"ha")
    assert isinstance(remote, S3Store)
    here = {"Bucket": remote.bucket, "Key": remote.key("samples/b.bin")}
    upload = remote.client.create_multipart_upload(**here)["UploadId"]
    remote.client.upload_part(**here, UploadId=upload, PartNumber=1, Body=b"ha")
    neighbour = {"Bucket": remote.bucket, "Key": f"{remote.prefix}-other/c.bin"}
    remote.client.create_multipart_upload(**neighbour)
    local.sweep()
    remote.sweep()
    assert sorted(p.name for p in (tmp_path / "samples").iterdir()) == ["a.bin"]
    left = remote.client.list_multipart_uploads(Bucket=remote.bucket).get("Uploads", [])
    assert [each["Key"] for each in left] == [neighbour["Key"]]
    assert remote.list("samples") == ["samples/a.bin"]


def test_a_store_travels_to_other_processes(store: Store) -> None:
    store.write("a.txt", b"one")
    assert pickle.loads(pickle.dumps(store)).read("a.txt") == b"one"
    assert store.sub("x").uri == f"{store.uri}/x"


def test_a_folder_is_uploaded_and_found_locally(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "a.bin").write_bytes(b"1" * 1000)
    (source / "deep" / "b.bin").write_bytes(b"2")
    store.upload(source, "model")
    folder = store.local("model")
    assert (folder / "a.bin").read_bytes() == b"1" * 1000
    assert (folder / "deep/b.bin").read_bytes() == b"2"


def test_a_local_copy_follows_its_object(store: Store) -> None:
    store.write("model/w.bin", b"old")
    assert (store.local("model") / "w.bin").read_bytes() == b"old"
    for content in (b"new", b"odd"):  # of the same size
        os.sync()
        store.write("model/w.bin", content)
        fresh = open_store(store.uri)
        copy = fresh.local("model") / "w.bin"
        if copy.read_bytes() != content:  # S3 keeps whole seconds: written again within one
            import time

            time.sleep(1.1)
            store.write("model/w.bin", content)
            copy = fresh.local("model") / "w.bin"
        assert copy.read_bytes() == content
    store.write("model/config.json", b"{}")
    store.delete("model/w.bin")
    assert [file.name for file in store.local("model").iterdir()] == ["config.json"]


def test_shards_are_whole_the_same_and_known_by_number(store: Store) -> None:
    rows = pa.table({"x": [1, 2], "name": ["a", "b"]}, schema=SCHEMA)
    for number in (3, 0, 1_234_567):
        write_shard(store, "samples", number, rows)
    assert shard_numbers(store, "samples") == [0, 3, 1_234_567]
    assert read_shard(store, "samples", 3, SCHEMA).equals(rows)
    assert read_shard(store, "samples", 3, SCHEMA, ["name"]).column_names == ["name"]
    before = store.read("samples/shard-000003.parquet")
    write_shard(store, "samples", 3, rows)
    assert store.read("samples/shard-000003.parquet") == before


def test_damaged_and_foreign_shards_are_named(store: Store) -> None:
    write_shard(store, "samples", 0, pa.table({"x": [1]}))
    with pytest.raises(CjdError, match=r"shard-000000\.parquet is not one of this run's shards \(no column 'name'"):
        read_shard(store, "samples", 0, SCHEMA)
    store.write("samples/shard-000001.parquet", store.read("samples/shard-000000.parquet")[:40])
    with pytest.raises(CjdError, match=r"shard-000001\.parquet is not a whole Parquet file"):
        read_shard(store, "samples", 1, SCHEMA)
    with pytest.raises(CjdError, match="missing"):
        read_shard(store, "samples", 2, SCHEMA)


def test_other_addresses_are_refused() -> None:
    with pytest.raises(UsageError, match="only local folders and s3://"):
        open_store("gs://bucket/run")
    with pytest.raises(UsageError, match="needs a bucket"):
        open_store("s3://")


def test_a_file_in_the_way_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(CjdError, match="cannot write .*mend the permissions"):
        open_store(tmp_path / "run").write("a.txt", b"x")


def test_a_killed_writer_leaves_nothing_under_a_final_name(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.write("a.txt", b"x")
    (tmp_path / ".tmp-12345678-b.txt").write_bytes(b"half")
    assert store.list() == ["a.txt"]
    assert store.list(recursive=True) == ["a.txt"]
