# The service in an image: compiled JavaScript, one package, Node, and nothing to log into. Built by `make up`.
# Both bases are digests. A machine without a registry hands in stand-ins (infra/images/build), and the labels then say so.
ARG BUILD_IMAGE=node:24.21.0-trixie-slim@sha256:173f125896c3b47ddf056734c7ea789d04595a6a08769a8f78e0df642781fb66
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian13:nonroot@sha256:9eeb7f5887d0e239e78264b06f7f11d2e14be534050481803a9e4728fcdd278e
ARG RUNTIME_DIGEST=sha256:9eeb7f5887d0e239e78264b06f7f11d2e14be534050481803a9e4728fcdd278e

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY service service
RUN node_modules/.bin/tsc -b service
# One folder, the same bytes, modes and times whenever this commit is built. The package's copies for other runtimes stay behind.
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /out/app/node_modules && cp package.json /out/app/ && cp -R service/dist /out/app/service && \
  rm /out/app/service/tsconfig.tsbuildinfo && \
  cp -R node_modules/postgres /out/app/node_modules/ && cd /out/app/node_modules/postgres && rm -rf cf cjs types && \
  chmod -R u=rwX,go=rX /out && find /out -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +

FROM ${RUNTIME_IMAGE}
COPY --from=build /out/ /
ARG RUNTIME_IMAGE
ARG RUNTIME_DIGEST
ARG VERSION=unknown
ARG GIT_SHA=unknown
ARG BUILD_TIME=unknown
LABEL org.opencontainers.image.title=orders \
  org.opencontainers.image.description="A small orders service" \
  org.opencontainers.image.version=${VERSION} \
  org.opencontainers.image.revision=${GIT_SHA} \
  org.opencontainers.image.created=${BUILD_TIME} \
  org.opencontainers.image.base.name=${RUNTIME_IMAGE} \
  org.opencontainers.image.base.digest=${RUNTIME_DIGEST}
ENV GIT_SHA=${GIT_SHA} BUILD_TIME=${BUILD_TIME}
USER 65532:65532
# Liveness only: a database that is away is no reason to call the container sick.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/nodejs/bin/node", "-e", \
  "require('http').get({ port: process.env.PORT, path: '/health', timeout: 4000, agent: false }, r => process.exit(r.statusCode === 200 ? 0 : 1)).on('timeout', () => process.exit(1)).on('error', () => process.exit(1))"]
ENTRYPOINT ["/nodejs/bin/node"]
CMD ["/app/service/main.js"]
