"""`retro-contest doctor`: whether this machine can do what a person wants, and what mends it."""
