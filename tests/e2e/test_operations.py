"""What operators do to a stack that serves: they lead it to another version, and back it up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.chaos.convergence import converge, put_weights
from tests.support.callers import Callers
from tests.support.release import copied_checkout
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

FIELD = "    noted = models.TextField(blank=True, db_default='', default='')\n\n    class Meta:"
MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("fleet", "{leaf}")]
    operations = [
        migrations.AddField(
            "server", "noted", models.TextField(blank=True, db_default="", default="")
        ),
    ]
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of its own, which can be led to another version."""
    return copied_checkout(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def stack(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    serving = ServingStack(tmp_path_factory.mktemp("operated") / "home", checkout=checkout)
    serving.start()
    yield serving
    serving.stop()


def move_on(checkout: Path) -> None:
    """The next version: one column more, in a migration of its own."""
    fleet = checkout / "control_plane" / "fleet"
    leaf = max(path.stem for path in (fleet / "migrations").glob("0*.py"))
    (fleet / "migrations" / "9999_noted.py").write_text(MIGRATION.format(leaf=leaf))
    models = fleet / "models.py"
    before, marker, after = models.read_text().partition("class Server(")
    models.write_text(before + marker + after.replace("    class Meta:", FIELD, 1))
    (checkout / "control_plane" / "version.py").write_text('VERSION = "9.9.9"\n')


def test_an_upgrade_with_a_migration_fails_no_inference(
    stack: ServingStack, checkout: Path
) -> None:
    before = dict(stack.pids)
    move_on(checkout)
    with Callers(stack.stack["triton"]["grpc"], pause_s=0.01).calling() as callers:
        said = stack.command("upgrade")
    assert callers.errors == []
    assert callers.answered.total() > 100
    assert "migrated" in said
    after = dict(stack.pids)
    changed = {name for name, pid in after.items() if pid != before[name]}
    assert changed == {"node", "worker", "beat", "api"}
    with stack.client() as client:
        assert client.get("/diagnosis/").json()["version"] == "9.9.9"
    variables = json.loads((stack.home / "run" / "environment.json").read_text())
    with psycopg.connect(variables["DATABASE_URL"]) as link:
        assert link.execute("SELECT noted FROM fleet_server").fetchall() == [("",)]
    answered = converge(stack, put_weights(stack, 40, 60))
    assert set(answered) == {"1", "2"}


def test_what_was_backed_up_while_it_served_serves_from_another_home(
    stack: ServingStack, checkout: Path, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(json.loads((stack.home / "secrets.json").read_text())["secret_key"])
    # As containers have it: the key is in a file, and what is started must not find it twice.
    stack.variables["NEREID_SECRET_KEY_FILE"] = str(key)
    stack.command("backup", str(tmp_path / "backup"))
    stack.command("manage", "check")
    with stack.client() as client:
        client.post("/endpoints/", json={"name": "too-late"}).raise_for_status()
        wanted = client.get("/endpoints/digits/policy/").json()
    with pytest.raises(RuntimeError, match="already runs"):
        stack.command("restore", str(tmp_path / "backup"))
    other = ServingStack(tmp_path / "other", sample=False, checkout=checkout)
    other.command("restore", str(tmp_path / "backup"))
    with pytest.raises(RuntimeError, match="not empty"):
        other.command("restore", str(tmp_path / "backup"))
    other.start()
    try:
        with other.client() as client:
            assert client.get("/endpoints/digits/policy/").json() == wanted
            assert client.get("/endpoints/too-late/").status_code == 404
        answered = converge(other, put_weights(other, 30, 70))
        assert set(answered) == {"1", "2"}
    finally:
        other.stop()
    there, here = (json.loads((one.home / "secrets.json").read_text()) for one in (stack, other))
    assert here == there
