"""Schedules and polling triggers will live here. Empty so far: nothing starts by time yet."""
