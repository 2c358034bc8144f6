# What an operator types. Every recipe is one line: a control verb, a program, or the build.
DRILL ?= db-down
TARGET ?= acceptance
.DEFAULT_GOAL := help
TESTS = $(patsubst service/test/%.ts,service/dist/test/%.js,$(wildcard service/test/*.test.ts)) \
	$(patsubst verifier/test/%.ts,verifier/dist/test/%.js,$(wildcard verifier/test/*.test.ts)) \
	$(patsubst infra/test/%.ts,infra/dist/test/%.js,$(filter-out infra/test/docker% infra/test/machines%,$(wildcard infra/test/*.test.ts)))
MAKEFLAGS += --no-print-directory
unexport NODE_OPTIONS

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build ## start the system, return when it can be verified [PLATFORM=vagrant|docker|process] [NODE="control worker1"]
	@infra/control up

verify: build ## is it what it promises? TAP on stdout [NODE=all] [TARGETS=host:port,...] [EXPECT=unready] [STRICT=1]
	@node verifier/dist/verify.js

drill: build ## break it on purpose and see it heal [DRILL=db-down]
	@node verifier/dist/drill.js $(DRILL)

drills: build ## every drill, one after the other
	@node verifier/dist/drill.js all

recover: infra/dist/cli.js ## undo every fault that is still in place
	@infra/control recover

status: build ## what runs where, and what each node answers
	@node verifier/dist/status.js

logs: infra/dist/cli.js ## the last lines of every log [LINES=50]
	@infra/control logs

halt: infra/dist/cli.js ## stop services first, then machines; data is kept
	@infra/control halt

destroy: infra/dist/cli.js ## stop everything and remove it, data too
	@infra/control destroy

images: ## base images: the pinned digests, or stand-ins for machines without a registry [OFFLINE=1]
	@infra/images/build $(if $(OFFLINE),,remove)

lab: ## a make target on real VMs in software emulation, in a network of its own [TARGET=acceptance]
	@vagrant/lab/run $(TARGET)

acceptance: build ## the specification's acceptance list, from a clean state to a clean state
	@node verifier/dist/acceptance.js

test: build ## every test that needs neither container engine nor hypervisor
	@node --test --test-reporter=spec --test-concurrency=3 $(TESTS)

bench: build ## the service beside a bare program and the database alone, ratios first [BENCH=quick] [BENCH_ONLY=rows,growth] [BENCH_IDS=ordered]
	@node service/dist/bench/bench.js

containers: build ## every test of the container platform; needs an engine
	@node --test --test-reporter=spec --test-concurrency=1 $(patsubst infra/test/%.ts,infra/dist/test/%.js,$(wildcard infra/test/docker*.test.ts))

signals: build ## every drill interrupted by every signal at every moment, one table; 15 minutes [PLATFORM=docker] [DRILLS=drain] [SIGNALS=SIGKILL] [STACKS=2]
	@node verifier/dist/test/signals-table.js

machines: build ## the specification's runbook typed line by line, and a machine killed hard; on VMs (make lab TARGET=machines)
	@node --test --test-reporter=tap infra/dist/test/machines.test.js

build: node_modules/.package-lock.json ## compile what has changed (talks on stderr)
	@node_modules/.bin/tsc -b >&2

clean: ## remove what the build made, not the system's state
	@rm -rf node_modules service/dist verifier/dist infra/dist

# Only when it is missing: what stops or repairs the system must not depend on whether today's sources compile.
infra/dist/cli.js:
	@$(MAKE) build

node_modules/.package-lock.json: package-lock.json
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 && touch $@

.PHONY: help up verify drill drills recover status logs halt destroy images lab acceptance test bench containers signals build clean
