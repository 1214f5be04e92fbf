"""A reader of the part of Kustomize that deploy/kubernetes uses; anything else it refuses.

Resources, components, strategic-merge patches by file (null takes a field away, `$patch: delete` an
object), one namespace, and images by name. A test holds it against `kubectl kustomize` where there
is one.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

READ = {"apiVersion", "kind", "namespace", "resources", "components", "patches", "images"}
WITHOUT_NAMESPACE = {"Namespace"}


def build(folder: Path) -> list[Document]:
    """Every object of a kustomization, as Kubernetes would be sent it.

    Raises:
        ValueError: it says something that this reader does not know, or a patch meets nothing.
    """
    said = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found: list[Document] = []
    for name in said.get("resources", []):
        found += build(folder / name) if (folder / name).is_dir() else documents(folder / name)
    return _apply(said, folder, found)


def documents(path: Path) -> list[Document]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def _apply(said: Document, folder: Path, found: list[Document]) -> list[Document]:
    if unknown := said.keys() - READ:
        raise ValueError(f"{folder}: this reader does not know {', '.join(sorted(unknown))}")
    for name in said.get("components", []):
        component = yaml.safe_load((folder / name / "kustomization.yaml").read_text())
        for path in component.get("resources", []):
            found = [*found, *documents(folder / name / path)]
        found = _apply({**component, "resources": []}, folder / name, found)
    for patch in said.get("patches", []):
        for change in documents(folder / patch["path"]):
            found = _patched(found, change, folder / patch["path"])
    if namespace := said.get("namespace"):
        for one in found:
            if one["kind"] not in WITHOUT_NAMESPACE:
                one["metadata"]["namespace"] = namespace
    for image in said.get("images", []):
        for one in found:
            _set_image(one, image)
    return found


def _patched(found: list[Document], change: Document, path: Path) -> list[Document]:
    target = (change["kind"], change["metadata"]["name"])
    if target not in {(one["kind"], one["metadata"]["name"]) for one in found}:
        raise ValueError(f"{path}: there is no {' '.join(target)} to patch")
    if change.get("$patch") == "delete":
        return [one for one in found if (one["kind"], one["metadata"]["name"]) != target]
    return [
        _merged(one, change) if (one["kind"], one["metadata"]["name"]) == target else one
        for one in found
    ]


def _merged(old: Any, new: Any) -> Any:
    """Kubernetes' strategic merge, of maps, and of lists whose entries have names."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
        return {key: value for key, value in both.items() if new.get(key, value) is not None}
    if _named(old) and _named(new):
        changes = {one["name"]: one for one in new}
        kept = [_merged(one, changes.pop(one["name"], {})) for one in old]
        return [*kept, *changes.values()]
    return copy.deepcopy(new)


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value)


def _set_image(node: Any, image: Document) -> None:
    if isinstance(node, dict):
        named = node.get("image")
        if isinstance(named, str) and named == image["name"]:
            node["image"] = f"{image.get('newName', named)}:{image['newTag']}"
        for value in node.values():
            _set_image(value, image)
    elif isinstance(node, list):
        for value in node:
            _set_image(value, image)
