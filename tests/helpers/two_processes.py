"""A small program in two processes that share a batch by torch.distributed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

HEAD = """
import os, signal, sys
import torch, torch._dynamo, torch.distributed as dist  # once for both
from torch import nn, optim
{imports}

torch.set_num_threads(1)
child = os.fork()
signal.alarm(100)  # neither waits longer for the other
rank = int(child == 0)
os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=sys.argv[1])
dist.init_process_group("gloo")
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
x = torch.randn(12, 4, dtype=torch.float64)
loss_fn = lambda model, x: (model(x) - x[:, :1]).square().mean()
"""


def in_two_processes(imports: str, body: str) -> subprocess.CompletedProcess[str]:
    """What the program says: `body` after the imports, in both, with rank, child, model, x and loss_fn."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = HEAD.replace("{imports}", imports) + body
    call = [sys.executable, "-W", "ignore", "-c", program, str(port)]
    return subprocess.run(
        call, capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False
    )
