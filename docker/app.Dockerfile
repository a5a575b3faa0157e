# The server: API and pages in one image, without PyTorch. Built from the top of the checkout:
#   docker build -f docker/app.Dockerfile -t spi-dash-app .
ARG PYTHON_IMAGE=docker.io/library/python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_RETRIES=3 PIP_DEFAULT_TIMEOUT=30
WORKDIR /src
RUN python3 -m venv --without-pip /opt/spi
# What the program needs first: it changes less often than the program.
COPY pyproject.toml README.md ./
COPY spi_dash/__init__.py spi_dash/
RUN python3 -m pip --python /opt/spi/bin/python install . \
    && find /opt/spi -type d -name tests -prune -exec rm -rf {} +
COPY spi_dash spi_dash
RUN python3 -m pip --python /opt/spi/bin/python install --no-deps --force-reinstall .

FROM ${PYTHON_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Spi Dash" \
      org.opencontainers.image.description="The server of a lab with Sticky Pi insect traps: API and pages" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}"
RUN mkdir -m 0750 /data /backups && chown 10001:10001 /data /backups
COPY --from=build /opt/spi /opt/spi
ENV PATH=/opt/spi/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp SPI_DATA_DIR=/data SPI_HOST=0.0.0.0 SPI_PORT=8050
USER 10001:10001
WORKDIR /tmp
EXPOSE 8050
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8050/healthz', timeout=8)"]
ENTRYPOINT ["spi-dash"]
CMD ["serve", "--no-detector"]
