"""Reading the registry."""

from __future__ import annotations

from collections.abc import Iterable

from control_plane.adapters.profiles import load_profile
from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.signature import Signature
from control_plane.domain.violations import NotFoundError
from control_plane.registry.models import Model, ModelVersion, VersionState


def get_model(name: str) -> Model:
    """The model of that name.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return Model.objects.get(name=name)
    except Model.DoesNotExist:
        raise NotFoundError(f"there is no model named {name!r}") from None


def get_version(model: str, number: int) -> ModelVersion:
    """That version of that model.

    Raises:
        NotFoundError: there is no such model, or no such version of it.
    """
    get_model(model)
    try:
        return ModelVersion.objects.select_related("model", "artifact").get(
            model__name=model, number=number
        )
    except ModelVersion.DoesNotExist:
        raise NotFoundError(f"model {model!r} has no version {number}") from None


def ready_versions(wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], ModelVersion]:
    """Those of the wanted (model, number) that are ready to serve, in one query."""
    pairs = set(wanted)
    found = ModelVersion.objects.select_related("model").filter(
        model__name__in={model for model, _ in pairs},
        number__in={number for _, number in pairs},
        state=VersionState.READY,
    )
    return {
        (version.model.name, version.number): version
        for version in found
        if (version.model.name, version.number) in pairs
    }


def version_spec(version: ModelVersion) -> VersionSpec:
    """What planning needs of a ready version; a profile that cannot be read is no failure here."""
    profile, profile_error = None, ""
    try:
        profile = load_profile(version.profile)
    except KeyError:
        profile_error = f"there is no serving profile {version.profile!r} any more"
    except ValueError as error:
        profile_error = f"its serving profile cannot be read: {error}"
    if version.signature is None:  # the database holds that a ready version has one
        raise ValueError(f"{version} has no signature")
    return VersionSpec(
        model=version.model.name,
        number=version.number,
        framework=version.framework,
        sha256=version.artifact_id,
        signature=Signature.from_document(version.signature),
        profile=profile,
        profile_error=profile_error,
    )
