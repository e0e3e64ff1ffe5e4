# Thin names for cargo and scripts. A new service or test adds no line here.

# Static binaries on glibc: docs/decisions/0005-static-glibc.md
TARGET := $(shell uname -m)-unknown-linux-gnu
BIN_DIR := $(CURDIR)/target/$(TARGET)/release
export MONLIGHT_BIN_DIR := $(BIN_DIR)
WITHOUT_UI := $(CURDIR)/target/without-ui
export MONLIGHT_VENV := $(CURDIR)/.venv
# A newer Node than the system's, where scripts/setup.sh found that the tests need it.
export PATH := $(CURDIR)/.node/node_modules/.bin:$(PATH)

.PHONY: help run test test-scripts test-ui test-clients test-python test-js test-deploy test-soak fuzz soak build ui images \
    screenshots lint audit bench versions check-version check-clean setup setup-test clean

help: ## list the targets
	@grep -E '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: build ## start the services with a generated development key
	@scripts/run.sh $(BIN_DIR)

test: setup-test lint build ## check everything; what CI runs
	cargo test --workspace --locked
	$(MAKE) --no-print-directory test-scripts
	$(MAKE) --no-print-directory test-ui
	$(MAKE) --no-print-directory -j2 test-clients
	$(MAKE) --no-print-directory test-deploy
	$(MAKE) --no-print-directory test-soak
	scripts/fuzz.sh 20

fuzz: setup-test ## try the parsers with what nobody thought of, for FOR seconds (600)
	scripts/fuzz.sh $(or $(FOR),600)

soak: setup-test build ## the whole stack under load and faults for FOR seconds (600), with the chances of SEED
	@npm --prefix clients/js run --silent build
	@scripts/soak.sh python -m soak --bin-dir $(BIN_DIR) --seconds $(or $(FOR),600) --seed "$(SEED)"

test-scripts: setup-test build ## releases against a scratch remote, workflows, what the documentation says of metrics
	cd scripts/tests && $(MONLIGHT_VENV)/bin/python -m unittest discover

test-ui: build ## the web interfaces in a real browser
	npm --prefix ui test --silent

screenshots: build ## the pictures of the documentation, into docs/images
	npm --prefix ui run screenshots --silent

test-clients: test-python test-js

test-python: setup-test build ## the Python client, and the published one by the same contract
	@scripts/test-python.sh

test-js: setup-test build ## the browser client, in a real browser
	@scripts/test-js.sh

test-deploy: build ## images and compose files on a Docker Engine of their own
	deploy/tests/run.sh $(BIN_DIR)

test-soak: setup-test build ## the harness of soak/, and a short run
	@scripts/test-soak.sh $(BIN_DIR) 20

BUILD := RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target $(TARGET)
build: ui ## the static release binaries
	$(BUILD)

images: build ## the four container images; needs a Docker Engine, but no registry
	@scripts/images.sh build $(BIN_DIR)

# Left alone when nothing changed: a new bundle means new binaries.
UI_SOURCES := $(shell find ui/src ui/build.mjs ui/package-lock.json -type f)
ui: setup ui/dist/built ## the web interfaces, for the binaries to embed
ui/dist/built: $(UI_SOURCES)
	npm --prefix ui run build --silent
	@touch $@

lint: setup-test ui ## formatting, clippy, types, scripts, workflows; warnings are errors
	npm --prefix ui run check --silent
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --no-deps --document-private-items --locked
	shellcheck scripts/*.sh deploy/*.sh deploy/tests/*.sh .ci/run
	$(MONLIGHT_VENV)/bin/actionlint
	$(MONLIGHT_VENV)/bin/zizmor --quiet --offline .github

audit: ## licences, sources and known vulnerabilities of what the binaries are made of
	@scripts/audit.sh

bench: setup-test build ## every figure, or those of SECTIONS="ui deploy", into docs/performance.md; VOLUME=full takes longer
	@scripts/setup.sh bench
	MONLIGHT_UI=none CARGO_TARGET_DIR=$(WITHOUT_UI) $(BUILD)
	@MONLIGHT_BIN_DIR_WITHOUT_UI=$(WITHOUT_UI)/$(TARGET)/release scripts/bench.sh $(SECTIONS)

release-%: ## release a service, `services`, `python`, `js` or `all` as V=x.y.z; DRY_RUN=1 only shows it
	@scripts/release.sh release $* "$$V"

versions: ## the versions of the four services and the two clients
	@scripts/release.sh versions

check-version: ## whether V=x.y.z can be released
	@scripts/release.sh check-version "$$V"

check-clean: ## whether everything is committed
	@scripts/release.sh check-clean

setup:
	@scripts/setup.sh build

setup-test: setup
	@scripts/setup.sh test

clean: ## remove what was built
	cargo clean
	rm -rf .node .venv run ui/dist
