"""The helper package of the course "SkipRec from scratch": what the lessons build, and what they are given.

**Built**, in the order of the lessons (each docstring says "Built in lesson NN"):
    01, 02  gumbel            Gumbel noise, Gumbel-max, Gumbel-Softmax
    03      estimators        ways to pass a gradient through a choice
    04      windows, splits   rows of histories; what is trained on and what is held out
            metrics, evaluation, backbones.baselines
    06      blocks, backbones.scoring, backbones.nextitnet, stages, training
    07      backbones.nfm, synthetic
    08      policy, skiprec, gate_losses, choosing
    09      controls
    10      enumeration       and two more of gate_losses
    12      skipping
    13      policy_gradient, backbones.sasrec

**Given**: inputs and promises (what an argument has to be), datasets, downloads and movielens, checkpoints, claims,
softmax (over a sample of the items), recommending, tables (where results and weights lie), cli.

**lab** holds the long runs behind the result tables, and training in several processes. What teaches (checks,
practice copies, figures) is a package of its own, `skiprec_course`, beside the lessons.
"""
