"""A stage's U-Net: diffusers' `UNet2DConditionModel` with DeepFloyd-IF's block types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cjd.config.recipe import StageConfig

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

CHANNELS = 3


def build_unet(stage: StageConfig, text_width: int, super_resolution: bool) -> UNet2DConditionModel:
    """An initialised U-Net, float32, on the CPU; randomness from torch's global generator.

    Input [B, 3, S, S] (super-resolution: [B, 6, S, S], the noisy picture and the upscaled low-resolution one,
    with `class_labels` the low-resolution noise level [B]). Output [B, 6, S, S]: the stock pipelines split it
    into the prediction, v, and a variance; the variance half is left untrained, at zero, and no scheduler of
    ours reads it. The output convolution starts at zero, so the first prediction is v = 0.
    """
    import torch
    from diffusers import UNet2DConditionModel

    shape = stage.unet
    levels = shape.attention_levels
    last = len(levels) - 1
    unet = UNet2DConditionModel(
        sample_size=stage.size,
        in_channels=CHANNELS * (2 if super_resolution else 1),
        out_channels=CHANNELS * 2,
        down_block_types=tuple("SimpleCrossAttnDownBlock2D" if a else "ResnetDownsampleBlock2D" for a in levels),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=tuple(
            "SimpleCrossAttnUpBlock2D" if levels[last - i] else "ResnetUpsampleBlock2D" for i in range(last + 1)
        ),
        block_out_channels=shape.block_out_channels,
        layers_per_block=shape.layers_per_block,
        attention_head_dim=shape.attention_head_dim,
        cross_attention_dim=shape.cross_attention_dim,
        norm_num_groups=shape.norm_num_groups,
        resnet_time_scale_shift="scale_shift",
        encoder_hid_dim=text_width,
        encoder_hid_dim_type="text_proj",
        addition_embed_type="text",
        addition_embed_type_num_heads=_pooling_heads(text_width),
        class_embed_type="timestep" if super_resolution else None,
    )
    with torch.no_grad():
        unet.conv_out.weight.zero_()
        if unet.conv_out.bias is not None:
            unet.conv_out.bias.zero_()
    return unet


def smallest_side(stage: StageConfig) -> int:
    """Pictures and crops must be multiples of this: every level but the last halves them."""
    return 2 ** (len(stage.unet.block_out_channels) - 1)


def _pooling_heads(text_width: int) -> int:
    """Heads of 64 channels, as IF's own; one where the width has none."""
    return text_width // 64 if text_width % 64 == 0 else 1
