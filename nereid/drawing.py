"""Pictures in a terminal: an image in half blocks, shares and probabilities as bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

Grey = npt.NDArray[np.float32]

# Deep water to foam. Brightness rises steadily, so the picture also reads in a grey terminal.
PALETTE = ((6, 16, 34), (10, 60, 92), (20, 138, 158), (122, 222, 208), (246, 255, 250))
SHADES = " ░▒▓█"
EIGHTHS = " ▏▎▍▌▋▊▉█"
SERIES = ("#1fb6c1", "#f2a65a", "#9d7cd8", "#7bc96f", "#e06c75", "#d7c75e")
GOOD = "#5fd3a2"
BAD = "#ff6b6b"
SMALLEST_SHARE = 0.0005


@dataclass(frozen=True)
class Picture:
    """A grey image (rows by columns, 0..1), `scale` cells to the pixel across.

    With colour, a cell shows two pixels, one above the other, as the half block and its
    background. Without, a cell shows one pixel as a shade.
    """

    pixels: Grey
    scale: int = 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.color_system is None or console.no_color:
            yield from self._shades()
        else:
            yield from self._half_blocks()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = self.pixels.shape[1] * self.scale
        return Measurement(width, width)

    def _half_blocks(self) -> RenderResult:
        grid = enlarge(self.pixels, self.scale)
        if len(grid) % 2:
            grid = np.vstack([grid, np.zeros_like(grid[:1])])
        for upper, lower in zip(grid[::2], grid[1::2], strict=True):
            for top, bottom in zip(upper, lower, strict=True):
                yield Segment("▀", Style(color=colour(top), bgcolor=colour(bottom)))
            yield Segment.line()

    def _shades(self) -> RenderResult:
        for row in self.pixels:
            text = "".join(SHADES[round(float(value) * (len(SHADES) - 1))] for value in row)
            yield Segment("".join(mark * self.scale for mark in text))
            yield Segment.line()


def enlarge(pixels: Grey, scale: int) -> Grey:
    """Repeat and soften: `scale` times the size, linear between the centres of the pixels."""
    result = np.clip(pixels.astype(np.float32), 0.0, 1.0)
    for axis in (0, 1):
        size = result.shape[axis]
        places = (np.arange(size * scale) + 0.5) / scale - 0.5
        low = np.clip(np.floor(places).astype(int), 0, size - 1)
        high = np.clip(low + 1, 0, size - 1)
        share = np.clip(places - low, 0.0, 1.0).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None, :]
        result = np.take(result, low, axis) * (1 - share) + np.take(result, high, axis) * share
    return result


def colour(value: float) -> Color:
    """A grey value 0..1 on the palette."""
    place = min(max(float(value), 0.0), 1.0) * (len(PALETTE) - 1)
    index = min(int(place), len(PALETTE) - 2)
    share = place - index
    mixed = (
        round(low + (high - low) * share)
        for low, high in zip(PALETTE[index], PALETTE[index + 1], strict=True)
    )
    return Color.from_rgb(*mixed)


def bar(fraction: float, width: int, style: str = SERIES[0]) -> Text:
    """A bar of `width` cells, exact to an eighth of a cell; anything above nothing shows."""
    filled = min(max(fraction, 0.0), 1.0)
    eighths = round(filled * width * 8)
    if filled > 0 and eighths == 0:
        eighths = 1
    whole, rest = divmod(eighths, 8)
    body = "█" * whole + (EIGHTHS[rest] if rest else "")
    return Text(body.ljust(width), style=style)


def split_bar(weights: Sequence[float], width: int = 32) -> Text:
    """How traffic is split, as one bar of `width` cells in the arms' colours.

    An arm that gets anything gets at least one cell.
    """
    total = sum(weights)
    text = Text()
    if total <= 0:
        return Text("·" * width, style="dim")
    cells = [max(1, int(width * weight / total)) if weight > 0 else 0 for weight in weights]
    cells[weights.index(max(weights))] += width - sum(cells)
    for index, count in enumerate(cells):
        text.append("━" * count, style=SERIES[index % len(SERIES)])
    return text


def softmax(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Scores to probabilities; what is a distribution already stays what it is."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.min() >= 0 and abs(scores.sum() - 1) < 1e-3:
        return scores
    raised = np.exp(scores - scores.max())
    return np.asarray(raised / raised.sum(), dtype=np.float64)


def probability_bars(
    classes: Sequence[str],
    probabilities: npt.NDArray[np.float64],
    *,
    truth: int | None = None,
    top: int = 4,
    width: int = 24,
) -> Table:
    """The likeliest classes; the winner in the colour of right or wrong where truth is known."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right")
    table.add_column()
    table.add_column(justify="right")
    winner = int(probabilities.argmax())
    for index in np.argsort(-probabilities, kind="stable")[:top]:
        style = "dim"
        if index == winner:
            style = SERIES[0] if truth is None else (GOOD if index == truth else BAD)
        share = float(probabilities[index])
        visible = share if share >= SMALLEST_SHARE else 0.0  # no bar beside "0.0%"
        name = classes[index] if index < len(classes) else str(index)
        table.add_row(
            Text(name, style="bold" if index == winner else "dim"),
            bar(visible, width, style),
            Text(f"{share:.1%}", style="" if index == winner else "dim"),
        )
    return table


def prediction_card(
    *,
    title: str,
    pixels: Grey,
    classes: Sequence[str],
    scores: npt.NDArray[np.floating[Any]],
    truth: int | None,
    arm: str,
    physical: str | None,
    how: str,
) -> RenderableType:
    """An image beside what a model said about it."""
    probabilities = softmax(scores)
    winner = int(probabilities.argmax())
    headline = Text.assemble("It is a ", (classes[winner], "bold"))
    if truth is not None:
        right = winner == truth
        mark = ("  ✓ right", GOOD) if right else (f"  ✗ wrong, it is a {classes[truth]}", BAD)
        headline.append_text(Text(*mark))
    answered = Text.assemble(("answered by ", "dim"), (arm, "bold"))
    if physical and physical != arm:
        answered.append(f"  {physical}", style="dim")
    facts = Group(
        headline,
        probability_bars(classes, probabilities, truth=truth),
        Text(),
        Group(answered, Text(how, style="dim")),
    )
    grid = Table.grid(padding=(0, 3))
    grid.add_column(no_wrap=True)
    grid.add_column(vertical="middle")
    grid.add_row(Picture(pixels), facts)
    return Panel(
        grid, title=Text(title, style="bold"), title_align="left", padding=(0, 2), expand=False
    )
