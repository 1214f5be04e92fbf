"""Train the stateful sample: a handwritten digit, recognised while its rows come in one by one.

    python model_repository/samples/rows/train.py

Writes `model.onnx` (one step of a GRU: a row and the state before it in, chances and the state
after it out), `metrics.json` and `series.json` (a held-out image, row by row) beside this file. It
is seeded and single-threaded; serving the sample needs neither scikit-learn nor torch.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
SEED, HELD_OUT, HIDDEN, EPOCHS, BATCH = 20, 500, 48, 60, 64
BRIGHTEST, SIDE, CLASSES = 16, 8, 10
SHOWN = 7  # the digit of series.json


class Reader(nn.Module):
    """Reads an image from its first row to its last, and guesses after each."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(SIDE, HIDDEN)
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [rows, images, 10] of images [images, 8, 8]."""
        state = torch.zeros(len(images), HIDDEN)
        guesses = []
        for row in images.unbind(dim=1):
            state = self.cell(row, state)
            guesses.append(self.head(state))
        return torch.stack(guesses)


def trained(images: np.ndarray, labels: np.ndarray) -> Reader:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model = Reader()
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    # The last rows decide; a guess after the first is worth little, and is learned all the same.
    weights = torch.linspace(0.05, 1.0, SIDE) / torch.linspace(0.05, 1.0, SIDE).sum()
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(x)).split(BATCH):
            logits = model(x[chosen])
            losses = [nn.functional.cross_entropy(guess, y[chosen]) for guess in logits]
            optimiser.zero_grad()
            (torch.stack(losses) * weights).sum().backward()
            optimiser.step()
    return model.eval()


def write_step(model: Reader, target: Path) -> None:
    """One step as ONNX, with the gates of PyTorch's GRU cell: reset, update, new."""
    weights = {
        "input_weights": model.cell.weight_ih.T,
        "input_bias": model.cell.bias_ih,
        "state_weights": model.cell.weight_hh.T,
        "state_bias": model.cell.bias_hh,
        "head_weights": model.head.weight.T,
        "head_bias": model.head.bias,
        "one": torch.ones(1),
    }
    gates = [f"{side}_{gate}" for gate in ("reset", "update", "new") for side in ("x", "h")]
    nodes = [
        helper.make_node("Gemm", ["row", "input_weights", "input_bias"], ["x_gates"]),
        helper.make_node("Gemm", ["state", "state_weights", "state_bias"], ["h_gates"]),
        helper.make_node("Split", ["x_gates"], gates[0::2], axis=1, num_outputs=3),
        helper.make_node("Split", ["h_gates"], gates[1::2], axis=1, num_outputs=3),
    ]
    for gate in ("reset", "update"):
        nodes.append(helper.make_node("Add", [f"x_{gate}", f"h_{gate}"], [f"{gate}_sum"]))
        nodes.append(helper.make_node("Sigmoid", [f"{gate}_sum"], [gate]))
    nodes += [
        helper.make_node("Mul", ["reset", "h_new"], ["kept_new"]),
        helper.make_node("Add", ["x_new", "kept_new"], ["new_sum"]),
        helper.make_node("Tanh", ["new_sum"], ["new"]),
        helper.make_node("Sub", ["one", "update"], ["renewed"]),
        helper.make_node("Mul", ["renewed", "new"], ["fresh"]),
        helper.make_node("Mul", ["update", "state"], ["old"]),
        helper.make_node("Add", ["fresh", "old"], ["state_next"]),
        helper.make_node("Gemm", ["state_next", "head_weights", "head_bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["chances"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["digit"], axis=1, keepdims=1),
    ]
    graph = helper.make_graph(
        nodes,
        "gru_step",
        [_value("row", TensorProto.FLOAT, SIDE), _value("state", TensorProto.FLOAT, HIDDEN)],
        [
            _value("chances", TensorProto.FLOAT, CLASSES),
            _value("digit", TensorProto.INT64, 1),
            _value("state_next", TensorProto.FLOAT, HIDDEN),
        ],
        [
            numpy_helper.from_array(value.detach().numpy().copy(), name)
            for name, value in weights.items()
        ],
    )
    step = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    step.ir_version = 9
    onnx.checker.check_model(step, full_check=True)
    target.write_bytes(step.SerializeToString(deterministic=True))


def _value(name: str, kind: int, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["batch", width])


def guessed(target: Path, images: np.ndarray) -> np.ndarray:
    """What the written file says after each row: digits [rows, images]."""
    session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
    state = np.zeros((len(images), HIDDEN), np.float32)
    found = []
    for row in range(SIDE):
        given = {"row": images[:, row], "state": state}
        digit, state = session.run(["digit", "state_next"], given)
        found.append(digit[:, 0])
    return np.stack(found)


def main() -> None:
    digits = load_digits()
    images = (digits.images / BRIGHTEST).astype(np.float32)
    rows = np.arange(len(images))
    train, test = train_test_split(
        rows, test_size=HELD_OUT, random_state=SEED, stratify=digits.target
    )
    write_step(trained(images[train], digits.target[train]), HERE / "model.onnx")
    right = guessed(HERE / "model.onnx", images[test]) == digits.target[test]
    shares = [round(float(share), 4) for share in right.mean(axis=1)]
    metrics = {"accuracy": shares[-1], "held_out": HELD_OUT}
    metrics |= {f"accuracy_after_{i + 1}_rows": share for i, share in enumerate(shares[:-1])}
    (HERE / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    shown = test[np.flatnonzero(right[-1] & (digits.target[test] == SHOWN))[0]]
    lines = ",\n  ".join(json.dumps([float(v) for v in row]) for row in images[shown])
    (HERE / "series.json").write_text(f'{{"row": [\n  {lines}\n]}}\n')
    print(f"right after each row: {shares}; series.json is image {shown}")


if __name__ == "__main__":
    main()
