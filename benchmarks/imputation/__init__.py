"""A modality predicted from another one, by mmvae and by others."""
