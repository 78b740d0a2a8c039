"""Agents to compare with that need more than the contest's own environment."""
