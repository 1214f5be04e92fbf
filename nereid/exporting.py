"""Plain Triton model directories from what the server says of versions."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from nereid.errors import NereidError
from nereid.resources import Document

CONFIG = "config.pbtxt"
ENSEMBLE_VERSION = "1"
_CHUNK = 1 << 20


class ExportError(NereidError):
    """It cannot be written as it was asked for; nothing was."""


@dataclass(frozen=True)
class ExportedVersion:
    """A version as the server says it is written: its configuration, and its files by digest."""

    model: str
    number: int
    backend: str
    ours: str
    config: Document
    files: Mapping[str, str]
    artifact: str
    lost: tuple[str, ...]
    overridden: bool = False
    """An arm of an endpoint has it served otherwise than anybody else."""

    @classmethod
    def from_json(cls, raw: Document) -> ExportedVersion:
        return cls(
            model=str(raw["model"]),
            number=int(raw["version"]),
            backend=str(raw["backend"]),
            ours=str(raw.get("ours") or ""),
            config=raw["config"],
            files={str(one["path"]): str(one["sha256"]) for one in raw["files"]},
            artifact=str(raw["artifact"]),
            lost=tuple(str(one) for one in raw.get("lost") or ()),
        )


@dataclass(frozen=True)
class ExportedModel:
    """A model's directory: versions of one configuration."""

    name: str
    versions: tuple[ExportedVersion, ...]
    notes: tuple[str, ...] = ()
    """What is otherwise than in Nereid, in words."""

    served: int | None = None
    """The version that answers, where an endpoint names it."""

    needed: frozenset[int] = frozenset()
    """Versions that an ensemble calls by their number."""

    @property
    def config(self) -> dict[str, Any]:
        """Of its versions, with the policy that these need."""
        found = dict(self.versions[-1].config)
        found.pop("version_policy", None)
        if policy := self._with_needed(self._policy()):
            found["version_policy"] = policy
        if libraries := _libraries(found):
            # A backend looks for them from where Triton is started.
            placed = [f"{self.name}/{library}" for library in libraries]
            found["model_operations"] = {"op_library_filename": placed}
        return {"name": self.name, **found}

    def _with_needed(self, policy: dict[str, Any]) -> dict[str, Any]:
        numbers = sorted(one.number for one in self.versions)
        if "all" in policy:
            served = set(numbers)
        elif "specific" in policy:
            served = {int(number) for number in policy["specific"]["versions"]}
        else:
            count = int((policy.get("latest") or {}).get("num_versions", 1))
            served = set(numbers[-count:])
        if self.needed <= served:
            return policy
        return {"specific": {"versions": sorted(served | self.needed)}}

    def _policy(self) -> dict[str, Any]:
        numbers = sorted(one.number for one in self.versions)
        kept: dict[str, Any] = self.versions[-1].config.get("version_policy") or {}
        named = {int(one) for one in (kept.get("specific") or {}).get("versions") or ()}
        if named:
            left = sorted(named & set(numbers)) or numbers
            kept = {"specific": {"versions": left}}
            numbers = left
        elif not kept and len(numbers) > 1 and self.served is None:
            # Several are named so that they are called; Triton alone would serve the newest.
            kept = {"all": {}}
        if self.served is not None and numbers[-1] != self.served:
            return {"specific": {"versions": [self.served]}}
        return kept


def _libraries(config: Document) -> Sequence[str]:
    """Those of operators that a configuration names."""
    found: Sequence[str] = (config.get("model_operations") or {}).get("op_library_filename") or ()
    return found


@dataclass(frozen=True)
class ExportedEnsemble:
    """A pipeline's directory: an ensemble of models of the same repository, or code that asks them.

    `code` is what lies in its version's folder, `texts` what lies beside that; by path.
    """

    name: str
    source: str
    config: Mapping[str, Any]
    code: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportPlan:
    """All that is written, and what is not."""

    models: tuple[ExportedModel, ...]
    notes: tuple[str, ...] = ()
    ensembles: tuple[ExportedEnsemble, ...] = ()

    @property
    def has_libraries(self) -> bool:
        """True where a model has operators of its own."""
        return any(_libraries(version.config) for one in self.models for version in one.versions)

    @property
    def backends(self) -> dict[str, str]:
        """The backends that Nereid brings and that are needed: what else serves in their place."""
        return {
            version.backend: version.ours
            for model in self.models
            for version in model.versions
            if version.ours
        }


@dataclass
class Names:
    """Directories' names, each taken once.

    `kept` are those by which something is called in Nereid: whatever else would have to be called
    so steps back, whichever comes first.
    """

    taken: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)

    def own(self, name: str) -> str:
        """The name for what has it in Nereid; another where something of that name was before."""
        self.kept.discard(name)
        return self.take(name)

    def take(self, name: str) -> str:
        """The name, or the first free one behind it.

        Raises:
            ExportError: it is none for a directory.
        """
        if not _is_plain(name) or "/" in name or name.startswith("."):
            raise ExportError(f"the server gives a name that no directory has: {name[:200]!r}")
        found, number = name, 1
        while not self.is_free(found):
            number += 1
            found = f"{name}-{number}"
        self.taken.add(found)
        return found

    def is_free(self, name: str) -> bool:
        return name not in self.taken and name not in self.kept


def directories(
    name: str, versions: Sequence[ExportedVersion], names: Names, *, own: bool = False
) -> list[ExportedModel]:
    """A model's versions as directories: one, where they are served alike.

    Triton's configuration is a model's and not a version's: those that are served otherwise get
    a directory of their own.

    Args:
        own: the name is what it is called in Nereid.
    """
    newest = max(versions, key=lambda one: one.number)
    alike = _alike(versions, newest)
    ordered = tuple(sorted(alike, key=lambda one: one.number))
    found = [ExportedModel(names.own(name) if own else names.take(name), ordered, _lost(ordered))]
    for one in sorted(versions, key=lambda one: one.number):
        if one in alike:
            continue
        apart = names.take(f"{name}-v{one.number}")
        note = (
            f"{one.model}:{one.number} is served otherwise than {newest.model}:{newest.number}: it "
            f"is the model {apart}"
        )
        found.append(ExportedModel(apart, (one,), (note, *_lost((one,)))))
    return found


def _alike(versions: Sequence[ExportedVersion], newest: ExportedVersion) -> list[ExportedVersion]:
    """Those that can lie in the newest one's directory: no file beside them is another's, too."""
    found, shared = [newest], _beside(newest)
    for one in sorted(versions, key=lambda one: -one.number):
        mine = _beside(one)
        same = _without_policy(one.config) == _without_policy(newest.config)
        if one is newest or not same:
            continue
        if all(shared.get(path, digest) == digest for path, digest in mine.items()):
            found.append(one)
            shared |= mine
    return found


def _without_policy(config: Document) -> str:
    kept = {key: value for key, value in config.items() if key != "version_policy"}
    return json.dumps(kept, sort_keys=True)


def _beside(one: ExportedVersion) -> dict[str, str]:
    """The files that all versions of a directory share."""
    folder = f"{one.number}/"
    return {path: digest for path, digest in one.files.items() if not path.startswith(folder)}


def _lost(versions: Sequence[ExportedVersion]) -> tuple[str, ...]:
    return tuple(f"{one.model}:{one.number}: {lost}" for one in versions for lost in one.lost)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """`config.pbtxt`, printed from Triton's own message."""
    from google.protobuf import json_format, text_format
    from tritonclient.grpc import model_config_pb2

    message = json_format.ParseDict(dict(config), model_config_pb2.ModelConfig())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(text_format.MessageToString(message))


def write_ensemble(folder: Path, ensemble: ExportedEnsemble) -> None:
    """A pipeline's files: its version is a folder that is there, with its code where it has some.

    Raises:
        ExportError: the server names a file outside of the directory.
    """
    (folder / ENSEMBLE_VERSION).mkdir()
    for path, source in ensemble.code.items():
        _place(source, folder / ENSEMBLE_VERSION / path)
    for path, text in ensemble.texts.items():
        if not _is_plain(path):
            raise ExportError(f"the server names a file outside of its directory: {path[:200]!r}")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="")


def write_files(folder: Path, version: ExportedVersion, download: Path) -> None:
    """The version's files from its download, each known by its digest.

    Raises:
        ExportError: one that the server named is not in it.
    """
    wanted: dict[str, list[str]] = {}
    for path, digest in version.files.items():
        if not _is_plain(path):
            raise ExportError(f"the server names a file outside of its directory: {path[:200]!r}")
        wanted.setdefault(digest, []).append(path)
    (folder / str(version.number)).mkdir(parents=True, exist_ok=True)
    if version.artifact in wanted:
        for path in wanted.pop(version.artifact):
            _place(download, folder / path)
    for file in _members(download) if wanted else ():
        with file as source:
            _keep(source, folder, wanted)
    if wanted:
        [missing, *_] = sorted(path for paths in wanted.values() for path in paths)
        raise ExportError(f"the download of {version.model}:{version.number} has no {missing}")


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return bool(path) and all(part not in ("", ".", "..") for part in parts) and "\\" not in path


def _members(download: Path) -> Iterator[IO[bytes]]:
    """The files of an archive; their names are not believed, only their content is."""
    with download.open("rb") as file:
        start = file.read(4)
    # By its first bytes: a tar of a zip ends like one.
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(download) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield archive.open(entry)
        return
    with tarfile.open(download, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                yield content


def _keep(source: IO[bytes], folder: Path, wanted: dict[str, list[str]]) -> None:
    """Writes a member where it belongs; one that nobody wants is dropped."""
    draft = folder / ".member"
    digest = hashlib.sha256()
    with draft.open("wb") as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
    for path in wanted.pop(digest.hexdigest(), ()):
        _place(draft, folder / path)
    draft.unlink()


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
