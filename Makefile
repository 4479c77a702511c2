# Two commands take a fresh Debian 12 machine with Go, gcc, make and root to the end: `make demo` and `make test`.

GO = go
# A checkout may belong to another user, and then git refuses to say which version it is.
export GOFLAGS += -buildvcs=false
VERSION = $(shell git describe --always --dirty 2>/dev/null || echo unknown)
LIBRARY = build/libonceleaf-embedded.so
FRONT = build/libonceleaf.so
DAEMON = build/onceleafd

# Where `make install` puts things, below DESTDIR if it is given. SBINDIR is also the last place at which libonceleaf.so
# looks for the daemon, so `make build` needs the same.
PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
SBINDIR = $(PREFIX)/sbin
LIBDIR = $(PREFIX)/lib
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/onceleaf
P11KITDIR = $(PREFIX)/share/p11-kit/modules
UNITDIR = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d

# The compiler of libonceleaf.so, which is C alone. `make toolchains` builds it with others too. A part of the C is the
# embedded library's too, and lies there for the sake of Go's build cache.
FRONT_CC = gcc
FRONT_SOURCES = cgo/front/*.c $(addprefix cgo/embedded/,calls.c events.c exchange.c marshal.c)
FRONT_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -fPIC -fvisibility=hidden -Wall -Wextra -Werror -pthread -Icgo/embedded \
	'-DONCELEAF_SBINDIR="$(SBINDIR)"'
FRONT_LDFLAGS = -shared -Wl,-z,now,-z,relro,-z,nodelete,-z,defs,-Bsymbolic -Wl,--version-script=cgo/front/exports.map

# Only the three names of exports.map leave the library, so that it can live beside other Go libraries; it is bound when
# it is loaded, since a lazy binding could hang in a forked child; and it stays when it is closed, since its threads do.
# The linker wants the map's absolute path.
LIBRARY_LDFLAGS = -extldflags '-Wl,--version-script=$(CURDIR)/cgo/embedded/exports.map -Wl,-z,now -Wl,-z,nodelete'

# What the tests and the demo need beside Go, gcc and make: PKCS#11 clients (opensc to libp11-kit-dev), another HSS
# verifier (Bouncy Castle on Java), firmware to sign (seabios), strace to watch and fail system calls, spin to check the
# model of the state machine, two more toolchains for the library that is C (clang, musl), man to judge the manual pages,
# and for the bench another token (SoftHSM). Debian starts nginx when it is installed; the tests start their own and do
# not need that one.
PACKAGES = opensc p11-kit p11-kit-modules gnutls-bin openssl libengine-pkcs11-openssl libnss3-tools openssh-client \
	osslsigncode nginx libp11-kit-dev openjdk-17-jdk-headless libbcprov-java seabios strace spin clang musl-tools man-db softhsm2

# Packages in which threads meet. The disk sets the pace of internal/crashtest, which runs the same code once more.
RACE = ./internal/sha256mb ./lms ./keystore/... ./mechanism ./token/... ./p11module/... ./backup/... ./internal/durable/... \
	./internal/wire/... ./internal/dispatch ./internal/daemon/...

FUZZTIME = 20s
SOAK = 1h

# How long the many processes of a soak work. Every signature goes to a file, and the keys have some millions.
MANY = 5m

# What the parts of a test run covered: lines of a name and a number.
COUNTS = $(CURDIR)/build/counts

.PHONY: help deps build embedded front daemon cli manuals install test test-clients provider check toolchains race sanitize model fuzz soak bench bench-batches demo clean

help:
	@echo 'make demo      the whole story on this machine: a token, a key, signatures, a second token'
	@echo 'make test      everything: format, vet, staticcheck, all tests and fault runs, race detector, address sanitizer,'
	@echo '               the model, each fuzz target for FUZZTIME=$(FUZZTIME); ends with what it covered'
	@echo 'make test-clients   the programs of docs/clients.md (OpenSSL, GnuTLS, NSS, Java, ssh, nginx, ...) over $(FRONT)'
	@echo 'make build     $(FRONT) and $(DAEMON), $(LIBRARY), build/onceleaf, manual pages'
	@echo 'make install   what was built, with units of systemd, below $$(DESTDIR)$(PREFIX) (PREFIX, LIBDIR, SBINDIR, ...)'
	@echo 'make deps      the Debian packages that tests and demo need (installs them when run as root)'
	@echo 'make model     the model of the state machine (docs/model), checked exhaustively by spin'
	@echo 'make fuzz      each fuzz target for FUZZTIME=$(FUZZTIME)'
	@echo 'make soak      kills a signer at random moments for SOAK=$(SOAK), applications and daemons for MANY=$(MANY)'
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

build: front daemon embedded cli manuals

front:
	mkdir -p build
	$(FRONT_CC) $(FRONT_CFLAGS) $(FRONT_LDFLAGS) -o $(FRONT) $(FRONT_SOURCES)

daemon:
	mkdir -p build
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(DAEMON) ./cmd/onceleafd

embedded:
	mkdir -p build
	$(GO) build -trimpath -buildmode=c-shared -ldflags "-s -w $(LIBRARY_LDFLAGS)" -o $(LIBRARY) ./cgo/embedded
	rm -f build/libonceleaf-embedded.h

cli:
	mkdir -p build
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o build/onceleaf ./cmd/onceleaf

manuals: daemon cli
	build/onceleaf man > build/onceleaf.1
	$(DAEMON) man > build/onceleafd.8

# Builds nothing, so that root need not: `make build`, then `make install` with the same variables.
install:
	@test -f build/onceleafd.8 || { echo 'nothing is built: run make build first'; exit 1; }
	@grep -qF '$(SBINDIR)/onceleafd' $(FRONT) || \
		{ echo '$(FRONT) looks for its daemon elsewhere: run make build with the same PREFIX and SBINDIR'; exit 1; }
	install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(LIBDIR)/pkcs11' '$(DESTDIR)$(MANDIR)/man1' '$(DESTDIR)$(MANDIR)/man8' \
		'$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(P11KITDIR)' '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(SYSUSERSDIR)' '$(DESTDIR)$(TMPFILESDIR)'
	install -m 755 build/onceleaf '$(DESTDIR)$(BINDIR)/onceleaf'
	install -m 755 $(DAEMON) '$(DESTDIR)$(SBINDIR)/onceleafd'
	install -m 644 $(FRONT) $(LIBRARY) '$(DESTDIR)$(LIBDIR)'
	ln -sf ../libonceleaf.so '$(DESTDIR)$(LIBDIR)/pkcs11/libonceleaf.so'
	install -m 644 build/onceleaf.1 '$(DESTDIR)$(MANDIR)/man1/onceleaf.1'
	install -m 644 build/onceleafd.8 '$(DESTDIR)$(MANDIR)/man8/onceleafd.8'
	install -m 644 install/onceleaf.toml docs/configuration.md '$(DESTDIR)$(DOCDIR)'
	install -m 644 install/onceleafd.socket '$(DESTDIR)$(UNITDIR)/onceleafd.socket'
	sed 's|@SBINDIR@|$(SBINDIR)|' install/onceleafd.service.in > '$(DESTDIR)$(UNITDIR)/onceleafd.service'
	sed 's|@MODULE@|$(LIBDIR)/libonceleaf.so|' install/onceleaf.module.in > '$(DESTDIR)$(P11KITDIR)/onceleaf.module'
	chmod 644 '$(DESTDIR)$(UNITDIR)/onceleafd.service' '$(DESTDIR)$(P11KITDIR)/onceleaf.module'
	install -m 644 install/sysusers.conf '$(DESTDIR)$(SYSUSERSDIR)/onceleaf.conf'
	install -m 644 install/tmpfiles.conf '$(DESTDIR)$(TMPFILESDIR)/onceleaf.conf'

test: deps build check provider
	rm -f $(COUNTS)
	ONCELEAF_COUNTS=$(COUNTS) ONCELEAF_MODULE="$(CURDIR)/$(LIBRARY)" $(GO) test -count=1 -timeout 30m ./...
	ONCELEAF_COUNTS=$(COUNTS) ONCELEAF_MODULE="$(CURDIR)/$(FRONT)" $(GO) test -count=1 -timeout 30m ./softhsm-tests ./cmd/onceleaf
	$(MAKE) --no-print-directory test-clients toolchains race sanitize
	ONCELEAF_COUNTS=$(COUNTS) $(MAKE) --no-print-directory model fuzz
	.ci/counts $(COUNTS)

# What docs/clients.md shows, with the programs that it names.
test-clients: deps build provider
	ONCELEAF_MODULE="$(CURDIR)/$(FRONT)" $(GO) test -count=1 -timeout 20m ./softhsm-tests/clients

# pkcs11-provider is in no package of Debian 12 itself.
provider:
	softhsm-tests/clients/provider

check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

race:
	$(GO) test -count=1 -race $(RACE)

# libonceleaf.so is for every C library and compiler: these ran too. The C programs that ask most of it come from the same
# compiler.
toolchains: deps daemon
	mkdir -p build/clang build/musl
	clang $(FRONT_CFLAGS) $(FRONT_LDFLAGS) -o build/clang/libonceleaf.so $(FRONT_SOURCES)
	musl-gcc $(FRONT_CFLAGS) $(FRONT_LDFLAGS) -o build/musl/libonceleaf.so $(FRONT_SOURCES)
	ONCELEAF_CC=clang ONCELEAF_MODULE="$(CURDIR)/build/clang/libonceleaf.so" ONCELEAF_DAEMON="$(CURDIR)/$(DAEMON)" \
		$(GO) test -count=1 -run '^TestHost(Buffers|Arguments)$$' ./softhsm-tests
	ONCELEAF_CC=musl-gcc ONCELEAF_MODULE="$(CURDIR)/build/musl/libonceleaf.so" ONCELEAF_DAEMON="$(CURDIR)/$(DAEMON)" \
		$(GO) test -count=1 -run '^TestHost(Buffers|Forks|Descriptors|Threads)$$' ./softhsm-tests

# The C programs of softhsm-tests with the address sanitizer, in them and in the libraries: it sees a write beyond a
# caller's buffer, of Go code too. Leaks are for the library that is C alone.
sanitize: deps daemon
	mkdir -p build/sanitize
	$(FRONT_CC) $(FRONT_CFLAGS) -g -fsanitize=address,undefined -fno-sanitize-recover=all $(FRONT_LDFLAGS) \
		-o build/sanitize/libonceleaf.so $(FRONT_SOURCES)
	ONCELEAF_MODULE="$(CURDIR)/build/sanitize/libonceleaf.so" ONCELEAF_DAEMON="$(CURDIR)/$(DAEMON)" \
		ONCELEAF_SANITIZE=address,undefined $(GO) test -count=1 -run '^TestHost' ./softhsm-tests
	$(GO) build -trimpath -asan -buildmode=c-shared -ldflags "$(LIBRARY_LDFLAGS)" -o build/sanitize/libonceleaf-embedded.so ./cgo/embedded
	ONCELEAF_MODULE="$(CURDIR)/build/sanitize/libonceleaf-embedded.so" ONCELEAF_SANITIZE=address,undefined ASAN_OPTIONS=detect_leaks=0 \
		$(GO) test -count=1 -run '^TestHost' ./softhsm-tests

demo: deps build
	docs/demo/run

model: deps
	docs/model/run

fuzz:
	.ci/fuzz $(FUZZTIME)

soak: build
	ONCELEAF_SOAK=$(SOAK) $(GO) test -count=1 -timeout 0 -v -run '^TestRandomKills$$' ./internal/crashtest
	ONCELEAF_MANY=$(MANY) ONCELEAF_MODULE="$(CURDIR)/$(FRONT)" $(GO) test -count=1 -timeout 0 -v -run '^TestMany' ./softhsm-tests

bench: deps build
	$(GO) run ./internal/bench $(BENCHFLAGS)

bench-batches:
	$(GO) test -run '^$$' -bench Batches -benchtime 2000x -timeout 30m ./keystore

clean:
	rm -rf build
