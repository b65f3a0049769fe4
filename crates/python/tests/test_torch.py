"""PyTorch: modules for replicas, and what its users have."""

from pathlib import Path

import numpy as np
import pytest

import sync_replicas as sr

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch")
functional = torch.nn.functional

X = torch.linspace(-1, 1, 256).reshape(-1, 1)
DATA = {"x": X, "y": 3 * X + 1}
SETTINGS = {"optimizer": sr.Adam(0.05), "aggregate": 2, "replicas": 3, "steps": 200}


def line():
    return torch.nn.Linear(1, 1)


def squares(net, batch):
    return functional.mse_loss(net(batch["x"]), batch["y"])


def train(build=line, loss=squares, data=None, **changed):
    data = sr.Batches(DATA, size=32, seed=1) if data is None else data
    return sr.torch.fit(build, data=data, loss=loss, **(SETTINGS | changed))


def test_a_line_is_found():
    report = train()
    net = line()
    net.load_state_dict(report.state_dict)
    assert net.weight.item() == pytest.approx(3, abs=0.05)
    assert net.bias.item() == pytest.approx(1, abs=0.05)
    assert report.updates == 200 and not report.failed


def test_training_begins_with_a_given_state():
    state = {"weight": torch.tensor([[3.0]]), "bias": torch.tensor([1.0])}
    report = train(state_dict=state, steps=1, optimizer=sr.Sgd(0.1))
    assert report.state_dict["weight"].item() == pytest.approx(3, abs=1e-5)


def test_frozen_parameters_do_not_travel():
    def build():
        net = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Linear(4, 1))
        net[0].weight.requires_grad_(False).fill_(1)
        return net

    report = train(build, steps=5)
    assert set(report.variables) == {"0.bias", "1.weight", "1.bias"}
    assert (report.state_dict["0.weight"] == 1).all()


def test_buffers_are_the_chiefs_and_are_saved(tmp_path: Path):
    def build():
        return torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Linear(1, 1))

    evaluated = []

    def evaluate(net):
        assert not net.training
        evaluated.append(net[0].num_batches_tracked.item())
        return {"mean": net[0].running_mean.item()}

    first = train(build, steps=20, out=tmp_path, save_every=5, evaluate=evaluate, evaluate_every=10)
    tracked = first.state_dict["0.num_batches_tracked"].item()
    assert 0 < tracked <= 20 + 20
    assert evaluated[0] > 0
    assert (tmp_path / "checkpoints" / "buffers-20.pt").exists()
    second = train(build, steps=21, out=tmp_path, resume="auto", order="replica")
    assert second.updates == 1
    assert second.state_dict["0.num_batches_tracked"].item() >= tracked


def test_rows_of_an_embedding_are_sparse():
    def build():
        torch.manual_seed(1)
        return torch.nn.EmbeddingBag(50, 1, sparse=True, mode="sum")

    def loss(net, batch):
        return functional.mse_loss(net(batch["rows"]), batch["y"])

    data = {"rows": torch.arange(10).reshape(-1, 1), "y": torch.ones(10, 1)}
    batches = sr.Batches(data, size=10)
    before = build().weight.detach().clone()
    report = train(build, loss, batches, optimizer=sr.Sgd(0.5), steps=200)
    after = report.state_dict["weight"]
    assert after[:10].allclose(torch.ones(10, 1), atol=1e-2)
    assert (after[10:] == before[10:]).all()


class Mixture(torch.nn.Module):
    """Two branches, of which a batch takes one: y is 3x in the first, and -x in the second."""

    def __init__(self, sparse=False, dtype=torch.float32):
        super().__init__()
        torch.manual_seed(1)
        self.rows = torch.nn.Embedding(4, 1, sparse=sparse, dtype=dtype)
        self.first = torch.nn.Linear(1, 1, dtype=dtype)
        self.second = torch.nn.Linear(1, 1, dtype=dtype)

    def forward(self, x, first):
        return self.first(x) + self.rows(torch.tensor([0])) if first else self.second(x)

    @staticmethod
    def loss(net, number):
        x, first = X.to(net.first.weight.dtype), number % 2 == 0
        return functional.mse_loss(net(x, first), 3 * x if first else -x)


@pytest.mark.parametrize("order", ["arrival", "replica"])
@pytest.mark.parametrize("changed", [{}, {"sparse": True}, {"dtype": torch.float64}])
@pytest.mark.parametrize("first", [0, 1])
def test_a_branch_that_a_batch_does_not_take_has_zeros(first, changed, order):
    """R-19: gradients are of one kind in all batches, whichever branch the first one takes."""
    report = train(
        lambda: Mixture(**changed),
        Mixture.loss,
        lambda number: number + first,
        optimizer=sr.LazyAdam(0.05),
        steps=400,
        order=order,
        zeros_for_unused=True,
    )
    assert report.state_dict["first.weight"].item() == pytest.approx(3, abs=0.1)
    assert report.state_dict["second.weight"].item() == pytest.approx(-1, abs=0.1)


def test_a_branch_that_a_batch_does_not_take_has_no_gradient_unless_said():
    words = "`rows.weight` has no gradient, but the first push gave a dense gradient"
    with pytest.raises(sr.TooFewReplicasError, match=words):
        train(Mixture, Mixture.loss, lambda number: number, aggregate=1, replicas=1)


def test_branches_in_a_loop_that_exists():
    net = Mixture(sparse=True)
    optimizer = sr.torch.Optimizer(net, sr.LazyAdam(0.05), zeros_for_unused=True)
    for number in range(400):
        optimizer.zero_grad()
        Mixture.loss(net, number).backward()
        assert optimizer.step().accepted
    assert net.first.weight.item() == pytest.approx(3, abs=0.1)
    assert net.second.weight.item() == pytest.approx(-1, abs=0.1)


def test_parameters_of_fewer_bits_are_trained_from_variables_of_more():
    def build():
        return torch.nn.Linear(1, 1, dtype=torch.bfloat16)

    def loss(net, batch):
        x, y = (batch[name].to(torch.bfloat16) for name in ("x", "y"))
        return functional.mse_loss(net(x), y)

    report = train(build, loss)
    assert report.variables["weight"].dtype == np.float32
    assert report.state_dict["weight"].dtype == torch.bfloat16
    assert report.variables["weight"].item() == pytest.approx(3, abs=0.2)


def test_a_loop_of_ones_own():
    net = line()
    trainer = sr.Trainer(sr.torch.Attachment(net).variables(), sr.Adam(0.05))
    with trainer.replica(0) as replica:
        replica.attach(net)
        data = sr.Batches(DATA, size=32, seed=1)
        for step in replica:
            net.zero_grad()
            loss = squares(net, step.batch(data))
            loss.backward()
            assert step.push(net, loss=loss).accepted
            if step.step == 199:
                trainer.stop()
    assert net.weight.item() == pytest.approx(3, abs=0.1)
    assert trainer.totals["examples"] == 200 * 32


def test_a_loop_that_exists():
    net = line()
    optimizer = sr.torch.Optimizer(net, sr.Adam(0.05))
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, DATA["y"]), 32)
    for _ in range(30):
        for x, y in loader:
            optimizer.zero_grad()
            loss = functional.mse_loss(net(x), y)
            loss.backward()
            assert optimizer.step(loss).accepted
    assert net.weight.item() == pytest.approx(3, abs=0.1)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_loader_that_forks_beside_a_trainer_does_not_hang():
    trainer = sr.Trainer({"w": np.zeros(1, np.float32)}, sr.Sgd(0.1))
    data = torch.utils.data.TensorDataset(X, DATA["y"])
    loader = torch.utils.data.DataLoader(
        data, 64, num_workers=2, multiprocessing_context="fork", timeout=20
    )
    assert sum(len(x) for x, _ in loader) == len(X)
    assert trainer.global_step == 0


def test_a_data_set_of_pytorchs_gives_batches_as_its_loader_does():
    data = torch.utils.data.TensorDataset(X, DATA["y"])
    x, y = sr.Batches(data, size=8, seed=1)[0]
    assert x.shape == (8, 1) and (y == 3 * x + 1).all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"build": lambda net=torch.nn.Linear(1, 1): net}, "new module"),
        ({"build": torch.nn.ReLU}, "parameters to train"),
        ({"optimizer": torch.optim.SGD(torch.nn.Linear(1, 1).parameters(), 0.1)}, "Groups"),
    ],
)
def test_what_makes_no_sense_is_refused(changed, words):
    with pytest.raises(sr.ArgumentError, match=words):
        train(**changed)


def test_a_module_that_fails_is_named_with_its_cause():
    with pytest.raises(sr.TooFewReplicasError) as failure:
        train(loss=lambda net, batch: net(batch["x"].T).sum())
    assert isinstance(failure.value.__cause__, RuntimeError)
