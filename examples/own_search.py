"""Which schedule suits this loop? A search of one's own with Optuna.

    python examples/own_search.py

20 trials of 100 updates. What is tried of a schedule is what it says itself.
"""

import optuna
import torch

from preheat.adapters.optuna import suggest_schedule
from preheat.adapters.torch import ScheduleLR

EPOCHS, UPDATES = 5, 20  # the epochs of a trial, and the updates in one


def objective(trial: optuna.trial.BaseTrial) -> float:
    """The loss of a trial on examples that it did not train on."""
    schedule = suggest_schedule(trial, ["linear", "wsd", "EH"], epochs=EPOCHS, per_epoch=UPDATES)
    peak = trial.suggest_float("peak", 1e-3, 0.3, log=True)

    torch.manual_seed(0)
    inputs = torch.randn(340, 8)
    targets = torch.sin(inputs.sum(dim=1, keepdim=True))
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=peak, momentum=0.9)
    scheduler = ScheduleLR(optimizer, schedule, total_steps=EPOCHS * UPDATES, per_epoch=UPDATES)
    loss_of = torch.nn.functional.mse_loss

    score = float("inf")
    for epoch in range(EPOCHS):
        for x, y in zip(inputs[20:].split(16), targets[20:].split(16), strict=True):
            optimizer.zero_grad()
            loss_of(model(x), y).backward()
            optimizer.step()
            scheduler.step()
        with torch.no_grad():
            score = float(loss_of(model(inputs[:20]), targets[:20]))
        trial.report(score, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


if __name__ == "__main__":
    torch.set_num_threads(1)  # the network is too small for more
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=42))
    study.optimize(objective, n_trials=20)
    print(study.best_params, study.best_value)
