"""Agents to compare with. Each is a plain gym-remote client and runs alone.

`retro-contest evaluate --agent random|hold-right|jerk` starts them; so does
`python -m retro_contest.agents.jerk --socket DIR`.
"""
