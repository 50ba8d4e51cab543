"""mmvae and its peers: each takes a problem and gives an outcome."""
