"""The teacher: a stock StableDiffusionPipeline, made or fine-tuned here, and painted with."""
