"""The one gate that prompts and pictures pass, in generation and in serving alike.

It fails closed: a rule that raises is a refusal (rule "error"), and a gate that cannot load its lists
or its classifier does not come into being.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cjd.config.recipe import PolicyConfig
from cjd.policy.image import FLAT_DEVIATION, SafetyClassifier, flatness
from cjd.policy.lists import NameList, read_list, shipped_list
from cjd.policy.text import TextMatcher


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one prompt or picture. `scores`: rule -> score, "pass" or "none"."""

    ok: bool
    rule: str | None = None
    list: str | None = None
    score: float | None = None
    detail: str = ""
    scores: dict[str, float | str] = field(default_factory=dict)


class Gate:
    """Build with `Gate.load`. Picklable."""

    def __init__(self, lists: Sequence[NameList], classifier: SafetyClassifier | None = None) -> None:
        self.lists = tuple(lists)
        self.classifier = classifier
        self._matcher = TextMatcher(self.lists)

    @classmethod
    def load(cls, policy: PolicyConfig) -> Gate:
        """The gate of a recipe's `[policy]`. Raises UsageError for a list or a classifier that is not there."""
        lists = [shipped_list("term")] if policy.terms else []
        lists += [shipped_list("artist")] if policy.artists else []
        lists += [read_list(path) for path in policy.extra_lists]
        classifier = None if policy.safety == "none" else SafetyClassifier(policy.safety)
        return cls(lists, classifier)

    def text(self, prompt: str) -> Verdict:
        """A prompt against the lists."""
        try:
            hit = self._matcher.find(prompt)
        except Exception as error:
            return _failed(error)
        if hit is not None:
            return Verdict(False, hit.kind, hit.list, None, hit.name, {hit.kind: "refused"})
        kinds = dict.fromkeys(each.kind for each in self.lists)
        return Verdict(True, scores=dict.fromkeys(kinds, "pass"))

    def image(self, array_HWC: np.ndarray) -> Verdict:
        """A uint8 picture `[height, width, 3]`: blank ones and what the classifier finds are refused."""
        try:
            return self._image(array_HWC)
        except Exception as error:
            return _failed(error)

    def _image(self, array_HWC: np.ndarray) -> Verdict:
        deviation = flatness(array_HWC)
        scores: dict[str, float | str] = {"blank": deviation, "safety": "none"}
        if not deviation >= FLAT_DEVIATION:
            detail = f"deviation {deviation} is under {FLAT_DEVIATION} grey levels"
            return Verdict(False, "blank", "built-in", deviation, detail, scores)
        if self.classifier is not None:
            score, label = self.classifier.score(array_HWC)
            scores["safety"] = score
            if not score < self.classifier.threshold:
                return Verdict(False, "safety", self.classifier.name, score, label, scores)
        return Verdict(True, scores=scores)


def _failed(error: Exception) -> Verdict:
    detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return Verdict(False, "error", "built-in", None, detail, {"error": "refused"})
