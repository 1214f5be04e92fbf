"""Reading the registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from control_plane.domain.planning.plan import VersionSpec
from control_plane.domain.registry.aliases import alias_in
from control_plane.domain.registry.frameworks import UPLOADED_CONFIG, unserved_reason
from control_plane.domain.serving.details import Details
from control_plane.domain.serving.hardware import HardwareProfile
from control_plane.domain.serving.overriding import overridden
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.signature import Signature
from control_plane.domain.violations import InvalidInputError, NotFoundError
from control_plane.fleet.selectors import hardware_in_use
from control_plane.registry.models import Alias, Model, ModelVersion, VersionState
from control_plane.registry.profiles import KnownProfile, profiles_of


def shown_models() -> QuerySet[Model]:
    """Models with what people are shown of them, in two queries whatever their number.

    Annotates `highest`, the number of the newest version, and fetches the aliases.
    """
    # A subquery, so that a page of a long list looks at its own rows only.
    newest = ModelVersion.objects.filter(model=OuterRef("pk")).order_by("-number")
    return Model.objects.annotate(highest=Subquery(newest.values("number")[:1])).prefetch_related(
        Prefetch("aliases", Alias.objects.select_related("version"))
    )


def get_model(name: str, among: QuerySet[Model] | None = None) -> Model:
    """The model of that name.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return (Model.objects.all() if among is None else among).get(name=name)
    except Model.DoesNotExist:
        raise NotFoundError(f"there is no model named {name!r}") from None


def get_version(model: str, reference: int | str) -> ModelVersion:
    """That version of that model, by its number or by an alias: `3`, `@champion`.

    Raises:
        NotFoundError: there is no such model, or no such version or alias of it.
    """
    get_model(model)
    versions = ModelVersion.objects.select_related("model", "artifact").filter(model__name=model)
    alias = alias_in(reference)
    try:
        if alias is not None:
            return versions.get(aliases__name=alias)
        return versions.get(number=reference)
    except ModelVersion.DoesNotExist:
        what = f"version {reference}" if alias is None else f"alias {alias!r}"
        raise NotFoundError(f"model {model!r} has no {what}") from None


def get_alias(model: str, alias: str) -> Alias:
    """That alias of that model, with its version.

    Raises:
        NotFoundError: there is no such model, or no such alias of it.
    """
    found = get_model(model).aliases.select_related("model", "version").filter(name=alias).first()
    if found is None:
        raise NotFoundError(f"model {model!r} has no alias {alias!r}")
    return found


def alias_numbers(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Those of the wanted (model, alias) that there are, with their versions, in one query."""
    pairs = set(wanted)
    if not pairs:
        return {}
    found = Alias.objects.filter(
        model__name__in={model for model, _ in pairs}, name__in={alias for _, alias in pairs}
    ).values_list("model__name", "name", "version__number")
    return {(model, name): number for model, name, number in found if (model, name) in pairs}


def ready_versions(wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], ModelVersion]:
    """Those of the wanted (model, number) that are ready to serve, and their files."""
    pairs = set(wanted)
    rows = ModelVersion.objects.select_related("model", "artifact")
    found = rows.prefetch_related("files__artifact").filter(
        model__name__in={model for model, _ in pairs},
        number__in={number for _, number in pairs},
        state=VersionState.READY,
    )
    return {
        (version.model.name, version.number): version
        for version in found
        if (version.model.name, version.number) in pairs
    }


def version_specs(
    versions: Mapping[tuple[str, int], ModelVersion],
    revisions: Mapping[tuple[str, int], int] = MappingProxyType({}),
) -> dict[tuple[str, int], VersionSpec]:
    """What planning needs of ready versions, their profiles in one query.

    Args:
        revisions: of the profiles of those that are to be as they were; else it is the newest.
    """
    wanted = {key: (version.profile, revisions.get(key)) for key, version in versions.items()}
    known = profiles_of(wanted.values())
    hardware = hardware_in_use()
    return {
        key: _spec(version, known.get(wanted[key]), hardware) for key, version in versions.items()
    }


def _spec(
    version: ModelVersion, known: KnownProfile | None, hardware: tuple[HardwareProfile, ...]
) -> VersionSpec:
    """A profile that is not there or cannot be read is no failure here."""
    profile, profile_error = _effective(version, known)
    details = Details.model_validate(version.model_config)
    if version.signature is None:  # the database holds that a ready version has one
        raise ValueError(f"{version} has no signature")
    return VersionSpec(
        model=version.model.name,
        number=version.number,
        framework=version.framework,
        sha256=version.artifact_id or "",
        signature=Signature.from_document(version.signature),
        profile=profile,
        profile_error=profile_error,
        profile_revision=known.revision if known else None,
        files=_linked(version),
        sizes={file.path: file.artifact.size for file in version.files.all()},
        golden_sha256=version.golden_id or "",
        golden_shapes=version.golden_shapes,
        unserved=details.unserved_reason(_linked(version))
        or unserved_reason(version.framework, version.code),
        parameters=version.parameters,
        details=details,
        p99_ms=version.model.sla_p99_ms,
        overrides=version.overrides,
        hardware=hardware,
    )


def _effective(
    version: ModelVersion, known: KnownProfile | None
) -> tuple[ServingProfile | None, str]:
    """The profile with the version's overrides laid over it, or why there is none."""
    if known is None:
        return None, f"there is no serving profile {version.profile!r} any more"
    if known.profile is None:
        return None, f"its serving profile cannot be read: {known.error}"
    try:
        return overridden(known.profile, version.overrides), ""
    except InvalidInputError as error:
        # The profile was changed since they were written.
        revision = "" if known.revision is None else f" at revision {known.revision}"
        detail = f"its overrides do not fit its serving profile {known.name}{revision}: {error}"
        return None, detail


def effective_document(version: ModelVersion) -> Mapping[str, Any] | None:
    """How the version is served by its profile of today and its overrides; None: not at all."""
    profile = effective_profile(version)
    return None if profile is None else profile.to_document()


def effective_profile(version: ModelVersion) -> ServingProfile | None:
    """The profile of today with the version's overrides; None where there is none of them."""
    wanted = (version.profile, None)
    return _effective(version, profiles_of([wanted]).get(wanted))[0]


def _linked(version: ModelVersion) -> dict[str, str]:
    """An archive's files, less its own configuration: the one that serves is compiled here."""
    files = version.files.all()
    return {f.path: f.artifact_id for f in files if f.path != UPLOADED_CONFIG}
