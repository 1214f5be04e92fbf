"""What an upload's config.pbtxt tells the backend, and which versions no server can run."""

import pytest

from control_plane.domain.registry.frameworks import (
    AGENT,
    ENVIRONMENT,
    LIBRARY,
    PYTHON,
    unserved_reason,
)
from control_plane.domain.registry.uploaded_config import (
    ConfigRefusedError,
    code_of,
    parameters_of,
)


def config(**parameters: str) -> dict[str, object]:
    return {"parameters": {key: {"string_value": value} for key, value in parameters.items()}}


def test_a_models_own_parameters_go_with_it() -> None:
    values = config(factor="2.5", FORCE_CPU_ONLY_INPUT_TENSORS="no")
    assert code_of(values, "python", ["model.py"]) == ()
    assert parameters_of(values) == {"factor": "2.5", "FORCE_CPU_ONLY_INPUT_TENSORS": "no"}


@pytest.mark.parametrize("said", ["env.tar.gz", "$$TRITON_MODEL_DIRECTORY/env.tar.gz"])
def test_an_execution_environment_is_found_where_the_archives_files_are_placed(said: str) -> None:
    values = config(EXECUTION_ENV_PATH=said)
    assert code_of(values, "python", ["model.py", "env.tar.gz"]) == (ENVIRONMENT,)
    found = parameters_of(values)
    assert found == {"EXECUTION_ENV_PATH": "$$TRITON_MODEL_DIRECTORY/1/env.tar.gz"}


def test_an_environment_from_elsewhere_is_refused() -> None:
    with pytest.raises(ConfigRefusedError, match=r"names no \*\.tar\.gz of the archive"):
        code_of(config(EXECUTION_ENV_PATH="/srv/env.tar.gz"), "python", ["model.py"])


@pytest.mark.parametrize(
    ("framework", "code", "says"),
    [
        ("python", [PYTHON, ENVIRONMENT], ""),
        ("pytorch", ["a TorchScript program"], ""),
        ("onnx", [], ""),
        ("onnx", [LIBRARY], ""),
        ("pytorch", [LIBRARY], LIBRARY),
        ("onnx", [ENVIRONMENT], ENVIRONMENT),
        ("python", [PYTHON, AGENT], AGENT),
    ],
)
def test_what_no_server_is_given_is_named(framework: str, code: list[str], says: str) -> None:
    reason = unserved_reason(framework, code)
    assert (says in reason) if says else not reason
