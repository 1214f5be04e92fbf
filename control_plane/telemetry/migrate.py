"""Brings the schema `telemetry` up to date: `python -m control_plane.telemetry.migrate`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from control_plane.telemetry.store import engine_url


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


def main(arguments: list[str]) -> int:
    """`--check` says whether the tables and the migrations agree, and changes nothing."""
    address = os.environ.get("DATABASE_URL")
    if not address:
        print("DATABASE_URL is not set", file=sys.stderr)
        return 2
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
