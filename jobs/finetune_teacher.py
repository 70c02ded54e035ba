"""`ray job submit … -- python jobs/finetune_teacher.py RUN --recipe NAME [key=value …]`: the same as `cjd finetune`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cjd.cli.app import job

if __name__ == "__main__":
    sys.exit(job("finetune"))
