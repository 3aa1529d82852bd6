# Two commands for everyone: `make run` starts the server, `make test` checks everything. Both install what is missing.
.PHONY: run run-cluster test check bench
.DEFAULT_GOAL := run

run:    ## install what is missing, fetch the models, build, and serve on http://127.0.0.1:8080
	@scripts/run.sh

run-cluster:  ## the same with Redis, PostgreSQL, two gateways and three workers, to try a fleet on one machine
	@scripts/run-cluster.sh

test:   ## install what is missing, then every check and every test; CI runs exactly this
	@scripts/test.sh

check:  ## formatting, lints and house rules: the fast half, before a commit
	@cargo xtask check

bench:  ## the numbers of docs/performance.md, measured on this machine
	@scripts/bench.sh
