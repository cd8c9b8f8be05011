"""What goes wrong in lesson 01: edits of `gumbel.py`."""

from skiprec_course.mistakes import Mistake

LOGS = "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))"
DRAW = "u = torch.rand(shape, generator=generator, dtype=dtype, device=device)"
CHOICE = "return (logits + noise).argmax(dim=-1)"
NO_NOISE = "the noise is missing, or the same for all classes: the largest logit wins every time"

SAMPLE_GUMBEL = (
    Mistake("a sign is wrong: this is the noise upside down, with mean -0.577",
            LOGS, "return torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)))"),
    Mistake("one logarithm is missing: this is exponential noise",
            LOGS, "return -torch.log(u.clamp_min(torch.finfo(dtype).tiny))"),
    Mistake("these are uniform numbers: the two logarithms are missing", LOGS, "return u"),
    Mistake("this is normal noise: Gumbel noise is not symmetric",
            DRAW, "return torch.randn(shape, generator=generator, dtype=dtype)"),
    Mistake("this is normal noise in place of uniform inside the logarithms",
            "u = torch.rand(shape, generator=generator, dtype=dtype, device=device)\n    #",
            "u = torch.randn(shape, generator=generator, dtype=dtype).clamp(1e-6, 1 - 1e-6)\n    #"),
    Mistake("the noise is centred: its mean is 0.577, not 0", LOGS, LOGS + " - 0.5772"),
    Mistake("a negative number has no logarithm: mind the two minus signs",
            LOGS, "return -torch.log(torch.log(u.clamp_min(torch.finfo(dtype).tiny)))"),
    Mistake("keep u above 0 before you take its logarithm", "u.clamp_min(torch.finfo(dtype).tiny)", "u"),
    Mistake("the repair of u = 0 reaches numbers that are drawn: use the smallest number of the dtype",
            "torch.finfo(dtype).tiny", "1e-3"),
    Mistake("an epsilon in the outer logarithm caps large noise: it is u = 0 that needs a repair",
            LOGS, "return -torch.log(-torch.log(u.clamp_min(torch.finfo(dtype).tiny)) + 1e-3)"),
    Mistake("draw all random numbers from `generator`", DRAW, "u = torch.rand(shape, dtype=dtype, device=device)"),
    Mistake("hand `dtype` on to torch.rand", DRAW, "u = torch.rand(shape, generator=generator, device=device)"),
    Mistake("draw in `dtype`: what is drawn in float32 and cast repeats itself",
            DRAW, "u = torch.rand(shape, generator=generator, device=device).to(dtype)"),
    Mistake("each number needs a draw of its own",
            DRAW, "u = torch.rand(1, generator=generator, dtype=dtype, device=device).expand(shape)"),
)  # fmt: skip

GUMBEL_MAX = (
    Mistake(NO_NOISE, CHOICE, "return logits.argmax(dim=-1)"),
    Mistake(NO_NOISE, CHOICE, "return (logits + noise[..., :1]).argmax(dim=-1)"),
    Mistake("you add the noise to the probabilities: it belongs to the logits",
            CHOICE, "return (logits.softmax(dim=-1) + noise).argmax(dim=-1)"),
    Mistake("this is uniform noise: only Gumbel noise gives softmax probabilities",
            CHOICE, "return (logits + torch.rand(logits.shape, generator=generator)).argmax(dim=-1)"),
    Mistake("this is normal noise: only Gumbel noise gives softmax probabilities",
            CHOICE, "return (logits + torch.randn(logits.shape, generator=generator)).argmax(dim=-1)"),
    Mistake("the noise is subtracted, or upside down", CHOICE, "return (logits - noise).argmax(dim=-1)"),
    Mistake("the noise is smaller than it should be", CHOICE, "return (logits + 0.5 * noise).argmax(dim=-1)"),
    Mistake("you take the smallest, not the largest", CHOICE, "return (logits + noise).argmin(dim=-1)"),
    Mistake("each row needs noise of its own: the noise has the shape of the logits",
            CHOICE, "return (logits + noise.reshape(-1, noise.shape[-1])[0]).argmax(dim=-1)"),
    Mistake("the classes are on the last axis", CHOICE, "return (logits + noise).argmax(dim=0)"),
    Mistake("return the index of the largest, not its value", CHOICE, "return (logits + noise).amax(dim=-1)"),
    Mistake("draw all random numbers from `generator`: hand it on",
            "noise = sample_gumbel(logits.shape, generator=generator, dtype=logits.dtype).to(logits.device)\n"
            "    return",
            "noise = sample_gumbel(logits.shape, dtype=logits.dtype).to(logits.device)\n    return"),
)  # fmt: skip
