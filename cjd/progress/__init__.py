"""What the user sees while a stage works, and what `cjd status` reads from a second terminal."""

from cjd.progress.bars import Progress, StageProgress
from cjd.progress.status import StageStatus, read_status

__all__ = ["Progress", "StageProgress", "StageStatus", "read_status"]
