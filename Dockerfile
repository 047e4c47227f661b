# The page for hosting it oneself. Build and run (read-only file system, no privileges, one writable temporary volume,
# which goes with the container; a tmpfs would count towards the memory):
#
#   docker build -t espcn .
#   docker run --rm -p 7860:7860 --read-only -v /tmp --cap-drop ALL --security-opt no-new-privileges --memory 8g \
#       --pids-limit 512 espcn
#
# Limits are set with -e ESPCN_...; see README.md. Behind a proxy add -e ESPCN_PROXY=1.

FROM python:3.12-slim-trixie AS build
# Wheels only: nothing is compiled, and the CPU build of torch is a twentieth of the size.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/espcn
WORKDIR /source
COPY requirements.txt ./
RUN /opt/espcn/bin/pip install --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt
COPY pyproject.toml README.md LICENSE app.py ./
COPY espcn_demo espcn_demo
COPY weights weights
RUN /opt/espcn/bin/pip install --no-deps .

FROM python:3.12-slim-trixie
RUN groupadd --system --gid 10001 espcn \
    && useradd --system --uid 10001 --gid espcn --home-dir /tmp/home --no-create-home espcn
COPY --from=build /opt/espcn /opt/espcn
ENV PATH=/opt/espcn/bin:$PATH \
    HOME=/tmp/home \
    HF_HOME=/tmp/huggingface \
    ESPCN_FOLDER=/tmp/espcn \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["espcn", "serve"]
CMD ["--host", "0.0.0.0", "--port", "7860"]
