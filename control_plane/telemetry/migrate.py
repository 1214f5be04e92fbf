"""Brings the schema `telemetry` up to date: `python -m control_plane.telemetry.migrate`.

`--is-current` asks only whether it is, for whoever waits for somebody else to do it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from control_plane.telemetry.store import engine_url
from control_plane.telemetry.tables import SCHEMA


def alembic_config(address: str) -> Config:
    """Alembic's configuration for one database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    rendered = engine_url(address).render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", rendered.replace("%", "%%"))
    return config


def migrate(address: str) -> None:
    """Upgrades to the newest revision; nothing happens where it is there already."""
    command.upgrade(alembic_config(address), "head")


def is_current(address: str) -> bool:
    """Whether every migration was applied; changes nothing."""
    return not lacking(address)


def lacking(address: str) -> list[str]:
    """The newest revision, where the database is at another one; changes nothing."""
    script = ScriptDirectory.from_config(alembic_config(address))
    engine = sa.create_engine(engine_url(address), poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
        return sorted(set(script.get_heads()) - set(context.get_current_heads()))


def main(arguments: list[str]) -> int:
    """`--check` says whether tables and migrations agree; `--is-current` migrates nothing."""
    address = os.environ.get("DATABASE_URL")
    if not address and (path := os.environ.get("DATABASE_URL_FILE")):
        address = Path(path).read_text().strip()
    if not address:
        print("DATABASE_URL is not set", file=sys.stderr)
        return 2
    if "--is-current" in arguments:
        return 0 if is_current(address) else 1
    migrate(address)
    if "--check" in arguments:
        try:
            command.check(alembic_config(address))
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
