"""Where the commands of script tasks run: local processes, their files, what they print."""
