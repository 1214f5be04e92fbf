"""Loading a model in its runtime, and asking it the golden examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from control_plane.adapters.readers import python_reader, torch_reader
from control_plane.adapters.readers.refusal import RefusedError
from control_plane.adapters.tensors import Arrays, array_of, flat
from control_plane.domain.registry.frameworks import NOT_RUN_HERE
from control_plane.domain.registry.golden import first_difference, parse_golden
from control_plane.domain.signature import Signature, Tensor

Run = Callable[[Arrays], Arrays]


def load(
    main: str, libraries: list[str], framework: str, signature: dict[str, Any], golden: list[Any]
) -> dict[str, Any]:
    """Opens the model as a server would, and runs it.

    Args:
        main: the model's file, in a folder laid out as a server has it.
        libraries: of operators of its own, to be loaded first.
        golden: the examples that it has to answer as expected.

    Raises:
        RefusedError: the runtime cannot open it, or it answers otherwise.
    """
    known = Signature.from_document(signature)
    path = Path(main)
    if framework in NOT_RUN_HERE:  # it runs elsewhere
        return {}
    if framework == "python":
        python_reader.read_signature(path, signature)  # it runs in Triton only
        return {}
    run = _runtime(path, framework, libraries, known)
    examples = parse_golden(golden, known)
    problem = first_difference(
        examples,
        lambda example: {
            name: (array.shape, flat(array))
            for name, array in run({t.name: array_of(t) for t in example.inputs}).items()
        },
    )
    if problem:
        raise RefusedError(problem)
    return {}


def _runtime(path: Path, framework: str, libraries: Sequence[str], known: Signature) -> Run:
    if framework == "onnx":
        return _onnx(path, libraries)
    return _transform(path) if framework == "transform" else _torch(path, known)


def _transform(path: Path) -> Run:
    from control_plane.adapters.readers import transform_reader

    beside = {
        str(file.relative_to(path.parent)): file
        for file in path.parent.rglob("*")
        if file.is_file()
    }
    transform = transform_reader.open_transform(path, beside)
    return lambda inputs: transform_reader.run(transform, inputs)


def _onnx(path: Path, libraries: Sequence[str]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        for library in libraries:
            options.register_custom_ops_library(library)
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        raise RefusedError(f"ONNX Runtime cannot load it: {error}") from error
    names = [output.name for output in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        try:
            return dict(zip(names, session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # as above
            raise RefusedError(f"ONNX Runtime cannot run a golden example: {error}") from error

    return run


def _torch(path: Path, signature: Signature) -> Run:
    import torch

    program = torch_reader.open_program(path, path.name)

    def run(inputs: Arrays) -> Arrays:
        given = [torch.from_numpy(inputs[tensor.name]) for tensor in signature.inputs]
        try:
            with torch.no_grad():
                answer = program(*given)
        except Exception as error:  # whatever the program raises
            first = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise RefusedError(f"PyTorch cannot run it: {first[:500]}") from error
        answers = answer if isinstance(answer, tuple | list) else [answer]
        _check_answers(answers, signature.outputs)
        return {
            tensor.name: _numpy(one) for tensor, one in zip(signature.outputs, answers, strict=True)
        }

    # A program does not say its outputs' shapes: it is asked once, with sizes of its own.
    run({tensor.name: _zeros(tensor) for tensor in signature.inputs})
    return run


def _check_answers(answers: Sequence[Any], expected: Sequence[Tensor]) -> None:
    if len(answers) != len(expected):
        raise RefusedError(f"it gives {len(answers)} outputs, and {len(expected)} were named")
    for tensor, answer in zip(expected, answers, strict=True):
        shape = tuple(getattr(answer, "shape", ()))
        datatype = torch_reader.datatype_of(answer)
        fits = len(shape) == len(tensor.shape) and all(
            wanted in (-1, size) for size, wanted in zip(shape, tensor.shape, strict=True)
        )
        if datatype != tensor.datatype or not fits:
            raise RefusedError(
                f"the output {tensor.name!r} is {datatype}{list(shape)}, and {tensor} was named"
            )


def _zeros(tensor: Tensor) -> Any:
    shape = tuple(1 if size == -1 else size for size in tensor.shape)
    types = {"FP32": np.float32, "FP64": np.float64, "FP16": np.float16, "BOOL": np.bool_}
    if tensor.datatype in ("BYTES", "BF16"):
        raise RefusedError(f"the input {tensor} cannot be tried: PyTorch takes no such arrays")
    return np.zeros(shape, types.get(tensor.datatype) or np.dtype(tensor.datatype.lower()))


def _numpy(answer: Any) -> Any:
    import torch

    plain = answer.detach().cpu()
    return plain.float().numpy() if plain.dtype is torch.bfloat16 else plain.numpy()
