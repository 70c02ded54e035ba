"""The student: a cascade of pixel diffusion models in DeepFloyd-IF's layout, trained from scratch."""
