# The distribution of builder-config.yaml, static and for several architectures:
#   docker buildx build --platform linux/amd64,linux/arm64 -t otelcol-perisco .
# Go compiles for the others; nothing is emulated.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go tool -modfile=internal/tools/go.mod builder --config builder-config.yaml --skip-compilation
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -C _build -trimpath -ldflags="-s -w" -o /otelcol-perisco .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /otelcol-perisco /
# Enough for a gateway, or a packet capture. To capture a node it needs root and some capabilities: see
# examples/kubernetes/base/daemonset.yaml, or
#   docker run --pid host --user 0 --cap-drop ALL --cap-add BPF --cap-add PERFMON --cap-add SYS_PTRACE ...
USER 65532:65532
ENTRYPOINT ["/otelcol-perisco"]
CMD ["--config", "/etc/perisco/config.yaml"]
