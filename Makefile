# popbridge: `make` or `make help` lists what there is. Every target is one or
# two ordinary go commands; nothing here is needed to build or test.

GO       ?= go
TOOL      = $(GO) tool -modfile=tools/go.mod
FUZZTIME ?= 10s
BIN       = bin/popbridge
PLATFORMS = windows/amd64 windows/arm64 darwin/amd64 darwin/arm64 linux/amd64 linux/arm64

.DEFAULT_GOAL := help
.PHONY: help build test race real crash cover fuzz bench profile bench-reliability bench-attack stress demo fmt vet staticcheck errcheck vuln tidy cross packages golden check ci clean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/popbridge for this machine
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/popbridge

test: ## all tests; real servers and clients are used where they are installed
	$(GO) test ./...

race: ## all tests with the race detector, in random order
	$(GO) test -race -shuffle=on ./...

real: ## only the tests against real servers and clients; fails where one is missing
	POPBRIDGE_REAL=required $(GO) test -count=1 -timeout 15m ./test/... ./installer

crash: ## kills and power cuts at every step of fetching and sending and at 200 random moments (half an hour, root for the power cuts)
	POPBRIDGE_REAL=required POPBRIDGE_KILLS=200 $(GO) test -count=1 -timeout 90m -v -run 'TestKilled|TestPowerCut' ./test

cover: ## test coverage by function, in coverage.txt
	$(GO) test -coverprofile=coverage.txt -coverpkg=./... ./...
	$(GO) tool cover -func=coverage.txt | tail -1

fuzz: ## every fuzz target for FUZZTIME (default 10s) each
	.ci/fuzz $(FUZZTIME)

bench: build ## speed, memory and disk against targets, beside Dovecot and mpop, in bench.json (minutes; BENCH="-messages 5000,30000,100000" for all sizes)
	$(GO) run ./test/bench -popbridge $(BIN) $(BENCH)

profile: ## processor profiles of each IMAP command, in profiles/ (BENCH="-messages 30000" for more mail)
	CGO_ENABLED=0 $(GO) build -trimpath -tags pprof -o $(BIN)-pprof ./cmd/popbridge
	$(GO) run ./test/bench -popbridge $(BIN)-pprof -json "" -parts profile $(BENCH)

bench-reliability: build ## what is lost and doubled by kills and by servers, beside mpop, getmail6, fetchmail, msmtpq and nullmailer (root for the last)
	$(GO) run ./test/bench -popbridge $(BIN) -parts reliability,reliability-send

bench-attack: build ## what attackers can take of memory, processor and time, against targets (a quarter of an hour)
	$(GO) run ./test/attack -popbridge $(BIN)

stress: build ## CLIENTS (default 200) IMAP clients at random for TIME (default 60s), with all answers, messages and memory checked
	$(GO) run ./test/stress -popbridge $(BIN) -clients $(or $(CLIENTS),200) -for $(or $(TIME),60s)

demo: ## the whole agent on sample mail, nothing to set up
	$(GO) run ./cmd/popbridge demo

fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, at the version pinned in tools/go.mod
	$(TOOL) staticcheck ./...

errcheck: ## errors that the program ignores without a word
	.ci/errcheck

vuln: ## govulncheck; needs to reach vuln.go.dev
	$(TOOL) govulncheck ./...

tidy: ## go.mod and go.sum as they should be
	$(GO) mod tidy
	cd tools && $(GO) mod tidy

cross: ## build for every supported platform, without cgo
	@for p in $(PLATFORMS); do \
		echo "  $$p"; \
		CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./... || exit 1; \
	done

packages: ## archives, packages, manifests, checksums and bills of materials in dist/ (VERSION=1.2.3)
	$(GO) run ./cmd/packages -version "$(VERSION)"

golden: ## rewrite the golden files; look at `git diff` afterwards
	$(GO) test $$(git grep -l "\"update\"" -- "*_test.go" | xargs -n1 dirname | sort -u | sed "s,^,./,") -update

check: fmt vet staticcheck errcheck test ## what to run before a commit

ci: ## everything, as the build machine does it (installs Debian packages, as root)
	.ci/run

clean: ## remove what was built
	rm -rf bin profiles coverage.txt bench.json
