"""The laboratory: systems of the field, one file each, on the same recorded rollouts."""
