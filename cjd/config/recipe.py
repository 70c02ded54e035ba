"""The recipe: every choice of a run, frozen, unknown keys refused.

A recipe has a section per stage. A section that a run does not need may be missing; asking for its
stage is then an error that says so. `[resources]` alone says where and how wide the work runs, not
what comes out, so it is left out of the fingerprint and may change when a run is continued.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainConfig(Section):
    """How one task is trained; progress is counted in samples, whatever the world size."""

    samples: PositiveInt  # samples to train on, repeats included
    batch_size: PositiveInt = 32  # global: split over the workers
    micro_batch_size: PositiveInt | None = None  # per worker and forward pass; None: batch_size / workers
    learning_rate: PositiveFloat = 1e-4  # the peak, after warm-up
    lr_schedule: Literal["constant", "cosine"] = "constant"
    warmup_samples: int = Field(default=0, ge=0)  # linear, from 0
    betas: tuple[float, float] = (0.9, 0.99)
    eps: PositiveFloat = 1e-8
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0)  # 0: no clipping
    ema_decay: float = Field(default=0.999, ge=0, lt=1)  # per step; 0: the weights themselves
    zero_stage: Literal[0, 1, 2, 3] = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    activation_checkpointing: bool = False
    checkpoint_samples: PositiveInt = 3200  # a checkpoint every so many samples
    keep_checkpoints: PositiveInt = 2
    log_samples: PositiveInt = 320  # a line of metrics every so many samples
    preview_samples: int = Field(default=3200, ge=0)  # a preview grid every so many samples; 0: none


class UNetConfig(Section):
    """The shape of one `UNet2DConditionModel` with DeepFloyd-IF's block types."""

    block_out_channels: tuple[PositiveInt, ...]
    layers_per_block: PositiveInt = 1
    attention_levels: tuple[bool, ...]  # cross-attention at that level, top first
    attention_head_dim: PositiveInt = 32
    cross_attention_dim: PositiveInt = 128
    norm_num_groups: PositiveInt = 8

    @model_validator(mode="after")
    def _levels_agree(self) -> UNetConfig:
        if len(self.attention_levels) != len(self.block_out_channels):
            raise ValueError("attention_levels needs one value for each of block_out_channels")
        # The middle attends at the last level's width, whatever attention_levels says.
        attending = {c for c, a in zip(self.block_out_channels, self.attention_levels, strict=True) if a}
        for channels in attending | {self.block_out_channels[-1]}:
            if channels % self.attention_head_dim:
                raise ValueError(f"{channels} channels do not divide into heads of {self.attention_head_dim}")
        return self


class SamplerConfig(Section):
    num_inference_steps: PositiveInt = 12
    guidance_scale: float = Field(default=1.0, ge=0)  # 1: no classifier-free guidance
    noise_level: int = Field(default=0, ge=0, lt=1000)  # super-resolution: noise on the low-resolution input


class StageConfig(Section):
    """One stage of the cascade: the first is the base, the others are super-resolution."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    size: PositiveInt  # pixels a side
    unet: UNetConfig
    schedule_shift: PositiveFloat | None = None  # reference size of the shifted cosine; None: no shift
    min_snr_gamma: float = Field(default=5.0, ge=0)  # 0: unweighted
    caption_dropout: float = Field(default=0.1, ge=0, le=1)
    max_noise_level: int = Field(default=0, ge=0, lt=1000)  # super-resolution: augmentation drawn from 0 to this
    crop_size: PositiveInt | None = None  # super-resolution: train on random crops of this side
    sampler: SamplerConfig = SamplerConfig()
    train: TrainConfig


class StudentConfig(Section):
    text_encoder: str = "teacher"  # "teacher", or a folder of a CLIP, T5 or ByT5 encoder
    stages: tuple[StageConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _stages_rise(self) -> StudentConfig:
        sizes = [s.size for s in self.stages]
        if sorted(set(sizes)) != sizes:
            raise ValueError(f"stage sizes must rise from stage to stage, got {sizes}")
        if len({s.name for s in self.stages}) != len(self.stages):
            raise ValueError("stage names must differ")
        return self


class TeacherConfig(Section):
    path: str = "asset:tiny-teacher"  # diffusers folder, s3:// address, asset:NAME, or "run": this run's teacher/
    licence: str = "openrail++"  # what the teacher's weights are under: see cjd.policy.licences


class MineConfig(Section):
    """Prompts out of logs of what people asked for, as DiffusionDB's metadata."""

    sources: tuple[str, ...] = Field(min_length=1)  # Parquet, CSV or JSONL files, folders, names with *; local or s3://
    count: PositiveInt  # so many are drawn, at most
    column: str | None = None  # None: prompt, text or caption
    limits: dict[str, float] = {}  # column -> largest value kept, as prompt_nsfw = 0.5
    min_chars: PositiveInt = 3
    near_duplicates: float = Field(default=0.8, gt=0, le=1)  # similarity from which one stands for both; 1: exact only
    temperature: float = Field(default=1.0, ge=0)  # drawn by frequency ** (1 / temperature); 0: the most frequent


class GeneratorConfig(Section):
    """Prompts by a causal language model, as the GPT-2 prompt generators."""

    path: str  # transformers folder with safetensors, local or s3://
    count: PositiveInt
    starts: tuple[str, ...] = ("",)  # beginnings, taken in turn
    max_new_tokens: PositiveInt = 48
    temperature: PositiveFloat = 1.0
    top_k: PositiveInt = 50
    micro_batch_size: PositiveInt = 32
    shard_rows: PositiveInt = 1024


class PromptsConfig(Section):
    count: PositiveInt
    grammar: str = "illustration"  # name or TOML file
    weights: dict[str, dict[str, float]] = {}  # attribute -> value -> weight, over the grammar's own
    builtin: bool = True  # put the thirteen built-in prompts first
    grammar_fill: bool = True  # False: nothing from the grammar
    mine: MineConfig | None = None
    generator: GeneratorConfig | None = None


class PolicyConfig(Section):
    artists: bool = True
    terms: bool = True
    extra_lists: tuple[str, ...] = ()  # TOML files of further names and terms
    safety: str = "none"  # classifier folder, or "none" in words


class GenerateConfig(Section):
    images_per_prompt: PositiveInt = 1
    shard_rows: PositiveInt = 256
    micro_batch_size: PositiveInt = 32
    num_inference_steps: PositiveInt = 12
    guidance_scale: float = Field(default=3.0, ge=0)
    guidance_interval: tuple[float, float] = (0.0, 1.0)  # share of the steps, from and to, that are guided
    scheduler: Literal["dpmsolver++", "ddim"] = "dpmsolver++"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False  # torch.compile the U-Net and the VAE's decoder
    decode_batch_size: PositiveInt | None = None  # pictures that the VAE decodes at once; None: the micro-batch
    image_format: Literal["png", "webp"] = "png"
    tries: PositiveInt = 3  # for a row that cannot be painted, before it is set aside
    max_failed_share: float = Field(default=0.01, ge=0, le=1)  # of rows set aside; beyond it the stage fails

    @model_validator(mode="after")
    def _interval_is_one(self) -> GenerateConfig:
        low, high = self.guidance_interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"guidance_interval goes from a share of the steps to another, not {low} to {high}")
        return self


class EvaluateConfig(Section):
    prompts: PositiveInt = 256  # held-out combinations
    shard_rows: PositiveInt = 64
    micro_batch_size: PositiveInt = 32
    judge: str = "asset:tiny-judge"
    contact_sheet: PositiveInt = 24  # prompts shown side by side in the report


class SourceConfig(Section):
    """Where the teacher's own training pictures come from."""

    kind: Literal["paperdoll"] = "paperdoll"
    count: PositiveInt
    size: PositiveInt = 64
    shard_rows: PositiveInt = 1024


class VaeConfig(Section):
    block_out_channels: tuple[PositiveInt, ...] = (32, 64, 64)
    layers_per_block: PositiveInt = 1
    latent_channels: PositiveInt = 4
    kl_weight: float = Field(default=1e-6, ge=0)
    train: TrainConfig


class TextEncoderConfig(Section):
    """A CLIP text model made from nothing; its byte-pair vocabulary is learnt from the captions."""

    vocab_size: PositiveInt = 1024
    hidden_size: PositiveInt = 128
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    train: TrainConfig | None = None  # first learn what captions say; only for one made from nothing


class TeacherUNetConfig(Section):
    block_out_channels: tuple[PositiveInt, ...] = (64, 128, 192)
    layers_per_block: PositiveInt = 1
    attention_levels: tuple[bool, ...] = (True, True, True)
    attention_head_dim: PositiveInt = 8  # number of heads, as SD 1.x reads it, or channels per head
    prediction_type: Literal["v_prediction", "epsilon"] = "v_prediction"
    min_snr_gamma: float = Field(default=5.0, ge=0)
    caption_dropout: float = Field(default=0.1, ge=0, le=1)
    train_text_encoder: bool = False
    train: TrainConfig


class FinetuneConfig(Section):
    """The teacher's two fine-tunings. `init` is a diffusers folder; "new" builds one from nothing."""

    init: str = "new"
    text_encoder: TextEncoderConfig = TextEncoderConfig()
    vae: VaeConfig
    unet: TeacherUNetConfig
    weights_dtype: Literal["fp32", "fp16"] = "fp16"  # of the saved safetensors


class JudgeConfig(Section):
    channels: tuple[PositiveInt, ...] = (32, 64, 96, 128)
    train: TrainConfig


class PoolConfig(Section):
    """A pool of Ray Data actors."""

    actors: PositiveInt = 2
    cpus: float = Field(default=1.0, ge=0)  # logical, per actor
    gpus: float = Field(default=0.0, ge=0)
    threads: PositiveInt = 1  # torch threads, per actor


class WorkersConfig(Section):
    """Ray Train workers."""

    workers: PositiveInt = 2
    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0)
    threads: PositiveInt = 1
    max_failures: int = Field(default=3, ge=-1)


class ResourcesConfig(Section):
    paint: PoolConfig = PoolConfig()
    write: PoolConfig = PoolConfig(cpus=0.25)
    prepare: PoolConfig = PoolConfig()
    train: WorkersConfig = WorkersConfig()
    price_per_hour: float | None = Field(default=None, ge=0)  # of all that the run occupies, in any currency


class Recipe(Section):
    name: str
    description: str = ""
    duration: str = ""  # about how long and on what, said at the start
    seed: int = Field(default=0, ge=0)
    teacher: TeacherConfig = TeacherConfig()
    prompts: PromptsConfig | None = None
    policy: PolicyConfig = PolicyConfig()
    generate: GenerateConfig | None = None
    student: StudentConfig | None = None
    evaluate: EvaluateConfig | None = None
    source: SourceConfig | None = None
    finetune: FinetuneConfig | None = None
    judge: JudgeConfig | None = None
    resources: ResourcesConfig = ResourcesConfig()

    def fingerprint(self) -> str:
        """Sixteen hex digits over everything that decides the outcome: all but `[resources]` and the prose."""
        content = self.model_dump(mode="json", exclude={"resources", "description", "duration"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
