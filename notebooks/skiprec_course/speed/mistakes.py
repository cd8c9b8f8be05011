"""What goes wrong in lesson 12: edits of `skipping.py`."""

from skiprec_course.mistakes import Mistake

MASK = "    mask = items > 0\n"
RUN = "out = block(hidden.index_select(0, some), mask.index_select(0, some))"
PUT_BACK = "hidden.index_copy_(0, some, out)"
EACH = "hidden.index_select(0, some), "
GATHERED = """if number == len(items) <= CHUNK:  # nobody skips: nothing to gather
            hidden = block(hidden, mask).clone()
        elif number:
            for some in kept.nonzero().squeeze(1).split(CHUNK):  # copies: no gradient needs what is overwritten
                out = block(hidden.index_select(0, some), mask.index_select(0, some))
                hidden.index_copy_(0, some, out)"""

ENCODE_KEPT = (
    Mistake("what a block returned is not put back", PUT_BACK, "hidden.index_copy(0, some, out)"),
    Mistake("every block reads the embedding: it has to read what the blocks before it made",
            RUN, RUN.replace("hidden.", "backbone.embed(items).")),
    Mistake("the block's result is added to its input: the sum is inside the block already",
            PUT_BACK, "hidden.index_add_(0, some, out)"),
    Mistake("who skips one block is left out from then on: each gate stands for its own block",
            MASK, MASK + "    keep = keep.cumprod(dim=1).bool()\n"),
    Mistake("the gate is inverted: 1 keeps", MASK, MASK + "    keep = ~keep\n"),
    Mistake("gates[:, block] says who keeps it: a row of gates is one user's", MASK, MASK + "    keep = keep.T\n"),
    Mistake("the rows of those who skip become 0: they pass as they are",
            PUT_BACK, "hidden = torch.zeros_like(hidden).index_copy(0, some, out)"),
    Mistake("the users come out in another order: put the results back into the rows that they came from",
            GATHERED, "hidden = torch.cat([block(hidden[kept], mask[kept]), hidden[~kept]])"),
    Mistake("all users come back, also those who skip: put the results into their rows",
            PUT_BACK, "hidden, mask, keep = out, mask[some], keep[some]"),
    Mistake("a block wants hidden states and their mask", EACH + "mask.index_select(0, some)", EACH[:-2]),
    Mistake("gather the mask's rows along with the users'", "mask.index_select(0, some)", "mask"),
    Mistake("run every block for all who keep it, also where they come in several chunks",
            ".split(CHUNK):", ".split(CHUNK)[:1]:"),
    Mistake("gather those who keep it first: a result that is masked away has been computed all the same",
            GATHERED, "hidden = torch.where(kept[:, None, None], block(hidden, mask), hidden)"),
    Mistake("work on a clone", "backbone.embed(items).clone()", "backbone.embed(items)"),
    Mistake("a torch.no_grad() or .detach() cuts it off: the last epochs of training use this walk too",
            "@validated\ndef encode_kept", "@torch.no_grad()\n@validated\ndef encode_kept"),
)  # fmt: skip

MEDIAN = "statistics.median(found[1:])"
ROUNDS = "range(repeats + 1)"
SCORERS = '("full", model.backbone), ("skipped", model)'
SCORE = "scorer.score_at(items, where)"
TIMED = """            start = time.perf_counter()
            scorer.score_at(items, where).cpu()  # a GPU is done when its numbers are here
            seconds[name].append(time.perf_counter() - start)"""
LOOPS = f"for _ in {ROUNDS}:\n        for name, scorer in ({SCORERS}):\n"
LAST = "time what a user waits for: score_at(items, where), with where = last_position(items)"

INFERENCE_SECONDS = (
    Mistake("the first run counts: throw it away, it fills caches", MEDIAN, "statistics.median(found)"),
    Mistake("this is the mean: the median does not mind a run that was disturbed",
            MEDIAN, "statistics.mean(found[1:])"),
    Mistake("this is the fastest run: take the median", MEDIAN, "min(found[1:])"),
    Mistake("full and skipped are swapped", SCORERS, '("full", model), ("skipped", model.backbone)'),
    Mistake("full depth is `model.backbone`'s time, skipping is `model`'s",
            SCORERS, '("full", model), ("skipped", model)'),
    Mistake("this is processor time: a user waits by the wall clock (time.perf_counter)",
            TIMED, TIMED.replace("perf_counter", "process_time")),
    Mistake("this is the time of both: start the clock anew for each", LOOPS + TIMED,
            LOOPS.replace(":\n", ":\n        start = time.perf_counter()\n", 1) + TIMED[TIMED.index("\n") + 1 :]),
    Mistake("these are nanoseconds", TIMED, TIMED.replace("perf_counter", "perf_counter_ns")),
    Mistake("one run more than the repeats: the first one only warms up", ROUNDS, "range(repeats)"),
    Mistake("`repeats` says how many runs count", ROUNDS, "range(9 + 1)"),
    Mistake("take turns: a machine that gets slow halfway has to treat both alike", LOOPS,
            f"for name, scorer in ({SCORERS}):\n        for _ in {ROUNDS}:\n"),
    Mistake(LAST, SCORE, "scorer(items)"),
    Mistake(LAST, SCORE, "scorer.score_at(items, items > 0)"),
    Mistake("inference needs no graph: use torch.no_grad()",
            "@torch.no_grad()\n@validated\ndef inference_seconds", "@validated\ndef inference_seconds"),
)  # fmt: skip

GAP = "gap = logits[..., 0] - logits[..., 1]"
SUREST = "gap.topk(min(k, gap.shape[1]), dim=1)"
GATES = "return torch.zeros_like(gap).scatter(1, surest, 1.0) * (gap > 0)"

WITHIN_BUDGET = (
    Mistake("a tie of keep and skip is a skip", " * (gap > 0)", " * (gap >= 0)"),
    Mistake("blocks that the policy would skip are kept, to use the budget up: keep only those with a positive gap",
            " * (gap > 0)", ""),
    Mistake("these are the blocks it is least sure of: take the largest gaps",
            SUREST, "gap.topk(min(k, gap.shape[1]), dim=1, largest=False)"),
    Mistake("these are the first blocks that it would keep: take those with the largest gaps",
            GATES, "return ((gap > 0) & ((gap > 0).cumsum(dim=1) <= k)).to(gap.dtype)"),
    Mistake("you rank by the keep logit alone: what counts is how far it stands above the skip logit",
            SUREST, SUREST.replace("gap.topk", "logits[..., 0].topk")),
    Mistake("you rank by the size of the gap, whichever side it is on: a sure skip uses the budget up",
            SUREST, SUREST.replace("gap.topk", "gap.abs().topk")),
    Mistake("keep and skip are swapped: the keep logit comes first", GAP, "gap = logits[..., 1] - logits[..., 0]"),
    Mistake("the budget counts users for each block: it has to count blocks for each user",
            GATES, "return ((gap.argsort(0, descending=True).argsort(0) < k) & (gap > 0)).to(gap.dtype)"),
    Mistake("the budget has no effect: this is the greedy choice", GATES, "return (gap > 0).to(gap.dtype)"),
    Mistake("argsort gives the order, not each block's rank in it",
            GATES, "return ((gap.argsort(dim=1, descending=True) < k) & (gap > 0)).to(gap.dtype)"),
    Mistake("this is one block more than the budget", "min(k, gap.shape[1])", "min(k + 1, gap.shape[1])"),
    Mistake("a row has no more than its blocks to choose from: a larger k changes nothing",
            "min(k, gap.shape[1])", "k"),
)  # fmt: skip
