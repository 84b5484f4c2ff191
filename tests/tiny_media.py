"""Tiny models of images and sound with random weights, as snapshots on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as t

SIZE = 32
LABELS = ["cat", "dog", "red bus", "blue car", "tree"]
IMAGE_HEADS = {
    "image-classification": "ForImageClassification",
    "image-feature-extraction": "",
    "object-detection": "ForObjectDetection",
    "image-segmentation": "ForSemanticSegmentation",
    "depth-estimation": "ForDepthEstimation",
    "zero-shot-image-classification": "",
}
"""What the class of a model ends in, by the task that is prepared."""
_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "initializer_range": 0.3,
}
_PATCHES = {"image_size": SIZE, "patch_size": 8}
_NAMES = {"id2label": dict(enumerate(LABELS)), "label2id": {name: i for i, name in enumerate(LABELS)}}


def build(family: str, folder: Path, head: str = "", **changes: Any) -> Path:
    """Save the tiny model `family` with the class that ends in `head`, and what prepares its inputs."""
    torch.manual_seed(0)
    config, processors = FAMILIES[family]()
    for name, value in {**_NAMES, **changes}.items():
        setattr(config, name, value)
    model = model_of(config, head)
    lively(model)
    if spread := _SPREAD.get(family):
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, spread / parameter[0].numel() ** 0.5)
    model.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)
    return folder


def model_of(config: Any, head: str) -> Any:
    if isinstance(config, t.VisionEncoderDecoderConfig):
        return t.VisionEncoderDecoderModel(config).eval()
    config.architectures = config.architectures or []  # where a type has two classes, they are looked through
    return getattr(t, f"AutoModel{head}").from_config(config).eval()


def lively(model: Any) -> None:
    """Weights that spread the answers, and batch norms with statistics of their own."""
    with torch.no_grad():
        for module in model.modules():
            if "BatchNorm" in type(module).__name__:
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 1.5)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and any(part in name for part in _HEADS):
                parameter.normal_(0, 0.5)


_HEADS = ("classifier", "class_embed", "lm_head", "score_head")
_SPREAD = {"d_fine": 1.0, "rt_detr": 1.5}
"""Of all matrices: drawn as they are, everything scores the same, and which query comes first is chance."""


def square(size: int = SIZE) -> dict[str, int]:
    return {"height": size, "width": size}


def _vit() -> Any:
    return t.ViTConfig(**_ENCODER, **_PATCHES), [t.ViTImageProcessorPil(size=square())]


def _deit() -> Any:
    processor = t.DeiTImageProcessorPil(size=square(40), crop_size=square())
    return t.DeiTConfig(**_ENCODER, **_PATCHES), [processor]


def _beit() -> Any:
    config = t.BeitConfig(**_ENCODER, **_PATCHES, use_relative_position_bias=True, out_indices=[1, 2])
    return config, [t.BeitImageProcessorPil(size=square(36), crop_size=square())]


def _swin() -> Any:
    config = t.SwinConfig(
        image_size=SIZE, patch_size=4, embed_dim=16, depths=[1, 2], num_heads=[2, 4], window_size=4
    )
    return config, [t.ViTImageProcessorPil(size=square())]


def _swinv2() -> Any:
    config = t.Swinv2Config(
        image_size=SIZE, patch_size=4, embed_dim=16, depths=[1, 2], num_heads=[2, 4], window_size=4
    )
    return config, [t.ViTImageProcessorPil(size=square())]


def _vit_msn() -> Any:
    return t.ViTMSNConfig(**_ENCODER, **_PATCHES), [t.ViTImageProcessorPil(size=square())]


def _data2vec_vision() -> Any:
    config = t.Data2VecVisionConfig(**_ENCODER, **_PATCHES, use_relative_position_bias=True)
    return config, [t.BeitImageProcessorPil(size=square(36), crop_size=square())]


def _pvt_v2() -> Any:
    config = t.PvtV2Config(
        image_size=SIZE,
        num_encoder_blocks=4,
        depths=[1] * 4,
        sr_ratios=[2, 2, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        mlp_ratios=[2] * 4,
    )
    return config, [_cropping("ConvNext")]


def _focalnet() -> Any:
    config = t.FocalNetConfig(
        image_size=SIZE,
        patch_size=4,
        embed_dim=16,
        depths=[1, 2],
        hidden_sizes=[16, 32],
        focal_levels=[2, 2],
        focal_windows=[3, 3],
    )
    return config, [_cropping("Bit")]


def _bit() -> Any:
    config = t.BitConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], num_groups=4)
    return config, [_cropping("Bit")]


def _regnet() -> Any:
    config = t.RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], groups_width=4)
    return config, [_cropping("ConvNext")]


def _mobilenet_v1() -> Any:
    processor = t.MobileNetV1ImageProcessorPil(size={"shortest_edge": 36}, crop_size=square())
    return t.MobileNetV1Config(depth_multiplier=0.25, image_size=SIZE), [processor]


def _cropping(name: str) -> Any:
    """The processor `name`, which scales to a little more than SIZE and takes the middle."""
    if name == "ConvNext":
        return t.ConvNextImageProcessorPil(size={"shortest_edge": SIZE}, crop_pct=0.875)
    return getattr(t, f"{name}ImageProcessorPil")(size={"shortest_edge": 40}, crop_size=square())


def _resnet() -> Any:
    config = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type="bottleneck")
    return config, [_cropping("ConvNext")]


def _convnext() -> Any:
    config = t.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 2], num_stages=2, layer_scale_init_value=0.5)
    return config, [t.ConvNextImageProcessorPil(size={"shortest_edge": SIZE}, crop_pct=0.9)]


def _mobilenet_v2() -> Any:
    processor = t.MobileNetV2ImageProcessorPil(size={"shortest_edge": 36}, crop_size=square())
    return t.MobileNetV2Config(depth_multiplier=0.25, image_size=SIZE), [processor]


def _efficientnet() -> Any:
    config = t.EfficientNetConfig(
        image_size=SIZE,
        width_coefficient=0.25,
        depth_coefficient=0.3,
        hidden_dim=320,
        in_channels=[32, 16],
        out_channels=[16, 24],
        strides=[1, 2],
        kernel_sizes=[3, 3],
        num_block_repeats=[1, 1],
        expand_ratios=[1, 6],
        depthwise_padding=[],
    )
    return config, [t.EfficientNetImageProcessorPil(size=square())]


def _mobilevit() -> Any:
    config = t.MobileViTConfig(
        image_size=SIZE,
        hidden_sizes=[16, 20, 24],
        neck_hidden_sizes=[8, 8, 12, 12, 12, 12, 24],
        num_attention_heads=2,
        aspp_out_channels=16,
        atrous_rates=[1, 2, 3],
    )
    return config, [t.MobileViTImageProcessorPil(size={"shortest_edge": 36}, crop_size=square())]


def _dinov2(kind: type[Any] = t.Dinov2Config) -> Any:
    config = kind(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=48, patch_size=8
    )
    return config, [_cropping("Bit")]


def _dinov2_with_registers() -> Any:
    return _dinov2(t.Dinov2WithRegistersConfig)


def _chinese_clip() -> Any:
    tower = {**_ENCODER}
    del tower["initializer_range"]
    text = {**tower, "vocab_size": 100, "max_position_embeddings": 64}
    config = t.ChineseCLIPConfig(
        text_config=text, vision_config={**tower, **_PATCHES}, projection_dim=24, logit_scale_init_value=2.0
    )
    processor = t.ChineseCLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=square())
    return config, [processor, _letters()]


def _clip() -> Any:
    tower = {**_ENCODER}
    del tower["initializer_range"]
    text = {**tower, "vocab_size": 100, "max_position_embeddings": 64, "eos_token_id": 2, "bos_token_id": 1}
    config = t.CLIPConfig(text_config=text, vision_config={**tower, **_PATCHES}, projection_dim=24)
    return config, [t.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=square()), _letters()]


def _siglip() -> Any:
    tower = {**_ENCODER}
    del tower["initializer_range"]
    text = {**tower, "vocab_size": 100, "max_position_embeddings": 64}
    config = t.SiglipConfig(text_config=text, vision_config={**tower, **_PATCHES})
    return config, [t.SiglipImageProcessorPil(size=square()), _letters()]


def _owlvit() -> Any:
    tower = {**_ENCODER}
    del tower["initializer_range"]
    text = {**tower, "vocab_size": 100, "max_position_embeddings": 16}
    config = t.OwlViTConfig(text_config=text, vision_config={**tower, **_PATCHES}, projection_dim=32)
    tokenizer = _letters()
    tokenizer.model_max_length = 16
    return config, [t.OwlViTImageProcessorPil(size=square()), tokenizer]


def _detection_sizes() -> dict[str, Any]:
    return {
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "num_queries": 12,
        "use_timm_backbone": False,
        "use_pretrained_backbone": False,
        "backbone": None,
        "backbone_config": t.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"]
        ),
    }


def _detr() -> Any:
    processor = t.DetrImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 60})
    return t.DetrConfig(**_detection_sizes()), [processor]


def _conditional_detr() -> Any:
    processor = t.ConditionalDetrImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 60})
    return t.ConditionalDetrConfig(**_detection_sizes()), [processor]


def _table_transformer() -> Any:
    processor = t.DetrImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 60})
    return t.TableTransformerConfig(**_detection_sizes()), [processor]


def _yolos() -> Any:
    config = t.YolosConfig(**_ENCODER, image_size=[SIZE, 48], patch_size=8, num_detection_tokens=10)
    return config, [t.YolosImageProcessorPil(size={"shortest_edge": 32, "longest_edge": 128})]


def _rt_detr() -> Any:
    config = t.RTDetrConfig(
        backbone_config=t.RTDetrResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 8, 16, 16],
            depths=[1, 1, 1, 1],
            out_features=["stage2", "stage3", "stage4"],
        ),
        encoder_hidden_dim=32,
        encoder_in_channels=[8, 16, 16],
        encoder_ffn_dim=32,
        encoder_attention_heads=4,
        d_model=32,
        num_queries=12,
        decoder_in_channels=[32, 32, 32],
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_attention_heads=4,
        num_denoising=0,
        backbone=None,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
    )
    return config, [t.RTDetrImageProcessorPil(size=square(64))]


def _d_fine() -> Any:
    backbone = t.HGNetV2Config(
        stem_channels=[3, 8, 16],
        embedding_size=16,
        depths=[1] * 4,
        hidden_sizes=[16, 32, 32, 32],
        stage_in_channels=[16, 16, 32, 32],
        stage_mid_channels=[8, 8, 16, 16],
        stage_out_channels=[16, 32, 32, 32],
        stage_num_blocks=[1] * 4,
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5],
        stage_numb_of_layers=[1] * 4,
        out_features=["stage2", "stage3", "stage4"],
    )
    config = t.DFineConfig(
        backbone_config=backbone,
        encoder_hidden_dim=32,
        encoder_in_channels=[32] * 3,
        encoder_ffn_dim=32,
        encoder_attention_heads=4,
        d_model=32,
        num_queries=12,
        decoder_in_channels=[32] * 3,
        decoder_ffn_dim=32,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_n_points=[4] * 3,
        num_denoising=0,
    )
    return config, _rt_detr()[1]


def _upernet() -> Any:
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = t.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, out_features=stages)
    config = t.UperNetConfig(
        backbone_config=backbone, hidden_size=16, pool_scales=[1, 2], use_auxiliary_head=False
    )
    return config, [t.SegformerImageProcessorPil(size=square(64))]


def _segformer() -> Any:
    config = t.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[16, 24],
        patch_sizes=[7, 3],
        strides=[4, 2],
        num_attention_heads=[2, 2],
        mlp_ratios=[2, 2],
        decoder_hidden_size=16,
    )
    return config, [t.SegformerImageProcessorPil(size=square())]


def _dpt() -> Any:
    config = t.DPTConfig(
        **{**_ENCODER, "num_hidden_layers": 4},
        **_PATCHES,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        is_hybrid=False,
        add_projection=False,
    )
    return config, [t.DPTImageProcessorPil(size=square())]


def _glpn() -> Any:
    config = t.GLPNConfig(
        num_encoder_blocks=4,
        depths=[1] * 4,
        sr_ratios=[2, 2, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        mlp_ratios=[2] * 4,
        decoder_hidden_size=16,
    )
    return config, [t.GLPNImageProcessorPil()]


def _depth_anything() -> Any:
    backbone = t.Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = t.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        patch_size=14,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
    )
    processor = t.DPTImageProcessorPil(
        size=square(56), keep_aspect_ratio=True, ensure_multiple_of=14, do_pad=False
    )
    return config, [processor]


def _written(encoder: Any, decoder: Any, processor: Any) -> Any:
    """A model that writes what is in a picture, and what prepares its inputs."""
    config = t.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 0
    return config, [processor, _letters()]


_DECODER = {
    "vocab_size": 100,
    "d_model": 24,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 48,
    "init_std": 0.6,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}


def _trocr() -> Any:
    decoder = t.TrOCRConfig(**_DECODER, cross_attention_hidden_size=32)
    return _written(t.ViTConfig(**_ENCODER, **_PATCHES), decoder, t.ViTImageProcessorPil(size=square()))


def _trocr_small() -> Any:
    """Positions that are computed, and another encoder."""
    decoder = t.TrOCRConfig(
        **_DECODER,
        cross_attention_hidden_size=32,
        use_learned_position_embeddings=False,
        scale_embedding=True,
    )
    encoder, (processor,) = _deit()
    return _written(encoder, decoder, processor)


def _donut() -> Any:
    """As wide as its decoder is not, so that a layer stands between them."""
    encoder = t.DonutSwinConfig(
        image_size=[48, 32],
        patch_size=4,
        embed_dim=16,
        depths=[1, 1],
        num_heads=[2, 4],
        window_size=4,
        initializer_range=0.5,
    )
    decoder = t.MBartConfig(**_DECODER, scale_embedding=True, add_final_layer_norm=True)
    size = {"height": 48, "width": 32}
    return _written(encoder, decoder, t.DonutImageProcessorPil(size=size, do_align_long_axis=True))


def _blip() -> Any:
    tower = {**_ENCODER, "initializer_range": 0.3}
    text = {**tower, "vocab_size": 100, "max_position_embeddings": 48, "encoder_hidden_size": 32}
    text |= {"bos_token_id": 1, "sep_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    config = t.BlipConfig(text_config=text, vision_config={**tower, **_PATCHES}, projection_dim=24)
    return config, [t.BlipImageProcessorPil(size=square()), _letters()]


def _superglue() -> Any:
    config = t.SuperGlueConfig(
        keypoint_detector_config={
            "model_type": "superpoint",
            "encoder_hidden_sizes": [16, 16, 32],
            "decoder_hidden_size": 32,
            "keypoint_decoder_dim": 65,
            "descriptor_decoder_dim": 32,
        },
        hidden_size=32,
        keypoint_encoder_sizes=[16],
        gnn_layers_types=["self", "cross"],
        sinkhorn_iterations=5,
        matching_threshold=0.0,
    )
    return config, [t.SuperGlueImageProcessorPil(size=square(64))]


def _layoutlm() -> Any:
    config = t.LayoutLMConfig(**_ENCODER, vocab_size=100, max_position_embeddings=512)
    return config, [_letters(max_length=512)]


def _wav2vec2(kind: type[Any] = t.Wav2Vec2Config, **changes: Any) -> Any:
    options = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 37,
        "conv_dim": [8, 8],
        "conv_kernel": [10, 3],
        "conv_stride": [5, 4],
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
        "num_feat_extract_layers": 2,
        "vocab_size": 12,
        "pad_token_id": 0,
        "classifier_proj_size": 16,
        **changes,
    }
    extractor = t.Wav2Vec2FeatureExtractor(return_attention_mask=options.get("feat_extract_norm") == "layer")
    return kind(**options), [extractor, _ctc_tokenizer()]


def _wav2vec2_layer() -> Any:
    return _wav2vec2(feat_extract_norm="layer", do_stable_layer_norm=True)


def _hubert() -> Any:
    return _wav2vec2(t.HubertConfig)


def _wavlm() -> Any:
    return _wav2vec2(t.WavLMConfig, num_buckets=16, max_bucket_distance=32)


def _ast() -> Any:
    config = t.ASTConfig(**_ENCODER, patch_size=16, max_length=64, num_mel_bins=32)
    return config, [t.ASTFeatureExtractor(max_length=64, num_mel_bins=32)]


def _clap() -> Any:
    text = {k: v for k, v in _ENCODER.items() if k != "initializer_range"}
    config = t.ClapConfig(
        text_config={**text, "vocab_size": 100, "max_position_embeddings": 40},
        audio_config={
            "spec_size": 64,
            "num_mel_bins": 16,
            "hidden_size": 16,
            "patch_embeds_hidden_size": 8,
            "window_size": 4,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "patch_size": 4,
            "projection_dim": 16,
        },
        projection_dim=16,
    )
    extractor = t.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=16_000,
        hop_length=160,
        max_length_s=1,
        fft_window_size=400,
        truncation="rand_trunc",
        padding="repeatpad",
        frequency_max=8000,
    )
    return config, [extractor, _letters()]


def _vits() -> Any:
    config = t.VitsConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=16,
        flow_size=8,
        spectrogram_bins=9,
        prior_encoder_num_flows=1,
        posterior_encoder_num_wavenet_layers=1,
        prior_encoder_num_wavenet_layers=1,
        upsample_initial_channel=16,
        upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        duration_predictor_num_flows=1,
        use_stochastic_duration_prediction=False,
    )
    return config, [_vits_tokenizer()]


def _whisper() -> Any:
    config = t.WhisperConfig(
        vocab_size=WHISPER_VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=16,
        max_source_positions=50,
        max_target_positions=40,
        pad_token_id=300,
        bos_token_id=300,
        eos_token_id=300,
        decoder_start_token_id=301,
    )
    extractor = t.WhisperFeatureExtractor(feature_size=16, chunk_length=1)
    return config, [extractor, _whisper_tokenizer(), _whisper_generation()]


WHISPER_VOCABULARY = 400
_WHISPER_TOKENS = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|de|>", "<|translate|>"),
    *("<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
"""From 300 on; the timestamps of a second follow them."""


def _whisper_tokenizer() -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {letter: place for place, letter in enumerate([*letters, *(f"w{i}" for i in range(44))])}
    tokenizer = Tokenizer(models.BPE(words, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _WHISPER_TOKENS])
    tokenizer.add_tokens([AddedToken(f"<|{0.02 * step:.2f}|>", special=False) for step in range(51)])
    return t.WhisperTokenizer(
        tokenizer_object=tokenizer,
        additional_special_tokens=list(_WHISPER_TOKENS[1:]),
        unk_token="<|endoftext|>",
        bos_token="<|endoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )


def _whisper_generation() -> Any:
    ids = {token: 300 + place for place, token in enumerate(_WHISPER_TOKENS)}
    return t.GenerationConfig(
        decoder_start_token_id=301,
        bos_token_id=300,
        eos_token_id=300,
        pad_token_id=300,
        max_length=40,
        is_multilingual=True,
        lang_to_id={token: ids[token] for token in ("<|en|>", "<|fr|>", "<|de|>")},
        task_to_id={"translate": 305, "transcribe": 306},
        no_timestamps_token_id=ids["<|notimestamps|>"],
        max_initial_timestamp_index=10,
        return_timestamps=False,
        suppress_tokens=[1, 2, 7, *range(301, 310), *range(362, 400)],
        begin_suppress_tokens=[220, 300],
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "ast": _ast,
    "beit": _beit,
    "bit": _bit,
    "blip": _blip,
    "chinese_clip": _chinese_clip,
    "clap": _clap,
    "clip": _clip,
    "conditional_detr": _conditional_detr,
    "convnext": _convnext,
    "d_fine": _d_fine,
    "data2vec-vision": _data2vec_vision,
    "deit": _deit,
    "depth_anything": _depth_anything,
    "detr": _detr,
    "dinov2": _dinov2,
    "dinov2_with_registers": _dinov2_with_registers,
    "donut": _donut,
    "dpt": _dpt,
    "efficientnet": _efficientnet,
    "focalnet": _focalnet,
    "glpn": _glpn,
    "hubert": _hubert,
    "layoutlm": _layoutlm,
    "mobilenet_v1": _mobilenet_v1,
    "mobilenet_v2": _mobilenet_v2,
    "mobilevit": _mobilevit,
    "owlvit": _owlvit,
    "pvt_v2": _pvt_v2,
    "regnet": _regnet,
    "resnet": _resnet,
    "rt_detr": _rt_detr,
    "segformer": _segformer,
    "siglip": _siglip,
    "superglue": _superglue,
    "swin": _swin,
    "swinv2": _swinv2,
    "table-transformer": _table_transformer,
    "trocr": _trocr,
    "trocr-small": _trocr_small,
    "upernet": _upernet,
    "vit": _vit,
    "vit_msn": _vit_msn,
    "vits": _vits,
    "wav2vec2": _wav2vec2,
    "wav2vec2-layer": _wav2vec2_layer,
    "wavlm": _wavlm,
    "whisper": _whisper,
    "yolos": _yolos,
}


def _letters(max_length: int = 64) -> Any:
    """A tokenizer of single letters with a start and an end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?'-0123456789"
    words = ["<pad>", "<s>", "</s>", "<unk>", *dict.fromkeys(letters)]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return t.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
    )


def _ctc_tokenizer() -> Any:
    import tempfile

    words = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFG"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.json")
        path.write_text(json.dumps({word: i for i, word in enumerate(words)}))
        return t.Wav2Vec2CTCTokenizer(str(path))


def _vits_tokenizer() -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.json")
        path.write_text(json.dumps({letter: i for i, letter in enumerate("_abcdefghijklmnopqrstuvwxyz ")}))
        return t.VitsTokenizer(str(path), pad_token="_", unk_token="_", phonemize=False, is_uroman=False)


def _llava() -> Any:
    tower = {k: v for k, v in _ENCODER.items() if k != "initializer_range"}
    tokenizer = _letters()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    image_id = tokenizer.convert_tokens_to_ids("<image>")
    config = t.LlavaConfig(
        text_config={"model_type": "llama", **tower, "vocab_size": 100, "max_position_embeddings": 128},
        vision_config={"model_type": "clip_vision_model", **tower, **_PATCHES},
        image_token_id=image_id,
    )
    pictures = t.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=square())
    processor = t.LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return config, [processor]


def _llama() -> Any:
    tower = {k: v for k, v in _ENCODER.items() if k != "initializer_range"}
    tokenizer = _letters(2048)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    return t.LlamaConfig(**tower, vocab_size=100, max_position_embeddings=2048), [tokenizer]


FAMILIES |= {"llava": _llava, "llama": _llama}
