"""Reading a policy document with what the registry knows: aliases, and what is a pipeline."""

from __future__ import annotations

from control_plane.domain.routing.aliases import named_aliases, with_numbers
from control_plane.domain.routing.document import parse_policy
from control_plane.domain.routing.documented_pipelines import named_models, with_pipelines
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.routing.policy import RoutingPolicy
from control_plane.domain.violations import InvalidInputError
from control_plane.registry.pipelines import pipelines_among
from control_plane.registry.selectors import alias_numbers


def read_policy(document: object, headers: ForwardedHeaders | None) -> RoutingPolicy:
    """The policy that a document means at this moment (`parse_policy`).

    Raises:
        InvalidInputError: an alias is not there, or a rule is broken; all of it is told at once.
    """
    told_apart = with_pipelines(document, pipelines_among(named_models(document)))
    numbered, missing = with_numbers(told_apart, alias_numbers(named_aliases(told_apart)))
    try:
        policy = parse_policy(numbered, headers)
    except InvalidInputError as error:
        told = {violation.pointer for violation in missing}
        others = [violation for violation in error.violations if violation.pointer not in told]
        raise InvalidInputError(missing + others) from error
    return policy
