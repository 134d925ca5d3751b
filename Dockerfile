# The operator with its renderer. `make image` builds it; charts/README.md tells what it is for.

# What the renderer embeds, and GSAP, which it serves.
FROM node:22-bookworm-slim AS assets
COPY producer/assets.toml producer/fetch-assets.sh /producer/
RUN /producer/fetch-assets.sh /assets

# rust-toolchain.toml says which version; it is left out, for with it rustup would fetch clippy too.
FROM rust:1.95-slim-bookworm AS programs
RUN apt-get update && apt-get install --yes --no-install-recommends \
    clang libavcodec-dev libavfilter-dev libavformat-dev libavutil-dev libclang-dev pkg-config
COPY --from=assets /assets /assets
WORKDIR /source
COPY . .
RUN HF_ASSETS_DIR=/assets cargo build --release --locked --package operator --package producer \
    && install -D --target-directory /opt/hyperframes target/release/hf-operator target/release/hf-producer \
    && install -D --mode 644 --target-directory /opt/hyperframes/assets /assets/gsap-*.tgz

FROM debian:12-slim
# What a browser with a screen draws with is not installed: Chromium's packages ask for it, but this one has no screen. Left
# out as the base leaves out manuals, so that apt's view of what is installed stays whole.
RUN for path in '*/libLLVM-*' '*/llvm-*' '*/libz3.so*' '*/dri/*' '*/mfx/*' 'chromium/libVkLayer_*' 'chromium/*.TOC'; do \
        echo "path-exclude=/usr/lib/$path"; \
    done >/etc/dpkg/dpkg.cfg.d/no-screen \
    && apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates chromium-headless-shell libavcodec59 libavfilter8 libavformat59 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/* \
    && echo 'hyperframes:x:65532:65532::/tmp:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'hyperframes:x:65532:' >>/etc/group
ARG VERSION=unknown
LABEL org.opencontainers.image.title="hyperframes-operator" \
    org.opencontainers.image.description="Renders HyperFrames compositions to video, from Render and HyperframesStack resources" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.licenses="GPL-2.0-or-later" \
    org.opencontainers.image.base.name="docker.io/library/debian:12-slim"
# The Lambda function's zip, where `make package` has made it: stacks in AWS need it, others do not.
COPY LICENSE target/package/handler.zi[p] /opt/hyperframes/
COPY --from=programs /opt/hyperframes /opt/hyperframes
ENV PATH=/opt/hyperframes:/usr/local/bin:/usr/bin:/bin HF_ASSETS_DIR=/opt/hyperframes/assets
# A number, for Kubernetes has to see that it is not root.
USER 65532:65532
EXPOSE 8080
# Programs of a browser outlive it for a moment: somebody has to reap them.
ENTRYPOINT ["tini", "--", "hf-operator"]
CMD ["run"]
