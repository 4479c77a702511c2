# Two commands take a fresh Debian 12 machine with Go, gcc, make and root to the end: `make demo` and `make test`.

GO = go
# A checkout may belong to another user, and then git refuses to say which version it is.
export GOFLAGS += -buildvcs=false
VERSION = $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LIBRARY = build/libonceleaf-embedded.so

# Only the three names of exports.map leave the library, so that it can live beside other Go libraries; it is bound when
# it is loaded, since a lazy binding could hang in a forked child; and it stays when it is closed, since its threads do.
# The linker wants the map's absolute path.
LIBRARY_LDFLAGS = -extldflags '-Wl,--version-script=$(CURDIR)/cgo/embedded/exports.map -Wl,-z,now -Wl,-z,nodelete'

# What the tests and the demo need beside Go, gcc and make: PKCS#11 clients (opensc, p11-kit), another HSS verifier
# (Bouncy Castle on Java), firmware to sign (seabios), strace to watch and fail system calls, and spin to check the model
# of the state machine.
PACKAGES = opensc p11-kit openjdk-17-jdk-headless libbcprov-java seabios strace spin

# Packages in which threads meet. The disk sets the pace of internal/crashtest, which runs the same code once more.
RACE = ./internal/sha256mb ./lms ./keystore/... ./token/... ./p11module/... ./backup/... ./internal/durable/...

FUZZTIME = 60s
SOAK = 1h

# What the parts of a test run covered: lines of a name and a number.
COUNTS = $(CURDIR)/build/counts

.PHONY: help deps build test check race sanitize model fuzz soak bench bench-batches demo clean

help:
	@echo 'make demo      the whole story on this machine: a token, a key, signatures, a second token'
	@echo 'make test      everything: format, vet, staticcheck, all tests and fault runs, race detector, address sanitizer,'
	@echo '               the model, each fuzz target for FUZZTIME=$(FUZZTIME); ends with what it covered'
	@echo 'make build     $(LIBRARY) and build/onceleaf'
	@echo 'make deps      the Debian packages that tests and demo need (installs them when run as root)'
	@echo 'make model     the model of the state machine (docs/model), checked exhaustively by spin'
	@echo 'make fuzz      each fuzz target for FUZZTIME=$(FUZZTIME)'
	@echo 'make soak      kills a signer at random moments for SOAK=$(SOAK)'
	@echo 'make bench     speed of hashing, key generation, signing, verifying; table and build/bench.json (BENCHFLAGS=-long: H20, H25)'
	@echo 'make bench-batches   signatures per second against the size of batches (docs/performance.md)'
	@echo 'make clean     remove build/'

deps:
	@command -v dpkg-query >/dev/null || { echo 'not Debian: please install what these packages hold: $(PACKAGES)'; exit 0; }; \
	missing=''; \
	for package in $(PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Abbrev}' $$package 2>/dev/null | grep -q '^ii' || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ]; then echo "missing Debian packages, please run: apt-get install$$missing"; exit 1; fi; \
	apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing

build:
	mkdir -p build
	$(GO) build -trimpath -buildmode=c-shared -ldflags "-s -w $(LIBRARY_LDFLAGS)" -o $(LIBRARY) ./cgo/embedded
	rm -f build/libonceleaf-embedded.h
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o build/onceleaf ./cmd/onceleaf

test: deps build check
	rm -f $(COUNTS)
	ONCELEAF_COUNTS=$(COUNTS) $(GO) test -count=1 -timeout 30m ./...
	$(MAKE) --no-print-directory race sanitize
	ONCELEAF_COUNTS=$(COUNTS) $(MAKE) --no-print-directory model fuzz
	.ci/counts $(COUNTS)

check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

race:
	$(GO) test -count=1 -race $(RACE)

# The C programs of softhsm-tests with the address sanitizer, in them and in the library: it sees a write of Go code
# beyond a caller's buffer.
sanitize: deps
	mkdir -p build/sanitize
	$(GO) build -trimpath -asan -buildmode=c-shared -ldflags "$(LIBRARY_LDFLAGS)" -o build/sanitize/libonceleaf-embedded.so ./cgo/embedded
	ONCELEAF_MODULE="$(CURDIR)/build/sanitize/libonceleaf-embedded.so" ONCELEAF_SANITIZE=address,undefined ASAN_OPTIONS=detect_leaks=0 \
		$(GO) test -count=1 -run '^TestHost' ./softhsm-tests

demo: deps build
	docs/demo/run

model: deps
	docs/model/run

fuzz:
	.ci/fuzz $(FUZZTIME)

soak:
	ONCELEAF_SOAK=$(SOAK) $(GO) test -count=1 -timeout 0 -v -run '^TestRandomKills$$' ./internal/crashtest

bench:
	mkdir -p build
	$(GO) run ./internal/bench $(BENCHFLAGS)

bench-batches:
	$(GO) test -run '^$$' -bench Batches -benchtime 2000x -timeout 30m ./keystore

clean:
	rm -rf build
