# `make help` lists what there is to do. Everything needed is installed on the way: Debian packages (as root, or with
# sudo), and npm packages into the cache folder.

.DEFAULT_GOAL := help
.PHONY: help run test chart e2e image package zip invoke aws-local lint-template picture bench conformance lint audit assets build tools

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hyperframes-operator
export HF_ASSETS_DIR ?= $(CACHE)/assets
export HF_UPSTREAM_DIR ?= $(CACHE)/upstream
# Tests and benchmarks run the programs from here.
export HF_BIN_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))/release
# Some tests wait for most of their time.
export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc) + 1)))

# What the programs are built with and need to run, and what tests look at videos with.
BUILD_PACKAGES := chromium-headless-shell clang libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libclang-dev pkg-config
TEST_PACKAGES := ffmpeg openssl python3-venv util-linux
# What a node of a cluster runs, and images are made with.
NODE_PACKAGES := buildah busybox containerd containernetworking-plugins iproute2 iptables mmdebstrap procps runc

# Installs those of some Debian packages that are missing.
define install
	@command -v dpkg-query >/dev/null || { echo "not a Debian system: make sure of $(1)"; exit 0; }; \
	missing=$$(for package in $(1); do \
		[ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || echo $$package; done); \
	[ -z "$$missing" ] || { \
		[ "$$(id -u)" = 0 ] || sudo=sudo; \
		echo "installing" $$missing; \
		$$sudo apt-get -qq update; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-remove --no-install-recommends $$missing >/dev/null; }
endef

help: ## list what there is to do
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: build ## render examples/hello to a video
	@$(HF_BIN_DIR)/hf-reconcile --once examples/hello

test: assets ## run all tests
	$(call install,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(NODE_PACKAGES))
	@# Tests would wait for it.
	@tests/cluster/node/build >/dev/null
	@# Programs and tests in one go: apart they would be built with other features, and so twice.
	cargo build --release --workspace --bins --tests
	cargo test --release --workspace -- --include-ignored
	@tests/cluster/e2e

e2e: assets ## install the chart and the image in a real cluster, on this machine and without leaving a trace, and render
	$(call install,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(NODE_PACKAGES))
	@cargo build --quiet --release --workspace --bins
	@tests/cluster/e2e

chart: ## check the Helm chart against a real API server, which is built once from Go modules
	$(call install,openssl python3-venv util-linux)
	@tests/cluster/chart

# The function's package is for another system: its libraries are built from source, its browser comes from npm.
PACKAGE_PACKAGES := $(BUILD_PACKAGES) $(TEST_PACKAGES) binutils bubblewrap bzip2 cmake make nasm xz-utils zstd
export HF_PACKAGE_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))/package
zip: assets
	$(call install,$(PACKAGE_PACKAGES))
	handler/package/build $(CACHE)/package $(HF_ASSETS_DIR) $(HF_PACKAGE_DIR)

package: zip ## build the Lambda function's package, target/package/handler.zip, and try it in a bare root
	cargo build --release --workspace --bins --tests
	cargo test --release --workspace --test package

# The name that the chart installs.
CHART := charts/hyperframes-operator
VERSION := $(shell sed -n 's/^appVersion: //p' $(CHART)/Chart.yaml)
IMAGE := $(shell sed -n 's/^  repository: //p' $(CHART)/values.yaml):$(VERSION)
image: zip ## build the operator's container image, with docker, podman or buildah
	@[ $(HF_PACKAGE_DIR)/handler.zip -ef target/package/handler.zip ] || \
		install -D --mode 644 $(HF_PACKAGE_DIR)/handler.zip target/package/handler.zip
	@for tool in docker podman buildah; do \
		$$tool info >/dev/null 2>&1 || continue; \
		exec $$tool build --build-arg VERSION=$(VERSION) --tag $(IMAGE) .; \
	done; \
	echo "it needs docker with its daemon, podman or buildah"; exit 1

EVENT ?= tests/events/plan.json
invoke: assets ## run the Lambda function once on this machine: make invoke EVENT=tests/events/plan.json
	$(call install,$(BUILD_PACKAGES))
	@cargo build --quiet --release --workspace --bins
	@$(HF_BIN_DIR)/invoke $(EVENT)

PORT ?= 4566
aws-local: assets ## start an AWS emulator that runs the real function, and say how to use it; Ctrl-C ends it
	$(call install,$(BUILD_PACKAGES) util-linux)
	@cargo build --quiet --release --workspace --bins
	@tests/rig/start $(PORT) $(HF_BIN_DIR)

CFN_LINT := $(CACHE)/python/bin/cfn-lint
STATE_MACHINE := $(CACHE)/state-machine.json
lint-template: ## check the CloudFormation template and the state machine in it with AWS's rules (tools from PyPI and npm)
	$(call install,python3-venv)
	@[ -x $(CFN_LINT) ] || { python3 -m venv $(CACHE)/python && $(CACHE)/python/bin/pip install --quiet cfn-lint==1.58.0; }
	$(CFN_LINT) examples/aws/template.yaml
	@# What CloudFormation puts in stands for itself.
	@sed -n '/Fn::Sub: |/,/^$$/p' examples/aws/template.yaml | sed -e 1d -e 's/$${[EM][A-Za-z]*}/40/' -e 's/$${AWS::Partition}/aws/' \
		-e 's/$${RenderFunction.Arn}/arn:aws:lambda:us-east-1:123456789012:function:render/' > $(STATE_MACHINE)
	npx --yes asl-validator@4.0.0 --json-path $(STATE_MACHINE)

picture: build ## make the README's picture anew from a real run
	$(call install,$(TEST_PACKAGES))
	@python3 tests/picture.py $(HF_BIN_DIR)

bench: assets ## measure speed, beside upstream's published CLI if npm is there, and both reconcilers with 10,000 Renders
	$(call install,$(BUILD_PACKAGES) $(TEST_PACKAGES))
	@# Of the whole workspace, as the tests are: alone they would be built with other features, and so twice.
	@cargo build --release --workspace --bins --tests
	@tests/cluster/build >/dev/null
	cargo bench --workspace --bench render --bench scale --bench cluster

conformance: assets ## compare videos, ours and upstream's, with the pages themselves
	$(call install,$(BUILD_PACKAGES) $(TEST_PACKAGES))
	@cargo build --quiet --release --workspace --bins --tests
	cargo bench --quiet --workspace --bench conformance

lint: assets tools lint-template ## check format, lints, and the licences and sources of dependencies
	$(call install,$(BUILD_PACKAGES))
	cargo fmt --check
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo deny --locked check bans licenses sources

audit: tools ## check dependencies against known advisories (needs the network)
	cargo deny --locked check advisories

build: assets ## build the programs
	$(call install,$(BUILD_PACKAGES))
	@cargo build --release --package handler --package operator --package producer

assets: ## fetch the npm packages that the build embeds
	@command -v npm >/dev/null || [ -d $(HF_ASSETS_DIR) ] || { echo "npm is needed: apt-get install npm"; exit 1; }
	@producer/fetch-assets.sh $(HF_ASSETS_DIR)

tools:
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
