"""Migrations, by Alembic. One that was released is never changed; there is no way back but a backup."""
