"""The kinds of models that are taken, what their files are called, and what may carry code."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAIN_FILES = {
    "onnx": ("model.onnx",),
    "pytorch": ("model.pt", "model.pt2"),
    "python": ("model.py",),
    "transform": ("transform.yaml", "transform.json"),
    "tensorrt": ("model.plan",),
    "tensorflow": ("model.savedmodel/saved_model.pb", "model.graphdef"),
    "openvino": ("model.xml",),
    "vllm": ("model.json",),
    "dali": ("model.dali",),
    "custom": ("model",),
    "remote": ("remote.json",),
}
"""By framework: the file that is the model, in an archive and in a model's directory."""

SAVED_MODEL = "model.savedmodel"
"""The folder that is a TensorFlow model, under the name that Triton looks for."""

CUSTOM = "custom"
"""A model of a backend that Nereid does not know: the version says which one it is."""

SERVER_ONLY = frozenset({"tensorrt", "tensorflow", "openvino", "vllm", "dali", CUSTOM})
"""What only servers with its backend can open: here they are looked at, and not run."""

REMOTE = "remote"
"""A model that a process of somebody's own serves: it is adopted by its address, never uploaded."""

NOT_RUN_HERE = SERVER_ONLY | {REMOTE}

FRAMEWORKS = tuple(MAIN_FILES)

UPLOADED = tuple(name for name in FRAMEWORKS if name != REMOTE)

GOLDEN_FILE = "golden.json"
"""In a model's directory: the examples that every server runs before it serves."""

UPLOADED_CONFIG = "config.pbtxt"
"""In an archive: what its makers say of it. It is read, and never served."""

PYTHON, TORCHSCRIPT, EXPORTED = "Python code", "a TorchScript program", "a torch.export program"
ENVIRONMENT = "an execution environment"
REMOTE_PROCESS = "a process of somebody's own"
CODE_OF = {
    # An engine is machine code for the GPU, and may hold plugins for the host.
    "tensorrt": "a TensorRT engine",
    # Its graph may read and write files ("models are code", says TensorFlow's security page).
    "tensorflow": "a TensorFlow graph",
    # It names what is downloaded, and may say trust_remote_code.
    "vllm": "a vLLM configuration",
    # Its operators read files of the server's.
    "dali": "a DALI pipeline",
    # Nobody here knows what its backend makes of the files.
    CUSTOM: "a model of a backend of its own",
    # Whatever it answers goes to callers, and may be another answer tomorrow.
    "remote": REMOTE_PROCESS,
}
"""What is code by its nature. OpenVINO's IR is a graph of fixed operators, as ONNX is."""

LIBRARY = "a custom-op library"
AGENT = "a repository agent"
RUNTIME = "a runtime of its own"

WITH_LIBRARIES = frozenset({"python", "onnx", "tensorflow", CUSTOM})
"""What loads the libraries that it names; of any other framework they would lie there unread."""

_SUFFIXES = (
    ((".py", ".pyc"), PYTHON),
    ((".so",), LIBRARY),
    ((".tar.gz", ".tgz"), ENVIRONMENT),
)

MEMBER_RULE = (
    "parts of letters, digits, '.', '_', '+' and '-' that begin with a letter, digit or '_', "
    "at most 8 of them and 200 characters in all"
)
_MEMBER_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_MAX_PARTS, _MAX_MEMBER = 8, 200


def is_member_name(name: str) -> bool:
    """True when a file of that name may lie in a model's directory: `weights/layer-1.bin`."""
    parts = name.split("/")
    return (
        len(name) <= _MAX_MEMBER
        and len(parts) <= _MAX_PARTS
        and all(_MEMBER_PART.fullmatch(part) for part in parts)
    )


def always_code(framework: str) -> bool:
    """True when every file of that framework can carry code."""
    return framework in ("pytorch", "python") or framework in CODE_OF


def code_in(names: Iterable[str]) -> list[str]:
    """What of these files can carry code, each kind once, in words; versioned libraries count."""
    found = []
    for name in names:
        plain = re.sub(r"(\.so)(\.[0-9]+)+\Z", r"\1", name.lower())
        found += [kind for suffixes, kind in _SUFFIXES if plain.endswith(suffixes)]
    return list(dict.fromkeys(found))


def unserved_reason(framework: str, code: Iterable[str]) -> str:
    """Why no plan can serve such a version yet; empty where one can."""
    unknown = [AGENT]
    unknown += [] if framework in WITH_LIBRARIES else [LIBRARY]
    unknown += [] if framework == "python" else [ENVIRONMENT]
    if kinds := [kind for kind in code if kind in unknown]:
        return f"it comes with {' and '.join(kinds)}, which no server is given yet"
    return ""
