"""`moegate plan`: simulates what a fleet can serve and costs, before it is bought. It needs no server and no experts.

`description` says what is simulated, `traffic` makes the requests, `replica` is one batching engine, `fleet` runs all
of them on one clock, `report` counts, `table` and `pictures` show the result, `command` is the command line.
"""
