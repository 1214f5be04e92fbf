"""The plots of a report: `python plots.py FOLDER`, in an environment that has matplotlib."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

OURS, THEIRS = "#00798c", "#9aa5b1"


def draw(found: dict, folder: Path) -> None:
    """Rates and tails of one table, side by side."""
    names = [one["name"] for one in found["series"]]
    colours = [OURS if i < 3 else THEIRS for i in range(len(names))]
    figure, (rates, tails) = plt.subplots(1, 2, figsize=(11, 0.5 * len(names) + 1.6), sharey=True)
    for axes, word, scale in ((rates, "rate", 1), (tails, "p99_us", 1e-3)):
        series = [[each[word] * scale for each in one["rounds"]] for one in found["series"]]
        middles = [statistics.median(one) for one in series]
        spread = [
            [middle - min(one) for middle, one in zip(middles, series, strict=True)],
            [max(one) - middle for middle, one in zip(middles, series, strict=True)],
        ]
        axes.barh(names, middles, color=colours, xerr=spread, ecolor="#455", capsize=2)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    limit = statistics.median(found["onnxruntime"][0]["rates"])
    rates.axvline(limit, color="#b42318", linestyle="--", linewidth=1)
    rates.annotate("ONNX Runtime", (limit, -0.5), color="#b42318", ha="right", va="bottom")
    rates.set_xlabel("answers a second; the line from the least to the most of the rounds")
    tails.set_xlabel("p99, ms")
    figure.suptitle(found["title"], x=0.01, ha="left")
    figure.tight_layout()
    figure.savefig(folder / f"{found['network']}-{found['callers']}.svg")
    plt.close(figure)


if __name__ == "__main__":
    mpl.use("svg")
    out = Path(sys.argv[1])
    for table in json.loads((out / "report.json").read_text()):
        draw(table, out)
