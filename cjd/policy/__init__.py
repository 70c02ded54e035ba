"""What may be asked and what may be kept: one gate for prompts and pictures, and it fails closed."""

from cjd.policy.gate import Gate, Verdict

__all__ = ["Gate", "Verdict"]
