"""Alembic's scripts: one revision per change of `tables`, run when a store is opened."""
