"""Alembic's way in: our own schema, our own version table."""

import sqlalchemy as sa
from alembic import context

from control_plane.telemetry.tables import SCHEMA, metadata

TABLES = {table.name for table in metadata.tables.values()}


def ours(name: str | None, type_: str, parent_names: object) -> bool:
    """Whether Alembic compares this: our schema alone, and of it no single partition."""
    if type_ == "schema":
        return name == SCHEMA
    if type_ == "table":
        return name in TABLES
    return True


def run() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table_schema=SCHEMA,
            include_schemas=True,
            include_name=ours,
        )
        with context.begin_transaction():
            context.run_migrations()


run()
