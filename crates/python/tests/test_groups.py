"""Groups of variables with other numbers, against NumPy by hand."""

import numpy as np
import pytest

import sync_replicas as sr

RATE, DECAY = 0.1, 0.5
RULE = sr.AdamW(RATE, weight_decay=DECAY)
PLAIN = sr.AdamW(RATE, weight_decay=0.0)
SLOPES = {"w": [1.0, -2.0], "b": [3.0], "norm.scale": [-0.5]}


def initial() -> dict[str, np.ndarray]:
    return {name: np.ones(len(slope), np.float32) for name, slope in SLOPES.items()}


def by_hand(decays: dict[str, float], rates: dict[str, float], steps: int) -> dict[str, np.ndarray]:
    """AdamW with constant gradients: both moments, corrected, are the gradient and its square."""
    values = {name: np.ones(len(slope)) for name, slope in SLOPES.items()}
    for name, slope in SLOPES.items():
        rate = rates.get(name, RATE)
        for _ in range(steps):
            values[name] -= rate * (np.sign(slope) + decays.get(name, DECAY) * values[name])
    return values


def model(variables, batch):
    return 0.0, {name: np.array(slope, np.float32) for name, slope in SLOPES.items()}


@pytest.mark.parametrize(
    ("groups", "decays", "rates"),
    [
        ({}, {}, {}),
        ({"b": PLAIN}, {"b": 0}, {}),
        ({"norm.*": PLAIN}, {"norm.scale": 0}, {}),
        ({("b", "norm.*"): PLAIN}, {"b": 0, "norm.scale": 0}, {}),
        ({(lambda name: name != "w"): PLAIN}, {"b": 0, "norm.scale": 0}, {}),
        (
            {"b": PLAIN, "w": sr.AdamW("cosine:initial=0.2,steps=1000000", DECAY)},
            {"b": 0},
            {"w": 0.2},
        ),
    ],
)
def test_each_variable_has_the_numbers_of_its_group(groups, decays, rates):
    rule = sr.Groups(RULE, groups)
    batches = sr.Batches(np.zeros((4, 1)), size=4)
    report = sr.fit(model, initial(), data=batches, optimizer=rule, steps=5)
    state, alone = sr.OptimizerState(rule, initial()), initial()
    for _ in range(5):
        state.apply(alone, model(alone, None)[1])
    for name, expected in by_hand(decays, rates, 5).items():
        np.testing.assert_allclose(report.variables[name], expected, rtol=1e-5, err_msg=name)
        np.testing.assert_array_equal(report.variables[name], alone[name])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sr.Groups(RULE, {"bias": PLAIN}), "'bias' is none of the variables: w, b, norm"),
        (lambda: sr.Groups(RULE, {"b": PLAIN, "[a-c]": PLAIN}), "`b` is in two, 'b' and"),
        (lambda: sr.Groups(RULE, {"b": sr.Sgd(0.1)}), "rest's formula"),
        (lambda: sr.Groups(RULE, {"b": sr.Groups(PLAIN, {})}), "expected optimizers .*got Groups"),
        (lambda: sr.Groups(RULE, {"b": 0.1}), "got float"),
    ],
)
def test_groups_that_make_no_sense_are_refused(make, words):
    with pytest.raises(sr.ArgumentError, match=words):
        sr.Trainer(initial(), make())


def test_leaves_of_jaxs_are_named_by_their_paths():
    jnp = pytest.importorskip("jax").numpy
    params = {"dense": {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}}

    def loss(params, batch):
        return (batch @ params["dense"]["kernel"]).sum() * 0 + params["dense"]["bias"].sum() * 0

    rule = sr.Groups(RULE, {"*/bias": PLAIN})
    batches = sr.Batches(np.ones((4, 2), np.float32), size=4)
    trained = sr.jax.fit(loss, params, data=batches, optimizer=rule, steps=1).params["dense"]
    assert trained["bias"] == 1 and trained["kernel"] == pytest.approx(1 - RATE * DECAY)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("no_decay", "decayed"),
    [
        ({}, {"0.weight"}),
        ({"no_decay": lambda name, _: name.endswith("bias")}, {"0.weight", "1.weight"}),
        ({"no_decay": lambda *_: False}, {"0.weight", "0.bias", "1.weight", "1.bias"}),
    ],
)
def test_parameters_of_pytorchs_decay_when_they_are_matrices(no_decay, decayed):
    import torch

    def build():
        net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
        for parameter in net.parameters():
            torch.nn.init.ones_(parameter)
        return net

    rule = sr.torch.groups(build(), RULE, **no_decay)
    batches = sr.Batches(torch.ones(4, 2), size=4)
    report = sr.torch.fit(
        build, data=batches, loss=lambda net, x: net(x).sum() * 0, optimizer=rule, steps=1
    )
    for name, value in report.variables.items():
        expected = 1 - RATE * DECAY if name in decayed else 1
        assert value == pytest.approx(expected), name


@pytest.mark.torch
def test_an_optimizer_without_weight_decay_has_none_to_leave_out():
    import torch

    with pytest.raises(sr.ArgumentError, match="weight decay, got Adam"):
        sr.torch.groups(torch.nn.Linear(1, 1), sr.Adam(0.1))
