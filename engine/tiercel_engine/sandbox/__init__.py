"""Child processes for what cannot be stopped inside this one."""
