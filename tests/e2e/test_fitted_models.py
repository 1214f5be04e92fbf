"""Fitted models, from the training script's memory to the answer of an endpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import np_to_triton_dtype

from nereid import Client, policy_document
from tests.support.fitted import diabetes_pipeline, wine_pipeline
from tests.support.serving import ServingStack


def deployed(nereid: Client, name: str, fitted: Any, sample: Any) -> None:
    version = nereid.push(name, fitted, sample=sample, create=True, wait=True)
    assert version.state == "ready", version
    assert version.raw["provenance"]["compared_rows"] == len(sample)
    nereid.ensure_endpoint(name)
    accepted = nereid.put_policy(name, policy_document([f"{name}:1=100"]), etag="*")
    endpoint = nereid.wait_endpoint(name, generation=accepted.generation)
    assert endpoint.status == "Healthy", endpoint.reason


def asked(stack: ServingStack, name: str, inputs: dict[str, Any]) -> Any:
    client = grpcclient.InferenceServerClient(stack.stack["triton"]["grpc"])
    given = []
    for key, array in inputs.items():
        tensor = grpcclient.InferInput(key, list(array.shape), np_to_triton_dtype(array.dtype))
        given.append(tensor.set_data_from_numpy(array))
    answer = client.infer(name, given)
    client.close()
    return answer


def test_they_answer_as_the_originals(serving_stack: ServingStack) -> None:
    with Client(serving_stack.api, serving_stack.token) as nereid:
        classifier, x = wine_pipeline()
        deployed(nereid, "wine", classifier, x)
        rows = x[57:63]
        answer = asked(serving_stack, "wine", {"x": rows})
        labels = answer.as_numpy("label").ravel().astype(str)
        assert labels.tolist() == classifier.predict(rows).tolist()
        probabilities = classifier.predict_proba(rows)
        assert np.allclose(answer.as_numpy("probabilities"), probabilities, atol=1e-5)
        nereid.delete_endpoint("wine")

        regressor, frame = diabetes_pipeline()
        deployed(nereid, "progression", regressor, frame)
        some = frame[:5]
        columns = {name: some[name].to_numpy()[:, None] for name in some}
        columns["sex"] = columns["sex"].astype(object)
        answer = asked(serving_stack, "progression", columns)
        got = answer.as_numpy("prediction").ravel()
        assert np.allclose(got, regressor.predict(some), rtol=1e-4)
        nereid.delete_endpoint("progression")
