"""`mlflow deployments -t nereid`, as a person has it: a real MLflow, a real stack."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.mlflow_server import INSTALLED, TrackingServer
from tests.support.serving import ServingStack

pytestmark = [
    pytest.mark.skipif(
        not INSTALLED, reason="no MLflow: tests/support/install_mlflow.sh installs it"
    ),
    pytest.mark.long,  # a real MLflow is asked in every run by test_registry_source.py
]

NAME = "mlflow-digits"

USE = """
import json, sys
import numpy as np
import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException

name, pixels = sys.argv[1], np.array(json.loads(sys.argv[2]), "float32")
client = get_deploy_client("nereid:" + sys.argv[3])

def refused(call):
    try:
        call()
    except MlflowException as error:
        return json.loads(error.serialize_as_json())
    return None

said = {"made": client.get_deployment(name)}
said["listed"] = [one["name"] for one in client.list_deployments()]
answer = client.predict(name, pixels)
said["answer"] = dict(answer)
said["again"] = dict(client.predict(name, pd.DataFrame(pixels)))["predictions"]
said["twice"] = refused(lambda: client.create_deployment(name, "models:/digits/1"))
odd = {"config": {"x": 1}}
said["unknown"] = refused(lambda: client.update_deployment(name, "models:/digits/1", **odd))
said["absent"] = refused(lambda: client.get_deployment("mlflow-nothing"))
said["flavour"] = refused(lambda: client.update_deployment(name, "models:/text/1"))
said["updated"] = client.update_deployment(name, "models:/digits/1", config={"weight": "25"})
client.delete_deployment(name)
client.delete_deployment(name)
print(json.dumps(said))
"""


STRAY = """
import json, pathlib, sys
from mlflow.exceptions import MlflowException
from nereid.mlflow_models import fetched

home = pathlib.Path(sys.argv[1])
(home / "keys").mkdir(parents=True)
(home / "keys/id").write_text("secret")
(home / "model").mkdir()
said = []
for flavour, key in (("onnx", "data"), ("pytorch", "model_data")):
    for place in (f"{home}/keys/id", "../keys/id", "a/../../keys/id"):
        text = json.dumps({"flavors": {flavour: {key: place}}})
        (home / "model/MLmodel").write_text(text)
        try:
            with fetched(str(home / "model"), None) as logged:
                said.append(logged.path.read_text())
        except MlflowException as error:
            said.append(error.message)
print(json.dumps(said))
"""


@pytest.fixture
def said(
    mlflow: TrackingServer, logged: dict[str, Any], serving_stack: ServingStack
) -> dict[str, Any]:
    """What a life of a deployment says: made by the command, the rest by the client."""
    home = {"NEREID_HOME": str(serving_stack.home)}
    made = mlflow.mlflow(
        *("deployments", "create", "-t", "nereid", "--name", NAME),
        *("-m", "models:/digits@champion", "-C", "profile=throughput"),
        **home,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    pixels = json.dumps(logged["pixels"])
    found: dict[str, Any] = mlflow.run(USE, NAME, pixels, serving_stack.api, **home)
    return found


def test_a_deployment_lives(
    said: dict[str, Any], logged: dict[str, Any], serving_stack: ServingStack
) -> None:
    assert said["made"]["status"] == "Healthy"
    assert said["made"]["arms"] == {f"{NAME}:1": 100}
    assert NAME in said["listed"]
    labels = [row[0] for row in said["answer"]["predictions"]["label"]]
    assert labels == logged["answers"]
    assert said["again"] == said["answer"]["predictions"]
    assert said["answer"]["arm"] == f"{NAME}:1"
    assert said["updated"]["arms"] == {f"{NAME}:2": 25, f"{NAME}:1": 75}
    assert said["updated"]["flavor"] == "onnx"
    assert said["twice"]["error_code"] == "RESOURCE_ALREADY_EXISTS"
    assert "there are model, version" in said["unknown"]["message"]
    assert said["absent"]["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert said["absent"]["problem"]["status"] == 404, "the problem document comes along"
    assert "readme.txt" in said["flavour"]["message"]
    with serving_stack.client() as client:
        version = client.get(f"/models/{NAME}/versions/1/").json()
    assert version["profile"] == "throughput"
    assert version["metrics"]["holdout"] == {"loss": 0.25}
    provenance = version["provenance"]
    assert (provenance["run_id"], provenance["git_commit"]) == (logged["run_id"], "9f2c1a7b")
    assert (provenance["mlflow_model"], provenance["mlflow_alias"]) == (
        "models:/digits/1",
        "champion",
    )


def test_a_model_names_nothing_of_this_machine_but_itself(mlflow: TrackingServer) -> None:
    for message in mlflow.run(STRAY, str(mlflow.home / "stray")):
        assert "a file that is not of the model" in message
