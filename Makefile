# make demo: see it work.  make test: build and test everything.  make help: the rest.
# Each target calls one script; what the scripts need they bring themselves (scripts/deps.sh).
.DEFAULT_GOAL := help
.PHONY: help demo test soak bench deps build clean format lint fuzz docs stack

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## a source database, Kafka, a registry and a target database, and what freshet does with them; DEMO=mysql, analytics, query, outbox or contracts
	@scripts/demo.sh

test: ## brings what is missing, builds, runs every test; last line: N passed, N failed, N skipped
	@scripts/test.sh

soak: ## the long tests: every fault, many kills, an hour of fuzzing per target
	@scripts/soak.sh

bench: ## throughput, latency, memory; BENCH='m*' picks figures
	@scripts/bench.sh

deps: ## Debian packages, librdkafka, servers of the tests; nothing to do the second time
	@scripts/deps.sh all

build: ## the program, optimised: build/release/freshet
	@scripts/deps.sh build
	@cmake --preset release
	@cmake --build build/release
	@scripts/hardening.sh

clean: ## removes build/ (the cache of servers and libraries stays)
	@rm -rf build

format: ## formats the C sources in place
	@find src connectors tests bench -name '*.[ch]' 2>/dev/null | xargs -r clang-format-19 -i

lint: ## layers, house numbers, format, clang-tidy, cppcheck
	@scripts/lint.sh

fuzz: ## each fuzz target: its corpus, then FUZZ_SECONDS (60)
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} scripts/test.sh deps fuzz

docs: ## writes what is generated and committed: options, man pages, completions, schemas
	@cmake --preset dev --log-level=WARNING
	@cmake --build build/dev --target freshet gen_types unit.codec.avro_schema
	@scripts/golden.sh

stack: ## a shell with the servers of the tests
	@tests/stack/run $${SHELL:-bash}
