# An image with the command `asl`, which runs as a user of its own. docs/howto/deploy.md tells how to use it.
#
#   docker build -t asl-engine .
#   docker build -t asl-engine --build-arg EXTRAS='[dask]' .

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY engine engine
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .
# Brackets and names, as in '[dask]'.
ARG EXTRAS=
RUN python -m venv /opt/asl \
 && /opt/asl/bin/pip install --no-cache-dir "$(echo /dist/asl_engine-*.whl)${EXTRAS}"

FROM python:${PYTHON}-slim
# A number, so that Kubernetes can see that it is not root.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin asl
COPY --from=build /opt/asl /opt/asl
ENV PATH=/opt/asl/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ASL_HEALTH=:8084
# Handlers are imported from here.
WORKDIR /handlers
USER 10001
EXPOSE 8083 8084
# Of `asl worker` and `asl server`. It answers from the moment it starts, also while the database is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8084/healthz', timeout=4)"]
ENTRYPOINT ["asl"]
CMD ["--help"]
