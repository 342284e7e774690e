"""How the server tells of itself: its own log, and its metrics."""
