"""What task and trigger types are, which there are, and the properties of those of the core."""
