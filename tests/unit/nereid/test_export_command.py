"""`nereid export`: what is written, what is said of the rest, and what is never half written."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from nereid import backends
from nereid.cli import run
from nereid.cli import session as sessions
from nereid.errors import NereidError
from nereid.exporting import ExportedModel, ExportedVersion, Names, directories
from tests.support.control_plane_answers import FakeServer, answer, printed, problem, version

MISSING = problem(404, "Not Found")
CONFIG = {"backend": "onnxruntime", "max_batch_size": 8}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def told(
    number: int = 1, content: bytes = b"weights", model: str = "digits", **changes: Any
) -> dict[str, Any]:
    return {
        "model": model,
        "version": number,
        "backend": "onnxruntime",
        "ours": "NVIDIA's own backend of that name serves it as well",
        "config": CONFIG,
        "files": [{"path": f"{number}/model.onnx", "sha256": digest(content)}],
        "artifact": digest(content),
        "lost": [],
        **changes,
    }


def answers(*documents: dict[str, Any], content: bytes = b"weights") -> dict[str, Any]:
    """Of each version: what is written of it, and its download."""
    found: dict[str, Any] = {}
    for one in documents:
        path = f"/models/{one['model']}/versions/{one['version']}"
        held = {"sha256": one["artifact"], "size": 1, "filename": "model.onnx"}
        shown = version(one["version"], model=one["model"], artifact=held)
        found[f"GET {path}/export/"] = answer(one)
        found[f"GET {path}/"] = answer(shown)
        found[f"GET {path}/download"] = lambda _: httpx.Response(200, content=content)
    return found


def policy(*arms: tuple[int, float], **more: Any) -> httpx.Response:
    listed = [
        {
            "name": f"v{number}",
            "model": "digits",
            "version": number,
            "weight": weight,
            "primary": not i,
        }
        for i, (number, weight) in enumerate(arms)
    ]
    return answer({"arms": listed, "mode": "weighted", **more}, ETag='"1"')


def test_a_version_is_a_directory_that_triton_reads(tmp_path: Path) -> None:
    server = FakeServer(answers(told(2)))
    session = server.session(tmp_path)
    target = tmp_path / "out" / "models"
    assert run(["export", "digits:2", str(target)], session) == 0
    assert (target / "digits/2/model.onnx").read_bytes() == b"weights"
    config = (target / "digits/config.pbtxt").read_text()
    assert 'name: "digits"' in config
    assert "max_batch_size: 8" in config
    assert "onnxruntime" in (target / "README.md").read_text()
    assert sorted(path.name for path in target.parent.iterdir()) == ["models"]


def test_files_of_an_archive_lie_where_the_server_says(tmp_path: Path) -> None:
    files = {"top/model.py": b"code", "top/x": b"x", "top/__model__/labels.txt": b"cat"}
    content = archive(**files)
    listed = [
        {"path": "3/model.py", "sha256": digest(b"code")},
        {"path": "3/x", "sha256": digest(b"x")},
        {"path": "labels.txt", "sha256": digest(b"cat")},
    ]
    one = told(3, content, files=listed, lost=["its golden examples"])
    session = FakeServer(answers(one, content=content)).session(tmp_path)
    assert run(["export", "digits:3", str(tmp_path / "out")], session) == 0
    folder = tmp_path / "out/digits"
    found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    config = found.pop("config.pbtxt")
    assert b"onnxruntime" in config
    assert found == {"3/model.py": b"code", "3/x": b"x", "labels.txt": b"cat"}
    assert "its golden examples" in printed(session.out)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "1/../../x", "a//b", ""])
def test_a_server_writes_nothing_outside_of_the_directory(tmp_path: Path, path: str) -> None:
    one = told(files=[{"path": path, "sha256": digest(b"weights")}])
    session = FakeServer(answers(one)).session(tmp_path)
    assert run(["export", "digits:1", str(tmp_path / "out")], session) == 1
    assert not (tmp_path / "out").exists()
    assert "outside" in printed(session.err)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", ".hidden"])
def test_a_server_names_no_directory_outside_of_the_one_that_is_made(
    tmp_path: Path, name: str
) -> None:
    everything = {"GET /pipelines/": [], "GET /endpoints/": [], "GET /models/": [{"name": name}]}
    server = FakeServer(
        {
            **{path: answer({"results": rows, "next": None}) for path, rows in everything.items()},
            f"GET /models/{name}/versions/": answer({"results": [version(1)], "next": None}),
            f"GET /models/{name}/versions/1/export/": answer(told(1)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "--all", str(tmp_path / "out")], session) == 1
    assert list(tmp_path.iterdir()) == []
    assert "a name that no directory has" in printed(session.err)


def test_an_arm_leaves_its_name_to_the_endpoint_that_has_it(tmp_path: Path) -> None:
    server = FakeServer(
        {
            "GET /endpoints/shop/policy/": policy((1, 90), (2, 10)),
            "GET /endpoints/shop-v2/policy/": policy((3, 100)),
            **answers(told(1), told(2), told(3)),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "shop", "shop-v2", str(tmp_path / "out"), "--json"], session) == 0
    found = {one["name"]: one["versions"] for one in json.loads(printed(session.out))["models"]}
    assert found == {"shop": ["digits:1"], "shop-v2-2": ["digits:2"], "shop-v2": ["digits:3"]}


def test_versions_with_other_files_beside_them_do_not_lie_in_one_directory() -> None:
    """The newest has no greeting: those of the other two would be written over each other."""

    def greeting(number: int, text: str) -> ExportedVersion:
        files = [{"path": "greeting.txt", "sha256": text}]
        return ExportedVersion.from_json(told(number, files=files))

    versions = [greeting(1, "hello"), greeting(2, "good day"), exported(3)]
    newest, other = directories("m", versions, Names())
    assert [one.number for one in newest.versions] == [2, 3]
    assert (other.name, [one.number for one in other.versions]) == ("m-v1", [1])


def test_a_download_that_lacks_a_file_leaves_nothing_behind(tmp_path: Path) -> None:
    content = archive(other=b"other")
    one = told(1, content, files=[{"path": "1/model.py", "sha256": digest(b"code")}])
    session = FakeServer(answers(one, content=content)).session(tmp_path)
    assert run(["export", "digits:1", str(tmp_path / "out")], session) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays_unless_it_is_forced_and_goes_only_for_a_whole_one(
    tmp_path: Path,
) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "mine").write_text("mine")
    command = ["export", "digits:1", str(target)]
    session = FakeServer(answers(told())).session(tmp_path)
    assert run(command, session) == 1
    assert "--force" in printed(session.err)
    broken = {**answers(told()), "GET /models/digits/versions/1/download": MISSING}
    assert run([*command, "--force"], FakeServer(broken).session(tmp_path)) == 1
    assert (target / "mine").exists()
    assert run([*command, "--force"], FakeServer(answers(told())).session(tmp_path)) == 0
    assert not (target / "mine").exists()
    assert (target / "digits/1/model.onnx").exists()
    assert list(tmp_path.iterdir()) == [target]


def test_an_endpoint_is_the_model_of_its_name(tmp_path: Path) -> None:
    server = FakeServer({"GET /endpoints/shop/policy/": policy((1, 100)), **answers(told())})
    session = server.session(tmp_path)
    assert run(["export", "shop", str(tmp_path / "out"), "--json"], session) == 0
    assert json.loads(printed(session.out)) == {
        "directory": str(tmp_path / "out"),
        "models": [{"name": "shop", "versions": ["digits:1"]}],
        "ensembles": [],
        "backends": {"onnxruntime": "NVIDIA's own backend of that name serves it as well"},
        "notes": [],
    }


def test_a_split_is_told_and_no_arm_is_lost(tmp_path: Path) -> None:
    shared = policy((1, 90), (2, 10), sticky={"key": "header:x-user-id"})
    server = FakeServer({"GET /endpoints/shop/policy/": shared, **answers(told(1), told(2))})
    session = server.session(tmp_path)
    assert run(["export", "shop", str(tmp_path / "out")], session) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["README.md", "shop", "shop-v2"]
    for said in ("digits:1 90 %, digits:2 10 %", "x-user-id"):
        assert said in printed(session.out)
        assert said in (tmp_path / "out/README.md").read_text()


def test_all_has_endpoints_first_and_their_models_around_them(tmp_path: Path) -> None:
    documents = [told(number) for number in (1, 2, 3)]
    endpoint = {
        **{"name": "digits", "status": "Healthy", "generation": 1, "observed_generation": 1},
        "policy": json.loads(policy((2, 100)).content),
    }
    server = FakeServer(
        {
            "GET /pipelines/": answer({"results": [], "next": None}),
            "GET /endpoints/": answer({"results": [endpoint], "next": None}),
            "GET /models/": answer({"results": [{"name": "digits"}], "next": None}),
            "GET /models/digits/versions/": answer(
                {"results": [version(number) for number in (3, 2, 1)], "next": None}
            ),
            **answers(*documents),
        }
    )
    session = server.session(tmp_path)
    assert run(["export", "--all", str(tmp_path / "out")], session) == 0
    config = (tmp_path / "out/digits/config.pbtxt").read_text()
    assert "specific {\n    versions: 2\n  }" in config
    numbers = sorted(path.name for path in (tmp_path / "out/digits").iterdir())
    assert numbers == ["1", "2", "3", "config.pbtxt"]


@pytest.mark.parametrize(
    "arguments", [["out"], ["--all", "digits", "out"], ["--all"]], ids=lambda one: " ".join(one)
)
def test_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    session = FakeServer({}).session(tmp_path)
    assert run(["export", *arguments], session) == sessions.WRONG_USAGE


@pytest.mark.parametrize("target", ["nothing", "digits:x"])
def test_what_is_not_there_is_said(tmp_path: Path, target: str) -> None:
    server = FakeServer(
        {
            f"GET /endpoints/{target}/policy/": MISSING,
            f"GET /pipelines/{target}/": MISSING,
            f"GET /models/{target}/versions/": MISSING,
        }
    )
    session = server.session(tmp_path)
    assert run(["export", target, str(tmp_path / "out")], session) == 1
    assert target in printed(session.err)


def exported(number: int, policy: dict[str, Any] | None = None, **config: Any) -> ExportedVersion:
    kept = {"version_policy": policy} if policy else {}
    return ExportedVersion.from_json(told(number, config={**CONFIG, **config, **kept}))


def test_versions_that_are_served_otherwise_have_directories_of_their_own() -> None:
    versions = [exported(1, max_batch_size=4), exported(2), exported(3)]
    newest, other = directories("m", versions, Names())
    assert (newest.name, [one.number for one in newest.versions]) == ("m", [2, 3])
    assert (other.name, [one.number for one in other.versions]) == ("m-v1", [1])
    assert "served otherwise" in other.notes[0]


@pytest.mark.parametrize(
    ("numbers", "kept", "served", "policy"),
    [
        ((1,), None, None, None),
        ((1, 2), None, None, {"all": {}}),
        ((1, 2), {"latest": {}}, None, {"latest": {}}),
        ((1, 2), {"specific": {"versions": ["1", "3"]}}, None, {"specific": {"versions": [1]}}),
        ((2,), {"specific": {"versions": ["1"]}}, None, {"specific": {"versions": [2]}}),
        ((1, 2), {"latest": {}}, 1, {"specific": {"versions": [1]}}),
        ((1, 2), {"latest": {}}, 2, {"latest": {}}),
        ((1, 2), None, 2, None),
    ],
)
def test_the_version_policy_names_what_is_there(
    numbers: tuple[int, ...], kept: Any, served: int | None, policy: Any
) -> None:
    versions = tuple(exported(number, kept) for number in numbers)
    found = ExportedModel("m", versions, served=served).config
    assert found.get("version_policy") == policy


def test_backends_are_copied_whole(tmp_path: Path) -> None:
    found = backends.sources(["onnxruntime"])
    backends.copy(found, tmp_path / "b")
    names = {path.name for path in (tmp_path / "b/onnxruntime").iterdir()}
    assert {"model.py", "request_batch.py"} <= names
    with pytest.raises(NereidError, match="checkout"):
        backends.sources(["onnxruntime"], tmp_path)
