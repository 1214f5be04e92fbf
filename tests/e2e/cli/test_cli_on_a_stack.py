"""The command, run as a person runs it, against a whole running stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from nereid import Client, ProblemError, policy_document
from nereid.inference import Predictor
from nereid.upload import sha256_of
from tests.support.serving import CHECKOUT, ServingStack

SAMPLE = CHECKOUT / "model_repository" / "samples" / "digits"
MODEL = "cli-digits"
ENDPOINT = "cli-split"
HARD_IMAGE = "10"  # version 1 gets it wrong, version 2 right

Nereid = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def nereid(serving_stack: ServingStack, tmp_path_factory: pytest.TempPathFactory) -> Nereid:
    """Runs the command where no login of a person's is found."""
    environment = {
        **serving_stack.environment,
        "XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config")),
    }

    def run(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nereid", *map(str, arguments)],
            cwd=CHECKOUT,
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def split(nereid: Nereid) -> str:
    """An endpoint of these tests' own: three requests of four to version 1, the rest to 2."""
    for number in ("v1", "v2"):
        done(nereid("push", MODEL, SAMPLE / number / "model.onnx", "--create"))
    done(nereid("deploy", ENDPOINT, f"{MODEL}:1=75", f"{MODEL}:2=25", "--create"))
    return ENDPOINT


def done(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 0, process.stderr
    return process.stdout


def document(process: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done(process))


def generation(nereid: Nereid) -> int:
    return int(document(nereid("endpoints", ENDPOINT, "--json"))["generation"])


@pytest.mark.usefixtures("split")
def test_what_was_pushed_is_what_is_kept(nereid: Nereid) -> None:
    model = document(nereid("models", MODEL, "--json"))
    by_number = {version["version"]: version for version in model["versions"]}
    for number in (1, 2):
        version = by_number[number]
        file = SAMPLE / f"v{number}" / "model.onnx"
        assert version["state"] == "ready"
        assert version["artifact"]["sha256"] == sha256_of(file)
        assert version["signature"]["inputs"][0]["shape"] == [-1, 1, 8, 8]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_traffic_is_split_as_said_and_every_answer_is_real(
    nereid: Nereid, split: str, protocol: str
) -> None:
    tally = document(
        nereid(
            *("infer", split, "--sample", "digits", "--count", "400"),
            *("--protocol", protocol, "--json"),
        )
    )
    assert (tally["requests"], tally["failed"]) == (400, 0)
    second = next(arm for arm in tally["arms"] if arm.startswith(f"{MODEL}.v2."))
    # 400 of a shuffled cycle of 10,000: six standard deviations are 52 requests.
    assert 100 - 52 <= tally["arms"][second] <= 100 + 52
    assert tally["right"][second] == tally["arms"][second], "version 2 knows every sample image"
    assert sum(tally["right"].values()) < 400, "version 1 does not"


def test_one_answer_is_drawn_beside_the_picture(nereid: Nereid, split: str) -> None:
    ask = ("infer", split, "--sample", "digits", "--index", HARD_IMAGE)
    first = done(nereid(*ask, "--model-version", "1"))
    assert "✗ wrong, it is a 2" in first
    assert f"answered by {MODEL}:1" in first
    second = done(nereid(*ask, "--model-version", "2"))
    assert "It is a 2  ✓ right" in second
    assert "██" in second


def test_arrays_go_in_and_numbers_come_out(nereid: Nereid, split: str, tmp_path: Path) -> None:
    path = tmp_path / "blank.json"
    path.write_text(json.dumps({"image": [[[0.0] * 8] * 8]}))
    answer = document(nereid("infer", split, "--input", path, "--json"))
    assert len(answer["outputs"]["logits"][0]) == 10
    assert answer["arm"].startswith(MODEL)


def test_an_application_says_what_answers_were_worth_by_request(
    nereid: Nereid, split: str, serving_stack: ServingStack
) -> None:
    secret = document(
        nereid("tokens", "create", "a shop's", "--role", "reporter", "--only", split, "--json")
    )["token"]
    blank = np.zeros((1, 1, 8, 8), np.float32)
    with Predictor(serving_stack.stack["triton"]["grpc"]) as predictor:
        arms = {
            f"e2e-{i}": predictor.predict(split, {"image": blank}, request_id=f"e2e-{i}").arm
            for i in range(20)
        }
    right = {arm: sum(a == arm for a in arms.values()) for arm in arms.values()}
    with Client(serving_stack.api, secret) as shop:
        reports = [{"request_id": r, "outcome": "sold", "value": 1} for r in [*arms, "never-seen"]]
        assert shop.send_feedback(split, reports).waiting == 21
        ServingStack.wait_for(
            lambda: shop.feedback_summary(split).waiting == 1, 30, "feedback to find its arms"
        )
        counts = {each.arm: each.count for each in shop.feedback_summary(split).counts}
        with pytest.raises(ProblemError, match="403"):
            shop.kill(split)
    assert counts == right
    shown = done(nereid("feedback", split))
    assert all(arm in shown for arm in right)


def test_a_plan_shows_and_does_nothing(nereid: Nereid, split: str) -> None:
    before = generation(nereid)
    own = f"{MODEL}:2:dynamic_batching.max_queue_delay_microseconds=700"
    shown = done(nereid("plan", split, f"{MODEL}:1=10", f"{MODEL}:2=90", "--override", own))
    assert "slots 0:1000 1:9000" in shown
    assert "max_queue_delay_microseconds: 700" in shown
    assert "75 % -> 10 %" in shown
    assert generation(nereid) == before


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ((f"{MODEL}:1=90", f"{MODEL}:2=20"), "/arms"),
        ((f"{MODEL}:99=100",), "/arms/0"),
    ],
)
def test_a_bad_policy_is_refused_and_nothing_changes(
    nereid: Nereid, split: str, arms: tuple[str, ...], words: str
) -> None:
    before = generation(nereid)
    refused = nereid("deploy", split, *arms)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert generation(nereid) == before


@pytest.mark.usefixtures("split")
def test_a_file_that_is_cut_short_is_refused_and_not_stored(nereid: Nereid, tmp_path: Path) -> None:
    whole = (SAMPLE / "v2" / "model.onnx").read_bytes()
    broken = tmp_path / "model.onnx"
    broken.write_bytes(whole[: len(whole) // 2])
    before = document(nereid("models", MODEL, "--json"))["versions"]
    refused = nereid("push", MODEL, broken)
    assert refused.returncode == 1
    assert refused.stderr.startswith("✗")
    ready = [version for version in before if version["state"] == "ready"]
    after = document(nereid("models", MODEL, "--json"))["versions"]
    assert [version for version in after if version["state"] == "ready"] == ready


def test_a_split_can_be_taken_back(nereid: Nereid, split: str) -> None:
    def weights() -> dict[int, float]:
        arms = document(nereid("endpoints", split, "--json"))["arms"]
        return {arm["version"]: arm["weight"] for arm in arms}

    before = weights()
    done(nereid("deploy", split, f"{MODEL}:2=100"))
    assert weights() == {2: 100}
    done(nereid("rollback", split, "--reason", "a test"))
    assert weights() == before


def test_a_whole_policy_goes_in_and_a_change_of_weights_keeps_it(
    nereid: Nereid, split: str, tmp_path: Path
) -> None:
    before = document(nereid("endpoints", split, "--json"))["policy"]
    arms = [{**arm, "timeout": "2s"} for arm in before["arms"]]
    second = next(arm["name"] for arm in arms if not arm["primary"])
    tenants = {"header:x-tenant-id": {"in": ["acme", "globex"]}}
    whole = {
        "arms": arms,
        "sticky": {"key": "header:x-user-id"},
        "rules": [{"when": tenants, "arm": second}],
        "shadow": [{"arm": second, "percent": 5, "compare": "logits"}],
        "breaker": None,
    }
    file = tmp_path / "policy.json"
    file.write_text(json.dumps(whole))
    planned = done(nereid("plan", split, "--policy", file))
    assert "header:x-tenant-id in 'acme', 'globex'" in planned
    done(nereid("deploy", split, "--policy", file))
    kept = document(nereid("endpoints", split, "--json"))["policy"]
    done(nereid("deploy", split, f"{MODEL}:1=60", f"{MODEL}:2=40"))
    after = document(nereid("endpoints", split, "--json"))["policy"]
    assert [arm.pop("weight") for arm in after["arms"]] == [60, 40]
    assert [arm.pop("weight") for arm in kept["arms"]] == [75, 25]
    assert after == kept
    said = done(nereid("endpoints", split))
    for words in ("by header x-user-id", "x-tenant-id is one of acme, globex", "timeout 2s"):
        assert words in said

    left_out = nereid("deploy", split, f"{MODEL}:1=100")
    assert left_out.returncode == 1
    assert "/rules/0/arm" in left_out.stderr
    assert "keep it with a share of 0" in " ".join(left_out.stderr.split())
    answer = nereid("infer", split, "--sample", "digits", "--header", "x-tenant-id=acme", "--json")
    assert document(answer)["arm"].startswith(f"{MODEL}.v2.")


def test_kill_returns_everything_to_the_primary_and_rollback_leads_back(
    nereid: Nereid, split: str
) -> None:
    done(nereid("deploy", split, f"{MODEL}:1=5", f"{MODEL}:2=95", "--primary", f"{MODEL}:1"))
    before = document(nereid("endpoints", split, "--json"))
    killed = document(nereid("kill", split, "--reason", "a test", "--json"))
    assert killed["status"] == "Healthy"
    assert {arm["version"]: arm["weight"] for arm in killed["arms"]} == {1: 100, 2: 0}
    tally = document(nereid("infer", split, "--sample", "digits", "--count", "50", "--json"))
    assert [arm.split(".v")[1][:1] for arm in tally["arms"]] == ["1"]
    again = document(nereid("kill", split, "--json"))
    assert again["generation"] == killed["generation"], "asking again changes nothing"
    done(nereid("rollback", split))
    assert document(nereid("endpoints", split, "--json"))["policy"] == before["policy"]
    assert nereid("kill", "no-such-endpoint").returncode == 1


@pytest.mark.usefixtures("split")
def test_aliases_name_versions_and_what_serves_is_not_archived(
    nereid: Nereid, split: str, tmp_path: Path
) -> None:
    done(nereid("alias", MODEL, "champion", "1"))
    plain = tmp_path / "plain.json"  # without the rules that other tests left
    plain.write_text(json.dumps({"arms": [{"model": MODEL, "version": 1, "weight": 100}]}))
    done(nereid("deploy", split, "--policy", str(plain)))
    done(nereid("deploy", split, f"{MODEL}@champion=100"))
    shown = document(nereid("models", MODEL, "--json"))
    assert shown["aliases"] == {"champion": 1}
    places = {version["version"]: version["serves_in"] for version in shown["versions"]}
    assert [place["endpoint"] for place in places[1]] == [split]
    refused = nereid("archive", f"{MODEL}@champion")
    assert refused.returncode == 1
    assert f"endpoint {split} (revision" in refused.stderr
    assert places[2] == []
    done(nereid("archive", f"{MODEL}:2", "--reason", "superseded"))
    refused = nereid("deploy", split, f"{MODEL}:2=100")
    assert refused.returncode == 1
    done(nereid("unarchive", f"{MODEL}:2"))
    done(nereid("deploy", split, f"{MODEL}:1=75", f"{MODEL}:2=25"))
    assert document(nereid("tag", f"{MODEL}:2", "checked=twice", "--json"))["tags"] == {
        "checked": "twice"
    }


def test_servers_shows_the_models_that_serve(nereid: Nereid) -> None:
    (server,) = document(nereid("servers", "--json"))["results"]
    backends = {one["name"]: one for one in server["backends"]}
    assert backends["onnxruntime"]["kind"] == "python"
    assert backends["onnxruntime"]["version"]
    assert backends["traffic"]["kind"] == "native"
    held = {model["name"] for model in server["models"] if model["state"] == "READY"}
    assert ENDPOINT in held
    assert any(name.startswith(f"{MODEL}.v1.") for name in held)


def test_a_login_is_tried_kept_used_and_forgotten(
    nereid: Nereid, serving_stack: ServingStack, tmp_path: Path
) -> None:
    alone = {"XDG_CONFIG_HOME": str(tmp_path), "NEREID_HOME": str(tmp_path / "none")}
    away = nereid("models", **alone)
    assert (away.returncode, "make serve" in away.stderr) == (1, True)
    bad = nereid("login", "--api", serving_stack.api, NEREID_TOKEN="nrd_wrong", **alone)
    assert (bad.returncode, "401" in bad.stderr) == (1, True)
    done(nereid("login", "--api", serving_stack.api, NEREID_TOKEN=serving_stack.token, **alone))
    done(nereid("models", **alone))
    # With nothing but a login, inference finds Triton through the control plane.
    done(nereid("infer", "digits", "--sample", "digits", **alone))
    done(nereid("logout", **alone))
    assert nereid("models", **alone).returncode == 1


def test_a_token_of_one_name_does_its_work_and_no_other(
    nereid: Nereid, split: str, tmp_path: Path
) -> None:
    made = nereid("tokens", "create", "a job's", "--role", "publisher", "--only", MODEL)
    secret = done(made).strip()
    assert secret.startswith("nrd_")
    job = {"NEREID_TOKEN": secret, "XDG_CONFIG_HOME": str(tmp_path)}
    assert [m["name"] for m in document(nereid("models", "--json", **job))["results"]] == [MODEL]
    refused = nereid("deploy", split, f"{MODEL}:1=100", **job)
    assert (refused.returncode, "this token is for publisher" in refused.stderr) == (1, True)
    other = nereid("push", "digits", SAMPLE / "v1" / "model.onnx", **job)
    assert (other.returncode, "403" in other.stderr) == (1, True)
    done(nereid("tokens", "revoke", "a job's"))
    assert "401" in nereid("models", **job).stderr
    states = {
        t["name"]: t["state"] for t in document(nereid("tokens", "list", "--json"))["results"]
    }
    assert states["a job's"] == "revoked"
    assert states["local stack"] == "live"


def test_the_sample_leaves_a_persons_policy_alone(serving_stack: ServingStack) -> None:
    from stack.sample import run_sample

    with (
        Client(serving_stack.api, serving_stack.token) as client,
        Path(os.devnull).open("w") as void,
    ):
        standing = client.policy("digits")
        versions = [version.number for version in client.versions("digits")]
        changed = policy_document(["digits:1=40", "digits:2=60"], current=standing.document)
        accepted = client.put_policy("digits", changed, etag=standing.etag)
        client.wait_endpoint("digits", generation=accepted.generation)
        try:
            grpc = serving_stack.stack["triton"]["grpc"]
            result = run_sample(serving_stack.api, serving_stack.token, grpc, Console(file=void))
            assert result.predicted == result.truth
            assert result.arm in {"digits:1", "digits:2"}
            assert client.endpoint("digits").generation == accepted.generation
            assert [version.number for version in client.versions("digits")] == versions
        finally:
            current = client.policy("digits")
            client.put_policy("digits", standing.document, etag=current.etag)
            client.wait_endpoint("digits", generation=accepted.generation + 1)


def test_doctor_looks_at_all_of_a_stack(nereid: Nereid) -> None:
    done = nereid("doctor", "--json")
    document = json.loads(done.stdout)
    by_area: dict[str, list[dict[str, str]]] = {}
    for check in document["checks"]:
        by_area.setdefault(check["area"], []).append(check)
    for area in ("configuration", "API", "token", "clock", "workers", "disk", "backends", "Triton"):
        assert {check["state"] for check in by_area[area]} == {"ok"}, by_area[area]
    assert all("answered in" in check["said"] for check in by_area["Triton"])
    # What other tests left of endpoints and versions is theirs; the exit code says the same.
    assert done.returncode == (1 if document["state"] == "problem" else 0)
