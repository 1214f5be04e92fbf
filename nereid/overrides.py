"""What is said otherwise than a serving profile, as people type it: `dynamic_batching.…=500`.

max_batch_size=16                                   a value is JSON, or else a text
dynamic_batching.max_queue_delay_microseconds=500   the way through the profile, with dots
dynamic_batching=null                               takes it away, so that Triton's default is
digits:2:max_batch_size=16                          of the arm that serves that version
candidate:max_batch_size=16                         of the arm of that name
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nereid.policy import PolicySyntaxError

# Their keys are names of others' and may have dots, and their values are texts.
_TEXTS = ("parameters", "metric_tags")


def overrides_of(texts: Iterable[str]) -> dict[str, Any]:
    """The overrides that these assignments mean together.

    Raises:
        PolicySyntaxError: one cannot be read, or two do not go together.
    """
    found: dict[str, Any] = {}
    for text in texts:
        path, separator, value = text.partition("=")
        if not path or not separator:
            raise PolicySyntaxError(
                f"cannot read {text!r}: an override is WORD.WORD=VALUE, such as max_batch_size=16"
            )
        way = _way(path)
        _lay(found, way, _value(value, way[0]), text)
    return found


def of_arm(text: str) -> tuple[str, dict[str, Any]]:
    """The arm that an override is of, by its name or as MODEL:VERSION, and what it says.

    Raises:
        PolicySyntaxError: it cannot be read.
    """
    target, _, rest = text.partition("=")[0].rpartition(":")
    if not target or not rest:
        raise PolicySyntaxError(
            f"cannot read {text!r}: an arm's override is ARM:WORD=VALUE, such as "
            "digits:2:max_batch_size=16"
        )
    return target, overrides_of([text[len(target) + 1 :]])


def with_overrides(
    document: Mapping[str, Any],
    given: Iterable[tuple[str, Mapping[str, Any]]],
    dropped: Iterable[str],
) -> dict[str, Any]:
    """The policy with overrides laid over those that its arms have, and without the dropped.

    Args:
        given: what each is of, and says (`of_arm`).
        dropped: arms that are to have none.

    Raises:
        PolicySyntaxError: one is of no arm of the policy.
    """
    arms = [dict(arm) for arm in document.get("arms") or ()]
    for name in dropped:
        _arm(arms, name).pop("overrides", None)
    for target, said in given:
        arm = _arm(arms, target)
        arm["overrides"] = _merged(arm.get("overrides") or {}, said)
    return {**document, "arms": arms}


def _arm(arms: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    for arm in arms:
        if name in (arm.get("name"), f"{arm.get('model')}:{arm.get('version')}"):
            return arm
    listed = ", ".join(
        str(arm.get("name") or f"{arm.get('model')}:{arm.get('version')}") for arm in arms
    )
    raise PolicySyntaxError(f"{name!r} is none of the arms: {listed}")


def _way(path: str) -> list[str]:
    head, _, rest = path.partition(".")
    if head in _TEXTS and rest:
        return [head, rest]
    return path.split(".")


def _value(text: str, head: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if head in _TEXTS and value is not None else value


def _lay(found: dict[str, Any], way: Sequence[str], value: Any, text: str) -> None:
    at = found
    for part in way[:-1]:
        at = at.setdefault(part, {})
        if not isinstance(at, dict):
            raise PolicySyntaxError(f"{text!r} goes into {part}, which another override sets")
    at[way[-1]] = value


def _merged(present: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A null stays one: it takes away what the profile says."""
    both = {**present, **said}
    for name in present.keys() & said.keys():
        if isinstance(present[name], dict) and isinstance(said[name], dict):
            both[name] = _merged(present[name], said[name])
    return both
