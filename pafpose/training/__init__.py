"""Training: the run, the Lightning module, optimisers, schedules and callbacks."""
