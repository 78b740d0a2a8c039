"""Agents to compare with. Each is a plain gym-remote client and runs alone.

``python -m contest evaluate --agent random|hold-right|jerk`` starts them; so does
``python -m contest.agents.jerk --socket DIR``.
"""
