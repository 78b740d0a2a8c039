"""The ground floor under the agent and the contest: errors, files, configuration, provenance.

Imports neither torch nor the emulator, and nothing else of this repository.
"""
