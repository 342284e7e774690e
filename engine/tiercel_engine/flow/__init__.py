"""A flow as its author writes it: reading, checking, and the inputs of its executions.

Pure: it knows no log, no clock and no plugin, but is told which types there are.
"""
