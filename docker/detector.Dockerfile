# The insect detector: knows the server by its address only. Built from the top of the checkout:
#   docker build -f docker/detector.Dockerfile -t spi-dash-detector .
ARG PYTHON_IMAGE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# PyTorch without a graphics card, a tenth of the size, is only in this index. Empty: the usual one alone.
ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_RETRIES=3 PIP_DEFAULT_TIMEOUT=30
WORKDIR /src
RUN python3 -m venv --without-pip /opt/spi
# Where the extra index cannot be reached, the usual one has the same version, with what graphics cards need.
RUN if [ -n "${TORCH_INDEX}" ] \
        && python3 -m pip --python /opt/spi/bin/python install --retries 2 --extra-index-url "${TORCH_INDEX}" "${TORCH}"; \
    then :; else python3 -m pip --python /opt/spi/bin/python install "${TORCH}"; fi
COPY pyproject.toml README.md ./
COPY spi_dash/__init__.py spi_dash/
RUN python3 -m pip --python /opt/spi/bin/python install '.[detector]' \
    && find /opt/spi -type d -name tests -prune -exec rm -rf {} +
COPY spi_dash spi_dash
RUN python3 -m pip --python /opt/spi/bin/python install --no-deps --force-reinstall .

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Spi Dash insect detector" \
      org.opencontainers.image.description="Finds insects on the pictures of a Spi Dash server" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
RUN mkdir -m 0750 /cache && chown 10001:10001 /cache
COPY --from=build /opt/spi /opt/spi
ENV PATH=/opt/spi/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp SPI_API_URL=http://spi_dash:8050
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as u; u.urlopen(os.environ['SPI_API_URL'] + '/healthz', timeout=8)"]
ENTRYPOINT ["spi-dash", "detector"]
CMD ["run", "--bundle-cache", "/cache"]
