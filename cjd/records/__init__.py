"""The rows of every shard, and the names that rows have."""

from cjd.records.ids import prompt_id, sample_id, sample_seed
from cjd.records.schemas import PICTURES, PROMPTS, REJECTS, SAMPLES

__all__ = ["PICTURES", "PROMPTS", "REJECTS", "SAMPLES", "prompt_id", "sample_id", "sample_seed"]
