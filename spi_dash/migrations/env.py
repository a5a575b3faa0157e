"""Alembic's entry: runs the migrations on the connection that db.upgrade() passes in, under its lock."""

from alembic import context

from spi_dash.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=False
)
context.run_migrations()
