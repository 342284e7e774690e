"""Who calls, what they may do, and what they did: users, tokens, sessions, roles, the audit log."""
