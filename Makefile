# What an operator types. Every recipe is one line: a control verb, a program, or the build.
DRILL ?= db-down
TARGET ?= acceptance
.DEFAULT_GOAL := help
OURS = help doctor up verify status logs recover backup restore halt destroy report drill drills prove acceptance \
	guarantees test life containers swarm signals sabotage machines trouble lab images bench build clean
# whatever else stands behind `make drill` are names of drills: make drill mid-flight
NAMES := $(if $(filter drill,$(MAKECMDGOALS)),$(filter-out $(OURS),$(MAKECMDGOALS)))
# the longest first, so that none is left alone at the end
LONG = verifier/test/process.test.ts infra/test/process-trouble.test.ts infra/test/process.test.ts verifier/test/verify.test.ts
# what happens to a system in its life: these take minutes, and some need root and a loop device
LIFE = infra/test/process-upgrade.test.ts infra/test/backup.test.ts infra/test/process-disk.test.ts verifier/test/power-cut.test.ts
# what needs several machines: an engine and root
FLEET = infra/test/swarm.test.ts infra/test/failover.test.ts infra/test/router.test.ts
SHORT = $(filter-out $(LONG) $(LIFE) $(FLEET) infra/test/docker% infra/test/machine%,$(wildcard $(addsuffix /test/*.test.ts,verifier infra service)))
compiled = $(foreach file,$(1),$(subst /test/,/dist/test/,$(file:.ts=.js)))
run-tests = node --test --test-reporter=./verifier/dist/test/quiet-reporter.js --test-timeout=$(TEST_MS) --test-concurrency=3 $(call compiled,$(1))
# each file has this long; the longest takes a tenth of it where nothing else runs
TEST_MS = 600000
MAKEFLAGS += --no-print-directory
unexport NODE_OPTIONS

help: ## list the targets and what they take
	@awk '/^#@/{print substr($$0,4)} /^#= /{print "  " substr($$0,4)} /^[a-z]+:.* ## /{split($$0,s,/:.* ## /); printf "  make %-12s%s\n",s[1],s[2]}' $(MAKEFILE_LIST)

#@ Every day
doctor: infra/dist/cli.js ## what this host can run, what is missing; changes nothing [JSON=1]
	@infra/control doctor

up: build ## start the system; returns when it can be verified
	@infra/control up

verify: build ## is it what it promises? TAP on stdout
	@node verifier/dist/verify.js

status: build ## what runs where, and what each node answers [JSON=1]
	@node verifier/dist/status.js

logs: infra/dist/cli.js ## the last lines of every log [LINES=50] [FOLLOW=1]
	@infra/control logs

recover: infra/dist/cli.js ## undo every fault that is still in place
	@infra/control recover

backup: infra/dist/cli.js ## every order in one file that destroy leaves alone; prints its path
	@infra/control backup

restore: export CALLER = $(PWD)
restore: infra/dist/cli.js ## bring a backup into a stack without orders: make restore FILE=…
	@case "$$FILE" in '' | /*) ;; *) FILE=$$CALLER/$$FILE ;; esac; infra/control restore "$$FILE"

halt: infra/dist/cli.js ## stop services first, then machines; the data is kept
	@infra/control halt

destroy: infra/dist/cli.js ## stop everything and remove it, the data too
	@infra/control destroy

report: build ## the page of the newest run, opened if there is a desktop [ALL=1: all runs]
	@node verifier/dist/report.js

#@
#@ Drills
drill: build ## break it on purpose and see it heal: make drill mid-flight [KILLS=3]
	@node verifier/dist/drill.js $(or $(NAMES),$(DRILL))

drills: build ## every drill, one after the other
	@node verifier/dist/drill.js all

prove: build ## a red for every rung: what verify says of each fault, in one table
	@node verifier/dist/prove.js

acceptance: build ## the specification's acceptance list, from a clean state to a clean state
	@node verifier/dist/acceptance.js

guarantees: build ## every guarantee with its proofs, and when they were last seen [CHECK=1]
	@node verifier/dist/guarantees.js

#@
#@ Development
test: build ## every test that needs neither container engine nor hypervisor, but those of life
	@$(call run-tests,$(LONG) $(SHORT))

life: build ## tests of upgrades, backups, power cuts and full disks on plain processes (root)
	@$(call run-tests,$(LIFE))

containers: build ## every test of the container platform; needs an engine
	@node --test --test-reporter=spec --test-timeout=3600000 --test-concurrency=1 $(patsubst infra/test/%.ts,infra/dist/test/%.js,$(wildcard infra/test/docker*.test.ts))

swarm: build ## every test of the fleet and of its database; needs an engine and root
	@node --test --test-reporter=spec --test-timeout=3600000 --test-concurrency=1 $(call compiled,$(FLEET))

signals: build ## every drill, every signal, every moment; takes long [DRILLS= SIGNALS= STACKS=]
	@node verifier/dist/test/signals-table.js

sabotage: build ## sabotaged builds of the service, and who finds each; takes long [ONLY=] [STACKS=]
	@node verifier/dist/test/sabotage.js

machines: build ## the runbook typed line by line on VMs, and one killed hard (use make lab)
	@node --test --test-reporter=tap infra/dist/test/machines.test.js

trouble: build ## machines' own failures: clock, disk, engine, power, network (use make lab)
	@node --test --test-reporter=tap infra/dist/test/machine-trouble.test.js

lab: ## a target on emulated VMs, in a network of its own [TARGET=acceptance|swarm|…]
	@vagrant/lab/run $(TARGET)

images: ## base images: the pinned digests, or stand-ins if there is no registry [OFFLINE=1]
	@infra/images/build $(if $(OFFLINE),,remove)

bench: build ## the service beside a bare program and the database alone [BENCH=quick]
	@node service/dist/bench/bench.js

build: node_modules/.package-lock.json ## compile what has changed (talks on stderr)
	@node_modules/.bin/tsc -b >&2

clean: ## remove what the build made, not the system's state
	@rm -rf node_modules service/dist verifier/dist infra/dist

#@
#@ What most of them take, as in make verify STRICT=1
#= PLATFORM=vagrant|docker|process|swarm  where it runs: remembered since up, else the best usable
#= MACHINES=engines|vagrant         of what a swarm is made: engines on this machine, or VMs
#= NODE="control worker1"           which nodes, or all; else those that were asked for at up
#= TARGETS=host:port,...            verify these addresses, whatever runs there
#= EXPECT=unready                   verify that all is refused while the database is away
#= COMMIT=c0ffee1                   verify what it is built from, where that is not this checkout
#= STRICT=1                         verify, drill, acceptance: nothing may be skipped
#= SCALE=10                         every deadline ten times as long
#= FILE=….dump                     restore: the backup, as make backup prints it
#= KILLS=3                          how often mid-flight kills the database, or power-cut cuts
#= ORDERS_DISK_MB=256               up: a disk of the database's own (root)
#= ORDERS_PORT=8000                 where the service listens
#= ORDERS_DB_PORT=15432             where the database listens, on plain processes
#= ORDERS_STATE=.state              what is remembered: another folder is another system

# Only when it is missing: what stops or repairs the system must not depend on whether today's sources compile.
infra/dist/cli.js:
	@$(MAKE) build

node_modules/.package-lock.json: package-lock.json
	@infra/packages && touch $@

ifneq ($(NAMES),)
$(NAMES): drill
	@:
endif

.PHONY: $(OURS) $(NAMES)
