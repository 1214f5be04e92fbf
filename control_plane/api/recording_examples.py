"""An example of a recording, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

RECORDING: dict[str, Any] = {
    "name": "digits-1",
    "endpoint": "digits",
    "server": "local",
    "state": "ready",
    "reason": "at its end",
    "asked": {"requests": 200, "bytes": 16 << 20, "length": "10m", "percent": 5.0},
    "requests": 200,
    "size": 62018,
    "facts": {
        "requests": 200,
        "bytes": 51200,
        "batched": True,
        "rows": {"mean": 1.0, "most": 1},
        "seconds": 81.4,
        "inputs": [
            {
                "name": "image",
                "datatype": "FP32",
                "least": [1, 1, 8, 8],
                "most": [1, 1, 8, 8],
                "requests": 200,
            }
        ],
    },
    "asked_by": "ada",
    "stopped_by": "",
    "created_at": "2026-11-26T10:00:00Z",
    "started_at": "2026-11-26T10:00:01Z",
    "ends_at": "2026-11-26T10:10:01Z",
    "finished_at": "2026-11-26T10:01:23Z",
    "status_url": "https://nereid.example.com/api/v1/endpoints/digits/recordings/digits-1",
}
