"""The parts of a teacher: made from nothing at the recipe's sizes, or loaded from `finetune.init`.

A run keeps the parts that are ready below `teacher-parts/` until the whole teacher is written.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cjd.config.recipe import FinetuneConfig, Recipe
from cjd.errors import UsageError
from cjd.records import PICTURES
from cjd.seeds import derive_seed
from cjd.storage import Store, read_shard, shard_numbers
from cjd.teacher.folder import check_teacher, load_part, resolve_teacher
from cjd.teacher.parts import publish
from cjd.teacher.tokenizer import save_tokenizer, train_tokenizer
from cjd.text.tokens import MAX_TOKENS, load_tokenizer

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

PARTS = "teacher-parts"


def finetune_config(recipe: Recipe) -> FinetuneConfig:
    if recipe.finetune is None:
        raise UsageError(f"recipe {recipe.name} has no [finetune] section, which this stage needs")
    return recipe.finetune


def picture_size(recipe: Recipe) -> int:
    """Pixels a side of the pictures that the teacher is trained on."""
    if recipe.source is None:
        raise UsageError(f"recipe {recipe.name} has no [source] section, which this stage needs")
    return recipe.source.size


def init_folder(recipe: Recipe, store: Store) -> Path | None:
    """The diffusers folder to start from, checked; None for "new"."""
    init = finetune_config(recipe).init
    if init == "new":
        return None
    folder = resolve_teacher(init, store)
    check_teacher(folder)
    return folder


def ensure_tokenizer(store: Store, recipe: Recipe) -> Any:
    """The teacher's tokenizer: that of `finetune.init`, or one learnt once from the captions in `pictures/`.

    The learnt one is kept in `teacher-parts/tokenizer/`; the pictures must be complete before.
    """
    if (init := init_folder(recipe, store)) is not None:
        return load_tokenizer(init / "tokenizer")
    name = f"{PARTS}/tokenizer"
    if not store.exists(f"{name}/tokenizer_config.json"):
        tokenizer = train_tokenizer(_captions(store), finetune_config(recipe).text_encoder.vocab_size)
        with tempfile.TemporaryDirectory() as folder:
            save_tokenizer(tokenizer, Path(folder))
            publish(store, Path(folder), name, last="tokenizer_config.json")
    return load_tokenizer(store.local(name))


def _captions(store: Store) -> Iterator[str]:
    numbers = shard_numbers(store, "pictures")
    if not numbers:
        raise UsageError(
            f"{store.uri}/pictures holds no pictures to learn words from; first run: cjd finetune {store.uri}"
        )
    for number in numbers:
        yield from read_shard(store, "pictures", number, PICTURES, ["caption"])["caption"].to_pylist()


def build_vae(recipe: Recipe, store: Store) -> AutoencoderKL:
    """An `AutoencoderKL`, float32; each block after the first halves the side. Deterministic by `recipe.seed`."""
    from diffusers import AutoencoderKL

    if (init := init_folder(recipe, store)) is not None:
        return load_part(init, "vae")
    config = finetune_config(recipe).vae
    blocks = len(config.block_out_channels)
    _check_divides(picture_size(recipe), 2 ** (blocks - 1), "finetune.vae.block_out_channels")
    with seeded(recipe.seed, "vae"):
        make: Any = AutoencoderKL  # its annotations say tuples of one
        return make(
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            block_out_channels=config.block_out_channels,
            layers_per_block=config.layers_per_block,
            latent_channels=config.latent_channels,
            norm_num_groups=norm_groups(config.block_out_channels),
            sample_size=picture_size(recipe),
            scaling_factor=1.0,  # known when the VAE is trained
            force_upcast=False,
        )


def build_text_encoder(recipe: Recipe, store: Store, tokenizer: Any) -> CLIPTextModel:
    """A `CLIPTextModel`, float32, for `tokenizer`'s vocabulary: the one that its own task trained, if it has."""
    from transformers import CLIPTextConfig, CLIPTextModel

    if (init := init_folder(recipe, store)) is not None:
        return load_part(init, "text_encoder")
    if store.exists(f"{PARTS}/text_encoder/config.json"):
        store.local(f"{PARTS}/text_encoder")
        return load_part(store.local(PARTS), "text_encoder")
    config = finetune_config(recipe).text_encoder
    if config.hidden_size % config.heads:
        raise UsageError(
            f"finetune.text_encoder: hidden_size {config.hidden_size} is not a multiple of heads {config.heads}"
        )
    with seeded(recipe.seed, "text_encoder"):
        return CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=config.hidden_size,
                intermediate_size=4 * config.hidden_size,
                projection_dim=config.hidden_size,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                max_position_embeddings=MAX_TOKENS,
                hidden_act="gelu",
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )


def build_unet(recipe: Recipe, store: Store) -> UNet2DConditionModel:
    """A `UNet2DConditionModel` on the VAE's latents, float32, with Stable Diffusion 2's block types.

    `attention_head_dim` is passed on under its diffusers name, where it is the number of heads.
    """
    from diffusers import UNet2DConditionModel

    if (init := init_folder(recipe, store)) is not None:
        return load_part(init, "unet")
    config, vae, text = finetune_config(recipe).unet, finetune_config(recipe).vae, finetune_config(recipe).text_encoder
    side = picture_size(recipe) // 2 ** (len(vae.block_out_channels) - 1)
    channels, levels = config.block_out_channels, config.attention_levels
    _check_unet(config, side)
    with seeded(recipe.seed, "unet"):
        return UNet2DConditionModel(
            sample_size=side,
            in_channels=vae.latent_channels,
            out_channels=vae.latent_channels,
            block_out_channels=channels,
            layers_per_block=config.layers_per_block,
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in levels),
            up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(levels)),
            cross_attention_dim=text.hidden_size,
            attention_head_dim=config.attention_head_dim,
            norm_num_groups=norm_groups(channels),
            use_linear_projection=True,
        )


def build_scheduler(recipe: Recipe, store: Store) -> Any:
    """The scheduler that the teacher's folder names: DPM-Solver++ on Stable Diffusion's scaled linear betas.

    With v-prediction the betas are rescaled to zero terminal SNR and the steps trail, so that sampling
    starts where training ended: in pure noise. Source: Lin et al., arXiv 2305.08891.
    """
    from diffusers import DPMSolverMultistepScheduler

    if (init := init_folder(recipe, store)) is not None:
        return load_part(init, "scheduler")
    prediction_type = finetune_config(recipe).unet.prediction_type
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type=prediction_type,
        algorithm_type="dpmsolver++",
        solver_order=2,
        timestep_spacing="trailing",
        steps_offset=1,
        rescale_betas_zero_snr=prediction_type == "v_prediction",
    )


def norm_groups(channels: tuple[int, ...]) -> int:
    """The largest power of two, 32 at most, that divides every width and leaves 4 channels to a group."""
    common = math.gcd(*channels)
    return max((g for g in (1, 2, 4, 8, 16, 32) if common % g == 0 and min(channels) >= 4 * g), default=1)


def _check_divides(size: int, factor: int, where: str) -> None:
    if size % factor:
        raise UsageError(f"{where}: pictures of {size} pixels cannot be halved to a {factor}th; take fewer blocks")


def _check_unet(config: Any, side: int) -> None:
    channels = config.block_out_channels
    if len(config.attention_levels) != len(channels):
        raise UsageError("finetune.unet.attention_levels needs one value for each of block_out_channels")
    _check_divides(side, 2 ** (len(channels) - 1), "finetune.unet.block_out_channels")
    attended = [c for c, a in zip(channels, config.attention_levels, strict=True) if a] + [channels[-1]]
    if odd := [c for c in attended if c % config.attention_head_dim]:
        raise UsageError(
            f"finetune.unet: {odd[0]} channels do not split into attention_head_dim = {config.attention_head_dim} heads"
        )


class seeded:
    """Initialise weights from (seed, part) alone and leave the caller's random state as it was."""

    def __init__(self, seed: int, part: str) -> None:
        self.seed = derive_seed(seed, "teacher", part)

    def __enter__(self) -> None:
        import torch

        self.state = torch.get_rng_state()
        torch.manual_seed(self.seed)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_rng_state(self.state)
