# The image of an endpoint whose models are in it (`storage: image`), on top of an image of inference/Dockerfile. The
# context is the folder that `python -m warmup fetch --into build/models --endpoint NAME` filled. No step needs a network:
#   docker build -f inference/models.Dockerfile --network none --build-arg BASE_IMAGE=...:slim \
#     --build-arg FULL_IMAGE=...:full --build-arg ENDPOINT=sentiment build/models/sentiment
ARG BASE_IMAGE
ARG FULL_IMAGE


# --- the models, prepared by the warm-up's code ---
FROM ${FULL_IMAGE} AS models
ARG ENDPOINT
ARG MEMORY_MB
ARG TOLERANCE={}
USER root
COPY . /opt/models
# Without a token: none is in the context, nor in an argument.
RUN HOME=/tmp HF_HOME=/tmp/hf PREPARE_TOLERANCE="${TOLERANCE}" \
    python -m warmup prepare --folder /opt/models --endpoint "${ENDPOINT}" --scripts /var/task ${MEMORY_MB:+--memory-mb "${MEMORY_MB}"} \
 && rm -rf /opt/models/locks /opt/models/hub/.locks && chmod -R a+rX /opt/models


# --- the image ---
FROM ${BASE_IMAGE}
# Lambda takes snapshots (`snapStart`) of images that are not of AWS's own bases if they say that they allow it.
LABEL com.amazonaws.lambda.feature.snapstart="Allow"
COPY --from=models /opt/models /opt/models
