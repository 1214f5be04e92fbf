"""MLflow's deployment plugin: `mlflow deployments create -t nereid --name digits -m models:/…`.

A deployment is an endpoint of Nereid. MLflow finds this module by its entry point; it is imported
where MLflow is: `pip install nereid[mlflow]`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2 as codes

from nereid import config as found_config
from nereid.client import Client
from nereid.errors import NereidError, NotConfiguredError, ProblemError, VersionRejectedError
from nereid.inference import Predictor, triton_address
from nereid.mlflow_models import fetched, settled
from nereid.mlflow_options import KEYS, OptionError, Options
from nereid.policy import policy_document
from nereid.resources import Endpoint, Version
from nereid.tensors import as_named, fitted

P = ParamSpec("P")
T = TypeVar("T")

HELP = f"""
Nereid: versions of models behind one name, on NVIDIA Triton.

  -t nereid                        the control plane that `nereid login`, NEREID_API or the stack
                                   that runs here names
  -t nereid:http://host:8080       that one

The token is NEREID_TOKEN, or the one that `nereid login` stored for the address. A deployment is an
endpoint: `create` adds the model's file as a version, waits until it is checked, and gives the new
endpoint all of the traffic; `update` does so with a share of an endpoint's; `delete` takes the
endpoint off the servers and leaves model and versions.

Models of the flavours onnx and pytorch (TorchScript, torch.export) are taken. Options, each as
-C key=value:

{chr(10).join(f"  {key:<12} {words}" for key, words in KEYS.items())}

  mlflow deployments create -t nereid --name digits -m models:/digits@champion
  mlflow deployments update -t nereid --name digits -m models:/digits/4 -C weight=10
  mlflow deployments predict -t nereid --name digits -I input.json
"""

_STATUS = {
    400: codes.INVALID_PARAMETER_VALUE,
    401: codes.UNAUTHENTICATED,
    403: codes.PERMISSION_DENIED,
    404: codes.RESOURCE_DOES_NOT_EXIST,
    409: codes.RESOURCE_CONFLICT,
    412: codes.RESOURCE_CONFLICT,
    422: codes.INVALID_PARAMETER_VALUE,
    429: codes.REQUEST_LIMIT_EXCEEDED,
    503: codes.TEMPORARILY_UNAVAILABLE,
}


def target_help() -> str:
    """What `mlflow deployments help -t nereid` prints."""
    return HELP


def run_local(
    target: str,
    name: str,
    model_uri: str,
    flavor: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Deploys to the stack that runs on this machine (`make serve`)."""
    stack = found_config.find_stack()
    if stack is None or not stack.api:
        raise MlflowException(
            "no stack runs here: start one with `make serve`", error_code=codes.INVALID_STATE
        )
    NereidDeployments(f"{target}:{stack.api}").create_deployment(name, model_uri, flavor, config)


def _told(method: Callable[P, T]) -> Callable[P, T]:
    """What goes wrong becomes an `MlflowException` that carries the problem document."""

    @functools.wraps(method)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(*args, **kwargs)
        except NereidError as error:
            raise _exception(error) from error
        except OptionError as error:
            code = codes.INVALID_PARAMETER_VALUE
            raise MlflowException(str(error), error_code=code) from error

    return run


def _exception(error: NereidError) -> MlflowException:
    code = codes.INTERNAL_ERROR
    if isinstance(error, ProblemError):
        code = _STATUS.get(error.status, code)
    elif isinstance(error, VersionRejectedError):
        code = codes.INVALID_PARAMETER_VALUE
    elif isinstance(error, NotConfiguredError):
        code = codes.INVALID_STATE
    return MlflowException(str(error), error_code=code, problem=error.as_document())


class NereidDeployments(BaseDeploymentClient):  # type: ignore[misc] # MLflow is not there for all
    """Deployments of one control plane."""

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        self._api = target_uri.partition(":")[2].strip("/") or None

    @_told
    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """A new endpoint that serves a new version; waits until it does."""
        _no_endpoint(endpoint)
        options = Options.of(config)
        with self._client() as client:
            if any(one.name == name and one.policy for one in client.endpoints(search=name)):
                raise MlflowException(
                    f"the endpoint {name} serves already: use update",
                    error_code=codes.RESOURCE_ALREADY_EXISTS,
                )
            version, taken = _pushed(client, options.model or name, model_uri, flavor, options)
            made = client.ensure_endpoint(name, options.description)
            try:
                arm = f"{version.model}:{version.number}=100"
                served = _served(client, name, policy_document([arm]), options)
            except NereidError:
                if made:  # nothing half-made stays behind a command that failed
                    client.delete_endpoint(name)
                raise
        return {**_document(served), "flavor": taken}

    @_told
    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """A share of the traffic for a new version, or for one that is there (`version`)."""
        _no_endpoint(endpoint)
        options = Options.of(config)
        if model_uri is None and options.version is None:
            raise OptionError("name a model (-m), or a version that is there (-C version=3)")
        with self._client() as client:
            standing = client.policy(name)
            model = options.model or _first_model(standing.document) or name
            taken = flavor or ""
            number = options.version
            if model_uri is not None:
                version, taken = _pushed(client, model, model_uri, flavor, options)
                number = version.number
            arms = _arms(standing.document, f"{model}:{number}", options.weight)
            policy = policy_document(arms, current=standing.document)
            served = _served(client, name, policy, options, standing.etag)
        return {**_document(served), "flavor": taken}

    @_told
    def delete_deployment(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> None:
        """Takes the endpoint off the servers; its model and versions stay."""
        _no_endpoint(endpoint)
        Options.of(config)
        with self._client() as client:
            try:
                client.delete_endpoint(name)
            except ProblemError as error:
                if error.status != 404:  # deleting what is gone is done already
                    raise

    @_told
    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """All endpoints."""
        _no_endpoint(endpoint)
        with self._client() as client:
            return [_document(one) for one in client.endpoints()]

    @_told
    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """One endpoint, with its arms."""
        _no_endpoint(endpoint)
        with self._client() as client:
            return _document(client.endpoint(name))

    @_told
    def predict(
        self,
        deployment_name: str | None = None,
        inputs: Any = None,
        endpoint: str | None = None,
    ) -> PredictionsResponse:
        """Asks an endpoint: a DataFrame, an array, or arrays by input name.

        `predictions` has the only output as a list, several by name; `arm` says which version
        answered.
        """
        name = deployment_name or endpoint
        if not name:
            raise OptionError("name the deployment to ask")
        with self._client() as client:
            address = triton_address("grpc", None, found_config.find_stack(), client)
        with Predictor(address) as predictor:
            wanted = predictor.metadata(name).inputs
            answer = predictor.predict(name, fitted(as_named(inputs, wanted), wanted, "the inputs"))
        outputs = {key: array.tolist() for key, array in answer.outputs.items()}
        only = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        return PredictionsResponse({"predictions": only, "arm": answer.arm_title})

    def _client(self) -> Client:
        return Client(self._api)


def _no_endpoint(endpoint: str | None) -> None:
    if endpoint:
        raise OptionError("a deployment is an endpoint itself: leave --endpoint out, use --name")


def _pushed(
    client: Client, model: str, model_uri: str, flavour: str | None, options: Options
) -> tuple[Version, str]:
    """The version, checked and ready, and the flavour that it was made of."""
    said = options.said()
    if options.fetch == "server":
        source, _ = settled(model_uri)
        version = client.push(
            model, source=source, framework=flavour, create=True, wait=True, **said
        )
        return version, version.framework
    with fetched(model_uri, flavour) as logged:
        version = client.push(
            model,
            logged.path,
            framework=logged.flavour,
            metrics=logged.metrics,
            provenance=logged.provenance,
            git=False,
            create=True,
            wait=True,
            **said,
        )
    return version, logged.flavour


def _served(
    client: Client, name: str, policy: Mapping[str, Any], options: Options, etag: str = "*"
) -> Endpoint:
    """The endpoint once the policy is in force."""
    accepted = client.put_policy(name, policy, etag=etag)
    if accepted.change is not None:
        raise NereidError(
            f"change {accepted.change} of the endpoint {name} waits for a second person: "
            f"nereid changes show {name} {accepted.change}"
        )
    served = client.wait_endpoint(name, generation=accepted.generation, timeout=options.timeout)
    if served.status != "Healthy":
        raise NereidError(f"endpoint {name} is {served.status}: {served.reason}")
    return served


def _first_model(policy: Mapping[str, Any]) -> str | None:
    return next((str(arm["model"]) for arm in policy.get("arms") or () if arm.get("model")), None)


def _arms(policy: Mapping[str, Any], target: str, weight: Decimal) -> list[str]:
    """The arms with `weight` percent for the target, the others sharing the rest as before.

    >>> _arms({"arms": [{"model": "a", "version": 1, "weight": 100}]}, "a:2", Decimal(10))
    ['a:2=10', 'a:1=90']
    """
    others = {
        f"{arm.get('pipeline') or arm['model']}:{arm.get('revision') or arm['version']}": Decimal(
            str(arm.get("weight") or 0)
        )
        for arm in policy.get("arms") or ()
    }
    others.pop(target, None)
    rest, whole = 100 - weight, sum(others.values(), Decimal(0))
    if rest == 0 or not others:
        return [f"{target}=100"]
    if whole == 0:
        raise OptionError(f"no other arm has traffic: {target} gets all of it, with weight=100")
    shares = {
        name: (rest * share / whole).quantize(Decimal("0.01")) for name, share in others.items()
    }
    heaviest = max(shares, key=lambda name: shares[name])
    shares[heaviest] += rest - sum(shares.values(), Decimal(0))
    return [
        f"{target}={weight}",
        *(f"{name}={share.normalize():f}" for name, share in shares.items()),
    ]


def _document(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "status": endpoint.status,
        "reason": endpoint.reason,
        "revision": endpoint.revision,
        "arms": {arm.target: arm.weight for arm in endpoint.arms},
    }
