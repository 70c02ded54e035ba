"""The student's model card and the run's lineage, from what the run holds."""

from __future__ import annotations

from typing import Any

from cjd.evaluation.card import lineage, student_card
from cjd.progress import Progress
from cjd.storage import Run

CARD = "student/README.md"
LINEAGE = "lineage.json"


def run(run: Run, progress: Progress) -> dict[str, Any]:
    """Write `student/README.md` and `lineage.json`; always anew, as both take seconds.

    Raises PolicyError for a teacher's licence that is not known, UsageError without a student.
    """
    with progress.stage("card", 2, "files") as stage:
        card = student_card(run)
        descent = lineage(run)
        run.store.write(CARD, card.encode("utf-8"))
        stage.advance()
        run.write_json(LINEAGE, descent)
        stage.advance()
    return {"card": CARD, "lineage": LINEAGE, "licence": descent["licence"]}
