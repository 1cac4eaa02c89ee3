"""The whole programs in ``scripts/`` that train with steps of their own, for a few epochs."""

import runpy
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def run(name, *arguments):
    return runpy.run_path(str(SCRIPTS / name))["main"](list(arguments))


def test_variational_autoencoder(capsys):
    found = run("vae_digits.py", "--epochs", "8")
    assert found["after"] > found["before"] + 15  # nats
    assert found["error"] < 0.7 * found["variance"]
    assert "Epoch 8: elbo" in capsys.readouterr().out


def test_generative_adversarial_network(capsys):
    found = run("gan_digits.py", "--epochs", "20")
    assert found["made"]["distance"] < 0.7 * found["untrained"]["distance"]
    assert (found["made"]["counts"] > 0).sum() > (found["untrained"]["counts"] > 0).sum()
    assert "Epoch 20: d_loss" in capsys.readouterr().out
