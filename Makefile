# Everything that is done to this repository. make alone lists the targets.

FUZZTIME ?= 60s
FUZZ ?=
MICROTIME ?= 200ms
SOAK ?= 5m
bin := $(CURDIR)/.cache/bin
platforms := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.PHONY: help fmt lint test race fuzz faults cover rewrite conform interop field-guide bench microbench soak restart lab picture build-all all peers tools platforms $(platforms)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

fmt: ## format the Go files
	gofmt -w $$(git ls-files '*.go')

lint: tools ## gofmt, go vet, staticcheck, layers and style
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)"
	go vet ./...
	go vet -tags weftleak ./internal/transport .
	$(bin)/staticcheck ./...
	go test ./internal/lint

test: ## everything a change has to pass, with the peers that can be installed
	@tools/check

race: ## go test with the race detector and the invariants
	go test -race ./...

fuzz: ## every fuzz target of every module for FUZZTIME (60s); FUZZ=regexp selects: internal/h2, FuzzBridge
	@GOBIN=$(bin) go install -C tools ./fuzz
	@$(bin)/fuzz -time $(FUZZTIME) -run '$(FUZZ)'

faults: ## every fault at every byte of a session, and no buffer lost (10 minutes)
	go test -count 1 -timeout 20m -run TestFault -every-byte .
	go test -count 1 -timeout 20m -tags weftleak -run 'TestFault|TestSleep|TestVanished|TestDialOn|TestDead|TestAttack' .

cover: ## statement coverage, by function, in .cache/cover.html
	@mkdir -p .cache
	go test -coverpkg ./... -coverprofile .cache/cover.out ./...
	go tool cover -html .cache/cover.out -o .cache/cover.html
	@go tool cover -func .cache/cover.out | tail -n 1

rewrite: ## write the machines' output into the transcripts; read the diff afterwards
	go test $$(git grep -l '/internal/transcript"' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's|^|./|') -rewrite
	@git diff --stat -- '*/testdata/*.txt'

conform: tools ## h2spec against the HTTP/2 server
	H2SPEC=$(bin)/h2spec go test -count 1 -v -run H2Spec ./internal/h2/...

interop: peers ## the interop module: other clients, servers, proxies, browsers
	cd interop && go test ./...

field-guide: peers ## ask every server that is installed how it behaves; writes docs/field-guide.md
	cd interop && go test -count 1 -run TestFieldGuide . -field-guide $(CURDIR)/docs/field-guide.md

bench: ## everything that is said of speed, measured anew in 15 minutes: tables, pictures, README
	@mkdir -p .cache
	cd bench && go run . -growth -idle 100000 -docs .. -json ../.cache/bench.json

microbench: ## single operations ten times, MICROTIME (200ms) each, against bench/micro/baseline.txt
	@mkdir -p .cache
	@GOBIN=$(bin) go install -C tools golang.org/x/perf/cmd/benchstat
	@{ echo "# $$(date -u +%F), $$(go version), $$(getconf _NPROCESSORS_ONLN) processors, -benchtime $(MICROTIME)"; \
		go test -run '^$$' -bench 'Mask|UTF8|EncodeConnect|DecodeConnect|OpenClose|Echo|Receiver|Sender' -benchtime $(MICROTIME) -count 10 \
			./internal/frame ./internal/proto ./internal/h2; \
		go test -C bench -run '^$$' -bench . -benchtime $(MICROTIME) -count 10 ./micro; } | tee .cache/micro.txt
	@$(bin)/benchstat -ignore cpu baseline=bench/micro/baseline.txt now=.cache/micro.txt

soak: ## mixed load for SOAK (5m): every echo compared, memory and goroutines flat
	cd bench && go run ./soak -time $(SOAK)

restart: ## 10,000 WebSockets over HTTP/2, some over the others, whose server restarts
	cd bench && go run ./soak restart

lab: peers ## the round trips of every rung, computed and measured at 100 ms; fails if a row is more than 10 % off
	go run ./cmd/weft lab rtt --rtt 100ms

picture: ## draw docs/round-trips.svg from what is computed
	go run ./cmd/weft lab rtt --exact-only --svg docs/round-trips.svg

build-all: $(platforms) ## build and vet for every platform

$(platforms):
	CGO_ENABLED=0 GOOS=$(@D) GOARCH=$(@F) go build ./...
	CGO_ENABLED=0 GOOS=$(@D) GOARCH=$(@F) go vet ./...

platforms:
	@echo $(platforms)

all: fmt test ## format, then test

peers: ## install what the interop tests run against, where that is possible
	@tools/setup-peers

tools:
	@GOBIN=$(bin) go install -C tools tool
