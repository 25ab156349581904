# Everything a developer runs, by name. `make help` lists it.

TAGS     := disable_grpc_modules
VERSION  ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),devel)
FUZZTIME ?= 10s
PAIRS    ?= 10000
SCHEDULES ?= 220
SEED     ?= 1
BIN      ?= stretcher

# What is released, and for what. The tests of these compile too: make lint.
PLATFORMS ?= linux/amd64 linux/arm64 linux/arm linux/386 darwin/amd64 darwin/arm64
FORMATS   ?= tar deb rpm apk image

# Version stamping fails in a checkout that belongs to another user; the version
# is stamped by the linker flags below instead.
export GOFLAGS := $(strip $(filter-out -buildvcs=%,$(shell go env GOFLAGS)) -buildvcs=false)
export FUZZTIME

# A program with the race detector sleeps for a second at its end by default.
export GORACE := atexit_sleep_ms=0 $(GORACE)

# The race detector needs a C compiler. A machine without one still runs the
# tests; CI must not.
RACE := $(if $(or $(shell command -v gcc 2>/dev/null),$(filter true,$(CI))),-race)

.PHONY: help build man dist release demo demo-fleet module test test-tools test-long lint fuzz bench picture clean distclean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 14

build: ## build ./stretcher, a static binary
	CGO_ENABLED=0 go build -tags $(TAGS) -trimpath -ldflags "-s -w -X main.versionString=$(VERSION)" -o $(BIN) .

man: build ## write manual pages to dist/man
	./stretcher man dist/man

# packaging/dist.sh has what else can be said.
dist: ## build what is released into dist/: archives, packages, image, sums (VERSION, PLATFORMS, KEY)
	@CI=true sh tools/setup.sh nfpm cyclonedx-gomod
	@tools/download.sh tools ./release
	@for p in $(PLATFORMS); do GOOS=$${p%/*} GOARCH=$${p#*/} tools/download.sh . -tags $(TAGS) . || exit 1; done
	@VERSION='$(VERSION)' PLATFORMS='$(PLATFORMS)' FORMATS='$(FORMATS)' KEY='$(KEY)' bash packaging/dist.sh

release: ## publish dist/ as release VERSION on GitHub, by its program gh
	gh release create '$(VERSION)' --verify-tag --title 'stretcher $(VERSION)' --notes 'docs/install.md says how to verify and install it.' $$(find dist -maxdepth 1 -type f | sort)

demo: build ## deploy a sample application, by all that it takes, visibly
	@bash testdata/demo/run.sh ./stretcher

demo-fleet: build ## a rollout over six hosts: a canary fails and stops it, the next version is good; needs consul
	@bash testdata/demo/fleet.sh ./stretcher

# Neither make nor a shell looks into the value: it is what somebody has typed.
unexport MODULE
module: ## give the module a path of your own (MODULE=HOST/PATH/v2), in one commit
	@cd tools && go run ./rename '$(subst ','\'',$(strip $(value MODULE)))'

test-tools: ## build and install what the tests need
	@sh tools/setup.sh

# A test that hangs says so by itself, after a time that grows with the machine's
# load. The limit of go test is for what can't.
test: test-tools ## run all tests with the race detector
	$(if $(RACE),,@echo 'note: no gcc, so no race detector')
	@tools/download.sh . -test -tags $(TAGS) ./...
	cd tools && CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) ./...
	CGO_ENABLED=$(if $(RACE),1,0) go test $(RACE) -tags $(TAGS) -timeout 2h ./...

# Trees and faults made at random, many of them: for changes to packing, fetching and fleets.
test-long: ## deploy 10 000 random trees to where another is, roll out 220 times amid faults (PAIRS, SCHEDULES, SEED)
	STRETCHER_DELTA_PAIRS=$(PAIRS) STRETCHER_DELTA_SEED=$(SEED) go test -tags $(TAGS) -timeout 12h -count 1 -v \
		-run 'TestAnyOther$$' ./test/delta/
	STRETCHER_SEGMENTS=$(PAIRS) go test -tags $(TAGS) -timeout 12h -count 1 -run 'TestSegmentsLikePlain$$' ./internal/archive/
	@sh tools/setup.sh consul
	STRETCHER_FLEET_SCHEDULES=$(SCHEDULES) STRETCHER_FLEET_SEED=$(SEED) go test -tags $(TAGS) -timeout 12h -count 1 -v \
		-run 'TestSchedules$$' ./internal/fleet/consul/
	STRETCHER_FLEET_KILL=1 go test -tags $(TAGS) -timeout 2h -count 1 -v -run 'TestKilledAtWork$$|TestStoppedForLong$$' ./test/fleet/

lint: ## check format, vet, all platforms, staticcheck, modules, scripts, measures, layers
	@sh tools/setup.sh staticcheck
	@PLATFORMS='$(PLATFORMS)' bash tools/lint.sh

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@bash tools/fuzz.sh

bench: build ## measure start-up, memory and deploys
	bash bench/run.sh

picture: ## take the pictures of the history's page that docs/ has
	@sh tools/setup.sh playwright
	STRETCHER_PICTURE=$(CURDIR)/docs/history.png go test -tags $(TAGS) -count 1 -run 'TestPicture$$' ./test/page/

clean: ## remove what was built
	rm -rf stretcher dist

distclean: clean ## remove the test tools too
	rm -rf .tools
