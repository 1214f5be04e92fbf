"""A model version -> the immutable directory that serves it."""

from __future__ import annotations

from control_plane.domain.names import physical_name
from control_plane.domain.planning.model_config import ACCELERATORS, Config, version_config
from control_plane.domain.planning.plan import ModelDirectory, VersionSpec, digest_of
from control_plane.domain.registry.frameworks import GOLDEN_FILE
from control_plane.domain.serving.details import MODEL_FOLDER, VARIANTS
from control_plane.domain.serving.hardware import fitted
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.sequence_fit import initial_files
from control_plane.domain.violations import InvalidInputError, Violation


def physical_directory(version: VersionSpec) -> ModelDirectory:
    """The immutable directory of one version under one serving configuration.

    The digest leaves the name out and covers the variants of every kind of server, so a
    physical name means the same everywhere (DESIGN section 1).
    """
    if version.profile is None:
        raise ValueError(version.profile_error)
    if version.unserved:
        raise InvalidInputError([Violation("/version", "unsupported", version.unserved)])
    variants = {kind: _config(version, version.profile, kind) for kind in ACCELERATORS}
    for hardware in version.hardware:
        said = frozenset(version.parameters)
        profile = fitted(version.profile, version.framework, said, hardware)
        if profile != version.profile:  # else the accelerator's own is what it gets
            variants[hardware.name] = _config(version, profile, hardware.accelerator)
    links = _links(version)
    digest = digest_of({"variants": variants, "links": links})
    name = physical_name(version.model, version.number, digest)
    return ModelDirectory(name=name, variants=variants, links=links, texts={})


def _config(version: VersionSpec, profile: ServingProfile, accelerator: str) -> Config:
    return version_config(
        version.framework,
        version.signature,
        profile,
        accelerator,
        main_file=version.main_file,
        parameters=version.parameters,
        details=version.details,
        golden=version.golden_shapes,
        libraries=[_placed(name, version) for name in version.details.libraries],
    )


def _placed(library: str, version: VersionSpec) -> str:
    """Where a library of operators lies in the model's directory."""
    return f"1/{library}" if library in version.files else library


def _links(version: VersionSpec) -> dict[str, str]:
    """The files that come from the artifact store.

    Golden examples, and the files that the states of sequences begin with, lie beside the version's
    folder: there Triton looks for the latter.
    """
    at_the_start = initial_files(version.profile) if version.profile else ()
    links = {}
    for path, sha256 in sorted(version.placed.items()):
        # Configurations by name are left out: a server that was started with one of these names
        # would take it in place of what is compiled here.
        beside = path.removeprefix(MODEL_FOLDER)
        if path in at_the_start:
            links[path] = sha256
        elif beside == path:
            links[f"1/{path}"] = sha256
        elif not beside.startswith(VARIANTS):
            links[beside] = sha256
    if version.golden_sha256:
        links[GOLDEN_FILE] = version.golden_sha256
    return links
