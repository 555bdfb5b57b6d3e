# One image for all services. The first argument selects the service: `docker build -t tollgate .`, `docker run tollgate edge`.
# BASE must have Python 3.11 or newer with the venv module. NODE must have Node 20 or newer; it only builds the console's pages.
ARG BASE=python:3.11.14-slim-bookworm
ARG NODE=node:22.21.1-bookworm-slim

# hadolint ignore=DL3006
FROM ${NODE} AS web
WORKDIR /src/services/console/web
COPY services/console/web/package.json services/console/web/package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY services/console/web .
RUN node build.mjs /static

# hadolint ignore=DL3006
FROM ${BASE} AS build
# An image with fewer services is smaller: `--build-arg SERVICES=edge`. `local` contains the tools for evaluation: the
# simulated provider, the mail catcher and the demo account.
ARG SERVICES="accounts analytics balance billing console edge"
WORKDIR /src
COPY requirements requirements
RUN python3 -m venv /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/bootstrap.txt
# Only packages from the lock files, and only wheels, so that nothing is compiled and no compiler is needed.
RUN python3 -m venv --without-pip /opt/tollgate \
    && for service in ${SERVICES}; do set -- "$@" --requirement "requirements/${service}.txt"; done \
    && /opt/build/bin/uv pip install --no-cache --python /opt/tollgate/bin/python --compile-bytecode \
        --require-hashes --only-binary :all: "$@"
COPY libs libs
COPY services services
COPY --from=web /static services/console/tollgate_console/static
COPY deploy/local deploy/local
RUN set -- libs/common \
    && for service in ${SERVICES}; do \
        case "${service}" in local) set -- "$@" deploy/local ;; *) set -- "$@" "services/${service}" ;; esac; \
    done \
    && /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels "$@" \
    && /opt/build/bin/uv pip install --no-cache --python /opt/tollgate/bin/python --compile-bytecode --no-deps /wheels/*.whl

# hadolint ignore=DL3006
FROM ${BASE}
# A fixed user id, so that a cluster can verify that it is not root, and files on volumes keep their owner.
RUN groupadd --gid 10001 tollgate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tollgate \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/tollgate/spool
COPY --from=build /opt/tollgate /opt/tollgate
COPY deploy/image/tollgate-service /usr/local/bin/tollgate-service
# The root file system can be read-only: byte code is compiled above, and only the edge writes files, to its spool.
# With Arrow's own allocator, the memory of each block that a sink compresses would be zeroed again.
ENV PATH=/opt/tollgate/bin:${PATH} \
    ARROW_DEFAULT_MEMORY_POOL=system \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TOLLGATE_HOST=0.0.0.0 \
    TOLLGATE_PORT=8080 \
    TOLLGATE_SPOOL_DIR=/var/lib/tollgate/spool
# Events that Kafka has not acknowledged. They outlive the container; the next edge that mounts the volume sends them.
VOLUME ["/var/lib/tollgate/spool"]
EXPOSE 8080
USER 10001:10001
# Every service shuts down gracefully on SIGTERM. The edge lets streams continue for TOLLGATE_DRAIN_S (30 s) and then needs up
# to 30 s to make its last events durable. Allow that time (`docker stop --time 75`), or SIGKILL cuts responses off.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tollgate-service"]
