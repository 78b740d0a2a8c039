# The agent image: what a submission is. It holds agent/, gym_remote/, retro_common/, their locked
# requirements and one bundle; no emulator, no ROM, no compiler, no test or training code.
#
#   docker build -t my-agent --build-arg BUNDLE=runs/demo/bundle .
#
# Without a network: put the wheels into the folder wheels/ first (they are then the only source):
#   python -m pip download -r agent/requirements.lock --require-hashes -d wheels/agent --only-binary=:all:

# Debian's or the official image of Python 3.11. A tag may mean another image tomorrow: submit.sh
# builds from its digest, as BASE=python@sha256:... does.
ARG BASE=python:3.11-slim

FROM ${BASE} AS libraries
# Which PyTorch: "cpu" (an image of about 1.1 GB) or "cuda" (several GB).
ARG DEVICE=cpu
# The locked requirements: each library, indirect ones too, with its version and the hashes that its
# wheel may have. Another build of PyTorch has other hashes and needs a lock of its own, made with the
# command in the head of the file.
ARG LOCK=agent/requirements.lock
# A package index with the build of PyTorch for that device, if the usual index has another one:
# see "Get started" on pytorch.org.
ARG TORCH_INDEX=
# "wheels" may or may not exist: a COPY needs at least one file that does.
COPY ${LOCK} wheels* /wheels/
# A pip outside of the virtual environment fills it: the image needs no pip.
RUN python3 -m venv --without-pip /opt/venv && python3 -m venv /opt/pip \
 && if [ -d /wheels/agent ]; then set -- --no-index --find-links /wheels/agent; \
    elif [ -n "${TORCH_INDEX}" ]; then set -- --extra-index-url "${TORCH_INDEX}"; fi \
 && /opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check \
      install --quiet --no-cache-dir --only-binary :all: --require-hashes "$@" \
      -r "/wheels/$(basename "${LOCK}")" \
 # The bill of materials, which submit.sh writes beside the record.
 && /opt/pip/bin/pip --python /opt/venv/bin/python --disable-pip-version-check inspect \
     >/opt/venv/pip-inspect.json \
 && /opt/venv/bin/python -c "import sys, torch; built = torch.version.cuda and 'cuda' or 'cpu'; \
built == '${DEVICE}' or sys.exit(f'this is the {built} build of PyTorch, not that for ${DEVICE}: \
set --build-arg TORCH_INDEX=... or --build-arg DEVICE={built}')" \
 # Only a compiler of extensions needs the headers; nobody runs the libraries' own tests.
 && cd /opt/venv/lib/python3*/site-packages \
 && rm -rf torch/include torch/share torch/test \
 && find torch/bin -type f ! -name torch_shm_manager -delete \
 && find . -type d -name tests -prune -exec rm -rf {} +

FROM ${BASE}
COPY --from=libraries /opt/venv /opt/venv
# Where the contest of 2018 looks for an agent's socket (tmp/sock) and its output (out).
WORKDIR /agent
COPY gym_remote gym_remote
COPY retro_common retro_common
COPY agent agent
ARG BUNDLE=bundles/pangolin
COPY ${BUNDLE} bundle
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    RETRO_BUNDLE=/agent/bundle
# A number, not a name: whoever evaluates the image can see that it is not root.
RUN mkdir -p tmp/sock out && chown -R 10001:10001 tmp out \
 && python -c "from pathlib import Path; from agent import bundle; bundle.load(Path('bundle'))"
USER 10001:10001
ARG VERSION=unknown
ARG COMMIT=unknown
# SHA-256 of the bundle's config.yaml, which holds those of all its weights.
ARG BUNDLE_SHA256=unknown
ENV RETRO_COMMIT=${COMMIT}
LABEL org.opencontainers.image.title="Retro Contest agent" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      retro-contest.bundle-sha256="${BUNDLE_SHA256}"
CMD ["python", "-m", "agent"]
