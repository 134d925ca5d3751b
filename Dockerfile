# The operator's image: hf-operator, hf-producer and hf-reconcile with Chromium and libav, for a user without rights on a
# root that cannot be written. `make image` builds it.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get -qq update && apt-get -qq install --no-install-recommends \
    clang libavcodec-dev libavformat-dev libavutil-dev libclang-dev make npm pkg-config
WORKDIR /source
COPY . .
ENV HF_ASSETS_DIR=/out/usr/share/hyperframes/assets
RUN make assets && cargo build --release --locked --workspace --bins && \
    install -D --target-directory /out/usr/bin target/release/hf-operator target/release/hf-producer target/release/hf-reconcile && \
    find "$HF_ASSETS_DIR" -name 'fontsource-*' -delete

FROM debian:12-slim
LABEL org.opencontainers.image.title="hyperframes-operator" \
    org.opencontainers.image.description="Renders HyperFrames compositions as custom resources ask for" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get -qq update && \
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends \
    ca-certificates chromium-headless-shell libavcodec59 libavformat59 libavutil57 >/dev/null && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt
COPY --from=build /out /
ENV HF_ASSETS_DIR=/usr/share/hyperframes/assets
USER 65532:65532
ENTRYPOINT ["/usr/bin/hf-operator"]
CMD ["run"]
