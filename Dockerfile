# The worker alone, against a Kafka that runs elsewhere. Built in two steps so that no build tool stays in the image.
# The first image has a C compiler, for worker/native. Python 3.11 is what the tests run on.
# The worker is process 1 and takes SIGTERM itself.
FROM python:3.11 AS build
WORKDIR /source
RUN python -m venv /opt/customer-context
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY worker ./worker
COPY tables ./tables
COPY agents ./agents
COPY api ./api
RUN /opt/customer-context/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.11-slim
RUN useradd --system --create-home --uid 10001 customer-context \
 && install -d -o customer-context /data
COPY --from=build /opt/customer-context /opt/customer-context
ENV PATH=/opt/customer-context/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CUSTOMER_CONTEXT_DATA_DIR=/data \
    CUSTOMER_CONTEXT_LOG_FORMAT=json
# docker build --build-arg COMMIT="$(git rev-parse HEAD)": what --version and the log say.
ARG COMMIT=""
ENV CUSTOMER_CONTEXT_COMMIT=$COMMIT
USER customer-context
VOLUME /data
EXPOSE 6066
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:6066/health/live', timeout=2)"]
ENTRYPOINT ["customer-context"]
CMD ["worker"]
