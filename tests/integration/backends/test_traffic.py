"""The native router in a real Triton: what it picks, and what it passes on, over every protocol."""

from __future__ import annotations

import json
import queue
import threading
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
import tritonclient.grpc.aio as aioclient
import tritonclient.http as httpclient
import tritonclient.utils.shared_memory as shared_memory
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from control_plane.domain.monitoring.catalogue import ROUTER, TRITON
from tests.integration.backends.conftest import MIRROR_TYPES
from tests.support import models
from tests.support.triton import RunningTriton, eventually, running_triton, tensor

V1, V2 = "m.v1.aaaaaa", "m.v2.bbbbbb"
ONES = np.ones((1, 4), np.float32)


def arm_of(answer: grpcclient.InferResult) -> str:
    return answer.get_response().parameters["nereid_arm"].string_param


def ask_mirror(client, values: dict[str, np.ndarray], **options) -> dict:
    """What the arm behind `mirror` was told."""
    answer = client.infer("mirror", [tensor(n, v) for n, v in values.items()], **options)
    return json.loads(answer.as_numpy("about")[0])


# --- picking -------------------------------------------------------------------------------------


def test_a_cycle_of_requests_is_split_exactly(server: RunningTriton, client) -> None:
    server.unload("m")
    server.load("m")  # a fresh cycle
    arms: Counter[str] = Counter()
    done = threading.Semaphore(0)
    window = threading.Semaphore(64)

    def keep(result, error) -> None:
        arms["failed" if error else arm_of(result)] += 1
        window.release()
        done.release()

    inputs = [tensor("x", ONES)]
    for _ in range(10_000):
        window.acquire()
        client.async_infer("m", inputs, callback=keep)
    for _ in range(10_000):
        assert done.acquire(timeout=30)
    assert arms == {V1: 9000, V2: 1000}


def test_the_answer_is_the_arms(client) -> None:
    for _ in range(40):
        answer = client.infer("m", [tensor("x", ONES)])
        factor = {V1: 1.0, V2: 2.0}[arm_of(answer)]
        assert np.array_equal(answer.as_numpy("y"), ONES * factor)


def test_a_pinned_version_reaches_its_arm_only(client) -> None:
    for version, arm in (("1", V1), ("2", V2)):
        answers = [client.infer("m", [tensor("x", ONES)], model_version=version) for _ in range(20)]
        assert {arm_of(answer) for answer in answers} == {arm}
    with pytest.raises(InferenceServerException, match="not found"):
        client.infer("m", [tensor("x", ONES)], model_version="3")


def test_metadata_are_the_arms_with_the_routers_platform(server: RunningTriton) -> None:
    _, metadata = server.call("/v2/models/m")
    assert set(metadata["versions"]) == {"1", "2", "1000000000"}
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    _, config = server.call("/v2/models/m/config")
    assert config["backend"] == "traffic"


# --- protocols -----------------------------------------------------------------------------------


def test_http_binary_and_json(server: RunningTriton) -> None:
    client = server.http_client()
    for binary in (True, False):
        outputs = [httpclient.InferRequestedOutput("y", binary_data=binary)]
        answer = client.infer("m", [tensor("x", ONES, httpclient)], outputs=outputs)
        assert answer.get_response()["parameters"]["nereid_arm"] in (V1, V2)
        assert answer.as_numpy("y").shape == (1, 4)


def test_json_as_curl_sends_it(server: RunningTriton) -> None:
    body = {
        "id": "curl-1",
        "inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": [[1] * 4, [2] * 4]}],
    }
    status, answer = server.call("/v2/models/m/versions/2/infer", body)
    assert status == 200
    assert answer["id"] == "curl-1"
    assert answer["outputs"][0]["data"] == [2.0] * 4 + [4.0] * 4
    assert answer["parameters"]["nereid_arm"] == V2


async def test_grpc_aio(server: RunningTriton) -> None:
    async with aioclient.InferenceServerClient(server.options.grpc) as client:
        answer = await client.infer("m", [tensor("x", ONES)], model_version="2")
    assert np.array_equal(answer.as_numpy("y"), ONES * 2)


def stream(server: RunningTriton, model: str, requests: list, **options) -> list:
    """All answers to `requests` sent over one stream, errors included, until the stream ends."""
    answers: queue.Queue = queue.Queue()
    client = grpcclient.InferenceServerClient(server.options.grpc)
    client.start_stream(callback=lambda result, error: answers.put(error or result))
    for inputs in requests:
        client.async_stream_infer(model, inputs, **options)
    client.stop_stream()
    client.close()
    return list(answers.queue)


def test_a_grpc_stream(server: RunningTriton) -> None:
    answers = stream(server, "m", [[tensor("x", ONES * n)] for n in range(20)], model_version="2")
    assert sorted(answer.as_numpy("y")[0, 0] for answer in answers) == [2.0 * n for n in range(20)]


def test_system_shared_memory_in_and_out(server: RunningTriton, client) -> None:
    size = ONES.nbytes
    name = f"{server.options.name}_io"
    region = shared_memory.create_shared_memory_region(name, f"/{name}", 2 * size)
    try:
        shared_memory.set_shared_memory_region(region, [ONES * 3])
        client.register_system_shared_memory(name, f"/{name}", 2 * size, headers=server.shm["grpc"])
        given = grpcclient.InferInput("x", [1, 4], "FP32")
        given.set_shared_memory(name, size)
        wanted = grpcclient.InferRequestedOutput("y")
        wanted.set_shared_memory(name, size, offset=size)
        client.infer("m", [given], outputs=[wanted], model_version="2")
        got = shared_memory.get_contents_as_numpy(region, np.float32, [1, 4], offset=size)
        assert np.array_equal(got, ONES * 6)
        client.unregister_system_shared_memory(name, headers=server.shm["grpc"])
    finally:
        shared_memory.destroy_shared_memory_region(region)


# --- faithfulness --------------------------------------------------------------------------------


def test_every_type_is_passed_on_both_ways(client) -> None:
    values = {}
    for kind in MIRROR_TYPES:
        if kind == "STRING":
            texts = [[b"", b"\x00\xff\n", b"x" * 70_000]]
            values["in_STRING"] = np.array(texts, dtype=np.object_)
        else:
            dtype = {"BOOL": np.bool_, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
            chosen = dtype.get(kind) or np.dtype(kind.lower())
            values[f"in_{kind}"] = np.array([[0, 1, 100]]).astype(chosen)
    answer = client.infer("mirror", [tensor(n, v) for n, v in values.items()])
    for name, value in values.items():
        got = answer.as_numpy(name.replace("in_", "out_"))
        assert got.dtype == value.dtype
        assert np.array_equal(got, value), name


def test_tensors_without_elements_are_passed_on(client) -> None:
    values = {
        "in_FP32": np.zeros((0, 3), np.float32),
        "in_STRING": np.zeros((2, 0), np.object_),
    }
    answer = client.infer("mirror", [tensor(n, v) for n, v in values.items()])
    assert answer.as_numpy("out_FP32").shape == (0, 3)
    assert answer.as_numpy("out_STRING").shape == (2, 0)


def test_a_large_tensor_is_passed_on(client) -> None:
    value = np.random.default_rng(1).random((1024, 1024), np.float32)
    answer = client.infer("mirror", [tensor("in_FP32", value)])
    assert np.array_equal(answer.as_numpy("out_FP32"), value)


def test_an_input_of_several_buffers_is_passed_on(server: RunningTriton) -> None:
    # The HTTP frontend hands a body over in the pieces it arrived in.
    value = np.random.default_rng(2).random((512, 1024), np.float32)
    answer = server.http_client().infer("mirror", [tensor("in_FP32", value, httpclient)])
    assert np.array_equal(answer.as_numpy("out_FP32"), value)


def test_what_comes_with_a_request_is_passed_on(client) -> None:
    told = ask_mirror(
        client,
        {"in_INT8": np.zeros((1, 1), np.int8)},
        request_id="the-id",
        timeout=12_345_678,
        parameters={"text": "ü", "number": -7, "truth": True, "half": 0.5},
        outputs=[grpcclient.InferRequestedOutput("about")],
    )
    assert told["id"] == "the-id"
    assert told["timeout"] == 12_345_678
    assert told["parameters"] == {"text": "ü", "number": -7, "truth": True, "half": 0.5}
    assert told["wanted"] == ["about"]
    assert told["shapes"] == {"in_INT8": [1, 1]}


def test_forwarded_headers_reach_the_arm_and_no_others(server: RunningTriton, client) -> None:
    headers = {
        "x-tenant-id": "blue",
        "x-nereid-key": "k",
        "authorization": "secret",
        "x-other": "1",
    }
    value = {"in_INT8": np.zeros((1, 1), np.int8)}
    told = ask_mirror(client, value, headers=headers)
    assert told["parameters"] == {"x-tenant-id": "blue", "x-nereid-key": "k"}
    body = {
        "inputs": [{"name": "in_INT8", "shape": [1, 1], "datatype": "INT8", "data": [0]}],
        "outputs": [{"name": "about"}],
    }
    _, answer = server.call(
        "/v2/models/mirror/infer", body, headers={"X-User-Id": "u1", "Cookie": "secret"}
    )
    told = json.loads(answer["outputs"][0]["data"][0])
    assert {key.lower(): value for key, value in told["parameters"].items()} == {"x-user-id": "u1"}


@pytest.mark.parametrize("sequence", [42, 2**62, "a-sequence"])
def test_sequence_ids_and_flags_are_passed_on(client, sequence: int | str) -> None:
    value = {"in_INT8": np.zeros((1, 1), np.int8)}
    told = ask_mirror(client, value, sequence_id=sequence, sequence_start=True)
    assert told["correlation_id"] == sequence
    assert told["flags"] == 1  # START
    told = ask_mirror(client, value, sequence_id=sequence, sequence_end=True)
    assert told["flags"] == 2  # END


def ask_probe(client, **options):
    given = grpcclient.InferInput("x", [1, 3], "BF16")
    given.set_data_from_numpy(np.array([[1.0, -2.0, 0.5]], np.float32))
    answer = client.infer("probe", [given], **options)
    assert answer.as_numpy("y").tolist() == [[1.0, -2.0, 0.5]]
    return answer.get_response().parameters


def test_response_parameters_of_the_arm_are_passed_back(client) -> None:
    parameters = ask_probe(client)
    assert parameters["spoken"].string_param == "yes"
    assert parameters["sure"].bool_param is True
    assert parameters["half"].double_param == 0.5
    assert parameters["nereid_arm"].string_param == "probe.v1.ffffff"


def test_the_priority_is_passed_on(client) -> None:
    assert ask_probe(client, priority=5)["priority"].int64_param == 5
    assert ask_probe(client)["priority"].int64_param == 3  # the level they both default to


def test_an_arm_may_give_the_request_back_before_it_answers(server: RunningTriton, client) -> None:
    labels = {"endpoint": "probe", "arm": "probe.v1.ffffff"}
    before = server.metric("nereid_requests_total", outcome="ok", **labels)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: ask_probe(client), range(400)))
    eventually(
        lambda: server.metric("nereid_requests_total", outcome="ok", **labels) == before + 400
    )
    assert server.metric("nereid_inflight_requests", **labels) == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNKNOWN", "UNKNOWN"),
        ("INTERNAL", "INTERNAL"),
        ("NOT_FOUND", "NOT_FOUND"),
        ("INVALID_ARG", "INVALID_ARGUMENT"),
        ("UNAVAILABLE", "UNAVAILABLE"),
        ("UNSUPPORTED", "UNIMPLEMENTED"),
        ("ALREADY_EXISTS", "ALREADY_EXISTS"),
        ("CANCELLED", "CANCELLED"),
    ],
)
def test_errors_keep_their_code_and_message(client, code: str, status: str) -> None:
    with pytest.raises(InferenceServerException, match="told to fail") as caught:
        client.infer(
            "mirror",
            [tensor("in_INT8", np.zeros((1, 1), np.int8))],
            parameters={"fail_with": code},
        )
    assert caught.value.status() == f"StatusCode.{status}"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_an_arm_may_answer_any_number_of_times(server: RunningTriton, count: int) -> None:
    requests = [[tensor("n", np.array([count], np.int32))]]
    answers = stream(server, "counter", requests, enable_empty_final_response=True)
    numbers = [
        int(answer.as_numpy("i")[0]) for answer in answers if answer.as_numpy("i") is not None
    ]
    assert numbers == list(range(count))
    final = answers[-1].get_response().parameters["triton_final_response"].bool_param
    assert final is True


def test_a_missing_arm_answers_unavailable_and_says_which(server: RunningTriton, client) -> None:
    models.router(server.repository, "orphan", {"gone.v1.ffffff": 10_000})
    server.load("orphan")
    before = server.metric("nereid_requests_total", endpoint="orphan", outcome="error")
    for _ in range(50):
        with pytest.raises(InferenceServerException, match=r"gone\.v1\.ffffff") as caught:
            client.infer("orphan", [tensor("x", ONES)])
        assert caught.value.status() == "StatusCode.UNAVAILABLE"
    eventually(
        lambda: (
            server.metric("nereid_requests_total", endpoint="orphan", outcome="error")
            == before + 50
        )
    )
    assert server.metric("nereid_inflight_requests", endpoint="orphan") == 0
    server.unload("orphan")  # which waits for every request that was not released


# --- statistics and metrics ----------------------------------------------------------------------


def test_statistics_count_the_routers_requests(client) -> None:
    def counts() -> tuple[int, int, int]:
        stats = client.get_inference_statistics("m", "1").model_stats[0]
        return (
            stats.inference_count,
            stats.execution_count,
            stats.inference_stats.success.count,
        )

    before = counts()
    batch = np.ones((3, 4), np.float32)
    for _ in range(10):
        client.infer("m", [tensor("x", batch)], model_version="1")
    eventually(lambda: np.subtract(counts(), before).tolist() == [30, 10, 10])
    stats = client.get_inference_statistics("m", "1").model_stats[0].inference_stats
    assert stats.compute_infer.ns > 0
    assert stats.success.ns >= stats.compute_infer.ns


def test_metrics_count_each_attempt_by_its_outcome(server: RunningTriton, client) -> None:
    labels = {"endpoint": "mirror", "arm": "mirror.v1.cccccc"}

    def counts() -> dict[str, float]:
        return {
            outcome: server.metric("nereid_requests_total", outcome=outcome, **labels)
            for outcome in ("ok", "error", "cancelled", "timeout")
        } | {
            "timed": server.metric("nereid_request_duration_us_count", **labels),
            "first": server.metric("nereid_first_response_us_count", **labels),
        }

    before = counts()
    value = [tensor("in_INT8", np.zeros((1, 1), np.int8))]
    client.infer("mirror", value)
    client.infer("mirror", value)
    for code in ("INTERNAL", "CANCELLED"):
        with pytest.raises(InferenceServerException):
            client.infer("mirror", value, parameters={"fail_with": code})
    expected = {"ok": 2, "error": 1, "cancelled": 1, "timeout": 0, "timed": 4, "first": 4}
    eventually(lambda: {k: v - before[k] for k, v in counts().items()} == expected)
    assert server.metric("nereid_inflight_requests", **labels) == 0


def test_the_metrics_are_those_of_the_list(server: RunningTriton, client) -> None:
    """The dashboards and rules are made of the list: what the router says otherwise, they miss."""
    client.infer("m", [tensor("x", ONES)])
    with urllib.request.urlopen(server.options.metrics_url, timeout=30) as answer:  # noqa: S310
        text = answer.read().decode()
    found = {one.name: one for one in text_string_to_metric_families(text)}
    # The parser takes the suffix of a counter off.
    listed = {metric.name.removesuffix("_total"): metric for metric in ROUTER}
    there = {name for name in found if name.startswith("nereid_")}
    assert there - listed.keys() == set()
    # An arm has these from its first copy, or the first answer that is looked into: none is here.
    late = {"nereid_shadow_duration_us", "nereid_output_confidence"}
    assert listed.keys() - there <= late
    for name, metric in listed.items():
        if name not in there or not found[name].samples:
            assert name in late
            continue
        assert (found[name].documentation, found[name].type) == (metric.help, metric.kind)
        labels = {label for sample in found[name].samples for label in sample.labels}
        assert labels - {"le"} == set(metric.labels), name
    for metric in TRITON:
        assert metric.name in found, f"Triton says nothing of {metric.name}"
        assert {label for one in found[metric.name].samples for label in one.labels} == set(
            metric.labels
        )


def test_a_request_that_waited_too_long_counts_as_timeout(server: RunningTriton) -> None:
    client = server.grpc_client()
    outcomes: queue.Queue = queue.Queue()
    for _ in range(8):
        client.async_infer(
            "slow",
            [tensor("x", ONES)],
            callback=lambda result, error: outcomes.put(error),
            timeout=100_000,
        )
    errors = [error for error in (outcomes.get(timeout=30) for _ in range(8)) if error]
    assert errors
    assert all("timeout expired" in error.message() for error in errors)
    eventually(
        lambda: (
            server.metric("nereid_requests_total", endpoint="slow", outcome="timeout")
            == len(errors)
        )
    )


def test_the_histogram_is_whole_under_concurrency(server: RunningTriton) -> None:
    labels = {"endpoint": "m", "arm": V1}

    def whole() -> tuple[float, float, float]:
        samples = server.metrics()
        buckets = [
            (float(name.rpartition('le="')[2].rstrip('"}').replace("+Inf", "inf")), value)
            for name, value in samples.items()
            if name.startswith("nereid_request_duration_us_bucket") and V1 in name
        ]
        buckets.sort()
        values = [value for _, value in buckets]
        assert values == sorted(values)
        count = server.metric("nereid_request_duration_us_count", **labels)
        ok = server.metric("nereid_requests_total", outcome="ok", **labels)
        return values[-1], count, ok

    def work(_: int) -> None:
        with httpclient.InferenceServerClient(server.options.http) as client:
            for _ in range(150):
                client.infer("m", [tensor("x", ONES, httpclient)], model_version="1")

    eventually(lambda: len(set(whole())) == 1)
    before = whole()[0]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    eventually(lambda: set(whole()) == {before + 600})


# --- reload --------------------------------------------------------------------------------------


def test_reloads_under_load_lose_nothing_and_keep_the_counts(server: RunningTriton) -> None:
    stop = threading.Event()
    failures: list[Exception] = []
    answered = Counter()

    def grpc_caller() -> None:
        client = grpcclient.InferenceServerClient(server.options.grpc)
        while not stop.is_set():
            try:
                answered[arm_of(client.infer("m", [tensor("x", ONES)]))] += 1
            except InferenceServerException as error:
                failures.append(error)
        client.close()

    def http_caller() -> None:
        with httpclient.InferenceServerClient(server.options.http) as client:
            while not stop.is_set():
                try:
                    answer = client.infer("m", [tensor("x", ONES, httpclient)])
                    answered[answer.get_response()["parameters"]["nereid_arm"]] += 1
                except InferenceServerException as error:
                    failures.append(error)

    before = server.metric("nereid_requests_total", endpoint="m")
    callers = [threading.Thread(target=each) for each in (grpc_caller, http_caller) * 2]
    for each in callers:
        each.start()
    try:
        for generation in range(2, 32):
            share = 1000 if generation % 2 else 5000
            text = models.policy_text("m", {V1: 10_000 - share, V2: share}, generation=generation)
            models.write_policy(server.repository, "m", text)
            server.load("m")
    finally:
        stop.set()
        for each in callers:
            each.join()
    assert failures == []
    assert min(answered[V1], answered[V2]) > 0
    total = before + sum(answered.values())
    eventually(lambda: server.metric("nereid_requests_total", endpoint="m") == total)


def test_a_bad_policy_fails_the_load_and_the_old_one_serves_on(
    server: RunningTriton, client
) -> None:
    text = models.policy_text("m", {V1: 10_000, V2: 0}, generation=40)
    models.write_policy(server.repository, "m", text)
    server.load("m")
    models.write_policy(server.repository, "m", text.replace("slots 0:10000", "slots 0:9999"))
    with pytest.raises(RuntimeError, match=r"policy\.txt: line 6: the slots add up to 9999"):
        server.load("m")
    answers = [client.infer("m", [tensor("x", ONES)]) for _ in range(20)]
    assert {arm_of(answer) for answer in answers} == {V1}
    models.write_policy(server.repository, "m", text)
    server.load("m")
    assert arm_of(client.infer("m", [tensor("x", ONES)])) == V1


def test_a_policy_of_another_endpoint_is_refused(server: RunningTriton) -> None:
    models.router(server.repository, "other", {V1: 10_000})
    models.write_policy(server.repository, "other", models.policy_text("m", {V1: 10_000}))
    with pytest.raises(RuntimeError, match="the policy of endpoint 'm', not of 'other'"):
        server.load("other")


def test_a_router_without_a_policy_is_refused(server: RunningTriton) -> None:
    models.router(server.repository, "empty", {V1: 10_000})
    path = server.repository / "empty" / str(models.PRIMARY_VERSION) / "policy.txt"
    path.unlink()
    with pytest.raises(RuntimeError, match=r"policy\.txt cannot be read"):
        server.load("empty")


def test_arms_of_the_past_leave_the_metrics_in_the_end() -> None:
    with running_triton("past") as server:
        for number in range(30):
            arm = f"gone.v{number}.abcdef"
            models.router(server.repository, "past", {arm: 10_000}, generation=number)
            server.load("past")

        def kept() -> set[str]:
            return {
                name
                for name in server.metrics()
                if name.startswith("nereid_inflight_requests") and 'endpoint="past"' in name
            }

        # The last 16 and the present one; a router goes when Triton has unloaded it.
        eventually(lambda: len(kept()) == 17)
        assert any("gone.v29.abcdef" in name for name in kept())
