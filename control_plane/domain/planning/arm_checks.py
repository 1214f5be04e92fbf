"""What the arms of one endpoint have to have in common, checked before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from control_plane.domain.planning.model_config import Config, is_decoupled, priorities_of
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.routing.policy import Arm, RoutingPolicy
from control_plane.domain.serving.sequence_fit import unfit
from control_plane.domain.signature import Signature, differences
from control_plane.domain.violations import InvalidInputError, Violation

Versions = Mapping[tuple[str, int], VersionSpec]


def check_versions(
    policy: RoutingPolicy,
    versions: Versions,
    loaded: Collection[tuple[str, int]] = (),
    pipelines: Mapping[tuple[str, int], Signature] = MappingProxyType({}),
    told: Sequence[Violation] = (),
) -> dict[tuple[str, int], Signature]:
    """Every arm names what can be served, and all take and give the same tensors.

    Args:
        loaded: the (name, number) that serve already, whatever became of their profiles.
        pipelines: what callers meet of the arms that are pipelines and can be served.
        told: what is wrong with other arms.

    Returns:
        What callers meet, by the arms' (name, number).

    Raises:
        InvalidInputError: with one violation for each arm that does not.
    """
    found: list[Violation] = list(told)
    callers = dict(pipelines)
    first: Arm | None = None
    for i, arm in enumerate(policy.arms):
        if not arm.pipeline and (spec := versions.get(arm.key)) is not None:
            callers[arm.key] = spec.callers
            found += _unserved(i, spec, loaded)
        elif not arm.pipeline:
            detail = f"{arm.model} has no version {arm.version} that is ready to serve"
            found.append(Violation(f"/arms/{i}/version", "not_found", detail))
        if arm.key not in callers:
            continue
        if first is None:
            first = arm
            continue
        if differing := differences(callers[first.key], callers[arm.key]):
            detail = (
                f"{arm} differs from {first}: {'; '.join(differing)}. Arms of one endpoint take "
                "and give the same tensors; serve the other on an endpoint of its own"
            )
            found.append(Violation(f"/arms/{i}", "signature", detail))
    if found:
        raise InvalidInputError(sorted(found, key=lambda violation: _arm_index(violation.pointer)))
    return callers


def _arm_index(pointer: str) -> int:
    return int(pointer.split("/")[2])


def _unserved(
    i: int, spec: VersionSpec, loaded: Collection[tuple[str, int]]
) -> Iterator[Violation]:
    where, name = f"/arms/{i}/version", f"{spec.model} version {spec.number}"
    if spec.unserved:
        yield Violation(where, "unsupported", f"{name}: {spec.unserved}")
    if spec.profile is None and (spec.model, spec.number) not in loaded:
        yield Violation(where, "profile", f"{name}: {spec.profile_error}")
    if spec.profile and (problems := unfit(spec.signature, spec.profile, spec.sizes)):
        detail = (
            f"{name} cannot be served by the sequence batcher of its profile "
            f"{spec.profile.name}: {'; '.join(problems)}"
        )
        yield Violation(where, "profile", detail)


def check_shadows(policy: RoutingPolicy, signature: Signature) -> None:
    """What a shadow compares is an output that callers get, and made of numbers.

    Raises:
        InvalidInputError: with one violation for each shadow that cannot compare.
    """
    outputs = {tensor.name: tensor.datatype for tensor in signature.outputs}
    found: list[Violation] = []
    for i, shadow in enumerate(policy.shadows):
        name = shadow.compare
        if name is None:
            continue
        if name not in outputs:
            detail = f"there is no output {name!r}; there are: {', '.join(outputs)}"
        elif outputs[name] == "BYTES":
            detail = f"the output {name!r} holds texts: only numbers are compared"
        else:
            continue
        found.append(Violation(f"/shadow/{i}/compare", "output", detail))
    if found:
        raise InvalidInputError(found)


_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})


def check_confidence(policy: RoutingPolicy, signature: Signature) -> None:
    """What is read for how sure answers are is an output that callers get, with classes in it.

    Raises:
        InvalidInputError: there is none of that name, or it has none.
    """
    if policy.confidence is None:
        return
    name = policy.confidence.output
    outputs = {tensor.name: tensor for tensor in signature.outputs}
    found = outputs.get(name)
    if found is None:
        detail = f"there is no output {name!r}; there are: {', '.join(outputs)}"
    elif found.datatype not in _FLOATS:
        detail = f"the output {found} is not in floating point: it has no probabilities or logits"
    elif len(found.shape) <= signature.batched:
        detail = f"the output {found} has no dimension for classes: the last one has to be theirs"
    else:
        return
    raise InvalidInputError([Violation("/confidence/output", "output", detail)])


def check_configs(policy: RoutingPolicy, configs: Sequence[Config]) -> None:
    """The arms' configurations agree where the router can have only one for all of them.

    Raises:
        InvalidInputError: with one violation for each arm that differs from the first.
    """
    found: list[Violation] = []
    for i, (arm, config) in enumerate(zip(policy.arms, configs, strict=True)):
        for code, words in _AGREED:
            ours, theirs = words(config), words(configs[0])
            if ours != theirs:
                detail = (
                    f"arm {arm.name} {ours}, and {policy.arms[0].name} {theirs}: {_REMEDY[code]}"
                )
                found.append(Violation(f"/arms/{i}", code, detail))
    if found:
        raise InvalidInputError(found)


def _responses(config: Config) -> str:
    return f"gives {'any number of responses' if is_decoupled(config) else 'one response'}"


def _batches(config: Config) -> str:
    return "takes batches" if int(config["max_batch_size"]) else "takes none (max_batch_size 0)"


def _priorities(config: Config) -> str:
    levels, default = priorities_of(config)
    return f"has {levels} priorities, {default} by default" if levels else "has no priorities"


_AGREED: tuple[tuple[str, Callable[[Config], str]], ...] = (
    ("decoupled", _responses),
    ("batching", _batches),
    ("priorities", _priorities),
)

_OWN_ENDPOINT = "or serve it on an endpoint of its own"

_REMEDY = {
    "decoupled": "serve it on an endpoint of its own",
    "batching": f"give both a serving profile that batches, {_OWN_ENDPOINT}",
    # Triton gives a request without a priority the router's default before any arm sees it.
    "priorities": f"give both a serving profile with the same priorities, {_OWN_ENDPOINT}",
}
