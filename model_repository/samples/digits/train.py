"""Train the two versions of the sample model and export them to ONNX.

    python model_repository/samples/digits/train.py

Writes ``v1/`` and ``v2/`` (``model.onnx`` and ``metrics.json``; version 2 as TorchScript and as a
torch.export program, too), ``images.json``, ``seven.json`` and ``seven.png`` beside this file. Same
packages, same CPU family: same bytes. Everything it writes is committed, so serving the sample
needs neither scikit-learn nor torch.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

SEED = 20
HELD_OUT = 500
BRIGHTEST = 16  # the data set stores 17 grey levels, 0..16
OPSET = 18
PIXEL = 20  # of the picture, for one of the data set's

console = Console()


@dataclass(frozen=True)
class Split:
    """Images scaled to 0..1 as [n,1,8,8], with the row each came from in the data set."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    test_rows: np.ndarray


@dataclass(frozen=True)
class Recipe:
    version: int
    name: str
    epochs: int
    batch: int
    learning_rate: float
    momentum: float
    shifts: bool  # train on images moved by up to one pixel as well


RECIPES = (
    # v1 stops long before it converges: a believable first attempt that leaves room for v2.
    Recipe(1, "softmax regression", 16, 64, 0.04, 0.0, shifts=False),
    Recipe(2, "two-layer CNN", 30, 64, 0.05, 0.9, shifts=True),
)


def split() -> Split:
    digits = load_digits()
    rows = np.arange(len(digits.target))
    train, test = train_test_split(
        rows, test_size=HELD_OUT, random_state=SEED, stratify=digits.target
    )
    images = (digits.images / BRIGHTEST).astype(np.float32)[:, None, :, :]
    labels = digits.target.astype(np.int64)
    return Split(images[train], labels[train], images[test], labels[test], test)


def network(recipe: Recipe) -> nn.Module:
    if recipe.version == 1:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move every image by -1, 0 or 1 pixel each way, so the net learns shape, not place."""
    moves = torch.randint(-1, 2, (len(images), 2), generator=generator)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return torch.stack(
        [
            image[:, 1 + dy : 9 + dy, 1 + dx : 9 + dx]
            for image, (dy, dx) in zip(padded, moves.tolist(), strict=True)
        ]
    )


def train(recipe: Recipe, data: Split, progress: Progress) -> nn.Module:
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = network(recipe)
    images = torch.from_numpy(data.train_images)
    labels = torch.from_numpy(data.train_labels)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.epochs)
    task = progress.add_task(f"v{recipe.version} {recipe.name}", total=recipe.epochs, loss="")
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for start in range(0, len(order), recipe.batch):
            chosen = order[start : start + recipe.batch]
            batch = shifted(images[chosen], generator) if recipe.shifts else images[chosen]
            loss = nn.functional.cross_entropy(model(batch), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(chosen)
        if recipe.shifts:
            schedule.step()
        progress.update(task, advance=1, loss=f"loss {total / len(order):.3f}")
    return model.eval()


def export(model: nn.Module, target: Path) -> None:
    """Write one self-contained file that says nothing about the machine it was made on."""
    example = (torch.zeros(2, 1, 8, 8),)
    with warnings.catch_warnings():
        # torch's exporter calls deprecated parts of itself; nothing here can change that.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch's exporter returned no program")
    exported = program.model_proto
    # The exporter notes source paths and stack traces on every node: private and not reproducible.
    del exported.metadata_props[:]
    del exported.graph.metadata_props[:]
    for part in (*exported.graph.node, *exported.graph.value_info, *exported.graph.initializer):
        del part.metadata_props[:]
    exported.doc_string = ""
    for function in exported.functions:
        del function.metadata_props[:]
    onnx.checker.check_model(exported, full_check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(exported.SerializeToString(deterministic=True))


def export_torch(model: nn.Module, folder: Path) -> None:
    """The same network as `model.pt` (TorchScript) and `model.pt2` (torch.export)."""
    example = torch.zeros(2, 1, 8, 8)
    with warnings.catch_warnings():  # deprecated by PyTorch, and what many teams have
        warnings.simplefilter("ignore", DeprecationWarning)
        traced = torch.jit.trace(model, example)
        traced.save(str(folder / "model.pt"))
    program = torch.export.export(
        model, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},)
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of the machine it was made on
    torch.export.save(program, str(folder / "model.pt2"))
    for name in ("model.pt", "model.pt2"):
        rewrite(folder / name)


def rewrite(path: Path) -> None:
    """The same archive without what tells of this machine and this run: paths, times, an id."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in sorted(archive.namelist())}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            if not name.endswith((".debug_pkl", "/serialization_id")):
                archive.writestr(zipfile.ZipInfo(name), content)


def answers(model_file: Path, images: np.ndarray) -> np.ndarray:
    """What the exported file says, since that file, not the torch module, will be served."""
    session = onnxruntime.InferenceSession(model_file, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"image": images})
    return np.asarray(logits)


def metrics(recipe: Recipe, data: Split, logits: np.ndarray, seconds: float) -> dict[str, Any]:
    shifted_logits = logits - logits.max(axis=1, keepdims=True)
    log_likelihood = shifted_logits - np.log(np.exp(shifted_logits).sum(axis=1, keepdims=True))
    loss = -log_likelihood[np.arange(len(logits)), data.test_labels].mean()
    correct = logits.argmax(axis=1) == data.test_labels
    console.print(
        f"[bold]v{recipe.version}[/bold] {recipe.name}: "
        f"[bold green]{correct.mean():.1%}[/bold green] of {len(correct)} held-out images "
        f"[dim]({seconds:.1f} s)[/dim]"
    )
    return {
        "accuracy": round(float(correct.mean()), 4),
        "log_loss": round(float(loss), 4),
        "held_out": len(correct),
        "train_images": len(data.train_labels),
    }


def demo_images(data: Split, logits: list[np.ndarray]) -> list[dict[str, Any]]:
    """One clear image of each digit, then ones of which v2 is sure and v1 is wrong."""
    first, second = (scores.argmax(axis=1) for scores in logits)
    sure_first, sure_second = (scores.max(axis=1) for scores in logits)
    right_first, right_second = first == data.test_labels, second == data.test_labels
    clear = []
    for digit in range(10):
        both = np.flatnonzero(right_first & right_second & (data.test_labels == digit))
        clear.append(int(both[sure_first[both].argmax()]))
    # 7 leads: it is unmistakable at eight by eight pixels, and people see this picture first.
    clear = [clear[7], *clear[:7], *clear[8:]]
    hard: list[int] = []
    missed = np.flatnonzero(~right_first & right_second)
    for i in missed[np.argsort(-sure_second[missed])]:
        if data.test_labels[i] not in data.test_labels[hard]:
            hard.append(int(i))
    hard = hard[:6]
    return [
        {
            "label": int(data.test_labels[i]),
            "row": int(data.test_rows[i]),
            "answers": {"1": int(first[i]), "2": int(second[i])},
            "pixels": np.rint(data.test_images[i, 0] * BRIGHTEST).astype(int).tolist(),
        }
        for i in (*clear, *hard)
    ]


def images_document(images: list[dict[str, Any]]) -> str:
    """JSON with one image row per line: readable, and small in a diff."""
    head = {
        "input": "image",
        "output": "logits",
        "shape": [1, 8, 8],
        "scale": BRIGHTEST,
        "classes": [str(digit) for digit in range(10)],
    }
    entries = []
    for image in images:
        rows = ",\n".join(f"      {json.dumps(row)}" for row in image["pixels"])
        facts = ", ".join(
            f"{json.dumps(key)}: {json.dumps(value)}"
            for key, value in image.items()
            if key != "pixels"
        )
        entries.append(f'    {{{facts}, "pixels": [\n{rows}\n    ]}}')
    body = ",\n".join(entries)
    return f'{json.dumps(head)[:-1]}, "images": [\n{body}\n]}}\n'


def write_first(image: dict[str, Any], out: Path) -> None:
    """The first image as callers send it: the tensor of the model, and a picture's file."""
    pixels = np.array(image["pixels"]) / BRIGHTEST
    document = {"image": [[pixels.tolist()]]}
    (out / "seven.json").write_text(json.dumps(document) + "\n")
    levels = np.rint(pixels * 255).astype(np.uint8)
    large = levels.repeat(PIXEL, axis=0).repeat(PIXEL, axis=1)
    Image.fromarray(large).save(out / "seven.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and export the digits sample.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    out: Path = parser.parse_args().out
    torch.set_num_threads(1)  # summation order, and so the bytes, depend on the thread count
    torch.use_deterministic_algorithms(True)
    # The exporter warns four times that torchvision, which nothing here uses, is absent.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    data = split()
    scores: list[np.ndarray] = []
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.fields[loss]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for recipe in RECIPES:
            started = time.perf_counter()
            model = train(recipe, data, progress)
            seconds = time.perf_counter() - started
            folder = out / f"v{recipe.version}"
            export(model, folder / "model.onnx")
            if recipe.version == 2:
                export_torch(model, folder)
            logits = answers(folder / "model.onnx", data.test_images)
            scores.append(logits)
            report = {"architecture": recipe.name, **metrics(recipe, data, logits, seconds)}
            (folder / "metrics.json").write_text(json.dumps(report, indent=2) + "\n")
    images = demo_images(data, scores)
    (out / "images.json").write_text(images_document(images))
    write_first(images[0], out)


if __name__ == "__main__":
    main()
