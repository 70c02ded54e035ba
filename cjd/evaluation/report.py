"""The report: one HTML file that needs nothing else, neither a server nor a network."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cjd.evaluation.metrics import CONSISTENCY_BAR, RATIO_BAR, bars
from cjd.images import encode

INK = "#123456"  # stands for the text colour in a plot until the page replaces it


@dataclass(frozen=True)
class Pair:
    """One prompt of the contact sheet. Pictures are uint8 `[H, W, 3]`; `stages` ends with the final size."""

    prompt: str
    asked: Mapping[str, str]
    teacher: np.ndarray
    stages: Mapping[str, np.ndarray]
    teacher_found: Mapping[str, str] = field(default_factory=dict)
    student_found: Mapping[str, str] = field(default_factory=dict)

    @property
    def student(self) -> np.ndarray:
        return list(self.stages.values())[-1]

    @property
    def steps(self) -> dict[str, np.ndarray]:
        """The stages before the last."""
        return dict(list(self.stages.items())[:-1])


def render(
    title: str,
    metrics: Mapping[str, Any],
    pairs: Sequence[Pair],
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    counts: Mapping[str, Any],
    recipe: Mapping[str, Any],
    versions: Mapping[str, str],
) -> str:
    """The whole page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("cjd.evaluation"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"png": data_uri, "percent": lambda x: f"{100 * x:.1f} %", "thousands": lambda n: f"{n:,}"}
    return environment.get_template("report.html.j2").render(
        title=title, metrics=metrics, pairs=pairs, counts=counts, versions=versions, bars=bars(metrics),
        plots={task: Markup(curve_svg(lines)) for task, lines in curves.items() if lines},
        last={task: lines[-1] for task, lines in curves.items() if lines},
        recipe_text=json.dumps(recipe, indent=2, ensure_ascii=False),
        ratio_bar=RATIO_BAR, consistency_bar=CONSISTENCY_BAR,
    )  # fmt: skip


def data_uri(picture_HWC: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(encode(picture_HWC)).decode()


def curve_svg(lines: Sequence[Mapping[str, Any]]) -> str:
    """Loss over samples as inline SVG in the page's own text colour: every line thin, their moving mean bold."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    samples = np.array([line["samples"] for line in lines], float)
    loss = np.array([line["loss"] for line in lines], float)
    with matplotlib.rc_context({"svg.hashsalt": "cjd", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(5, 2.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(samples, loss, color="#d6547a", linewidth=1, alpha=0.4, marker="o" if len(loss) == 1 else None)
        axes.plot(samples, moving_mean(loss), color="#d6547a", linewidth=2.2)
        if (loss > 0).all() and loss.max() > 8 * loss.min():
            axes.set_yscale("log")
        axes.set_xlabel("samples")
        axes.set_ylabel("loss")
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        axes.tick_params(which="both", colors=INK)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.grid(alpha=0.15, color=INK)
        for name, spine in axes.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_edgecolor(INK)
        buffer = io.BytesIO()
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(buffer, metadata=no_metadata)
    text = buffer.getvalue().decode("utf-8")
    return text[text.index("<svg") :].replace(INK, "currentColor")


def moving_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a tenth of the values, centred, cut at both ends."""
    half = max(1, len(values) // 20)
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in range(len(values))])


def contact_sheet(pairs: Sequence[Pair], cell: int = 128, columns: int = 4) -> np.ndarray:
    """Teacher left and student right under each prompt, uint8 `[H, W, 3]`."""
    gap, caption = 6, 44
    columns = min(columns, len(pairs))
    width, height = 2 * cell + gap, cell + caption
    rows = -(-len(pairs) // columns)
    sheet = Image.new("RGB", (columns * (width + 2 * gap) + 2 * gap, rows * (height + gap) + 5 * gap + 12), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=10)
    for column in range(columns):
        x = 2 * gap + column * (width + 2 * gap)
        pen.text((x, gap), "teacher", fill="#777777", font=font)
        pen.text((x + cell + gap, gap), "student", fill="#777777", font=font)
    for i, pair in enumerate(pairs):
        row, column = divmod(i, columns)
        x, y = 2 * gap + column * (width + 2 * gap), 12 + 2 * gap + row * (height + gap)
        for offset, picture in ((0, pair.teacher), (cell + gap, pair.student)):
            enlarged = Image.fromarray(picture).resize((cell, cell), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (x + offset, y))
        for k, line in enumerate(_wrap(pair.prompt, width, font)[:3]):
            pen.text((x, y + cell + 2 + 13 * k), line, fill="black", font=font)
    return np.asarray(sheet)


def _wrap(text: str, width: int, font: Any) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
