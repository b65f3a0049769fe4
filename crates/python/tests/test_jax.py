"""JAX: pytrees by path, and memory that is not copied."""

import numpy as np
import pytest
import ratings

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


def test_a_table_is_a_leaf():
    def loss(params, batch):
        both = (params["of"]["users"] * params["of"]["items"]).sum(axis=1)
        return jnp.mean((both + params["bias"] - batch["stars"]) ** 2)

    variables = ratings.start()
    tables = {name: variables.pop(name) for name in ("users", "items")}
    params = variables | {"of": tables}
    settings = {**ratings.SETTINGS, "data": ratings.batch, "replicas": 2, "steps": 300}

    def keys(batch):
        return {f"of/{table}": ids for table, ids in ratings.keys(batch).items()}

    test = ratings.batch(10**6)

    def evaluate(params, lookup):
        of = {table: lookup(f"of/{table}", ids) for table, ids in ratings.keys(test).items()}
        return loss(params | {"of": of}, test)

    report = sr.jax.fit(loss, params, keys=keys, evaluate=evaluate, **settings)
    assert report.evaluations[-1]["value"] < 0.1
    assert report.params["of"] == tables and report.lookup("of/users", [-7]).shape == (1, 4)
    with pytest.raises(sr.TrainingError, match="those of table `of/items`"):
        sr.jax.fit(loss, params, keys=lambda batch: {}, **settings)
