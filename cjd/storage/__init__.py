"""Where a run lives: one folder or one s3:// prefix, written whole or not at all."""

from cjd.storage.run import Run
from cjd.storage.shards import read_shard, shard_name, shard_numbers, write_shard
from cjd.storage.store import LocalStore, Store, open_store

__all__ = ["LocalStore", "Run", "Store", "open_store", "read_shard", "shard_name", "shard_numbers", "write_shard"]
