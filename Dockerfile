# syntax=docker/dockerfile:1

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The image's own toolchain: rust-toolchain.toml would fetch components that no build needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin kubelend \
    && cp target/release/kubelend /usr/local/bin/kubelend \
    && mkdir /data /etc/kubelend

# glibc, CA certificates, and nothing to log in with.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/kubelend /usr/local/bin/kubelend
# A volume that is made for this folder belongs to the same user.
COPY --from=build --chown=65532:65532 --chmod=0700 /data /var/lib/kubelend
COPY --from=build /etc/kubelend /etc/kubelend
VOLUME /var/lib/kubelend
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/kubelend"]
CMD ["serve", "--config", "/etc/kubelend/kubelend.toml"]
