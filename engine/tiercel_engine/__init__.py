"""The engine: everything between the log and the doors.

The floors, and who may import whom, are drawn in engine/README.md.
"""
