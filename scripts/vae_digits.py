"""A variational autoencoder (Kingma and Welling 2014) of the bundled digits of 8x8 pixels, with a step of its own.

    python scripts/vae_digits.py
    python scripts/vae_digits.py --epochs 100 --latent 4

Prints the evidence lower bound (ELBO) in nats per image, higher is better, and its two parts; then how well images that
were not trained on are reconstructed, and some digits that the decoder makes of random numbers.
"""

import argparse

import numpy as np

import jitnet as keras
from jitnet import layers, ops

PIXELS = 64


class VAE(keras.Model):
    """Encoder: images to mean and logarithm of the variance of latent numbers; decoder: these to logits of pixels."""

    def __init__(self, latent, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        self.encoder = keras.Sequential(
            [keras.Input((PIXELS,)), layers.Dense(128, activation="relu"), layers.Dense(2 * latent)], name="encoder"
        )
        self.decoder = keras.Sequential(
            [keras.Input((latent,)), layers.Dense(128, activation="relu"), layers.Dense(PIXELS)], name="decoder"
        )

    def encode(self, images):
        """Mean and logarithm of the variance, (batch, latent) each."""
        found = self.encoder(images)
        return ops.slice_axis(found, 1, 0, self.latent), ops.slice_axis(found, 1, self.latent, 2 * self.latent)

    def call(self, images):
        """Reconstructions, from the means."""
        mean, _ = self.encode(images)
        return ops.sigmoid(self.decoder(mean))

    def losses_of(self, images):
        """Of every image, in nats: what reconstruction costs, and the latent numbers' distance from normal ones."""
        mean, log_variance = self.encode(images)
        noise = keras.random.normal(ops.shape(mean))
        logits = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
        reconstruction = ops.sum(ops.softplus(logits) - images * logits, axis=1)  # binary cross-entropy of the pixels
        distance = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=1)
        return reconstruction, distance

    def train_step(self, images):
        def loss_of_batch():
            reconstruction, distance = self.losses_of(images)
            return ops.mean(reconstruction + distance), (reconstruction, distance)

        variables = self.trainable_variables
        (loss, parts), gradients = keras.value_and_grad(loss_of_batch, has_aux=True, variables=variables)()
        self.optimizer.apply(gradients, variables)
        return {"elbo": -loss, "reconstruction": parts[0], "distance": parts[1]}

    def test_step(self, images):
        reconstruction, distance = self.losses_of(images)
        return {"elbo": -(reconstruction + distance), "reconstruction": reconstruction, "distance": distance}


def picture(image) -> list[str]:
    """Lines of text for an image (8, 8) with values from 0 to 1."""
    return ["".join(" .:*#"[min(4, int(5 * value))] * 2 for value in row) for row in image.reshape(8, 8)]


def main(arguments=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--latent", type=int, default=8, help="latent numbers of an image")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(options.seed)
    (x_train, _), (x_test, _) = keras.datasets.digits.load_data()
    x_train, x_test = (x.reshape(-1, PIXELS).astype("float32") / 16 for x in (x_train, x_test))

    model = VAE(options.latent)
    model.compile(keras.optimizers.Adam(0.003))
    before = model.evaluate(x_test, verbose=0, return_dict=True)
    history = model.fit(x_train, batch_size=options.batch_size, epochs=options.epochs, verbose=0).history
    after = model.evaluate(x_test, verbose=0, return_dict=True)
    for epoch in sorted({0, options.epochs // 4, options.epochs // 2, options.epochs - 1}):
        parts = ", ".join(f"{name} {values[epoch]:.2f}" for name, values in history.items())
        print(f"Epoch {epoch + 1}: {parts}")
    print(f"Test images: ELBO {before['elbo']:.2f} before, {after['elbo']:.2f} after the training")

    error = float(np.square(model.predict(x_test, verbose=0) - x_test).mean())
    variance = float(np.square(x_test - x_train.mean(axis=0)).mean())
    print(f"Mean squared error of reconstructions: {error:.4f}; of the mean image: {variance:.4f}")

    latent = np.random.default_rng(options.seed).standard_normal((8, options.latent), np.float32)
    made = 1 / (1 + np.exp(-model.decoder.predict(latent, verbose=0)))
    print("Made of random numbers:")
    for lines in zip(*(picture(image) for image in made), strict=True):
        print(" ".join(lines))
    return {"before": before["elbo"], "after": after["elbo"], "error": error, "variance": variance}


if __name__ == "__main__":
    main()
