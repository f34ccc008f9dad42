# make run     the whole system on http://127.0.0.1:1337
# make test    all tests. It says which Debian packages are missing, and as root on Debian installs them with apt-get;
#              npm fetches the clients of the browser tests into this directory
# make needs   lists the Debian packages that make test would install, and installs nothing
# make edge    the socket edge under load and strangers, with figures: about 35 minutes
# make test-cluster   three nats-servers, two gateways, two ingests, killed or restarted in turn: about 4 minutes
# make siege   all attacks at random for half an hour, on a process with 2 GiB: needs root, for a cgroup
# make soak    connects and resets for SOAK, 2h by default, and what is left after them
# make test-compose   the compose file in a Docker engine of its own: root, Debian, some minutes
# make bench   CPU, memory and latency, beside Node's Socket.IO and others, into docs/benchmarks.md: about 13 minutes
# make bench-scale    100,000 sockets and 1,000,000 ids on several gateways: about a minute, 4 GB
# make check   format, vet, lint, borders between packages
# make build   bin/doit-socket, bin/doit-socket-gateway, bin/doit-socket-ingest, with their licences
# make release archives for Linux, macOS and Windows, Debian packages and checksums of this commit, in bin/release
# make test-release   a release twice, and its Debian package installed and purged: root on Debian, some minutes
# make notice  writes NOTICE, the licences of what is linked: a test fails when it is out of date
# make client  fetches the Socket.IO client that the binary serves
# make fuzz    every fuzz target, FUZZTIME each: a quarter of an hour with 60s, once they are built
# make vuln    known vulnerabilities of the dependencies (asks the Internet)

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:

GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
FUZZTIME      := 60s
SOAK          := 2h
TOOLS         := $(CURDIR)/.tools/bin

.PHONY: run build release client notice test test-go test-browser test-cluster test-compose test-release edge siege soak bench bench-scale check borders fuzz vuln

notice test-go test-browser test-cluster test-compose edge siege soak bench bench-scale check borders fuzz vuln: go

run: go client
	go run ./embedded

build: go client
	mkdir -p bin
	go build -trimpath -ldflags '-s -w' -o bin/doit-socket ./embedded
	go build -trimpath -ldflags '-s -w' -o bin/doit-socket-gateway ./gateway
	go build -trimpath -ldflags '-s -w' -o bin/doit-socket-ingest ./ingest
	cp LICENSE NOTICE bin/ # who passes the programs on, passes these on

release:
	rm -rf bin/release
	go run -C tools/release . -o "$(CURDIR)/bin/release" "$(CURDIR)"

notice:
	go run ./tools/notice >NOTICE.new
	mv NOTICE.new NOTICE

client:
	clients/browser/fetch.sh

.PHONY: go needs needs-of-test

# Go before 1.21 fails at go.mod without saying what to do; later ones fetch the version that go.mod names, if they may.
go:
	@version=$$(go version 2>&1) || true
	if ! [[ $$version =~ go1\.(2[6-9]|[3-9][0-9]) ]]; then
		echo "Go 1.26 is needed, and \`go version\` says \"$$version\": install it from https://go.dev/dl/, as docs/troubleshooting.md says under \"Go is too old\"." >&2
		exit 1
	fi

test: go needs-of-test test-go test-browser

needs:
	@NEEDS=list test/needs.sh $(NEEDS_GO) $(NEEDS_BROWSER)

# All at once and before anything else, so that nobody is surprised after minutes.
needs-of-test:
	@test/needs.sh $(NEEDS_GO) $(NEEDS_BROWSER)

# What a target needs of the machine: a program, and Debian's package that has it. `go test ./...` by itself needs Go
# alone: tests that start other programs have the build tag programs.
NEEDS_GO      := php:php-cli php-curl:php-curl ss:iproute2 gcc:gcc npm:npm \
                 haproxy:haproxy nginx:nginx caddy:caddy apache2:apache2-bin curl:curl systemd-analyze:systemd kubectl:kubernetes-client
NEEDS_BROWSER := chromium:chromium node:nodejs npm:npm
NEEDS_BENCH   := node:nodejs npm:npm
NEEDS_COMPOSE := docker:docker.io dockerd:docker.io docker-compose:docker-compose busybox:busybox-static haproxy:haproxy node:nodejs npm:npm

test-go:
	test/needs.sh $(NEEDS_GO)
	clients/browser/fetch.sh
	go test -race -tags programs ./...
	go test -race ./gateway/ws ./gateway/eio -portable

test-browser:
	test/needs.sh $(NEEDS_BROWSER)
	clients/browser/fetch.sh
	cd test/browser
	npm ci --no-audit --no-fund --silent
	./fetch-clients.sh
	go build -o out/embedded ../../embedded
	DOIT_EMBEDDED=$$PWD/out/embedded node --test --test-reporter=spec .

# No image is fetched: test/deploy/compose_test.go makes those that the files name.
test-compose:
	test/needs.sh $(NEEDS_COMPOSE)
	go test -tags compose -count 1 -v -timeout 30m -run '^TestCompose$$' ./test/deploy

test-release:
	test/needs.sh npm:npm dpkg:dpkg systemd-analyze:systemd
	go test -tags release -count 1 -v -timeout 20m ./test/release

# On a machine that has nothing else to do: each figure is printed, and fails the run where it is not met.
edge:
	test/needs.sh nginx:nginx
	go test -tags soak -count 1 -v -timeout 60m -skip '^TestCluster' ./test/soak

test-cluster:
	test/needs.sh $(NEEDS_BROWSER) haproxy:haproxy
	clients/browser/fetch.sh
	cd test/browser && npm ci --no-audit --no-fund --silent && ./fetch-clients.sh && cd ../..
	go test -tags soak -count 1 -v -timeout 10m -run '^TestCluster' ./test/soak

siege:
	test/needs.sh nginx:nginx
	go test -tags soak -count 1 -v -timeout 60m -run '^TestSiege$$' ./test/soak -soak.siege 30m

soak:
	go test -tags soak -count 1 -v -timeout 0 -run '^TestChurn$$' ./test/soak -soak.duration $(SOAK)

# On a machine that has nothing else to do. nchan and Centrifugo are measured where they are: CENTRIFUGO_BIN names the one.
bench:
	test/needs.sh $(NEEDS_BENCH)
	test/needs.sh nginx:nginx nchan:libnginx-mod-nchan || true
	cd test/load
	npm ci --prefix peers/node --no-audit --no-fund --silent
	go build -o out/load . && out/load -docs ../../docs

bench-scale:
	cd test/load
	go build -o out/load . && out/load -large -docs ../../docs

check: borders $(TOOLS)/golangci-lint
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	GOOS=windows go build ./gateway/ws # the rest of the product is the same everywhere
	go vet -tags programs,soak,compose,release ./...
	go mod tidy -diff
	$(TOOLS)/golangci-lint run --allow-parallel-runners ./...
	cd tools/release # a module of its own
	go mod tidy -diff
	$(TOOLS)/golangci-lint run --allow-parallel-runners ./...

$(TOOLS)/golangci-lint: Makefile
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)

# The borders of docs/architecture.md, one a line: a package, and what it never reaches, by whatever way.
borders:
	@never() {
		if go list -deps -f '{{if not .Standard}}{{.ImportPath}}{{end}}' "$$1" | grep -vx "$$module/$${1#./}" | grep -E "$$2"; then
			echo "$$1 must not reach the above"; exit 1
		fi
	}
	# A package that alone imports something, but for what tests use.
	alone() {
		if go list -f '{{.ImportPath}} {{join .Imports " "}}' ./... | grep -E " $$2" | cut -d' ' -f1 | grep -vxE "$$module/($${1#./}|internal/[a-z]+test|test/.*)"; then
			echo "the above import $$2: only $$1 does"; exit 1
		fi
	}
	never_itself() { # by an import of its own; what it imports may
		if go list -f '{{join .Imports "\n"}}' "$$1" | grep -E "$$2"; then
			echo "$$1 must not import the above"; exit 1
		fi
	}
	module=github.com/ramainen/doit-socket
	never ./internal/wire     '.' # the standard library only
	never ./internal/clock    '.'
	never ./internal/origin   '.'
	never ./internal/rawjson  '.'
	never ./internal/typo     '.'
	never ./internal/visitor  "nats-io|zishang520|gin-gonic|$$module/(ingest|gateway|embedded|internal/(wire|daemon|listen|logging))"
	never ./internal/budget   '.'
	never ./internal/router   "nats-io|zishang520|$$module/"
	never ./internal/listen   "nats-io|zishang520|gin-gonic|$$module/"
	never ./internal/logging  "nats-io|zishang520|gin-gonic|$$module/"
	never ./internal/daemon   "nats-server|zishang520|$$module/(gateway|ingest|embedded)"
	never ./embedded/natsd    "zishang520|gin-gonic|$$module/(gateway|ingest|internal/daemon)"
	never ./clients/browser   '.'
	never ./gateway/ws        "zishang520|nats-io|$$module/"
	never ./gateway/eio       "zishang520|nats-io|$$module/(ingest|gateway/(sio|hub|relay|node)|internal/(wire|daemon|listen|logging|origin))"
	never ./gateway/hub       "zishang520|nats-server|gin-gonic|$$module/(ingest|gateway/(sio|eio|ws|relay|node)|internal/(visitor|daemon|listen|logging))"
	never ./gateway/relay     "zishang520|nats-server|gin-gonic|$$module/(ingest|gateway|embedded|internal/(clock|daemon|listen|logging|origin|router|visitor|wire))"
	never ./gateway/sio       "nats-server|gin-gonic/gin$$|$$module/(ingest|embedded|gateway/(relay|node)|internal/(daemon|listen|logging))"
	never ./gateway/node      "nats-server|$$module/(ingest|embedded|internal/(daemon|listen|logging))"
	never ./gateway           "nats-server|$$module/(ingest|embedded)"
	never ./ingest/publish    "gin-gonic|nats-server|zishang520|$$module/(gateway|embedded|ingest/legacy)"
	never ./ingest/legacy     "nats-server|zishang520|$$module/(gateway|embedded|internal/(daemon|listen|logging))"
	never_itself ./ingest/legacy "nats-io"
	never ./ingest            "nats-server|zishang520|$$module/(gateway|embedded)"
	alone ./gateway/sio       'github.com/zishang520/'
	alone ./embedded/natsd    'github.com/nats-io/nats-server/'
	alone ./gateway/ws        'github.com/gobwas/ws'

# .fuzz keeps what is found interesting, from run to run, and is not committed. An input that fails a target is written
# into the package's testdata/fuzz: it is committed with the remedy, under a name that says what it is.
fuzz:
	targets=$$(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed 's/:func / /')
	echo "$$(wc -l <<<"$$targets") targets, $(FUZZTIME) each"
	while read -r file target; do
		package=$$(dirname "$$file")
		echo "$$package $$target"
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "./$$package" \
			-test.fuzzcachedir "$(CURDIR)/.fuzz/$$package"
	done <<<"$$targets"

vuln:
	GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	$(TOOLS)/govulncheck ./... || { echo 'govulncheck failed: either it found something above, or its database on the Internet cannot be reached from here'; exit 1; }
