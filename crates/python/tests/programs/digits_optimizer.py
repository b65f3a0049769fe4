"""A loop of PyTorch's that exists: only the line of the optimizer is another. Options: batches."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import digits
import torch
from torch import nn

import sync_replicas as sr

data = digits.read()
batches = sr.Batches(data["train"], size=32, seed=1)
torch.manual_seed(1)
net = nn.Sequential(nn.Linear(64, digits.HIDDEN), nn.ReLU(), nn.Linear(digits.HIDDEN, 10))
opt = sr.torch.Optimizer(net, sr.Adam(0.01))
for number in range(int(sys.argv[1])):
    batch = batches[number]
    opt.zero_grad()
    scores = net(torch.from_numpy(batch["x"]))
    loss = nn.functional.cross_entropy(scores, torch.from_numpy(batch["y"]))
    loss.backward()
    opt.step()
with torch.no_grad():
    right = net(torch.from_numpy(data["test"]["x"])).argmax(1).numpy() == data["test"]["y"]
print(f"accuracy {right.mean():.4f}")
