"""Other systems: how each hands submissions in and takes results back."""
