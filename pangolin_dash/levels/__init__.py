"""Levels of Pangolin Dash: blocks, zone themes, the library of sections, the generator."""
