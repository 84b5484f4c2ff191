"""How huggingface_hub and hf_xet are to behave; they read it when they are imported, which is after this."""

from __future__ import annotations

from collections.abc import MutableMapping

# By themselves hf_xet's buffers may take 2 GB and 512 MB per file; its vectored writes stall on NFS, as EFS
# is (https://github.com/vllm-project/vllm/pull/49830); blobs shared by repositories would outlive a prune.
_DEFAULTS = {
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_SIZE": "256mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_PERFILE_SIZE": "64mb",
    "HF_XET_RECONSTRUCTION_DOWNLOAD_BUFFER_LIMIT": "512mb",
    "HF_XET_RECONSTRUCTION_USE_VECTORED_WRITE": "0",
    "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_VERBOSITY": "error",  # the log is one JSON line per event
}


def set_client_defaults(environ: MutableMapping[str, str]) -> None:
    """What `environ` says already stays."""
    for name, value in _DEFAULTS.items():
        environ.setdefault(name, value)
