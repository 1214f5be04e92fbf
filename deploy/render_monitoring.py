"""Writes what Prometheus, its adapter and Grafana read, from Nereid's one list of metrics.

`python deploy/render_monitoring.py` writes deploy/prometheus/nereid.rules.yml,
deploy/grafana/*.json and deploy/kubernetes/components/autoscaling/adapter-rules.yml; with
`--check` it writes nothing, and fails where a file says otherwise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parent
sys.path.insert(0, str(DEPLOY.parent))

from control_plane.domain.monitoring.dashboards import dashboards  # noqa: E402 - found only now
from control_plane.domain.monitoring.rules import rules  # noqa: E402 - found only now
from control_plane.domain.monitoring.scaling import adapter_rules  # noqa: E402 - found only now

WRITTEN = "# Written by deploy/render_monitoring.py from control_plane/domain/monitoring.\n"


def files() -> dict[Path, str]:
    """Path -> text of everything that is written."""
    found = {
        DEPLOY / "prometheus" / "nereid.rules.yml": _yaml(rules()),
        DEPLOY / "kubernetes/components/autoscaling/adapter-rules.yml": _yaml(adapter_rules()),
    }
    for name, board in dashboards().items():
        document = json.dumps(board, indent=2, ensure_ascii=False)
        found[DEPLOY / "grafana" / name] = f"{document}\n"
    return found


def main(arguments: list[str]) -> int:
    stale = [path for path, text in files().items() if not _says(path, text)]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(DEPLOY.parent)} is not what is rendered", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(files()[path])
        print(path.relative_to(DEPLOY.parent))
    return 0


def _yaml(document: dict[str, Any]) -> str:
    return WRITTEN + yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
