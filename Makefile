# Sunaba. `make help` lists what there is. Everything that needs root asks sudo for it.
SHELL      := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
CACHE      := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sunaba
SUDO       := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=PATH,HOME,CI,XDG_CACHE_HOME,NO_COLOR,TERM)
GO         := go
LDFLAGS    := -ldflags '-s -w -X main.version=$(VERSION)'
GUEST      := internal/sandbox/gvisor/guestbin/bin/sunaba-guest
RUNSC      := internal/runsc/bin/sunaba-runsc
# Tests that start sandboxes need root: they are compiled as you and run through sudo.
GOTEST     := $(GO) test $(if $(SUDO),-exec '$(SUDO)')
# Static: inside a sandbox's start there is no libc to load. The same flags everywhere, so that gVisor is compiled once for the binary and the tests.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: bin/sunaba ## Build bin/sunaba

# The guest and gVisor first: they are embedded in sunaba. Go's own cache makes both quick when nothing has changed.
.PHONY: bin/sunaba
bin/sunaba: embedded
	@echo "building bin/sunaba (a first build compiles gVisor and takes some minutes)"
	@mkdir -p bin
	@$(GO) build $(LDFLAGS) -o bin/sunaba ./cmd/sunaba

.PHONY: embedded
embedded:
	@for f in $(GUEST) $(RUNSC); do $(GO) build -ldflags '-s -w' -o $$f.new ./cmd/$${f##*/}; cmp -s $$f.new $$f && rm $$f.new || mv $$f.new $$f; done

.PHONY: image
image: build ## Build the default interpreter image (once; minutes)
	@$(SUDO) ./bin/sunaba image build

.PHONY: demo
demo: image ## Run the main job: a session, pandas, a chart, through an AWS SDK
	@$(GO) build -o bin/quickstart ./examples/quickstart
	@$(SUDO) ./bin/quickstart -sunaba bin/sunaba

.PHONY: clients
clients: ## Install the AWS clients that the end-to-end tests drive
	@SUDO='$(SUDO)' scripts/clients "$(CACHE)"

.PHONY: hosttools
hosttools:
	@SUDO='$(SUDO)' scripts/hosttools

.PHONY: test
test: image clients hosttools vet ## Run every test: unit, contract and end-to-end, with real sandboxes
	@echo "unit and contract tests"
	@$(GOTEST) -timeout 15m ./...
	@echo "end-to-end tests: boto3, the aws CLI, aws-sdk-go-v2 and the AWS SDK for JavaScript against bin/sunaba"
	@SUNABA_CLIENTS="$(CACHE)/clients/current" $(GOTEST) -timeout 20m -count=1 -tags e2e ./test/e2e

.PHONY: vet
vet:
	@echo "go vet"
	@$(GO) vet ./... && $(GO) vet -tags e2e ./test/...

.PHONY: check
check: vet ## Run the linters and look for unformatted files (a first run compiles them)
	@test -z "$$(gofmt -l cmd internal examples test bench | tee /dev/stderr)" || { echo "run gofmt -w on these files"; exit 1; }
	@$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each (default 20s)
	@scripts/fuzz "$${FUZZTIME:-20s}"

.PHONY: bench
bench: image clients ## Measure, beside bare runsc; JSON in bench/results
	@$(GO) build -o bin/bench ./bench
	@$(SUDO) ./bin/bench -sunaba bin/sunaba -aws "$(CACHE)/clients/current/venv/bin/aws" -out bench/results

.PHONY: clean
clean: ## Remove what was built here (not the cache folder)
	rm -rf bin $(GUEST) $(RUNSC) demo-output
