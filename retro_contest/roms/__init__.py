"""ROMs that a person owns: recognised, imported, and changed into those of the contest of 2018."""
