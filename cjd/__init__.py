"""Cool Japan Diffusion: distil a text-to-image teacher into a cascaded student, on Ray."""

__version__ = "0.1.0"
