"""Renders the little of kustomize that this project's manifests use, so that testing them needs no further program.

Resources that are files or folders, `namespace`, `images`, and strategic merge patches. `test_kubernetes.py` compares
it with kubectl's own rendering, where there is one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
KNOWN = {"apiVersion", "kind", "resources", "namespace", "images", "patches"}
# Lists of objects that are merged one by one, and by which of their fields; any other list replaces the one before.
MERGED_BY = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
}
WITHOUT_NAMESPACE = {"Namespace"}


def read_objects(path: Path) -> list[Object]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found is not None]


def render(folder: Path) -> list[Object]:
    """The objects that `kubectl apply -k folder` would send.

    Raises:
        ValueError: the kustomization uses what is not known here, or a patch has no object.
    """
    (kustomization,) = read_objects(folder / "kustomization.yaml")
    if unknown := kustomization.keys() - KNOWN:
        raise ValueError(f"{folder}: {unknown} of kustomize is not rendered here")
    objects: list[Object] = []
    for name in kustomization["resources"]:
        path = folder / name
        objects += render(path) if path.is_dir() else read_objects(path)
    for patch in kustomization.get("patches", ()):
        for change in read_objects(folder / patch["path"]):
            _patch(objects, change)
    _rename_images(objects, {image["name"]: image for image in kustomization.get("images", ())})
    if namespace := kustomization.get("namespace"):
        for found in objects:
            if found["kind"] not in WITHOUT_NAMESPACE:
                found["metadata"]["namespace"] = namespace
    return objects


def containers(objects: list[Object]) -> Iterator[Object]:
    for found in objects:
        pod = pod_of(found)
        if pod is not None:
            yield from pod.get("initContainers", ())
            yield from pod["containers"]


def pod_of(found: Object) -> Object | None:
    """The spec of the pods that this object makes."""
    if found["kind"] not in {"Deployment", "StatefulSet", "Job"}:
        return None
    pod: Object = found["spec"]["template"]["spec"]
    return pod


def name_of(found: Object) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


def _rename_images(objects: list[Object], images: dict[str, Object]) -> None:
    for container in containers(objects):
        if new := images.get(container["image"].split(":")[0]):
            container["image"] = f"{new['newName']}:{new['newTag']}"


def _patch(objects: list[Object], change: Object) -> None:
    target = next((found for found in objects if name_of(found) == name_of(change)), None)
    if target is None:
        raise ValueError(f"there is no {name_of(change)} to patch")
    _merge(target, change)


def _merge(target: Object, change: Object) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif key in MERGED_BY and key in target:
            by = MERGED_BY[key]
            for item in value:
                same = next((found for found in target[key] if found[by] == item[by]), None)
                if same is None:
                    target[key].append(item)
                else:
                    _merge(same, item)
        else:
            target[key] = value
