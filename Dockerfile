# One image for every service; the command says which one runs.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 TF_CPP_MIN_LOG_LEVEL=3
WORKDIR /app

COPY pyproject.toml constraints.txt README.md ./
COPY schemas ./schemas
COPY streams ./streams
COPY training ./training
COPY inference ./inference
COPY gateway ./gateway
COPY ops ./ops
COPY benchmarks ./benchmarks
RUN pip install --constraint constraints.txt '.[otel]'

RUN groupadd --gid 10001 retrace && useradd --create-home --uid 10001 --gid 10001 retrace \
    && mkdir /data && chown 10001:10001 /data
# By number, so that who starts it can see that it is not root. It writes to /data and /tmp only.
USER 10001:10001
ENV MPLCONFIGDIR=/tmp RETRACE_DATA_DIR=/data RETRACE_HOST=0.0.0.0 RETRACE_LOG_FORMAT=json
VOLUME /data
ENTRYPOINT ["retrace"]
CMD ["--help"]
