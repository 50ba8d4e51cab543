"""How fast mmvae and its peers are, how much memory they need, and how both grow with the data."""
