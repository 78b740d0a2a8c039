"""A contest that others take part in over a network: accounts, jobs, a board, a web server.

`contest.open_contest` opens what lies in a host's data folder; the web server (`http`), the
executor that plays the jobs (`work`) and the commands of the host share it. SQLite holds all that
changes, results folders hold what was measured.
"""
