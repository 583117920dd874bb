# `docker buildx build --platform linux/amd64,linux/arm64` builds both platforms: nothing here depends on the processor. Only
# amd64 has been run; for arm64, only the kernels, emulated (make test-neon). .github/workflows/ci.yml builds each platform on
# its own processor.
#
# Base images have tags, not digests, because the tests cannot ask a registry for digests. To pin them, pass
# --build-arg SWIFT=swift:6.3-bookworm@sha256:… and DEBIAN=docker.io/library/debian:bookworm-slim@sha256:…, as the workflow does
# for releases; `docker buildx imagetools inspect debian:bookworm-slim` prints the digest.
ARG SWIFT=swift:6.3-bookworm
ARG DEBIAN=docker.io/library/debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${SWIFT} AS build

# Debian keeps only the newest version of a package: a pinned version would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmicrohttpd-dev make nettle-dev pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /source
COPY . .
RUN make build \
    && strip -o /weight-init .build/release/weight-init

# hadolint ignore=DL3006
FROM ${DEBIAN}

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmicrohttpd12 \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt

COPY --from=build /weight-init /usr/local/bin/weight-init
COPY LICENSE NOTICE /usr/share/doc/weight-init/

ARG VERSION=1.0.0
# Without this line, the value of an argument from before the first FROM is empty here.
ARG DEBIAN
LABEL org.opencontainers.image.title="weight-init" \
      org.opencontainers.image.description="PyTorch's weight initialisation over HTTP, to the bit" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="the weight-init authors" \
      org.opencontainers.image.base.name="${DEBIAN}"

# Options of serve and health. A container listens on all of its addresses.
ENV WEIGHT_INIT_HOST=0.0.0.0 \
    WEIGHT_INIT_PORT=8080
EXPOSE 8080

# A non-root user. The program writes no files.
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/weight-init", "health"]
ENTRYPOINT ["/usr/local/bin/weight-init"]
CMD ["serve"]
