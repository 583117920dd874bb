# What there is to do, one target a line: `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT ?= swift
PYTHON ?= python3
# Arguments for `serve`, and filters for `test`: make serve ARGS="--port 9000"
ARGS ?=
SCREENSHOTS ?=

program := .build/release/weight-init
# The tests' own build: Swift Testing has no static library, and mixing both kinds would compile everything anew each time.
tests := .build/tests
venv := .venv
debian := .build/debian
# Without CUDA; where pip knows no such build, PyTorch's own index has it.
torch := torch==2.13.0+cpu
torch_index := https://download.pytorch.org/whl/cpu
# AddressSanitizer, and the coverage that libFuzzer goes by: one build for `fuzz` and `test-asan`.
checked := .build/address
coverage := edge,inline-8bit-counters,pc-table,trace-cmp
checking := --configuration release --scratch-path $(checked) --disable-xctest --sanitize=address -Xswiftc -enable-testing \
    -Xswiftc -sanitize-coverage=$(coverage) -Xcc -fsanitize-coverage=$(coverage)
# Millions of texts, in which neither C nor anything unsafe has a part, take minutes under a sanitizer.
long := --skip "reads back and is as short as can be"
# AddressSanitizer takes memory of its own.
skipped := --skip MemoryTests --skip CrowdTests $(long)
# ThreadSanitizer; the command's tests start processes that it cannot follow, and what they do is also done in the tests' own.
threaded := .build/thread
# Targets of `make fuzz`. What leaks is looked for by the tests: at a fuzzer's end, tables that live as long as the process look lost.
FUZZ ?= query json range slice plan
# Empty, fuzzing is several times as quick and sees what ends the program, what hangs and what disagrees, but no stray access.
SANITIZER ?= address
ifeq ($(SANITIZER),)
fuzzed := .build/fuzz
fuzzing := --product weight-init-fuzz --configuration release --scratch-path $(fuzzed) \
    -Xswiftc -enable-testing -Xswiftc -sanitize=fuzzer -Xcc -fsanitize=fuzzer-no-link
else
fuzzed := $(checked)
fuzzing := --build-tests $(checking)
endif
# Swift's own, which C compiles with anyway. By its place, because others may come before it on the PATH.
clang = $(dir $(shell command -v $(SWIFT)))clang
kernels := Sources/CTorchKernels
emulated := .build/emulated
sources := Package.swift Sources Tests
# Swift's own libraries go in; libmicrohttpd, OpenBLAS and glibc stay outside. A static Swift program exports all of its
# symbols unless told otherwise, which keeps the linker from leaving out what nobody calls. lld, of Swift's own tools, keeps
# one of functions that are the same, and packs relocations, which are memory that every process would touch.
static := --static-swift-stdlib -Xlinker --no-export-dynamic \
    -Xswiftc -use-ld=lld -Xlinker --icf=all -Xlinker -z -Xlinker pack-relative-relocs

##@ Use

.PHONY: serve
serve: build ## Build what is missing and serve, with a page to try it, at http://127.0.0.1:8080 until Ctrl-C
	exec $(program) serve $(ARGS)

.PHONY: build
build: toolchain libraries ## Build .build/release/weight-init, with Swift's libraries inside
	$(SWIFT) build --configuration release --product weight-init $(static)

##@ Develop

.PHONY: test
test: test-swift test-kernels test-reference test-deploy ## Run all tests but the page's: the program against PyTorch, NumPy, openapi.yaml, the documents, examples and deployments

.PHONY: test-swift
test-swift: toolchain libraries test-tools
	$(SWIFT) test --configuration release --scratch-path $(tests) --disable-xctest $(ARGS)

# Where the processor cannot run one, the best of those it can is tested once more.
.PHONY: test-kernels
test-kernels: test-swift ## Hold the kernels for lesser processors against PyTorch's vectors, too
	for kernel in avx2 portable; do \
	    WEIGHT_INIT_KERNEL=$$kernel $(SWIFT) test --skip-build --configuration release --scratch-path $(tests) --disable-xctest \
	        --filter WeightInitTests.GoldenTests --filter WeightInitTests.PositionTests; \
	done

# The same source for another processor, under emulation: its bits are the same, those of the C library's functions included.
.PHONY: test-neon
test-neon: toolchain ## Hold the kernels for arm64 against those of this processor
	@missing=(); \
	command -v qemu-aarch64 > /dev/null || missing+=(qemu-user); \
	command -v aarch64-linux-gnu-gcc > /dev/null || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross); \
	$(install)
	mkdir -p $(emulated)
	$(clang) -O2 -I $(kernels)/include -o $(emulated)/here Tests/Neon/kernel_digests.c $(kernels)/*.c -lm
	for source in Tests/Neon/kernel_digests.c $(kernels)/*.c; do \
	    $(clang) --target=aarch64-linux-gnu -I /usr/aarch64-linux-gnu/include -O2 -I $(kernels)/include \
	        -c -o $(emulated)/$$(basename $$source .c).o $$source; \
	done
	aarch64-linux-gnu-gcc -static -o $(emulated)/there $(emulated)/*.o -lm
	diff <($(emulated)/here) <(qemu-aarch64 $(emulated)/there)

.PHONY: test-reference
test-reference: test-swift languages $(venv)/.installed
	$(venv)/bin/python Tests/reference/check_formats.py $(tests)/release/weight-init
	$(venv)/bin/python Tests/reference/check_documents.py $(tests)/release/weight-init
	$(venv)/bin/python Tests/reference/check_examples.py $(tests)/release/weight-init
	$(venv)/bin/python Tests/reference/check_contract.py $(tests)/release/weight-init

.PHONY: test-asan
test-asan: toolchain libraries ## The tests under AddressSanitizer, Swift and C
	FUZZING=1 $(SWIFT) build --build-tests $(checking)
	FUZZING=1 LSAN_OPTIONS=suppressions=$(CURDIR)/Tests/Sanitizers/leaks.txt:print_suppressions=0 \
	    ASAN_SYMBOLIZER_PATH=$(dir $(shell command -v $(SWIFT)))llvm-symbolizer \
	    $(SWIFT) test --skip-build $(checking) $(skipped) $(ARGS)

.PHONY: test-tsan
test-tsan: toolchain libraries ## The tests under ThreadSanitizer
	mkdir -p $(threaded)
	$(clang) -shared -fPIC -O2 -o $(threaded)/runtime.so Tests/Sanitizers/runtime.c
	LD_PRELOAD=$(CURDIR)/$(threaded)/runtime.so $(SWIFT) test --configuration release --scratch-path $(threaded) \
	    --disable-xctest --sanitize=thread --skip CommandTests $(long) $(ARGS)

.PHONY: fuzz
fuzz: toolchain libraries $(venv)/.installed ## Fuzz a minute each: FUZZ="plan json" ARGS="-max_total_time=3600"
	FUZZING=1 $(SWIFT) build $(fuzzing)
	$(venv)/bin/python Tests/Fuzzing/make_corpus.py $(fuzzed)/seeds
	@for target in $(FUZZ); do \
	    mkdir -p $(fuzzed)/corpus/$$target; \
	    SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 FUZZ_TARGET=$$target $(fuzzed)/release/weight-init-fuzz \
	        $(fuzzed)/corpus/$$target $(fuzzed)/seeds/$$target -dict=$(fuzzed)/seeds/words -max_len=4096 -timeout=20 \
	        -artifact_prefix=$(fuzzed)/$$target- -print_final_stats=1 -max_total_time=60 $(ARGS) > $(fuzzed)/$$target.log 2>&1 \
	        || { tail -n 40 $(fuzzed)/$$target.log; echo "fuzz: $$target is broken, see $(fuzzed)/$$target-*"; exit 1; }; \
	    echo "fuzz: $$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(fuzzed)/$$target.log) executions"; \
	done

.PHONY: soak
soak: build ## Five minutes of good, bad and slow clients; then all is as before: ARGS=60 for an hour
	$(PYTHON) Tests/soak/soak.py $(program) $(ARGS)

.PHONY: test-deploy
test-deploy: test-replicas ## Hold deploy/ against the schemas of its readers, and what it watches against Prometheus
	$(venv)/bin/python Tests/reference/check_deploy.py $(tests)/release/weight-init $(debian)/usr/bin/{kubectl,prometheus,promtool}

.PHONY: test-page
test-page: test-swift $(venv)-page/.installed ## Click through the page in headless Chromium; SCREENSHOTS=docs/images renews the pictures
	$(venv)-page/bin/python Tests/page/check_page.py $(tests)/release/weight-init \
	    $(addprefix --screenshots=,$(SCREENSHOTS))

.PHONY: test-replicas
test-replicas: test-swift $(venv)/.installed $(debian)/.unpacked ## Fetch one tensor from three replicas behind nginx, killing one
	$(venv)/bin/python Tests/replicas/replicas.py $(tests)/release/weight-init $(debian)/usr/sbin/nginx

.PHONY: format
format: toolchain ## Bring the sources into the house form
	$(SWIFT) format format --in-place --parallel --recursive $(sources)

.PHONY: lint
lint: toolchain ## Name what is not in the house form
	$(SWIFT) format lint --strict --parallel --recursive $(sources)

.PHONY: bench
bench: build ## Measure against other services and write Benchmarks/RESULTS.md
	$(PYTHON) Benchmarks/bench.py $(ARGS)

.PHONY: clean
clean: ## Remove all that was built or downloaded
	rm -rf .build $(venv) $(venv)-page

##@ Help

.PHONY: help
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What has to be there first.

.PHONY: toolchain
toolchain:
	@command -v $(firstword $(SWIFT)) > /dev/null || { \
	    echo 'Swift is missing: install version 6.2 or newer from https://www.swift.org/install and put it on the PATH.' >&2; \
	    exit 1; }

.PHONY: libraries
libraries:
	@missing=(); \
	command -v pkg-config > /dev/null || missing+=(pkg-config); \
	pkg-config --exists libmicrohttpd 2> /dev/null || missing+=(libmicrohttpd-dev); \
	pkg-config --exists gnutls 2> /dev/null || missing+=(libgnutls28-dev); \
	[[ $$(/sbin/ldconfig -p) == *libopenblas.so.0* ]] || missing+=(libopenblas0-serial); \
	$(install)

.PHONY: test-tools
test-tools:
	@missing=(); \
	for tool in curl openssl; do command -v $$tool > /dev/null || missing+=($$tool); done; \
	$(install)

# What the programs of examples/ and the documents are written in. Rust's is left out where there is no rustc.
.PHONY: languages
languages:
	@missing=(); \
	command -v cc > /dev/null || missing+=(gcc libc6-dev); \
	command -v curl > /dev/null || missing+=(curl); \
	command -v go > /dev/null || missing+=(golang-go); \
	command -v javac > /dev/null || missing+=(default-jdk-headless); \
	command -v node > /dev/null || missing+=(nodejs); \
	command -v pkg-config > /dev/null || missing+=(pkg-config); \
	pkg-config --exists libcurl 2> /dev/null || missing+=(libcurl4-openssl-dev); \
	pkg-config --exists libcrypto 2> /dev/null || missing+=(libssl-dev); \
	$(install)

# What tests run out of its package, for to install it would start servers for good.
packages := kubernetes-client nginx prometheus
$(debian)/.unpacked:
	@$(become_root); \
	mkdir -p $(debian) && cd $(debian); \
	apt-get -q download $(packages) || { "$${as_root[@]}" apt-get -q update; apt-get -q download $(packages); }; \
	for package in *.deb; do dpkg-deb --extract "$$package" .; done; \
	rm *.deb; \
	touch .unpacked

$(venv)/.installed: Tests/reference/requirements.txt
	@missing=(); \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv); \
	$(install)
	$(PYTHON) -m venv $(venv)
	$(venv)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	$(venv)/bin/python -m pip install --quiet --disable-pip-version-check $(torch) 2> /dev/null \
	    || $(venv)/bin/python -m pip install --quiet --disable-pip-version-check --extra-index-url $(torch_index) $(torch)
	touch $@

$(venv)-page/.installed: Tests/page/requirements.txt
	@missing=(); \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv); \
	command -v chromium > /dev/null || missing+=(chromium); \
	$(install)
	$(PYTHON) -m venv $(venv)-page
	$(venv)-page/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Sets the array `as_root` to what makes a command run as root, if there are Debian's packages at all.
define become_root
command -v apt-get > /dev/null || { echo "There is no apt-get here: install by hand what it would have." >&2; exit 1; }; \
as_root=(); \
if (( EUID )); then \
    command -v sudo > /dev/null || { echo "Packages are missing, and only root can install them." >&2; exit 1; }; \
    as_root=(sudo); \
fi
endef

# Installs the Debian packages that the array `missing` names, if any.
define install
if (( $${#missing[@]} )); then \
    echo "Installing $${missing[*]}"; \
    $(become_root); \
    "$${as_root[@]}" apt-get -q update; \
    "$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$${missing[@]}"; \
fi
endef
