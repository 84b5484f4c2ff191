"""A real Whisper (tiny.en), of a package that holds it for CTranslate2; and a voice, eSpeak NG's."""

from __future__ import annotations

import ctypes
import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import transformers

_LAYERS, _WIDTH = 4, 384
_SYNCHRONOUS, _UTF8 = 2, 1


def snapshot(package: Path, folder: Path) -> Path:
    """Write the model of the unpacked `package` into `folder` as transformers saves it."""
    said = json.loads((package / "model" / "config.json").read_text())
    tokenizer = transformers.WhisperTokenizer(
        tokenizer_object=transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(package / "model" / "tokenizer.json")
        ).backend_tokenizer,
        **dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "<|endoftext|>"),
    )
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    ends = {
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "pad_token_id": 50256,
        "decoder_start_token_id": 50257,
    }
    config = transformers.WhisperConfig(vocab_size=51864, d_model=_WIDTH, **ends)
    for side in ("encoder", "decoder"):
        setattr(config, f"{side}_layers", _LAYERS)
        setattr(config, f"{side}_attention_heads", 6)
        setattr(config, f"{side}_ffn_dim", 4 * _WIDTH)
    model = transformers.WhisperForConditionalGeneration(config).eval()
    weights = _weights(package / "model" / "model.bin")
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert (missing, unexpected) == (["proj_out.weight"], [])
    model.tie_weights()
    model.generation_config = transformers.GenerationConfig(
        **ends,
        max_length=448,
        is_multilingual=False,
        no_timestamps_token_id=50362,
        prev_sot_token_id=50360,
        max_initial_timestamp_index=50,
        return_timestamps=False,
        alignment_heads=said["alignment_heads"],
        suppress_tokens=[token for token in said["suppress_ids"] if token >= 0],
        begin_suppress_tokens=said["suppress_ids_begin"],
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def _weights(path: Path) -> dict[str, Any]:
    """transformers' names -> tensors in fp32."""
    with path.open("rb") as file:
        stored = _variables(file)
    found = {
        "model.encoder.embed_positions.weight": stored["encoder/position_encodings/encodings"],
        "model.decoder.embed_positions.weight": stored["decoder/position_encodings/encodings"],
        "model.decoder.embed_tokens.weight": stored["decoder/embeddings/weight"],
    }
    for name in ("conv1", "conv2"):
        found |= {
            f"model.encoder.{name}.{part}": stored[f"encoder/{name}/{part}"] for part in ("weight", "bias")
        }
    for side in ("encoder", "decoder"):
        found |= _norm(stored, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for layer in range(_LAYERS):
            theirs, ours = f"{side}/layer_{layer}", f"model.{side}.layers.{layer}"
            found |= _norm(stored, f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
            found |= _norm(stored, f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
            found |= _parts(stored, f"{theirs}/self_attention/linear_0", f"{ours}.self_attn", "qkv")
            found |= _parts(stored, f"{theirs}/self_attention/linear_1", f"{ours}.self_attn", "o")
            for number in (0, 1):
                for part in ("weight", "bias"):
                    found[f"{ours}.fc{number + 1}.{part}"] = stored[f"{theirs}/ffn/linear_{number}/{part}"]
            if side == "decoder":
                found |= _norm(stored, f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
                for number, names in enumerate(("q", "kv", "o")):
                    found |= _parts(
                        stored, f"{theirs}/attention/linear_{number}", f"{ours}.encoder_attn", names
                    )
    return {name: torch.from_numpy(np.array(value, np.float32)) for name, value in found.items()}


def _norm(stored: dict[str, Any], theirs: str, ours: str) -> dict[str, Any]:
    return {f"{ours}.weight": stored[f"{theirs}/gamma"], f"{ours}.bias": stored[f"{theirs}/beta"]}


def _parts(stored: dict[str, Any], theirs: str, ours: str, names: str) -> dict[str, Any]:
    """Projections that are stored as one, apart. That of the keys has no bias in transformers."""
    found = {}
    for number, name in enumerate(names):
        rows = slice(number * _WIDTH, (number + 1) * _WIDTH)
        module = "out_proj" if name == "o" else f"{name}_proj"
        found[f"{ours}.{module}.weight"] = stored[f"{theirs}/weight"][rows]
        if name == "k":
            assert not stored[f"{theirs}/bias"][rows].any()
        else:
            found[f"{ours}.{module}.bias"] = stored[f"{theirs}/bias"][rows]
    return found


def _variables(file: BinaryIO) -> dict[str, Any]:
    """Name -> array of a model file of CTranslate2: every variable with its shape, its type and its bytes."""

    def number(kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))
        return int(value)

    def text() -> str:
        return file.read(number("H"))[:-1].decode()

    assert (number("I"), text(), number("I")) == (6, "WhisperSpec", 3)
    found = {}
    for _ in range(number("I")):
        name, shape = text(), [number("I") for _ in range(number("B"))]
        kind, data = number("B"), file.read(number("I"))
        if kind == 4:
            found[name] = np.frombuffer(data, np.float16).reshape(shape)
    return found


def spoken(package: Path, text: str) -> tuple[Any, int]:
    """Samples (n,) float32 of `text` in the voice of the unpacked espeakng_loader, and their rate."""
    library = ctypes.CDLL(str(package / "libespeak-ng.so"))
    pieces: list[Any] = []
    callback_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
    )

    def take(wave: Any, count: int, _events: Any) -> int:
        if wave and count > 0:
            pieces.append(np.ctypeslib.as_array(wave, (count,)).astype(np.float32) / 32768)
        return 0

    callback = callback_type(take)
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, str(package / "espeak-ng-data").encode(), 0)
    library.espeak_SetSynthCallback(callback)
    library.espeak_SetVoiceByName(b"en-us")
    data = text.encode()
    library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, 0, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(pieces), rate
