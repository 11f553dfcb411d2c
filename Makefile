# make deps    what the tests need beside Go, on Debian and as root: a C compiler, Python, Node, R, Chromium; about a minute
# make test    everything that CI checks; installs the official client into .venv
# make bench   weft beside the floor, a program that does only what cannot be left out; about seven minutes
# make bench-far   computations of institutions that are 28 ms apart; needs root
# make soak    cuts and kills as in the tests, for longer; prints tables; about six minutes
# make microbench  benchmarks of the packages
# make fuzz    each fuzz target for a while
# make fuzz-http   a million hostile requests to a gateway; about ten minutes
# make build   the binary ./weft

GO ?= go
PYTHON ?= python3
FUZZTIME ?= 20s
export GOTOOLCHAIN = local
export CGO_ENABLED = 0

.PHONY: build deps test check unit race client bench bench-far soak microbench fuzz fuzz-http clean

build:
	$(GO) build -trimpath -o weft ./cmd/weft

# The C compiler is for the race detector; the interpreters run the clients of the representation API.
DEPS = gcc libc6-dev python3 python3-venv nodejs chromium r-base-core r-cran-httr r-cran-jsonlite

deps:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(DEPS)

test: check unit race
	@echo "make test: all checks passed"

# Form: formatting, vet for three systems, staticcheck, tidy modules.
check:
	@test -z "$$(gofmt -l .)" || { echo "gofmt these files:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	$(GO) tool -modfile=test/tools/go.mod staticcheck ./...
	$(GO) mod tidy -diff
	$(GO) mod verify

# Tests that run beside others (t.Parallel) mostly wait, so more of them run at once than there are cores.
BESIDE = -parallel 4

# The long exhaustive tests and the whole-system tests with the official client, at full speed; the packages that take longest
# come first.
unit: .venv/installed
	WEFT_PYTHON=$(CURDIR)/.venv/bin/python $(GO) test $(BESIDE) ./test ./node ./...

# The same under the race detector, where code runs in the test's own process and in more than one goroutine: the binary that
# whole-system tests start has no detector, and a protocol is one goroutine, but for simon/fss and simon/psi. -short leaves the exhaustive
# ones out; measurements, pictures and what waits for long have run in unit.
UNRACED = '^Test(Bench|Wire|Slow|HalfClosed|Resets|ManyHostileServices|Downloads|LongSheet|Pictures|WrongDealers|DealerOverA|DiskFull|ManyComputations|ResultsNeverMix|CrashAtEveryStep|Storm)'
RACED = $$($(GO) list ./... | grep -v -e /weft/simon -e /weft/test)
race: .venv/installed
	CGO_ENABLED=1 WEFT_PYTHON=$(CURDIR)/.venv/bin/python $(GO) test $(BESIDE) -race -short -skip $(UNRACED) $(RACED) ./simon/simontest ./simon/fss ./simon/psi
	CGO_ENABLED=1 $(GO) test -race -short -run 'AgreesWithR|TestClinicalStudy|TestSumIsExact' ./simon
	CGO_ENABLED=1 WEFT_PYTHON=$(CURDIR)/.venv/bin/python $(GO) test -race -short -run '^TestObserver' -skip '^TestObserverWouldFind' ./test

# The official client of Federated Secure Computing, from the package index.
.venv/installed: test/requirements.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r test/requirements.txt
	touch $@

# BENCH takes flags, like BENCH='-only a,f -rounds 5'.
bench: .venv/installed
	cd test/floor && $(GO) vet ./...
	WEFT_PYTHON=$(CURDIR)/.venv/bin/python $(GO) run ./test/bench $(BENCH)

# Three institutions 28 ms apart, there and back; needs Linux and root.
bench-far:
	$(GO) test -run '^$$' -bench FarApart -benchtime 40x ./test

microbench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Real processes whose lines to the hub are cut and who are killed: WEFT_SEED=N repeats what a run did.
soak:
	WEFT_SOAK=1 $(GO) test -count 1 -v -timeout 30m -run '^TestStorm' ./test

fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$p || exit 1; \
	  done; \
	done

# REQUESTS says how many, WEFT_SEED=N from which seed on.
REQUESTS ?= 1000000
fuzz-http:
	WEFT_REQUESTS=$(REQUESTS) $(GO) test -count 1 -v -timeout 120m -run '^TestHostileRequests$$' ./gateway

clean:
	rm -rf weft .venv
