"""`moegate plan`: what a fleet answers, and costs, before it is bought. A simulation; needs no server and no experts.

`description` says what is simulated, `traffic` makes the requests, `replica` is one batching engine, `fleet` runs
them all on one clock, `report` counts, `table` and `pictures` show it, `command` is the command line.
"""
