"""Request → picture. `deployments.py` alone knows Ray Serve; the rest runs anywhere."""
