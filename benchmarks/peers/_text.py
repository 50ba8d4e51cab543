"""The words of the comparison with peers."""

from __future__ import annotations

COMPARED = {
    "mmvae": """\
- **mmvae**: `setup_mudata`, `train` and `get_latent_representation`, the same call for all data, with the batch as
  `batch_key` where there is one. Further columns are its other readouts. Its defaults were chosen with scores on these
  data sets in view, and those of the others were not, so expect less of mmvae on other data.""",
    "pca": """\
- **PCA**: 30 principal components of each modality, side by side, each block scaled to the same variance.
  Log-normalised rna (the 2,000 most variable genes), centred log-ratios of protein, log TF-IDF of atac without the
  first component where that is sequencing depth, z-scores of measurements that are not counts. It knows nothing of
  batches. A cell that lacks a modality takes that block's mean.""",
    "wnn": """\
- **WNN**: weighted nearest neighbours (`muon.pp.neighbors`) from the same components. It needs complete cells and knows
  nothing of batches. It gives neighbours and no embedding: the clusters are those of its graph, the classifier votes
  among its neighbours, and the silhouette is that of a diffusion map of its graph. Scored that way, through its
  neighbours, PCA keeps its NMI, ARI and F1, but its silhouette moves by up to 0.1 either way. So WNN takes no part in
  the bold of the first table; compare it by the second, which leaves the silhouette out.""",
    "mofa": """\
- **MOFA+** (`mofapy2`): 15 factors, otherwise its defaults, of the same normalised values as PCA, z-scored (of atac the
  5,000 most variable features). Missing modalities are missing values. It knows nothing of batches.""",
    "scvi": "- **scVI**: its defaults, on the rna alone, with the batch.",
    "totalvi": "- **totalVI**: its defaults, on rna and protein, with the batch.",
    "multivi": """\
- **MultiVI**: its defaults, on all modalities, with the batch; a missing modality is zeros, as it wants.""",
    "multigrate": """\
- **multigrate**: its defaults, with the losses of its tutorials: counts of rna (negative binomial), log-normalised atac
  and centred log-ratios of protein (mean squared error), z-scores of what is not counts; the batch is a covariate. On
  mosaics as in its tutorial on them: the missing pattern is a covariate too, on which it integrates, with its
  coefficient of 500, and the marginal distributions are aligned.""",
}

PAGE = """\
All methods get the same features of the same cells, and none sees the labels.

{compared}

Neural networks and MOFA+ are run with the seeds 0, 1 and 2; numbers are means ± standard deviations over them, and a
single number is a single run. PCA and WNN have nothing random. The best mean of a row is bold, and ▾ marks a number of
mmvae beside a better one; a difference smaller than the standard deviations says nothing. † means that training took
longer than the minutes it was given (the notes below say how far it came), so more time may change the number. All
numbers: {{download}}`the table <_static/peers.csv>`.

![Scores of all methods on all data](_static/peers.png)

### Where mmvae loses

{losses}

### Are cell types kept apart?

Mean of four scores, 1 is best: NMI and ARI of Leiden clusters with the labels (the resolution of the best NMI, of
eight), silhouette of the labels (scaled to 0 to 1), and macro-F1 of a 15-nearest-neighbour classifier (five folds).
Labels of fewer than 10 cells, and cells of unknown type, are left out.

{bio}

The same without the silhouette, which is unreliable between embeddings of different kinds:

{bio3}

The four scores with the finer labels of the annotators, where peers were scored by them, too:

{bio_fine}

mmvae beside each peer on the data sets that both take, means of the four scores (WNN, whose silhouette is of another
kind, only below):

{bio_pairs}

Without the silhouette:

{bio3_pairs}

Each score by itself:

{parts}

### Are batches mixed?

Share of a cell's neighbours of its own type that come from other batches, over the share that chance would give: 1 is
full mixing, 0 none. Mixing alone is no merit: an embedding without cell types mixes best.

{batch_mixing}

Within a coarse type full mixing is no aim if batches differ in the finer types that it holds. The same within the finer
labels of the annotators, where there are any:

{batch_mixing_fine}

iLISI of scib-metrics, which disregards cell types (0 is one batch in each neighbourhood, 1 all batches equally):

{ilisi}

### What if cells lack modalities?

From complete data, 20% of the cells are held out. Of the others, 30% or 60%, chosen at random, lose one modality at
random, or one batch loses one modality; seeds differ in who loses what. Two data sets are mosaics as they are. Scores
of cell types as above, over all cells:

{mosaic_bio}

Mixing of batches:

{mosaic_batch_mixing}

Mixing of cells with different missing modalities within a cell type, computed as that of batches: 1 is ideal.

{pattern_mixing}

Labels of incomplete cells, from their 15 nearest complete cells, macro-F1 (where no cell is complete, from cells of
each pattern to those of the others):

{transfer_f1}

The same as accuracy:

{transfer_accuracy}

Held-out cells, embedded once from each modality alone: share of the other cells that lie closer to a cell than its own
other half (FOSCTTM; 0 is best, 0.5 is chance). A dash: the method can't embed new cells of one modality.

{foscttm}

### What does a run cost?

Seconds from data in memory to the last readout, on a CPU with one thread. Where other work shares the processor they
vary by a factor of two and more: read them as orders of magnitude, and run the script for your own.

{seconds}

Peak memory in MB beyond the interpreter with its imports and the data:

{memory}

### Notes on single runs

{notes}

### How to reproduce

```bash
pip install -e ".[benchmark]"
python -m benchmarks.peers --data folder/of/the/data
python -m benchmarks.peers.page
```

Each run has a process of its own; the runs follow one another. Runs that the table has are skipped, so remove
`docs/_static/peers.csv`, or add `--again`, for your own. `--budget 4` stops the training of a run after 4 minutes,
and a run that a smaller budget cut short is repeated.
multigrate needs Python 3.12. The data are not part of the repository; a data set that is not in the folder is skipped.

Versions: {versions}.
"""
