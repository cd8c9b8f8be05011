# SkipRec in a hundred lines: a policy network picks, for each user, the blocks of a deep network
# that are run.
#
#     python skiprec_100.py        trains for 10 to 20 seconds and needs nothing but torch
#
# Three kinds of user. What comes next depends on the item 0, 6 or 24 steps back, so each kind needs
# another part of the network. Nobody tells the policy: it reads a user's first items, and each
# block that is kept has a price.
#
# The idea: Chen et al., "A User-Adaptive Layer Selection Framework for Very Deep Sequential
# Recommender Models", AAAI 2021. Changed here: at test a gate takes its likelier value, a kept
# block has a price, and only what comes after the items that the policy has read is scored.
# skiprec_in_an_hour.ipynb builds this file cell by cell and says why.
import torch
from torch import nn
from torch.nn import functional as F

LAGS = (0, 6, 24)  # of each kind of user: how many steps back the item lies that decides
ITEMS = 10  # of each kind of user
LENGTH = 36  # items that the network reads
READ = 25  # the first of them, which the policy reads; from there on each kind's rule holds


# --- a world whose answer is known ---


def make_users(per_kind):  # -> (user, LENGTH + 1), sorted by kind; one step in ten is noise
    sequences = []
    for kind, lag in enumerate(LAGS):
        items = torch.randint(ITEMS, (per_kind, LENGTH + 1))
        for t in range(lag + 1, LENGTH + 1):
            follows = torch.rand(per_kind) > 0.1
            successor = (3 * items[:, t - 1 - lag] + 1) % ITEMS
            items[:, t] = torch.where(follows, successor, items[:, t])
        sequences.append(items + ITEMS * kind)
    return torch.cat(sequences)


# --- the trick: a choice that a gradient passes ---


def gumbel_softmax(logits, tau):  # forward one-hot, backward the soft sample's gradient
    noise = -torch.log(-torch.log(torch.rand_like(logits).clamp(1e-9, 1 - 1e-7)))
    soft = ((logits + noise) / tau).softmax(dim=-1)
    hard = F.one_hot((logits + noise).argmax(dim=-1), logits.shape[-1]).float()
    return soft + (hard - soft).detach()


# --- the machine: NextItNet, and a policy beside it ---


class CausalConv(nn.Module):  # reads the present step and two earlier ones, `dilation` steps apart
    def __init__(self, channels, dilation):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)

    def forward(self, hidden):  # (user, time, channel); padded on the left: no future
        return self.conv(F.pad(hidden.mT, (2 * self.conv.dilation[0], 0))).mT


class Block(nn.Module):  # ReZero: the branch is scaled by a learnt number that starts at 0
    def __init__(self, channels, dilation):
        super().__init__()
        self.conv1 = CausalConv(channels, dilation)
        self.conv2 = CausalConv(channels, 2 * dilation)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.scale = nn.Parameter(torch.zeros(1))

    def forward(self, hidden):
        branch = self.norm1(self.conv1(hidden)).relu()
        branch = self.norm2(self.conv2(branch)).relu()
        return hidden + self.scale * branch


class SkipRec(nn.Module):
    def __init__(self, items, channels=24, dilations=(1, 2, 4, 1, 2, 4), policy_channels=16):
        super().__init__()
        self.embedding = nn.Embedding(items, channels)
        self.blocks = nn.ModuleList(Block(channels, dilation) for dilation in dilations)
        self.output = nn.Linear(channels, items)
        self.reader = nn.Sequential(nn.Embedding(items, policy_channels), Block(policy_channels, 1))
        self.policy_output = nn.Linear(policy_channels, 2 * len(dilations))
        self.policy_output.bias.data = torch.tensor([1.0, -1.0]).repeat(len(dilations))

    def policy(self, items):  # -> logits (user, block, 2): keep, skip
        taste = self.reader(items).mean(dim=1)
        return self.policy_output(taste).unflatten(-1, (-1, 2))

    def forward(self, items, gates):  # gates (user, block): 1 keeps a block, 0 passes it by
        hidden = self.embedding(items)
        for block, gate in zip(self.blocks, gates.T[..., None, None]):
            hidden = gate * block(hidden) + (1 - gate) * hidden
        return self.output(hidden)  # scores of the next item, at each step


# --- training backbone and policy together ---


@torch.no_grad()
def look(model, users, all_blocks):  # -> mean gates (kind, block), share right (kind,)
    keep, skip = model.policy(users[:, :READ]).unbind(dim=-1)
    gates = torch.ones_like(keep) if all_blocks else (keep > skip).float()
    right = (model(users[:, :-1], gates).argmax(dim=-1) == users[:, 1:])[:, READ - 1 :]
    kinds = (len(LAGS), -1)
    return gates.unflatten(0, kinds).mean(dim=1), right.float().unflatten(0, kinds).mean(dim=(1, 2))


def train(model, tau=10.0, epochs=24, warmup=7, ramp=4, cost=1.0, steps=24, say=print):
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    unseen, history = make_users(100), []
    for epoch in range(epochs):
        price = cost * min(1, max(0, epoch - warmup + 1) / ramp)
        for _ in range(steps):
            batch = make_users(11)  # never the same users twice
            gates, first = torch.ones(len(batch), len(model.blocks)), 0  # warm-up: all blocks
            if epoch >= warmup:  # then sampled gates, and only what the policy has not read
                gates = gumbel_softmax(model.policy(batch[:, :READ]), tau)[..., 0]
                first = READ - 1
            scores = model(batch[:, :-1], gates)[:, first:]
            loss = F.cross_entropy(scores.mT, batch[:, first + 1 :]) + price * gates.mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        history.append(look(model, unseen, all_blocks=epoch < warmup))
        say(f"epoch {epoch + 1:2} ", *[f" {pattern(g)} {r:4.0%}" for g, r in zip(*history[-1])])
    return history


# --- what came of it ---


def pattern(gates):
    return "".join("■" if gate > 0.5 else "·" for gate in gates)


def report(history):
    for lag, gates, right in zip(LAGS, *history[-1]):
        print(f"users who need {lag:2} steps back keep {pattern(gates)}, {right:.0%} right")
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return
    figure, axes = plt.subplots(1, len(LAGS), figsize=(10, 2.5), sharey=True, layout="constrained")
    for kind, axis in enumerate(axes):
        kept = torch.stack([gates[kind] for gates, _ in history], dim=1)  # (block, epoch)
        axis.imshow(kept, vmin=0, vmax=1, aspect="auto", cmap="Blues")
        axis.set(title=f"need {LAGS[kind]} steps back", xlabel="epoch", ylabel="block")
    figure.savefig("skiprec_100.png")


if __name__ == "__main__":
    torch.manual_seed(0)
    report(train(SkipRec(ITEMS * len(LAGS))))
