"""The systems: one file each, in the form of `lab.method`. Their common parts stand beside."""
