"""Do the learned priors help? A ladder of models that differ in the prior alone."""
