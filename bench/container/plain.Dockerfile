# A plain image, built as the ancestor sample builds its own: a base, pip install, the scripts.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY inference/requirements-full.txt /build/
# The versions that the other images lock, so that only the way of building differs.
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,source=build/wheels,target=/wheels \
    --mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \
    python3 -m venv /opt/venv \
 && sed -E 's/ *\\$//; /^ *--hash/d; s/ *;.*//' /build/requirements-full.txt | sort -u -t= -k1,1 >/build/constraints.txt \
 && if ls /wheels/*.whl >/dev/null 2>&1; then from="--find-links /wheels"; else from="--extra-index-url ${TORCH_INDEX_URL}"; fi \
 && /opt/venv/bin/pip install ${from} -c /build/constraints.txt torch==2.13.0+cpu transformers awslambdaric \
 && rm -r /build
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /var/task
COPY bench/container/scripts/plain.py ./
ENTRYPOINT ["python", "-m", "awslambdaric"]
