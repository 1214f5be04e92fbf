"""The Kubernetes objects are what the schemas allow, and keep the promises made of them."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from control_plane.adapters.edge.binary import WHEEL
from control_plane.adapters.s3.place import BucketPlace
from control_plane.adapters.secret_files import SECRETS
from control_plane.domain.edge.files import BOOTSTRAP
from control_plane.domain.monitoring.catalogue import NAMES
from control_plane.domain.monitoring.scaling import adapter_rules
from control_plane.domain.placement.memory import parse_bytes
from stack import triton
from stack.passed_on import PASSED_ON
from stack.settings import CHECKOUT
from tests.support.kustomize import build, documents
from workers.node import STOP_PATIENCE_S

FOLDER = CHECKOUT / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "cpu-edge", "bucket")
SCHEMAS = ("1.31", "1.37")
"""The oldest that these objects are written for, and the newest that there is a schema of."""

Found = dict[str, Any]
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
GIB = 1 << 30


@functools.cache
def built(overlay: str) -> tuple[Found, ...]:
    return tuple(build(FOLDER / "overlays" / overlay))


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest) -> tuple[Found, ...]:
    return built(request.param)


def of_kind(objects: tuple[Found, ...], *kinds: str) -> list[Found]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: tuple[Found, ...], kind: str, name: str) -> Found:
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pods(objects: tuple[Found, ...]) -> Iterator[tuple[Found, Found]]:
    """Every workload, with its pod's spec."""
    for one in of_kind(objects, *WORKLOADS):
        yield one, one["spec"]["template"]["spec"]


def containers(objects: tuple[Found, ...]) -> Iterator[tuple[str, Found, Found]]:
    """Every container, those that run first included: where it is, its pod, itself."""
    for workload, pod in pods(objects):
        for one in (*pod.get("initContainers", []), *pod["containers"]):
            yield f"{workload['metadata']['name']}/{one['name']}", pod, one


def container(objects: tuple[Found, ...], place: str) -> Found:
    (found,) = [one for name, _, one in containers(objects) if name == place]
    return found


def variables(one: Found) -> dict[str, Found]:
    return {said["name"]: said for said in one.get("env", [])}


def bytes_of(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * (1 << 20 if unit == "Mi" else 1 << 30)


@pytest.mark.parametrize("version", SCHEMAS)
def test_the_schemas_allow_them(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = functools.cache(kubernetes_validate.utils.schema_contents)
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", read)  # not once an object
    others = [one for overlay in OVERLAYS[1:] for one in built(overlay) if one not in built("cpu")]
    for one in (*built("cpu"), *others):
        kubernetes_validate.validate(one, version, strict=True)


def test_everything_is_in_the_one_namespace(objects: tuple[Found, ...]) -> None:
    (namespace,) = of_kind(objects, "Namespace")
    for one in objects:
        if one is not namespace:
            assert one["metadata"]["namespace"] == namespace["metadata"]["name"], one["metadata"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_reader_reads_as_kustomize_does(overlay: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl here")
    told = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / "overlays" / overlay)],
        capture_output=True,
        check=True,
    )
    theirs = [one for one in yaml.safe_load_all(told.stdout) if one is not None]
    assert in_order(theirs) == in_order(list(built(overlay)))


def in_order(node: Any) -> Any:
    """The same with every list of named things by name: their order says nothing."""
    if isinstance(node, dict):
        return {key: in_order(value) for key, value in node.items()}
    if isinstance(node, list):
        return sorted(
            (in_order(value) for value in node), key=lambda one: json.dumps(one, sort_keys=True)
        )
    return node


def test_no_two_are_the_same_and_all_say_what_they_are_part_of(objects: tuple[Found, ...]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)
    for one in objects:
        assert one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "nereid", one["metadata"]


def test_every_variable_is_one_that_somebody_reads(objects: tuple[Found, ...]) -> None:
    settings = [*(CHECKOUT / "control_plane" / "settings").glob("*.py")]
    scripts = [CHECKOUT / "deploy" / "start_triton.sh"]
    others = [
        CHECKOUT / "control_plane/adapters/perf_analyzer/binary.py",
        CHECKOUT / "control_plane/adapters/edge/environment.py",
        CHECKOUT / "workers/edge.py",
    ]
    text = "\n".join(path.read_text() for path in (*settings, *scripts, *others))
    read = set(re.findall(r"\b(?:NEREID|DATABASE|CELERY)_[A-Z0-9_]+\b", text)) | {"HOME"}
    read |= {f"{name}_FILE" for name in SECRETS}
    # Some are read by names that are put together, some by OpenTelemetry's own package.
    read |= set(PASSED_ON)
    for place, _, one in containers(objects):
        values = " ".join(str(said.get("value", "")) for said in one.get("env", []))
        for name in variables(one):
            assert name in read or f"$({name})" in values, f"{place}: nobody reads {name}"
    assert set(named(objects, "ConfigMap", "nereid-settings")["data"]) <= read


def test_a_variable_refers_to_those_before_it(objects: tuple[Found, ...]) -> None:
    """Kubernetes fills in what it has read already, of the container's own list alone."""
    for place, _, one in containers(objects):
        known: set[str] = set()
        for said in one.get("env", []):
            wanted = set(re.findall(r"\$\((\w+)\)", said.get("value", "")))
            assert wanted <= known, f"{place}: {said['name']}"
            known.add(said["name"])


def test_no_secret_is_written_down(objects: tuple[Found, ...]) -> None:
    assert not of_kind(objects, "Secret")
    for place, _, one in containers(objects):
        for name, said in variables(one).items():
            if re.search(r"PASSWORD|SECRET|KEY|TOKEN|DATABASE_URL|BROKER_URL", name):
                # In a file: an environment is read by whoever sees /proc, and printed by crashes.
                assert name.endswith("_FILE"), f"{place}: {name}"
                assert said["value"].startswith("/run/secrets/"), f"{place}: {name}"
    for settings in of_kind(objects, "ConfigMap"):
        for name, value in settings["data"].items():
            assert not re.search(r"PASSWORD|SECRET|KEY|TOKEN|_URL$", name) or not value, name


def test_every_secret_that_is_read_is_one_that_the_page_makes(objects: tuple[Found, ...]) -> None:
    made = set(
        re.findall(r"--from-file=(\w+)|--from-literal=(\w+)", (FOLDER / "README.md").read_text())
    )
    keys = {name for pair in made for name in pair if name}
    read = set()
    for _, pod, one in containers(objects):
        for said in one.get("env", []):
            if reference := said.get("valueFrom", {}).get("secretKeyRef"):
                assert reference["name"] == "nereid-secrets"
                read.add(reference["key"])
        for volume in pod.get("volumes", []):
            if secret := volume.get("secret"):
                assert secret["secretName"] == "nereid-secrets"
                # Without `items` every secret would be there.
                read |= {item["key"] for item in secret["items"]}
    in_bucket = {"aws_credentials"}
    assert read == (keys if "aws_credentials" in read else keys - in_bucket)


def test_a_secret_lies_where_it_is_read(objects: tuple[Found, ...]) -> None:
    for place, pod, one in containers(objects):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        there = {
            f"{mount['mountPath']}/{item['path']}"
            for mount in one.get("volumeMounts", [])
            for item in volumes.get(mount["name"], {}).get("secret", {}).get("items", [])
        }
        for name, said in variables(one).items():
            if name.endswith("_FILE"):
                assert said["value"] in there, f"{place}: {name}"


def test_the_control_key_is_beside_triton_alone(objects: tuple[Found, ...]) -> None:
    holders: dict[str, set[str]] = {}
    for place, pod, one in containers(objects):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for mount in one.get("volumeMounts", []):
            for item in volumes.get(mount["name"], {}).get("secret", {}).get("items", []):
                holders.setdefault(item["key"], set()).add(place)
    assert holders["control_key"] == {"nereid-triton/triton", "nereid-triton/node"}
    for key in ("secret_key", "database_url", "broker_url"):
        assert "nereid-triton/triton" not in holders[key], key
    assert "nereid-edge/envoy" not in set().union(*holders.values())


def test_every_container_is_locked_in(objects: tuple[Found, ...]) -> None:
    for workload, pod in pods(objects):
        name = workload["metadata"]["name"]
        assert pod["automountServiceAccountToken"] is False, name
        # Else every Service sets variables, NEREID_…_PORT among them.
        assert pod["enableServiceLinks"] is False, name
        said = pod["securityContext"]
        assert said["runAsNonRoot"] is True, name
        assert said["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
    for place, _, one in containers(objects):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, place


def test_every_container_has_bounds_and_what_runs_is_asked_for(objects: tuple[Found, ...]) -> None:
    for place, _, one in containers(objects):
        resources = one["resources"]
        assert {"cpu", "memory"} <= resources["requests"].keys(), place
        wanted, most = resources["requests"]["memory"], resources["limits"]["memory"]
        assert bytes_of(wanted) <= bytes_of(most), place
    for workload, pod in pods(objects):
        for one in pod["containers"] if workload["kind"] != "Job" else ():
            probes = {"startupProbe", "readinessProbe", "livenessProbe"}
            assert probes <= one.keys(), f"{workload['metadata']['name']}/{one['name']}"


def test_what_is_mounted_is_there(objects: tuple[Found, ...]) -> None:
    claims = {one["metadata"]["name"] for one in of_kind(objects, "PersistentVolumeClaim")}
    mounted = set()
    settings = {one["metadata"]["name"]: one["data"] for one in of_kind(objects, "ConfigMap")}
    for workload, pod in pods(objects):
        templates = workload["spec"].get("volumeClaimTemplates", [])
        volumes = {one["name"]: one for one in pod.get("volumes", [])}
        known = volumes.keys() | {one["metadata"]["name"] for one in templates}
        for one in volumes.values():
            if claim := one.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims
                mounted.add(claim["claimName"])
        for one in (*pod.get("initContainers", []), *pod["containers"]):
            mounts = one.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= known, one["name"]
            paths = {mount["mountPath"] for mount in mounts}
            assert len(paths) == len(mounts), one["name"]
            # The image is read-only, and Python, gunicorn and Triton want to write somewhere.
            assert "/tmp" in paths or one["name"] == "place", one["name"]  # noqa: S108 - a volume
            for said in one.get("env", []):
                if reference := said.get("valueFrom", {}).get("configMapKeyRef"):
                    assert reference["key"] in settings[reference["name"]]
            for source in one.get("envFrom", []):
                assert source["configMapRef"]["name"] in settings
    assert mounted == claims, "and what is claimed is mounted"


def labels_of(objects: tuple[Found, ...]) -> list[dict[str, str]]:
    return [one["spec"]["template"]["metadata"]["labels"] for one in of_kind(objects, *WORKLOADS)]


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_selectors_meet_one_workload_each(objects: tuple[Found, ...]) -> None:
    for one in of_kind(objects, "Deployment", "StatefulSet"):
        assert selects(
            one["spec"]["selector"]["matchLabels"], one["spec"]["template"]["metadata"]["labels"]
        )
    selectors = [
        *(one["spec"]["selector"] for one in of_kind(objects, "Service")),
        *(
            one["spec"]["selector"]["matchLabels"]
            for one in of_kind(objects, "PodDisruptionBudget")
        ),
        *(one["spec"]["selector"]["matchLabels"] for one in of_kind(objects, "Deployment")),
    ]
    for selector in selectors:
        met = [labels for labels in labels_of(objects) if selects(selector, labels)]
        assert len(met) == 1, selector


def test_a_policy_that_opens_something_opens_it_for_somebody(objects: tuple[Found, ...]) -> None:
    numbers = {
        port["containerPort"] for _, _, one in containers(objects) for port in one.get("ports", [])
    }
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(objects, "NetworkPolicy")}
    everything = policies.pop("nereid-nothing-else")
    assert everything["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & everything.keys()
    for labels in labels_of(objects):
        assert selects(everything["podSelector"]["matchLabels"], labels)
    for name, spec in policies.items():
        chosen = spec["podSelector"]["matchLabels"]
        assert any(selects(chosen, labels) for labels in labels_of(objects)), name
        for rule in spec.get("ingress", []):
            assert rule["from"], name
            assert {port["port"] for port in rule["ports"]} <= numbers, name
        for rule in (*spec.get("ingress", []), *spec.get("egress", [])):
            for peer in (*rule.get("from", []), *rule.get("to", [])):
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    wanted = peer["podSelector"]["matchLabels"]
                    assert any(selects(wanted, labels) for labels in labels_of(objects)), name


def test_ports_agree(objects: tuple[Found, ...]) -> None:
    for workload, pod in pods(objects):
        own = {
            port["name"]: port["containerPort"]
            for one in pod["containers"]
            for port in one.get("ports", [])
        }
        for one in pod["containers"]:
            mine = {port["name"] for port in one.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if asked := one.get(probe, {}).get("httpGet"):
                    port = asked["port"]
                    assert port in mine or port in own.values(), f"{one['name']}: {probe}"
        for service in of_kind(objects, "Service"):
            if selects(
                service["spec"]["selector"], workload["spec"]["template"]["metadata"]["labels"]
            ):
                for port in service["spec"]["ports"]:
                    assert own[port["targetPort"]] == port["port"], service["metadata"]["name"]


def test_a_server_is_registered_where_it_listens(objects: tuple[Found, ...]) -> None:
    listens = {
        port["name"]: port["containerPort"]
        for name in ("triton", "node")
        for port in container(objects, f"nereid-triton/{name}")["ports"]
    }
    told = {
        name: said.get("value", "")
        for name, said in variables(container(objects, "nereid-triton/node")).items()
    }
    assert told["NEREID_TRITON_URL"] == f"$(POD_ADDRESS):{listens['http']}"
    assert told["NEREID_TRITON_GRPC"] == f"$(POD_ADDRESS):{listens['grpc']}"
    assert told["NEREID_TRITON_METRICS"] == f"http://$(POD_ADDRESS):{listens['metrics']}/metrics"
    assert told["NEREID_NODE_PORT"] == str(listens["gate"])
    assert told["NEREID_NODE_GATE"] == f"$(POD_ADDRESS):{listens['gate']}"
    pod_set = named(objects, "StatefulSet", "nereid-triton")
    service = named(objects, "Service", pod_set["spec"]["serviceName"])
    assert service["spec"]["clusterIP"] == "None"
    # A node reaches its Triton by this name, also before it is ready.
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert f".{service['metadata']['name']}." in told["POD_ADDRESS"]


def test_a_node_finds_what_triton_leaves_for_it_as_in_compose(objects: tuple[Found, ...]) -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    theirs = compose["services"]["node"]["environment"]
    ours = variables(container(objects, "nereid-triton/node"))
    for name in theirs.keys() - compose["x-nereid"]["environment"].keys():
        assert ours[name]["value"] == theirs[name], name


def test_ready_is_what_the_gate_says(objects: tuple[Found, ...]) -> None:
    gate = (CHECKOUT / "workers" / "gate.py").read_text()
    port = variables(container(objects, "nereid-triton/node"))["NEREID_NODE_PORT"]["value"]
    for name in ("triton", "node"):
        asked = container(objects, f"nereid-triton/{name}")["readinessProbe"]["httpGet"]
        assert (asked["path"], str(asked["port"])) == ("/ready", port)
        assert f'path == "{asked["path"]}"' in gate
    lives = container(objects, "nereid-triton/node")["livenessProbe"]["httpGet"]
    assert f'path == "{lives["path"]}"' in gate
    # A gate that nobody outside the pod reaches would keep every pod out.
    assert variables(container(objects, "nereid-triton/node"))["NEREID_BIND"]["value"] == "0.0.0.0"


def test_a_pod_of_tritons_waits_for_no_database(objects: tuple[Found, ...]) -> None:
    pod = named(objects, "StatefulSet", "nereid-triton")["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["initContainers"]] == ["place"]
    assert not pod["initContainers"][0].get("env")


def test_a_pod_has_the_time_to_end_that_its_parts_take(objects: tuple[Found, ...]) -> None:
    pod = named(objects, "StatefulSet", "nereid-triton")["spec"]["template"]["spec"]
    script = (CHECKOUT / "deploy" / "start_triton.sh").read_text()
    exit_s = int(re.search(r"--exit-timeout-secs=(\d+)", script)[1])  # type: ignore[index]
    for one in pod["containers"]:
        command, seconds = one["lifecycle"]["preStop"]["exec"]["command"]
        assert command == "sleep"
        longest = int(seconds) + max(exit_s, STOP_PATIENCE_S)
        assert longest < pod["terminationGracePeriodSeconds"]


def test_memory_holds_the_uploads_that_are_read_at_once(objects: tuple[Found, ...]) -> None:
    data = named(objects, "ConfigMap", "nereid-settings")["data"]
    one = int(data["NEREID_INSPECTION_MEMORY_BYTES"])
    worker, api = (
        container(objects, place) for place in ("nereid-worker/worker", "nereid-api/api")
    )
    at_once = int(worker["args"][worker["args"].index("--validations") + 1])
    assert at_once * one + GIB <= bytes_of(worker["resources"]["limits"]["memory"])
    assert one + GIB <= bytes_of(api["resources"]["limits"]["memory"])


def test_what_models_may_take_leaves_triton_room(objects: tuple[Found, ...]) -> None:
    said = variables(container(objects, "nereid-triton/node"))["NEREID_SERVER_MEMORY"]["value"]
    most = container(objects, "nereid-triton/triton")["resources"]["limits"]["memory"]
    pod = named(objects, "StatefulSet", "nereid-triton")["spec"]["template"]["spec"]
    (shm,) = [one["emptyDir"] for one in pod["volumes"] if one["name"] == "shm"]
    models = parse_bytes(said)
    assert models is not None
    assert models + bytes_of(shm["sizeLimit"]) < bytes_of(most)
    # The node's environment has the database's address: code in Triton must not see its process.
    assert not pod.get("shareProcessNamespace")


def test_what_an_api_is_asked_while_its_database_is_away_is_a_file(
    objects: tuple[Found, ...],
) -> None:
    api = container(objects, "nereid-api/api")
    path = api["livenessProbe"]["httpGet"]["path"].removeprefix("/static/")
    import unfold

    assert (Path(unfold.__file__).parent / "static" / path).is_file()
    hosts = named(objects, "ConfigMap", "nereid-settings")["data"]["NEREID_ALLOWED_HOSTS"].split(
        ","
    )
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        (header,) = api[probe]["httpGet"]["httpHeaders"]
        assert header["name"] == "Host"
        assert header["value"] in hosts


def test_there_is_one_clock_and_it_is_never_two(objects: tuple[Found, ...]) -> None:
    beat = named(objects, "Deployment", "nereid-beat")["spec"]
    assert (beat["replicas"], beat["strategy"]["type"]) == (1, "Recreate")


def test_the_store_is_for_many_and_nodes_only_read_it(objects: tuple[Found, ...]) -> None:
    store = named(objects, "ConfigMap", "nereid-settings")["data"]["NEREID_ARTIFACT_STORE"]
    claims = of_kind(objects, "PersistentVolumeClaim")
    assert bool(store) != bool(claims), "a bucket, or claims"
    for claim in claims:
        assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for place, _, one in containers(objects):
        for mount in one.get("volumeMounts", []):
            if mount["name"] == "artifacts":
                assert mount["mountPath"] == "/var/lib/nereid/artifacts"
                reads_only = place == "nereid-triton/node" and not store
                assert mount.get("readOnly", False) == reads_only
    triton_sees = {m["name"]: m for m in container(objects, "nereid-triton/triton")["volumeMounts"]}
    assert triton_sees["state"]["readOnly"] is True


def test_caches_of_a_bucket_fit_their_volumes_and_triton_has_no_credentials() -> None:
    objects = built("bucket")
    data = named(objects, "ConfigMap", "nereid-settings")["data"]
    for name in ("NEREID_ARTIFACT_STORE", "NEREID_RECORDING_STORE"):
        BucketPlace.of(data[name])
    assert data["NEREID_RECORDING_STORE"] != data["NEREID_ARTIFACT_STORE"]
    most = int(data["NEREID_ARTIFACT_CACHE_BYTES"])
    holders = set()
    for place, pod, one in containers(objects):
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for mount in one.get("volumeMounts", []):
            volume = volumes.get(mount["name"], {})
            if mount["name"] == "artifacts":
                assert most < bytes_of(volume["emptyDir"]["sizeLimit"]), place
            files = {item["path"] for item in volume.get("secret", {}).get("items", [])}
            if data["AWS_SHARED_CREDENTIALS_FILE"] in {f"{mount['mountPath']}/{f}" for f in files}:
                holders.add(place)
    running = {"nereid-api/api", "nereid-worker/worker", "nereid-triton/node"}
    assert running <= holders
    assert "nereid-triton/triton" not in holders


def test_who_has_recordings_may_write_them_and_triton_has_none(objects: tuple[Found, ...]) -> None:
    data = named(objects, "ConfigMap", "nereid-settings")["data"]
    store = data.get("NEREID_RECORDING_CACHE") or data["NEREID_RECORDING_STORE"]
    mounted = {
        place: mount.get("readOnly", False)
        for place, _, one in containers(objects)
        for mount in one.get("volumeMounts", [])
        if mount["name"] == "recordings" and mount["mountPath"] == store
    }
    assert mounted == dict.fromkeys(
        ("nereid-api/api", "nereid-worker/worker", "nereid-triton/node"), False
    )


def test_the_autoscaler_scales_what_is_there_by_what_there_is(objects: tuple[Found, ...]) -> None:
    (autoscaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    target = autoscaler["spec"]["scaleTargetRef"]
    found = named(objects, target["kind"], target["name"])
    assert found["apiVersion"] == target["apiVersion"]
    assert autoscaler["spec"]["minReplicas"] <= found["spec"]["replicas"]
    rules = adapter_rules()["rules"]
    asked = {one["pods"]["metric"]["name"] for one in autoscaler["spec"]["metrics"]}
    assert asked == {rule["name"]["as"] for rule in rules}
    for rule in rules:
        series = set(re.findall(r"nv_\w+", rule["seriesQuery"] + rule["metricsQuery"]))
        assert series <= NAMES.keys()


def test_images_are_named_with_their_version(objects: tuple[Found, ...]) -> None:
    for place, _, one in containers(objects):
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", one["image"]), place
    own = {one["image"] for _, _, one in containers(objects) if "/nereid:" in one["image"]}
    assert len(own) == 1, "components name the base's"
    compose = (CHECKOUT / "docker-compose.yml").read_text()
    assert container(objects, "nereid-triton/triton")["image"] in compose


def test_envoy_reads_what_is_written_beside_it_and_is_let_through_to_each_gate() -> None:
    edge = built("cpu-edge")
    envoy, files = container(edge, "nereid-edge/envoy"), container(edge, "nereid-edge/files")
    told = {name: said.get("value") for name, said in variables(files).items()}
    folder = told["NEREID_EDGE_FOLDER"]
    for one in (envoy, files):
        assert {"name": "edge", "mountPath": folder} in one["volumeMounts"]
    assert envoy["args"][envoy["args"].index("--config-path") + 1] == f"{folder}/{BOOTSTRAP}"
    # It runs beside it, and is ready before it: a container of those that start first, and stays.
    assert files["restartPolicy"] == "Always"
    assert files["startupProbe"]["exec"]["command"][-1] == f"{folder}/{BOOTSTRAP}"
    listens = {port["name"]: str(port["containerPort"]) for port in envoy["ports"]}
    assert told["NEREID_EDGE_HTTP_PORT"] == listens["http"]
    assert told["NEREID_EDGE_GRPC_PORT"] == listens["grpc"]
    assert told["NEREID_EDGE_BIND"] == "0.0.0.0"
    beside = [container(edge, f"nereid-triton/{name}") for name in ("node", "triton")]
    ports = [port for one in beside for port in one["ports"]]
    wanted = {port["containerPort"] for port in ports if port["name"] != "metrics"}
    out = named(edge, "NetworkPolicy", "nereid-edge")["spec"]["egress"]
    into = named(edge, "NetworkPolicy", "nereid-triton-from-the-edge")["spec"]["ingress"]
    for [rule] in (out, into):
        assert {port["port"] for port in rule["ports"]} == wanted
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    assert envoy["image"] in compose["services"]["edge"]["image"]
    assert envoy["image"].endswith(f":v{WHEEL.partition('==')[2]}")


def test_placed_backends_are_those_that_triton_finds_on_one_machine(tmp_path: Path) -> None:
    """The script runs beside a router that was not compiled, for what it says is not asked here."""
    for folder in (
        "deploy",
        "backends/python_based",
        "backends/cascade",
        "backends/weighted_average",
    ):
        shutil.copytree(CHECKOUT / folder, tmp_path / "opt" / folder)
    router = tmp_path / "opt/backends/traffic/build/libtriton_traffic.so"
    router.parent.mkdir(parents=True)
    router.write_bytes(b"a library")
    args = container(built("cpu"), "nereid-triton/place")["args"][-1]
    backends = re.search(r"/placed ([\w ]+) &&", args)[1].split()  # type: ignore[index]
    script = tmp_path / "opt/deploy/place_backends.sh"
    subprocess.run(["/bin/sh", script, tmp_path / "placed", *backends], check=True)
    theirs = triton.assemble_backend_directory(tmp_path / "node", traffic_library=router)
    for name in ("traffic", *backends):
        placed = tmp_path / "placed/backends" / name
        assert files(placed) == files(theirs / name), name
    mounts = container(built("cpu"), "nereid-triton/triton")["volumeMounts"]
    seen = {mount["subPath"] for mount in mounts if mount["name"] == "placed"}
    assert seen == {"scripts", *(f"backends/{name}" for name in ("traffic", *backends))}
    for mount in mounts:
        if mount["name"] == "placed":
            assert (tmp_path / "placed" / mount["subPath"]).is_dir()
    started = container(built("cpu"), "nereid-triton/triton")["args"][-1]
    assert (tmp_path / "placed/scripts" / Path(started).name).is_file()


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_prometheus_finds_what_the_adapter_asks_for() -> None:
    (scraping,) = documents(FOLDER / "prometheus.yml")
    jobs = {job["job_name"]: job for job in scraping["scrape_configs"]}
    fleet = jobs["nereid-triton"]["relabel_configs"]
    assert {"namespace", "pod"} <= {one.get("target_label") for one in fleet}
    kept = next(one for one in fleet if one.get("action") == "keep")["regex"]
    component, port = kept.split(";")
    pod_set = named(built("cpu"), "StatefulSet", "nereid-triton")["spec"]["template"]
    assert pod_set["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ports = [one for c in pod_set["spec"]["containers"] for one in c["ports"]]
    assert port in {one["name"] for one in ports}
    (target,) = jobs["nereid-control-plane"]["static_configs"][0]["targets"]
    host, _, number = target.partition(":")
    settings = named(built("cpu"), "ConfigMap", "nereid-settings")["data"]
    assert host in settings["NEREID_ALLOWED_HOSTS"].split(",")
    service = named(built("cpu"), "Service", host.partition(".")[0])
    assert int(number) in {one["port"] for one in service["spec"]["ports"]}
