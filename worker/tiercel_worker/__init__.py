"""The worker: takes jobs from the log, runs attempts, says how they ended. It keeps nothing."""
