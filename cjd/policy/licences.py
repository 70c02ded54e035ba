"""What a teacher's licence asks of the student: the pictures may be free while the weights are not.

A licence with use restrictions can count a model trained on a model's synthetic output as a derivative
(the Open RAIL family says so in its definition of "Derivatives of the Model"); the restrictions then
travel to the student's weights and to any service that is built on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from cjd.errors import PolicyError


@dataclass(frozen=True)
class Licence:
    id: str  # as the Hugging Face hub writes it in a card's front matter
    name: str
    inherits: bool  # a model trained on the output must carry this licence's restrictions
    restrictions: str
    url: str


_NO_RESTRICTIONS = "None: no use is restricted."
_RAIL = (
    "Attachment A of the licence restricts use: among others no unlawful use, no harm to minors, no false "
    "information meant to harm, no defamation or harassment, no fully automated decisions against a person's "
    "rights, no discrimination, no medical advice, no use in law enforcement. Whoever passes on the weights "
    "or offers a service with them passes these restrictions on."
)

LICENCES: dict[str, Licence] = {
    licence.id: licence
    for licence in (
        Licence(
            "cc0-1.0", "CC0 1.0 Universal", False, _NO_RESTRICTIONS,
            "https://creativecommons.org/publicdomain/zero/1.0/",
        ),
        Licence("mit", "MIT License", False, _NO_RESTRICTIONS, "https://opensource.org/license/mit"),
        Licence(
            "apache-2.0", "Apache License 2.0", False, _NO_RESTRICTIONS, "https://www.apache.org/licenses/LICENSE-2.0",
        ),
        Licence(
            "creativeml-openrail-m", "CreativeML Open RAIL-M", True, _RAIL,
            "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
        ),
        Licence(
            "openrail++", "CreativeML Open RAIL++-M", True, _RAIL,
            "https://huggingface.co/stabilityai/stable-diffusion-2/blob/main/LICENSE-MODEL",
        ),
    )
}  # fmt: skip


def student_licence(teacher_licence: str) -> Licence:
    """The licence that the student's weights carry: its teacher's.

    Raises PolicyError for a licence whose terms are not known here.
    """
    licence = LICENCES.get(teacher_licence.strip().lower())
    if licence is None:
        raise PolicyError(
            f"teacher.licence {teacher_licence!r} is not known, so nothing can be said of the student's; "
            f"set it to one of {', '.join(LICENCES)}, or add its terms to cjd/policy/licences.py"
        )
    return licence
