"""The command line, a client of the HTTP API; and in `server` the composition root."""
