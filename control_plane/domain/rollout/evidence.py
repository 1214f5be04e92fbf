"""Whether an endpoint can give the evidence that a rollout's templates ask for."""

from __future__ import annotations

from control_plane.domain.analysis.metric import Kind, Unit
from control_plane.domain.analysis.template import Template
from control_plane.domain.routing.policy import RoutingPolicy


def missing_evidence(template: Template, policy: RoutingPolicy) -> list[str]:
    """What the policy has to say first, in words; nothing where the template can come to an end.

    Without it a required metric would see nothing for as long as it looks, and the rollout would
    wait for a verdict that cannot come. What only informs may see nothing.
    """
    found = []
    for metric in template.metrics:
        if not metric.required:
            continue
        if metric.kind is Kind.CONFIDENCE and policy.confidence is None:
            found.append(
                f"metric {metric.name} looks at how sure answers are: the endpoint's policy has to "
                'name the output, such as "confidence": {"output": "probabilities"}'
            )
        if metric.unit is Unit.KEY and policy.sticky is None:
            found.append(
                f"metric {metric.name} counts sticky keys, and the endpoint's policy has none: "
                'give it a sticky key, or the metric "unit": "request"'
            )
    return found
