"""Examples of the API's documents, by the name of their component in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from control_plane.api.kpis_examples import KPIS, TRY
from control_plane.api.placing_examples import PLACING
from control_plane.api.recording_examples import RECORDING

AT = "2026-11-26T10:00:00Z"
ORIGIN = "https://nereid.example.com/api/v1"

_ARMS = [
    {"name": "stable", "model": "digits", "version": 1, "weight": 90.0, "primary": True},
    {"name": "candidate", "model": "digits", "version": 2, "weight": 10.0, "primary": False},
]
_POLICY = {"arms": _ARMS, "mode": "weighted"}
_PHYSICAL = ("digits.v1.695b0d", "digits.v2.bb2a8c")
_SHOWN_ARMS = [
    arm | {"physical": name, "profile_revision": None, "pipeline": None, "revision": None}
    for arm, name in zip(_ARMS, _PHYSICAL, strict=True)
]
_ACCEPTED = {
    "endpoint": "digits",
    "generation": 4,
    "status": "Progressing",
    "status_url": f"{ORIGIN}/endpoints/digits",
    "policy": _POLICY,
    "change": None,
}
_PLAN = {
    "changes": [
        {
            "action": "add",
            "arm": "candidate",
            "part": "",
            "detail": "digits.v2.bb2a8c gets 10 % of the requests",
        }
    ],
    "diff": "--- digits/config.pbtxt\n+++ digits/config.pbtxt\n",
    "findings": [],
    "loads": ["digits.v2.bb2a8c"],
    "unloads": [],
    "serving": [
        {
            "arm": "candidate",
            "physical": "digits.v2.bb2a8c",
            "profile": "realtime",
            "revision": None,
            "of_version": {},
            "of_arm": {"max_batch_size": 16},
            "effective": {"max_batch_size": 16, "dynamic_batching": {}},
        }
    ],
}
_CHANGE = {
    "endpoint": "digits",
    "number": 3,
    "state": "pending",
    "stale": "",
    "generation": 3,
    "policy": _POLICY,
    "reason": "98.4 % right on held-out images",
    "asked_by": "ada",
    "asked_at": AT,
    "decided_by": "",
    "decided_at": None,
    "decided_reason": "",
    "revision": None,
}

_STEPS = [
    {
        "name": "scale",
        "model": "scaler",
        "version": 1,
        "inputs": {"pixels": "pixels"},
        "outputs": {"scaled": "image"},
    },
    {
        "name": "classify",
        "model": "digits",
        "version": 2,
        "inputs": {"image": "image"},
        "outputs": {"logits": "logits"},
    },
]
_CHECKED = {
    "document": {
        "kind": "ensemble",
        "description": "Digits from raw pixels",
        "outputs": ["logits"],
        "steps": [
            {"name": "scale", "model": "scaler", "version": 1, "outputs": {"scaled": "image"}},
            {"name": "classify", "model": "digits", "version": 2},
        ],
    },
    "inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [-1, 1, 8, 8]}],
    "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 10]}],
    "max_batch_size": 32,
    "decoupled": False,
    "steps": _STEPS,
    "own_steps": [{**step, "pipeline": False} for step in _STEPS],
    "tensors": [
        {"name": "pixels", "datatype": "UINT8", "shape": [-1, 1, 8, 8]},
        {"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]},
        {"name": "logits", "datatype": "FP32", "shape": [-1, 10]},
    ],
    "findings": [],
}

_METRIC = {
    "name": "errors",
    "kind": "error_rate",
    "phase": "Running",
    "reason": "2 % more of the requests fail than of the baseline's, with 1 % to 4 % in question",
    "required": True,
    "compare": "baseline",
    "better": "lower",
    "unit": "request",
    "scale": "difference",
    "candidate": {"of": 400, "count": 12, "estimate": 0.03},
    "baseline": {"of": 7600, "count": 76, "estimate": 0.01},
    "estimate": 0.02,
    "lower": -0.001,
    "upper": 0.041,
    "limit": 0.005,
    "statistic": 6.2,
    "needed": 20.0,
    "for_passing": 0.01,
    "needed_for_passing": 20.0,
}
_LOOK = {
    "number": 42,
    "at": AT,
    "phase": "Running",
    "reason": "errors: not decided yet",
    "seconds": 42.0,
    "metrics": [_METRIC],
}
_RUN = {
    "id": "5e8f6f0e-58d4-4b9e-9f0e-0f6a2f0f7c11",
    "endpoint": "digits",
    "template": "default",
    "template_revision": None,
    "candidate": _PHYSICAL[1],
    "baseline": _PHYSICAL[0],
    "dry_run": False,
    "phase": "Running",
    "reason": "errors: not decided yet",
    "looks": 42,
    "began_at": AT,
    "looked_at": AT,
    "ended_at": None,
}
_TEMPLATE = {
    "alpha": 0.05,
    "metrics": [
        {
            "name": "errors",
            "kind": "error_rate",
            "compare": "baseline",
            "goal": "non_inferior",
            "margin": 0.005,
            "required": True,
            "unit": "request",
            "weight": 1.0,
        }
    ],
    "interval": "1s",
    "inconclusiveAfter": "30m",
    "onInconclusive": "pause",
    "errorLimit": 10,
    "dryRun": False,
}
_ROLLOUT = {
    "id": "0b8fc6a4-8a2f-4f7e-a6a8-4e2b6b8f2f10",
    "endpoint": "digits",
    "number": 3,
    "document": {
        "endpoint": "digits",
        "to": {"model": "digits", "version": 2},
        "strategy": {
            "canary": {
                "analysis": {"templates": ["default"]},
                "steps": [{"setWeight": 5}, {"analysis": {"templates": ["default"]}}],
            }
        },
        "harmBudget": {"failedRequests": 20, "confidence": 0.95},
        "watch": "10m",
        "progressDeadline": "10m",
        "dryRun": False,
    },
    "state": "analysing",
    "active": True,
    "reason": "default: errors: not decided yet",
    "since": AT,
    "look_at": AT,
    "step": 1,
    "share": 5.0,
    "harm": {"budget": 20, "spent": 12},
    "attempt": 1,
    "held_by": "",
    "pause_until": None,
    "deadline_at": None,
    "watch_until": None,
    "generation": 7,
    "why": "98.4 % right on held-out images",
    "started_by": "ada",
    "approved_by": "",
    "supersedes": None,
    "created_at": AT,
    "finished_at": None,
    "status_url": f"{ORIGIN}/rollouts/0b8fc6a4-8a2f-4f7e-a6a8-4e2b6b8f2f10",
}
_CONTROLS = {
    "approve": "a rollout that is analysing cannot be approved: it waits for nobody",
    "promote": "",
    "skip": "",
    "pause": "",
    "resume": "a rollout that is analysing cannot be resumed: it is not paused",
    "abort": "",
    "retry": "a rollout that is analysing cannot be tried again",
}

EXAMPLES: dict[str, Any] = {
    **PLACING,
    "Look": _LOOK,
    "AnalysisRunDetail": _RUN | {"template_document": _TEMPLATE, "look": _LOOK},
    "AnalysisTemplate": {
        "name": "default",
        "built_in": True,
        "revision": None,
        "document": _TEMPLATE,
        "changed_at": None,
        "changed_by": "",
    },
    "Rollout": _ROLLOUT,
    "RolloutDetail": _ROLLOUT
    | {
        "steps": [
            {"text": "setWeight 5 %", "standing": "done"},
            {"text": "analysis default", "standing": "current"},
        ],
        "runs": [{"step": 1, "attempt": 1, "run": _RUN, "look": _LOOK}],
        "controls": _CONTROLS,
    },
    "RolloutEvent": {
        "number": 4,
        "at": AT,
        "event": "analyse",
        "state_before": "progressing",
        "state_after": "analysing",
        "step": 1,
        "reason": "analysis default",
        "actor": "nereid",
    },
    "CheckAnswer": _CHECKED | {"diff": ""},
    "Pipeline": _CHECKED
    | {
        "name": "digits-png",
        "revision": 2,
        "error": "",
        "serves_in": [
            {
                "endpoint": "digits",
                "revision": 3,
                "arm": "stable",
                "pipeline": "digits-png:2",
                "share": 90.0,
                "live": True,
            }
        ],
        "changed_at": AT,
        "changed_by": "ada",
    },
    "RoutingPolicy": _POLICY,
    "PolicyAccepted": _ACCEPTED,
    "EndpointRequest": {"name": "digits", "description": "Reads handwritten digits"},
    "PatchedEndpointPatchRequest": {
        "description": "Reads handwritten digits, 8 x 8 pixels",
        "four_eyes": True,
    },
    "FeedbackReportRequest": {"request_id": "4f1c2a", "outcome": "correct", "value": 1},
    "FeedbackTaken": {
        "counted": 0,
        "waiting": 1,
        "repeated": 0,
        "status_url": f"{ORIGIN}/endpoints/digits/feedback",
    },
    "FeedbackShown": {
        "since": AT,
        "results": [
            {"arm": "digits.v2.bb2a8c", "outcome": "correct", "count": 95, "of": 100},
        ],
        "waiting": 1,
        "unresolved": 0,
    },
    "Kpis": KPIS,
    "FindingTry": TRY,
    "Recording": RECORDING,
    "RollbackRequestRequest": {"revision": 2, "reason": "p99 doubled"},
    "Revision": {
        "number": 3,
        "generation": 3,
        "digest": "9c3eca668d59f4a1",
        "error": "",
        "policy": _POLICY,
        "arms": _SHOWN_ARMS,
        "diff": "--- digits/config.pbtxt\n+++ digits/config.pbtxt\n",
        "restores": None,
        "created_at": AT,
        "created_by": "ada",
        "reason": "version 2 is right more often",
        "approved_by": "ben",
        "switched_from": AT,
        "served_from": AT,
        "served_until": None,
    },
    "Profile": {
        "name": "patient",
        "built_in": False,
        "revision": 2,
        "document": {
            "description": "Batches of up to 32 rows, for which requests wait up to 1 ms",
            "max_batch_size": 32,
            "dynamic_batching": {"max_queue_delay_microseconds": 1000},
            "instance_group": [{"count": 2}],
        },
        "findings": [
            {
                "severity": "warning",
                "code": "instances-over-cores",
                "detail": "2 instances share 1 cores: they take turns, and each request takes "
                "longer",
                "pointer": "/instance_group",
                "fix": "use at most 1 instances, or fewer threads each",
            }
        ],
        "changed_at": AT,
        "changed_by": "ada",
    },
    "Export": {
        "model": "digits",
        "version": 2,
        "backend": "onnxruntime",
        "ours": "NVIDIA's own backend of that name serves it as well",
        "config": {"backend": "onnxruntime", "max_batch_size": 8},
        "files": [{"path": "2/model.onnx", "sha256": "9c3e" * 16}],
        "artifact": "9c3e" * 16,
        "lost": [],
    },
    "LintResult": {
        "results": [
            {
                "name": "ResNet50",
                "findings": [
                    {
                        "severity": "error",
                        "code": "preferred-above-max",
                        "detail": "16 is above max_batch_size, which is 8",
                        "pointer": "/dynamic_batching/preferred_batch_size/0",
                        "fix": "raise max_batch_size, or leave the size out: Triton refuses the "
                        "model",
                    }
                ],
                "becomes": {
                    "name": "resnet50",
                    "framework": "onnx",
                    "main_file": "model.onnx",
                    "placed_as": "model.onnx",
                    "code": False,
                    "signature": None,
                    "profile": None,
                    "model_config": {"version_policy": {"latest": {}}},
                    "pipeline": None,
                    "changed": [],
                    "refused": [
                        {
                            "pointer": "/dynamic_batching/preferred_batch_size/0",
                            "detail": "16 is above max_batch_size, which is 8",
                        }
                    ],
                },
            }
        ]
    },
    "Plan": _PLAN,
    "ChangeRequest": _CHANGE,
    "ChangeDetail": _CHANGE | {"plan": _PLAN},
    "PatchedUserPatchRequest": {"roles": ["publisher", "operator"]},
    "PatchedModelPatchRequest": {"owner": "ada", "tags": {"team": "vision"}},
}
