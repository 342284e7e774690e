"""Dashboards: what an author writes, and what the read model is asked for it."""
