"""Train the sample that looks at a picture and at numbers at once, and write it as ONNX.

    python model_repository/samples/multimodal/train.py

A handwritten digit was scanned badly, 4 by 4 pixels; the pen's tablet says how much ink each row
and each column of the full 8 by 8 got. Either alone tells less than both: `metrics.json` has the
three accuracies. Also writes `scans.json` (held-out digits), and `three.png` and `three.json`, one
of them. Serving the sample needs neither scikit-learn nor torch.
"""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
SEED = 20
HELD_OUT = 500
EPOCHS = 60
SHOWN = 6
PIXEL = 40  # of the picture, for one of the scan
BRIGHTEST = 16
OPSET = 18


class Joined(nn.Module):
    """A branch for each kind of input, and one layer over what the two say."""

    def __init__(self, sees: tuple[bool, bool] = (True, True)) -> None:
        super().__init__()
        self.sees = sees
        self.picture = nn.Sequential(nn.Flatten(), nn.Linear(16, 48), nn.ReLU())
        self.numbers = nn.Sequential(nn.Linear(16, 48), nn.ReLU())
        self.both = nn.Linear(96, 10)

    def forward(self, scan: torch.Tensor, ink: torch.Tensor) -> torch.Tensor:
        seen = [self.picture(scan) * self.sees[0], self.numbers(ink) * self.sees[1]]
        return self.both(torch.cat(seen, dim=1))


def data() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What is learned from and what is held out: scans [n,1,4,4] and ink [n,16], both 0..1."""
    digits = load_digits()
    rows = np.arange(len(digits.target))
    parts = train_test_split(rows, test_size=HELD_OUT, random_state=SEED, stratify=digits.target)
    images = digits.images / BRIGHTEST
    scans = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    # Bytes, as the picture's file holds them.
    scans = np.rint(scans * 255) / 255
    ink = np.concatenate([images.sum(axis=2), images.sum(axis=1)], axis=1) / 8
    learned, held_out = (
        {
            "row": part,
            "scan": scans[part, None].astype(np.float32),
            "ink": ink[part].astype(np.float32),
            "label": digits.target[part].astype(np.int64),
        }
        for part in parts
    )
    return learned, held_out


def train(model: Joined, learned: dict[str, np.ndarray]) -> Joined:
    generator = torch.Generator().manual_seed(SEED)
    scan, ink, label = (torch.from_numpy(learned[name]) for name in ("scan", "ink", "label"))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(label), generator=generator).split(64):
            loss = nn.functional.cross_entropy(model(scan[chosen], ink[chosen]), label[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


def accuracy(model: Joined, held_out: dict[str, np.ndarray]) -> float:
    with torch.no_grad():
        logits = model(torch.from_numpy(held_out["scan"]), torch.from_numpy(held_out["ink"]))
    return round(float((logits.argmax(dim=1).numpy() == held_out["label"]).mean()), 4)


def export(model: Joined, target: Path) -> None:
    """One self-contained file that says nothing about the machine it was made on."""
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter calls deprecated parts of itself
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 1, 4, 4), torch.zeros(2, 16)),
            dynamo=True,
            input_names=["scan", "ink"],
            output_names=["logits"],
            dynamic_shapes=({0: batch}, {0: batch}),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch's exporter returned no program")
    exported = program.model_proto
    del exported.metadata_props[:]
    del exported.graph.metadata_props[:]
    for part in (*exported.graph.node, *exported.graph.value_info, *exported.graph.initializer):
        del part.metadata_props[:]
    exported.doc_string = ""
    onnx.checker.check_model(exported, full_check=True)
    target.write_bytes(exported.SerializeToString(deterministic=True))


def main() -> None:
    torch.set_num_threads(1)  # summation order, and so the bytes, depend on the thread count
    torch.use_deterministic_algorithms(True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    learned, held_out = data()
    figures: dict[str, Any] = {}
    for name, sees in (
        ("accuracy_scan_alone", (True, False)),
        ("accuracy_ink_alone", (False, True)),
        ("accuracy", (True, True)),
    ):
        torch.manual_seed(SEED)
        model = train(Joined(sees), learned)
        figures[name] = accuracy(model, held_out)
        print(f"{name}: {figures[name]:.1%} of {HELD_OUT} held-out digits")
    export(model, HERE / "model.onnx")
    write("metrics.json", {**figures, "held_out": HELD_OUT})
    show(held_out, model)


def show(held_out: dict[str, np.ndarray], model: Joined) -> None:
    """Held-out digits that are told right; one of them as callers send it, a picture and JSON."""
    with torch.no_grad():
        logits = model(torch.from_numpy(held_out["scan"]), torch.from_numpy(held_out["ink"]))
    right = np.flatnonzero(logits.argmax(dim=1).numpy() == held_out["label"])
    scans = []
    for digit in range(SHOWN):
        i = next(i for i in right if held_out["label"][i] == digit)
        scans.append(
            {
                "row": int(held_out["row"][i]),
                "label": digit,
                "pixels": np.rint(held_out["scan"][i, 0] * 255).astype(int).tolist(),
                "ink": [round(float(value), 6) for value in held_out["ink"][i]],
            }
        )
    write("scans.json", scans)
    pixels = np.array(scans[3]["pixels"], np.uint8)
    large = pixels.repeat(PIXEL, axis=0).repeat(PIXEL, axis=1)
    Image.fromarray(large).save(HERE / "three.png", optimize=True)
    write("three.json", {"ink": scans[3]["ink"]})


def write(name: str, document: Any) -> None:
    (HERE / name).write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
