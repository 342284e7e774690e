"""The revisions, oldest first by number. A released one never changes."""
