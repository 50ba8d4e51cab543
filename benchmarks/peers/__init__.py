"""mmvae and its peers on real data."""
