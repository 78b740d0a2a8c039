"""The OpenAI Retro Contest on your own machine.

Importing this package registers its levels with Gymnasium: `gymnasium.make`, `gymnasium.make_vec`.
"""

try:
    from retro_contest.registration import register_levels
except ModuleNotFoundError:  # the command line says which library is missing
    pass
else:
    register_levels()
