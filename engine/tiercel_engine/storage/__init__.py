"""Internal storage: files, their addresses, claim checks; and what keeps secrets unread."""
