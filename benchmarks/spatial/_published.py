"""What others have published: facts to aim at, taken with other genes, spots and settings than the tables'."""

# ARI by section, means of 20 runs of BenchmarkST (Hu et al., Genome Biology 2024;25:212); each section by itself, mclust.
BENCHMARKST = {
    "graphst": {"151673": 0.638, "151674": 0.610},
    "stagate": {"151673": 0.551, "151674": 0.512},
}
