"""A profile that somebody sends: as one from a file, and with nothing that loads code or files.

What lies in `triton_configs/profiles` was reviewed with the code; what comes by a request was not.
So the backend's parameters are an allow-list here, as they are for uploads; an operator adds to
it (`registry.allowed_parameters`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.registry.allowed_parameters import (
    ACCELERATOR,
    how_to_allow,
    in_force,
)
from control_plane.domain.registry.uploaded_config import PARAMETERS
from control_plane.domain.serving.bounds import excesses
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.stored_json import check_storable, pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

MAX_PROFILE_BYTES = 64 << 10
MAX_VALUE = 4096
"""Characters of a parameter's value."""

_POINTS_AT_A_FILE = {"EXECUTION_ENV_PATH"}
_PARAMETERS = frozenset().union(*PARAMETERS.values()) - _POINTS_AT_A_FILE

_ACCELERATORS = {
    "tensorrt": frozenset(
        {
            "precision_mode",
            "max_workspace_size_bytes",
            "trt_max_partition_iterations",
            "trt_min_subgraph_size",
            "trt_builder_optimization_level",
            "trt_cuda_graph_enable",
        }
    ),
    "auto_mixed_precision": frozenset(),
    "gpu_io": frozenset(),
    "openvino": frozenset({"device_type", "precision", "num_of_threads", "num_streams"}),
    "cuda": frozenset(
        {
            "cudnn_conv_algo_search",
            "cudnn_conv_use_max_workspace",
            "arena_extend_strategy",
            "gpu_mem_limit",
            "do_copy_in_default_stream",
        }
    ),
}
"""What each accelerator may be told: no caches, tables or libraries, which are files."""

_MAX_VIOLATIONS = 20


def read_own_profile(name: str, document: object) -> ServingProfile:
    """The profile of a request's body.

    Raises:
        InvalidInputError: the name breaks the rule for names, the document one for profiles, or
            it has a parameter that is not on the list; a violation for each, with its place.
    """
    if not is_public_name(name):
        detail = f"{name[:80]!r}: a name has {PUBLIC_NAME_RULE}"
        raise InvalidInputError([Violation("/name", "invalid_name", detail)])
    if not isinstance(document, Mapping):
        raise InvalidInputError([Violation("", "type", "a profile is a JSON object")])
    check_storable(document)
    size = len(json.dumps(document, ensure_ascii=False).encode())
    if size > MAX_PROFILE_BYTES:
        detail = f"{size} bytes as JSON; a profile has at most {MAX_PROFILE_BYTES}"
        raise InvalidInputError([Violation("", "max_length", detail)])
    if "name" in document:
        detail = "'name' is no word of a serving profile's: its name is in the address"
        raise InvalidInputError([Violation("/name", "unknown", detail)])
    try:
        profile = ServingProfile.from_values(name, document)
    except InvalidInputError as error:
        raise InvalidInputError(list(error.violations[:_MAX_VIOLATIONS])) from error
    if found := list(forbidden(profile))[:_MAX_VIOLATIONS]:
        raise InvalidInputError(found)
    return profile


def forbidden(
    profile: ServingProfile, said: Mapping[str, Any] | None = None
) -> Iterator[Violation]:
    """What a request may not set, and more than it may ask for.

    Args:
        said: the part of the document that came by a request; None: all of it.
    """
    document: Mapping[str, Any] = profile.to_document() if said is None else said
    given = {k: v for k, v in profile.parameters.items() if k in document.get("parameters", ())}
    added = in_force()
    known = _PARAMETERS | {name for name in given if added.names_for_any_framework(name)}
    yield from _refused(given, known, "/parameters", "profiles", "FRAMEWORK")
    yield from excesses(profile)
    if "execution_accelerators" in (document.get("optimization") or ()):
        yield from _accelerators(profile)


def _accelerators(profile: ServingProfile) -> Iterator[Violation]:
    chosen = profile.optimization and profile.optimization.execution_accelerators
    if not chosen:
        return
    for field in ("gpu_execution_accelerator", "cpu_execution_accelerator"):
        for i, one in enumerate(getattr(chosen, field)):
            where = f"/optimization/execution_accelerators/{field}/{i}"
            known, whose = _ACCELERATORS.get(one.name), f"{ACCELERATOR}{one.name[:80]}"
            if known is None and not in_force().names_any_of(whose):
                listed = ", ".join(_ACCELERATORS)
                detail = (
                    f"{one.name[:80]!r} is not on the list of accelerators ({listed}); "
                    f"{how_to_allow(whose, '*')}"
                )
                yield Violation(f"{where}/name", "not_allowed", detail)
            else:
                added = {name for name in one.parameters if in_force().names(whose, name)}
                allowed = (known or frozenset()) | added
                place = f"{where}/parameters"
                yield from _refused(one.parameters, allowed, place, one.name, whose)


def _refused(
    given: Mapping[str, str], known: frozenset[str], where: str, told: str, whose: str
) -> Iterator[Violation]:
    """Parameters that are not `known`; `told` and `whose` say to people and in the setting of
    what they are."""
    for name, value in sorted(given.items()):
        place = f"{where}/{pointer_part(name)}"
        if name in _POINTS_AT_A_FILE:
            detail = f"{name} points at a file: it comes with the model that has it"
            yield Violation(place, "not_allowed", detail)
        elif name not in known:
            listed = ", ".join(sorted(known)) or "none"
            detail = (
                f"the parameter {name[:80]!r} is not on the list for {told} ({listed}); "
                f"{how_to_allow(whose, name)}"
            )
            yield Violation(place, "not_allowed", detail)
        elif len(value) > MAX_VALUE:
            detail = f"{len(value)} characters; a parameter has at most {MAX_VALUE}"
            yield Violation(place, "max_length", detail)
