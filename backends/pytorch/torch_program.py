"""A PyTorch program, TorchScript or torch.export: named tensors in, named tensors out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model_file import is_exported
from settings import SettingError
from torch.utils import _pytree as pytree

# What NVIDIA's backend calls tensors that have no names of their own: INPUT__0, OUTPUT__1.
_NUMBERED = re.compile(r".*__([0-9]+)")


class Program:
    """One loaded file. Names are those of the configuration.

    An input goes to the argument of its name; where the names are none of the arguments', to the
    one whose number they end with (`INPUT__0`), and else in their order. So do outputs, to the
    keys of a dict, by number, or in their order.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        """Raises SettingError where PyTorch cannot open the file."""
        self.device = device
        try:
            if is_exported(path):
                self._open_exported(path)
            else:
                self._open_scripted(path)
        except SettingError:
            raise
        except Exception as error:  # PyTorch's errors share no class of their own
            raise SettingError(f"PyTorch cannot load '{path.name}': {error}") from error

    def _open_exported(self, path: Path) -> None:
        exported = torch.export.load(str(path))
        if self.device.type != "cpu":
            exported = torch.export.passes.move_to_device_pass(exported, self.device)
        self.exported: torch.export.ExportedProgram | None = exported
        self.arguments = [str(name) for name in exported.graph_signature.user_inputs]
        self.texts: set[str] = set()
        self._structure = exported.call_spec.in_spec
        self._module: Any = exported.module()

    def _open_scripted(self, path: Path) -> None:
        self.exported = None
        self._module = torch.jit.load(str(path), map_location=self.device).eval()
        arguments = [a for a in self._module.forward.schema.arguments if a.name != "self"]
        self.arguments = [argument.name for argument in arguments]
        self.texts = {a.name for a in arguments if str(a.type) == "List[str]"}

    def bind(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Settles which argument each input of the configuration goes to.

        Raises:
            SettingError: there are more inputs than arguments, or a number beyond them.
        """
        places = _places(inputs, self.arguments)
        if any(place >= len(self.arguments) for place in places):
            raise SettingError(
                f"the model takes {len(self.arguments)} inputs ({', '.join(self.arguments)}), and "
                f"its configuration names {', '.join(inputs)}"
            )
        self.argument_of = {
            name: self.arguments[place] for name, place in zip(inputs, places, strict=True)
        }
        self.outputs = tuple(outputs)

    def run(self, wanted: Sequence[str], inputs: Mapping[str, Any]) -> list[Any]:
        """The wanted outputs, in that order; an optional input that is left out has its default."""
        named = {self.argument_of[name]: self._argument(value) for name, value in inputs.items()}
        try:
            found = self._call(named)
        except RuntimeError as error:  # the last line says what, those before are PyTorch's own
            raise RuntimeError(str(error).strip().rpartition("\n")[2]) from None
        given = _by_name(found, self.outputs)
        return [given[name] for name in wanted]

    def _call(self, named: Mapping[str, Any]) -> Any:
        if self.exported is None:
            return self._module(**named)
        leaves = [named[argument] for argument in self.arguments]
        args, kwargs = pytree.tree_unflatten(leaves, self._structure)
        return self._module(*args, **kwargs)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):  # texts: TorchScript has lists of them
            return list(value.reshape(-1))
        return value.to(self.device)


def _places(names: Sequence[str], known: Sequence[str]) -> list[int]:
    if all(name in known for name in names):
        return [known.index(name) for name in names]
    numbers = [_NUMBERED.fullmatch(name) for name in names]
    if all(numbers):
        return [int(match[1]) for match in numbers if match]
    return list(range(len(names)))


def _by_name(found: Any, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(found, Mapping) and all(name in found for name in names):
        return {name: found[name] for name in names}
    # A list of texts is one output, and not as many as it has texts.
    leaves = [found] if _is_texts(found) else _leaves(found)
    places = _places(names, ())
    if any(place >= len(leaves) for place in places):
        raise ValueError(f"the model gives {len(leaves)} outputs, not {', '.join(names)}")
    return {name: _value(leaves[place]) for name, place in zip(names, places, strict=True)}


def _leaves(found: Any) -> list[Any]:
    return list(pytree.tree_leaves(found, is_leaf=_is_texts))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)


def _value(leaf: Any) -> Any:
    if _is_texts(leaf):
        return np.array(leaf, dtype=object)
    return leaf if isinstance(leaf, torch.Tensor) else torch.as_tensor(leaf)
