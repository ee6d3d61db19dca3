# Everything there is to set up a fresh machine: `make demo` and `make test` install or build what is missing.

SHELL := /bin/bash
TARGET := $(or $(CARGO_TARGET_DIR),target)
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check bench static fmt screenshots setup programs

help: ## Say what there is
	@echo "Kubelend: lend a Kubernetes cluster, keep the keys."
	@echo
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: programs ## Two clusters, Dex with its people, and Kubelend, to look around in
	cargo build --locked --bin kubelend
	@exec $(TARGET)/debug/testbed demo

# Tests wait more than they compute, for servers, leases and ends: more of them run at once than there are cores. Ten at most, since each
# may have a cluster, a provider and a browser of its own.
test: export RUST_TEST_THREADS ?= $(shell echo $$((5 * $$(nproc) < 10 ? 5 * $$(nproc) : 10)))
test: programs ## Every test, on real servers; one of them: make test ARGS=name
	cargo test --workspace --locked $(ARGS)

check: setup ## Format, lints, dependencies, the Go programs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/deny.sh
	test -z "$$(gofmt -l testbed/compose testbed/directory testbed/keeper | tee /dev/stderr)"
	cd testbed && GOFLAGS=-buildvcs=false CGO_ENABLED=0 go vet ./directory ./keeper
	cd testbed/compose && GOFLAGS=-buildvcs=false CGO_ENABLED=0 go vet .

bench: programs ## Speed, memory and size of a release build
	cargo bench --locked --bench pages --bench relay --bench scale

static: ## The program without a shared library, as the image has it
	scripts/build-static.sh

fmt: ## Format the sources
	cargo fmt --all
	gofmt -w testbed/compose testbed/directory testbed/keeper

screenshots: programs ## Take the pictures of all pages for docs/screenshots again
	KUBELEND_SCREENSHOTS=1 cargo test --locked --test kubelend -- --nocapture browser::walk browser::diagnoses browser::workspaces browser::federation

setup:
	@scripts/setup.sh

programs: setup
	@cargo build --quiet --locked -p testbed
	@$(TARGET)/debug/testbed programs
	@$(TARGET)/debug/testbed check-system
