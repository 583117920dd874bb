# `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SWIFT ?= swift
PYTHON ?= python3
# Arguments for `serve`, and filters for `test`: make serve ARGS="--port 9000"
ARGS ?=
SCREENSHOTS ?=

program := .build/release/weight-init
# A build of its own for tests: Swift Testing has no static library, and alternating between both kinds recompiles everything.
tests := .build/tests
venv := .venv
debian := .build/debian
# Files of a release, and the small Debian in which they are installed.
release := .build/packages
# Two builds of one commit.
twice := .build/twice
# If empty, test-dist installs nothing.
CHROOT ?= .build/chroot
# Renders the Helm chart.
render := .build/helm/render
# Programs that tests run from their unpacked packages, because installing these packages would start servers for good.
# Missing libraries of these programs are unpacked, too.
packages := apache2-utils aria2 haproxy kubernetes-client nginx prometheus
linked := apache2-utils aria2 haproxy
# PyTorch without CUDA. PyTorch's own index has this build if pip's index does not.
torch := torch==2.13.0+cpu
torch_index := https://download.pytorch.org/whl/cpu
# AddressSanitizer, and the coverage that guides libFuzzer: one build for `fuzz` and `test-asan`.
checked := .build/address
coverage := edge,inline-8bit-counters,pc-table,trace-cmp
checking := --configuration release --scratch-path $(checked) --disable-xctest --sanitize=address -Xswiftc -enable-testing \
    -Xswiftc -sanitize-coverage=$(coverage) -Xcc -fsanitize-coverage=$(coverage)
# Pure Swift over millions of texts, which takes minutes under a sanitizer.
long := --skip ReadsBackAndIsAs
# AddressSanitizer needs memory of its own.
skipped := --skip MemoryTests --skip CrowdTests $(long)
# ThreadSanitizer. It cannot follow the processes that CommandTests starts; the other tests cover the same code.
threaded := .build/thread
# Targets of `make fuzz`. The tests look for leaks instead: at a fuzzer's end, tables that live as long as the process look
# like leaks.
FUZZ ?= query json range slice plan head name model
# If empty, fuzzing is several times as fast. It then finds traps, hangs, contradictions and too many steps or too much
# memory, but no stray memory access.
SANITIZER ?= address
ifeq ($(SANITIZER),)
fuzzed := .build/fuzz
fuzzing := --product weight-init-fuzz --configuration release --scratch-path $(fuzzed) --static-swift-stdlib \
    -Xswiftc -enable-testing -Xswiftc -sanitize=fuzzer -Xcc -fsanitize=fuzzer-no-link
else
fuzzed := $(checked)
fuzzing := --build-tests $(checking)
endif
# Swift's own clang, which compiles the C targets. By its path, because another may come first on the PATH.
clang = $(dir $(shell command -v $(SWIFT)))clang
kernels := Sources/CTorchKernels
factor := Sources/CLinearAlgebra
fused := Sources/CFusedMultiplyAdd/include
starved := .build/starved
emulated := .build/emulated
sources := Package.swift Sources Tests
# Measured processor time of a first build in seconds, from which `make build` announces a duration.
build_seconds := 200
# Links Swift's libraries statically and the C libraries dynamically. Exported symbols would keep unused code in the program.
# lld merges identical functions and packs relocations, which every process would otherwise write to.
static := --static-swift-stdlib -Xlinker --no-export-dynamic \
    -Xswiftc -use-ld=lld -Xlinker --icf=all -Xlinker -z -Xlinker pack-relative-relocs
# The loader looks up functions of libraries when the program starts, and makes their table read-only. It does not look for
# libraries in the program's directory.
hardened := -Xlinker -z -Xlinker now -Xlinker -z -Xlinker relro --disable-local-rpath

##@ Use

.PHONY: serve
serve: port build ## Build, then serve at http://127.0.0.1:8080, with a page to try it, until Ctrl-C
	exec $(program) serve $(ARGS)

# Checks that the port is free before a build that takes minutes.
.PHONY: port
port:
	@port=$${WEIGHT_INIT_PORT:-8080}; \
	if [[ "$(ARGS)" =~ --port[=\ ]*([0-9]+) ]]; then port=$${BASH_REMATCH[1]}; fi; \
	if [[ "$(ARGS)" != *--unix-socket* ]] && (exec 3<> /dev/tcp/127.0.0.1/$$port) 2> /dev/null; then \
	    echo "Port $$port is taken. Stop the program that listens there, or choose another port: make serve ARGS=\"--port 9000\"" >&2; \
	    exit 1; \
	fi

.PHONY: build
build: toolchain libraries ## Build .build/release/weight-init, with Swift's libraries inside
	@[[ -e $(program) ]] || echo "The first build takes about $$(( ($(build_seconds) / $$(nproc) + 59) / 60 )) min."
	$(SWIFT) build --configuration release --product weight-init $(static) $(hardened)

.PHONY: dist
dist: build dist-tools ## Make .build/packages: a tarball, a Debian package, an SBOM (SPDX), the Helm chart, checksums
	$(PYTHON) packaging/dist.py $(program) $(release)

##@ Develop

.PHONY: test
test: announce-test test-swift test-kernels test-oom test-reference test-deploy ## Run all tests but the page's: the program against PyTorch, NumPy, openapi.yaml, documents, examples and deployments

.PHONY: announce-test
announce-test:
	@echo "make test installs, if missing, with apt-get: compilers and libraries of the examples (Go, Java, Node.js, libcurl);"; \
	echo "in $(venv): PyTorch for CPUs (200 MB), NumPy, safetensors and checkers of documents; in $(debian): $(packages)."; \
	[[ -e $(tests) ]] || echo "Its first build takes about $$(( (2 * $(build_seconds) / $$(nproc) + 59) / 60 )) min."

.PHONY: test-swift
test-swift: toolchain libraries test-tools
	$(SWIFT) test --configuration release --scratch-path $(tests) --disable-xctest $(ARGS)

# Tests all recipes at once in one copy, because each build takes minutes.
.PHONY: test-recipes
test-recipes: toolchain libraries ## Apply the diffs of docs/recipes to a copy, build it and run its tests
	rm -rf .build/recipes && mkdir -p .build/recipes
	git ls-files -z | xargs -0 cp --parents -t .build/recipes
	for recipe in docs/recipes/*.md; do \
	    sed -n '/^```diff$$/,/^```$$/{//!p}' $$recipe | git apply --directory=.build/recipes || { echo $$recipe >&2; exit 1; }; \
	done
	$(SWIFT) test --configuration release --package-path .build/recipes --scratch-path .build/recipes-built --disable-xctest \
	    --filter InitServiceTests --filter TensorFormatsTests --filter WeightInitTests --filter LimitTests $(ARGS)

# Each of the three builds compiles mostly on one processor, so two builds at a time use two processors.
.PHONY: compiled compiled-tests compiled-checked
compiled: compiled-tests compiled-checked build ## Build everything that the tests run: make -j2 compiled

compiled-tests: toolchain libraries
	$(SWIFT) test list --configuration release --scratch-path $(tests) --disable-xctest > /dev/null

compiled-checked: toolchain libraries
	FUZZING=1 $(SWIFT) build --build-tests $(checking)

# If the processor cannot run a kernel, the test runs the processor's best kernel again.
.PHONY: test-kernels
test-kernels: test-swift ## Test the kernels for older processors with PyTorch's vectors
	for kernel in avx2 portable; do \
	    WEIGHT_INIT_KERNEL=$$kernel $(SWIFT) test --skip-build --configuration release --scratch-path $(tests) --disable-xctest \
	        --filter WeightInitTests.GoldenTests --filter WeightInitTests.PositionTests; \
	done

# Compiles the same source for arm64 and runs it in an emulator. The bits must be equal, also those of the C library's
# functions.
.PHONY: test-neon
test-neon: toolchain ## Compare the kernels for arm64 with those of this processor
	@missing=(); \
	command -v qemu-aarch64 > /dev/null || missing+=(qemu-user); \
	command -v aarch64-linux-gnu-gcc > /dev/null || missing+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross); \
	$(install)
	mkdir -p $(emulated)
	rm -f $(emulated)/*/*.o
	mkdir -p $(emulated)/kernels $(emulated)/factor
	$(clang) -O2 -I $(fused) -I $(kernels)/include -o $(emulated)/here Tests/Neon/kernel_digests.c $(kernels)/*.c -lm
	for part in kernels=$(kernels) factor=$(factor); do \
	    directory=$${part#*=} part=$${part%%=*}; \
	    for source in Tests/Neon/$${part%s}_digests.c $$directory/*.c; do \
	        $(clang) --target=aarch64-linux-gnu -I /usr/aarch64-linux-gnu/include -O2 -I $(fused) -I $$directory/include \
	            -c -o $(emulated)/$$part/$$(basename $$source .c).o $$source; \
	    done; \
	    aarch64-linux-gnu-gcc -static -o $(emulated)/there-$$part $(emulated)/$$part/*.o -lm; \
	done
	diff <($(emulated)/here) <(qemu-aarch64 $(emulated)/there-kernels)
	for threads in 1 3; do \
	    diff Tests/CLinearAlgebraTests/factors.txt <(qemu-aarch64 $(emulated)/there-factor neon $$threads); \
	done

# Without erfinv.c among the sources: the program includes it.
.PHONY: prove-erfinv
prove-erfinv: toolchain ## Compare erfinv's table and kernels with the scalar form at every float; takes minutes
	mkdir -p .build/erfinv
	$(clang) -O2 -I $(fused) -I $(kernels) -I $(kernels)/include -o .build/erfinv/table Tests/Derivations/erfinv_table.c \
	    $(filter-out %/erfinv.c,$(wildcard $(kernels)/*.c)) -lm -lpthread
	.build/erfinv/table

# Calls the library directly, because no request can ask for these matrices.
.PHONY: test-orthogonal
test-orthogonal: toolchain $(venv)/.installed ## Compare thousands of orthogonal factors with PyTorch's, ill-conditioned ones included: ARGS=20000
	mkdir -p .build/orthogonal
	$(clang) -O2 -shared -fPIC -I $(fused) -I $(factor)/include -o .build/orthogonal/factor.so $(factor)/*.c -lm -lpthread
	$(venv)/bin/python Tests/reference/check_orthogonal.py .build/orthogonal/factor.so $(ARGS)

.PHONY: test-reference
test-reference: test-swift languages $(venv)/.client
	$(venv)/bin/python Tests/reference/check_formats.py $(tests)/release/weight-init
	$(venv)/bin/python Tests/reference/check_documents.py $(tests)/release/weight-init
	$(venv)/bin/python Tests/reference/check_examples.py $(tests)/release/weight-init
	$(venv)/bin/python Tests/reference/check_contract.py $(tests)/release/weight-init

.PHONY: test-generated
test-generated: build languages generators $(venv)/.installed ## Make clients from openapi.yaml for Go, Java, TypeScript, Rust and Python; run all but Rust's: ARGS=go for one
	$(venv)/bin/python Tests/reference/check_generated.py $(program) $(ARGS)

.PHONY: test-attacks
test-attacks: build test-tools ## Attack the program as strangers could: ARGS="HTTP/1.0" for the attacks whose description has these words
	$(PYTHON) Tests/attacks/attacks.py $(program) $(ARGS)
	$(PYTHON) Tests/attacks/memory_attack.py $(program)

.PHONY: test-client
test-client: $(venv)/.client ## Test the Python package clients/python: the exporter, the client, their types, its wheel and sdist
	cd clients/python && ../../$(venv)/bin/python -m pytest --quiet $(ARGS)
	cd clients/python && ../../$(venv)/bin/python -m mypy
	rm -rf .build/dist
	$(venv)/bin/python -m build --quiet --outdir .build/dist clients/python
	$(venv)/bin/python clients/python/tests/check_package.py .build/dist

# Compares models of real libraries with the service's. The list is clients/python/models/models.txt.
.PHONY: test-models
test-models: build $(venv)-models/.installed test-hub ## Export models of torchvision, timm and transformers, fetch and compare them; run test-hub, too
	$(venv)-models/bin/python clients/python/models/check.py $(program) $(ARGS)
	$(venv)-models/bin/python clients/python/models/check_large.py $(program)
	$(venv)-models/bin/python clients/python/models/check_client.py $(program)
	$(venv)-models/bin/python clients/python/models/check_distributed.py $(program)

.PHONY: test-hub
test-hub: build $(venv)-hub/.installed ## Load models with two versions each of huggingface_hub and transformers, and with accelerate
	$(venv)-models/bin/python Tests/hub/check_hub.py $(program) $(venv)-models/bin/python $(venv)-hub/bin/python

.PHONY: models
models: $(venv)-models/.installed ## Export the built-in models anew; the list is clients/python/models/builtin.txt
	$(venv)-models/bin/python clients/python/models/builtin.py Sources/CEmbeddedFiles/models.bin $(ARGS)

.PHONY: zoo
zoo: build $(venv)-models/.installed ## The same as test-models for all of torchvision, timm's families and transformers' architectures: writes docs/zoo.md
	$(venv)-models/bin/python clients/python/models/check.py $(program) --zoo docs/zoo.md $(ARGS)

.PHONY: test-asan
test-asan: compiled-checked ## Run the tests under AddressSanitizer, Swift and C
	FUZZING=1 LSAN_OPTIONS=suppressions=$(CURDIR)/Tests/Sanitizers/leaks.txt:print_suppressions=0 \
	    ASAN_SYMBOLIZER_PATH=$(dir $(shell command -v $(SWIFT)))llvm-symbolizer \
	    $(SWIFT) test --skip-build $(checking) $(skipped) $(ARGS)

.PHONY: test-tsan
test-tsan: toolchain libraries ## Run the tests under ThreadSanitizer
	mkdir -p $(threaded)
	$(clang) -shared -fPIC -O2 -o $(threaded)/runtime.so Tests/Sanitizers/runtime.c
	LD_PRELOAD=$(CURDIR)/$(threaded)/runtime.so $(SWIFT) test --configuration release --scratch-path $(threaded) \
	    --disable-xctest --sanitize=thread --skip CommandTests $(long) $(ARGS)

.PHONY: fuzz
fuzz: toolchain libraries $(venv)/.installed ## Fuzz each target for a minute: FUZZ="plan json" ARGS="-max_total_time=3600"
	FUZZING=$(if $(SANITIZER),1,counting) $(SWIFT) build $(fuzzing)
	$(venv)/bin/python Tests/Fuzzing/make_corpus.py $(fuzzed)/seeds
	@for target in $(FUZZ); do \
	    mkdir -p $(fuzzed)/corpus/$$target $(fuzzed)/seeds/$$target; \
	    SWIFT_BACKTRACE=enable=no ASAN_OPTIONS=detect_leaks=0 FUZZ_TARGET=$$target $(fuzzed)/release/weight-init-fuzz \
	        $(fuzzed)/corpus/$$target $(fuzzed)/seeds/$$target -dict=$(fuzzed)/seeds/words -max_len=4096 -timeout=20 \
	        -artifact_prefix=$(fuzzed)/$$target- -print_final_stats=1 -max_total_time=60 $(ARGS) > $(fuzzed)/$$target.log 2>&1 \
	        || { tail -n 40 $(fuzzed)/$$target.log; echo "fuzz: $$target is broken, see $(fuzzed)/$$target-*"; exit 1; }; \
	    echo "fuzz: $$target: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(fuzzed)/$$target.log) executions"; \
	done

# As in SQLite's tests: the first allocation fails, then the second, and so on, once alone and once with all later ones.
.PHONY: test-oom
test-oom: toolchain libraries test-tools ## Let each allocation of the daemon's C parts fail in turn
	mkdir -p $(starved)
	cd $(starved) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=a \
	    -keyout key.pem -out certificate.pem 2> /dev/null
	$(clang) -O1 -g -fuse-ld=lld -fsanitize=address,undefined -Wall -Wextra -Werror -I Sources/CHTTPDaemon/include \
	    -Wl,--wrap=malloc,--wrap=calloc,--wrap=strdup,--wrap=free -o $(starved)/exchange \
	    Tests/OutOfMemory/exchange.c Sources/CHTTPDaemon/*.c $$(pkg-config --libs libmicrohttpd gnutls) -lpthread
	cd $(starved) && timeout 300 ./exchange certificate.pem key.pem socket

.PHONY: test-hardening
test-hardening: build ## Check how the program is linked
	@readelf --dynamic --wide $(program) > .build/dynamic; readelf --program-headers --wide $(program) > .build/headers; \
	readelf --dyn-syms --wide $(program) > .build/symbols; \
	grep -q 'FLAGS.*NOW' .build/dynamic || { echo "hardening: not linked with -z now"; exit 1; }; \
	grep -q 'GNU_RELRO' .build/headers || { echo "hardening: not linked with -z relro"; exit 1; }; \
	grep -q 'GNU_STACK.* RW ' .build/headers || { echo "hardening: the stack can be executed"; exit 1; }; \
	! grep -E 'RUNPATH|RPATH' .build/dynamic || { echo "hardening: libraries are looked for beside the program"; exit 1; }; \
	grep -q '__[a-z]*_chk' .build/symbols || { echo "hardening: C is compiled without _FORTIFY_SOURCE"; exit 1; }; \
	echo "hardening: BIND_NOW, RELRO, no RUNPATH, FORTIFY"

.PHONY: soak
soak: build ## Run good, bad and slow clients for five minutes, then look for leaks: ARGS=60 for an hour
	$(PYTHON) Tests/soak/soak.py $(program) $(ARGS)

.PHONY: test-deploy
test-deploy: test-replicas $(render) ## Check deploy/ and the workflows with the schemas of the programs that read them, and the queries with Prometheus
	$(venv)/bin/python Tests/reference/check_deploy.py $(tests)/release/weight-init $(debian)/usr/bin/{kubectl,prometheus,promtool} $(render)

# The small Debian takes minutes to make. It is made once and kept; CHROOT= leaves it out.
.PHONY: test-dist
test-dist: dist $(venv)/.installed ## Check the files of a release, and install, run and purge the package in a chroot, as root
	@missing=(); \
	command -v lintian > /dev/null || missing+=(lintian); \
	command -v man > /dev/null || missing+=(man-db); \
	command -v mandoc > /dev/null || missing+=(mandoc); \
	command -v strace > /dev/null || missing+=(strace); \
	command -v systemd-analyze > /dev/null || missing+=(systemd); \
	[[ -z '$(CHROOT)' ]] || (( EUID )) || command -v debootstrap > /dev/null || missing+=(debootstrap); \
	$(install)
	$(venv)/bin/python Tests/reference/check_dist.py $(program) $(release) $(CHROOT)

# Builds a fresh clone twice, at the same path, with one job and only the steps that the build needs.
.PHONY: test-reproducible
test-reproducible: toolchain libraries dist-tools ## Build the commit twice at one path, and compare the stripped programs; takes minutes
	rm -rf $(twice) && mkdir -p $(twice)
	for program in first second; do \
	    rm -rf $(twice)/clone; \
	    git clone --quiet --no-hardlinks . $(twice)/clone; \
	    nice $(SWIFT) build --jobs 1 --configuration release --package-path $(twice)/clone --scratch-path $(twice)/clone/.build \
	        --product weight-init $(static) $(hardened); \
	    strip -o $(twice)/$$program $(twice)/clone/$(program); \
	done
	cmp $(twice)/first $(twice)/second
	@echo "reproducible: $$(sha256sum < $(twice)/first | cut -c1-64)"

.PHONY: test-page
test-page: compiled-tests $(venv)-page/.installed ## Click through the page in headless Chromium; SCREENSHOTS=docs/images updates the pictures
	$(venv)-page/bin/python Tests/page/check_page.py $(tests)/release/weight-init \
	    $(addprefix --screenshots=,$(SCREENSHOTS)) $(addprefix --python=,$(wildcard $(venv)-models/bin/python))

.PHONY: test-replicas
test-replicas: test-swift $(venv)/.client $(debian)/.unpacked ## Fetch tensors from three replicas behind nginx and HAProxy, killing some
	$(venv)/bin/python Tests/replicas/replicas.py $(tests)/release/weight-init $(debian)
	$(venv)/bin/python Tests/replicas/client.py $(tests)/release/weight-init $(debian)
	$(venv)/bin/python Tests/replicas/chaos.py $(tests)/release/weight-init $(debian) --downloads 80

.PHONY: chaos
chaos: build $(debian)/.unpacked ## Kill replicas under a thousand downloads for half an hour, and look for corrupt files: ARGS="--downloads 99 --seed 7"
	$(PYTHON) Tests/replicas/chaos.py $(program) $(debian) --downloads 1000 $(ARGS)

.PHONY: format
format: toolchain ## Format the sources
	$(SWIFT) format format --in-place --parallel --recursive $(sources)

.PHONY: lint
lint: toolchain ## Report badly formatted sources
	$(SWIFT) format lint --strict --parallel --recursive $(sources)

.PHONY: bench
bench: build measuring ## Measure the program and other services in 25 minutes; writes Benchmarks/RESULTS.md
	$(PYTHON) Benchmarks/bench.py $(ARGS)

.PHONY: bench-quick
bench-quick: build measuring ## Measure the cost of a request, latencies and the start in two minutes; prints, and writes no file
	$(PYTHON) Benchmarks/bench.py --quick --binary $(program)

.PHONY: clean
clean: ## Remove everything built or downloaded
	rm -rf .build $(venv) $(venv)-page $(venv)-models $(venv)-hub

##@ Help

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Prerequisites.

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
	pkg-config --exists nettle 2> /dev/null || missing+=(nettle-dev); \
	pkg-config --exists zlib 2> /dev/null || missing+=(zlib1g-dev); \
	$(install)

.PHONY: test-tools
test-tools:
	@missing=(); \
	for tool in curl openssl; do command -v $$tool > /dev/null || missing+=($$tool); done; \
	command -v readelf > /dev/null || missing+=(binutils); \
	command -v prlimit > /dev/null || missing+=(util-linux); \
	$(install)

.PHONY: dist-tools
dist-tools:
	@missing=(); \
	command -v strip > /dev/null || missing+=(binutils); \
	command -v dpkg-shlibdeps > /dev/null || missing+=(dpkg-dev); \
	$(install)

# valgrind counts instructions.
.PHONY: measuring
measuring:
	@missing=(); \
	command -v valgrind > /dev/null || missing+=(valgrind); \
	command -v cc > /dev/null || missing+=(gcc libc6-dev); \
	$(install)

# Languages of the programs in examples/ and the documents. Rust's program is skipped if there is no rustc.
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

# Debian has no Helm, but it has the functions of Helm's templates.
$(render): Tests/helm/render.go
	@missing=(); \
	command -v go > /dev/null || missing+=(golang-go); \
	[[ -d /usr/share/gocode/src/github.com/Masterminds/sprig ]] || missing+=(golang-github-masterminds-sprig-dev); \
	[[ -d /usr/share/gocode/src/sigs.k8s.io/yaml ]] || missing+=(golang-k8s-sigs-yaml-dev); \
	$(install)
	GO111MODULE=off GOPATH=/usr/share/gocode go build -o $@ $<

# A compiler, and libraries for the clients that openapi-generator makes.
.PHONY: generators
generators:
	@missing=(); \
	command -v tsc > /dev/null || missing+=(node-typescript); \
	[[ -e /usr/share/java/geronimo-annotation-1.3-spec.jar ]] || missing+=(libgeronimo-annotation-1.3-spec-java); \
	$(install)

$(debian)/.unpacked:
	@$(become_root); \
	rm -rf $(debian) && mkdir -p $(debian) && cd $(debian); \
	fetch() { \
	    apt-get -q download $(packages) $$(apt-get -qq --print-uris --no-install-recommends install $(linked) \
	        | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" | grep '^lib' || true); \
	}; \
	fetch || { "$${as_root[@]}" apt-get -q update; fetch; }; \
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

$(venv)/.client: $(venv)/.installed clients/python/pyproject.toml
	$(venv)/bin/python -m pip install --quiet --disable-pip-version-check --editable 'clients/python[test]'
	touch $@

# torchvision from PyPI depends on a torch for CUDA, so it is installed without dependencies. Constructing models does not
# need its operators.
$(venv)-models/.installed: clients/python/models/requirements.txt clients/python/pyproject.toml
	@missing=(); \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv); \
	$(install)
	$(PYTHON) -m venv $(venv)-models
	$(venv)-models/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(torch) 2> /dev/null \
	    || $(venv)-models/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --extra-index-url $(torch_index) $(torch)
	$(venv)-models/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps torchvision==0.28.0
	$(venv)-models/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement $< --editable clients/python
	touch $@

# Older clients with the same torch: packages installed here take precedence over those of the other environment.
$(venv)-hub/.installed: Tests/hub/requirements.txt $(venv)-models/.installed
	$(PYTHON) -m venv $(venv)-hub
	$(venv)-models/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	    > "$$($(venv)-hub/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch.pth"
	$(venv)-hub/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

$(venv)-page/.installed: Tests/page/requirements.txt
	@missing=(); \
	$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv); \
	command -v chromium > /dev/null || missing+=(chromium); \
	$(install)
	$(PYTHON) -m venv $(venv)-page
	$(venv)-page/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

# Sets the array `as_root` to a prefix that runs a command as root.
define become_root
command -v apt-get > /dev/null || { echo "apt-get is missing here. Install these packages by hand: $${missing[*]-}" >&2; exit 1; }; \
as_root=(); \
if (( EUID )); then \
    command -v sudo > /dev/null || { echo "Only root can install the missing packages: $${missing[*]-}" >&2; exit 1; }; \
    as_root=(sudo); \
fi
endef

# Installs the Debian packages that the array `missing` names, if any.
define install
if (( $${#missing[@]} )); then \
    echo "Installing with apt-get: $${missing[*]}"; \
    $(become_root); \
    "$${as_root[@]}" apt-get -q update; \
    "$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$${missing[@]}"; \
fi
endef
