"""What templates read of the world beyond files and secrets: HTTP, key-values, holidays, ports."""
