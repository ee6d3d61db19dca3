# syntax=docker/dockerfile:1

FROM rust:1.95.0-slim-bookworm AS build
# For the C in SQLite and ring; libc6-dev has the C library as an archive, which a static program wants.
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The image's own toolchain: rust-toolchain.toml would fetch components that no build needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    scripts/build-static.sh \
    && cp "target/$(rustc --print host-tuple)/release/kubelend" /usr/local/bin/kubelend \
    && mkdir /data /etc/kubelend

# CA certificates, a user without a name for anything else, and nothing to log in with.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /usr/local/bin/kubelend /usr/local/bin/kubelend
# A volume that is made for this folder belongs to the same user.
COPY --from=build --chown=65532:65532 --chmod=0700 /data /var/lib/kubelend
COPY --from=build /etc/kubelend /etc/kubelend
USER 65532:65532
VOLUME /var/lib/kubelend
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/kubelend", "health", "--config", "/etc/kubelend/kubelend.toml"]
ENTRYPOINT ["/usr/local/bin/kubelend"]
CMD ["serve", "--config", "/etc/kubelend/kubelend.toml"]
