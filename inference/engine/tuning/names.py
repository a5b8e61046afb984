"""What the files of a checkpoint are called. Imports no torch: those who store and hand them out read it too."""

WEIGHTS, CONFIG, CARD = "adapter_model.safetensors", "adapter_config.json", "moondream_adapter.json"
"""PEFT's two, and our card."""
OPTIMISER, STATE = "optimiser.pt", "tuner.json"
"""What training alone needs."""
VENDOR_FILE = "moondream_lora.pt"
"""What Moondream's own code reads (`inference.engine.tuning.vendor`), where it has a place for the adapter."""
