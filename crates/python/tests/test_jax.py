"""JAX: pytrees by path, and memory that is not copied."""

import numpy as np
import pytest

import sync_replicas as sr

jax = pytest.importorskip("jax")
jnp = jax.numpy


def test_trees_become_names_and_trees_again():
    tree = {"dense": [np.ones((2, 3), np.float32), np.zeros(3, np.float32)], "scale": jnp.ones(())}
    shape = sr.jax.Tree(tree)
    flat = shape.flat(tree)
    assert list(flat) == ["dense/0", "dense/1", "scale"]
    again = shape.tree(flat)
    assert jax.tree_util.tree_structure(again) == jax.tree_util.tree_structure(tree)
    np.testing.assert_array_equal(again["dense"][0], flat["dense/0"])


def test_variables_are_jaxs_without_a_copy():
    trainer = sr.Trainer({"w": np.ones(100_003, np.float32)}, sr.Sgd(1.0))
    variables = trainer.variables
    tree = sr.jax.Tree({"w": variables["w"]}).tree(variables)
    assert tree["w"].unsafe_buffer_pointer() == variables["w"].ctypes.data


def test_what_jax_still_has_is_not_written_again():
    trainer = sr.Trainer({"w": np.zeros(1000, np.float32)}, sr.Sgd(1.0))
    shape = sr.jax.Tree({"w": np.zeros(1000, np.float32)})
    replica, held = trainer.replica(0), []
    for number in range(5):
        step = replica.next_step()
        assert step is not None
        held.append(shape.tree(step.variables)["w"])
        step.push({"w": jnp.full(1000, -1.0)})
    assert [float(w[-1]) for w in held] == [0, 1, 2, 3, 4]


def test_parameters_of_fewer_bits():
    def loss(params, batch):
        return ((params["w"] * batch["x"] - batch["y"]) ** 2).mean().astype(jnp.float32)

    x = np.linspace(-1, 1, 64, dtype=np.float32)
    params = {"w": jnp.zeros((), jnp.bfloat16)}
    data = sr.Batches({"x": x, "y": 3 * x}, size=16)
    report = sr.jax.fit(loss, params, data=data, optimizer=sr.Adam(0.1), replicas=2, steps=150)
    assert report.params["w"].dtype == jnp.bfloat16
    assert float(report.params["w"]) == pytest.approx(3, abs=0.1)
