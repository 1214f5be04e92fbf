"""Where versions serve, and what servers do: lower rooms ask, and the one above them knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from control_plane.domain.registry.states import Place
from control_plane.domain.signature import Tensor


class ServerDuties(Protocol):
    """What endpoints need a server for."""

    def held(self, server_id: UUID) -> Sequence[str]:
        """The endpoints that the server holds something of, or was told to, by name."""
        ...

    def held_alone(self, server_id: UUID) -> Sequence[str]:
        """The endpoints that serve and that no other server holds, by name."""
        ...


@dataclass(frozen=True)
class ServedEndpoint:
    """An endpoint as callers meet it; `primary` is the version behind its primary arm, if one is.

    `max_batch_size` 0 takes no batches; `servers` are those whose router is up, by name.
    """

    name: str
    inputs: tuple[Tensor, ...]
    max_batch_size: int
    primary: tuple[str, int] | None
    servers: frozenset[str]


class EndpointFacts(Protocol):
    """What rooms beside the endpoints' may know of one."""

    def served(self, name: str) -> ServedEndpoint:
        """The endpoint as it serves.

        Raises:
            NotFoundError: there is none of that name.
            ConflictError: it serves nothing yet.
        """
        ...


class ServingPlaces(Protocol):
    """Which endpoints use which versions and pipelines."""

    def of(self, version_ids: Iterable[UUID]) -> Mapping[UUID, Sequence[Place]]:
        """Version -> where it serves or is on its way to, by endpoint; without entry: nowhere.

        However many versions are asked for, the number of queries is the same.
        """
        ...

    def of_pipelines(self, revision_ids: Iterable[UUID]) -> Mapping[UUID, Sequence[Place]]:
        """Revision of a pipeline -> where it is an arm, as `of`."""
        ...

    def earlier(self, version_id: UUID) -> Mapping[str, Sequence[int]]:
        """Endpoint -> the revisions, newest first, that use the version and do not serve.

        They are ways back that need the version.
        """
        ...
