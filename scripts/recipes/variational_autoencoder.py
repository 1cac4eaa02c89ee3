"""A variational autoencoder: digits in a few normal numbers, and digits made of random ones.

    python scripts/recipes/variational_autoencoder.py

The encoder gives each image's latent numbers a mean and a variance, the decoder makes an image of numbers drawn from
these; both are trained at once for the evidence lower bound (ELBO, nats per image, higher is better), by a
``train_step`` of the model's own (Kingma & Welling 2014). Each pixel of MNIST is black or white here. Measured: how the
bound rises with the latent numbers, how many of them are in use, and whether too many do harm.
"""

import numpy as np
from lenet import trained as trained_classifier
from recipe import arguments, claim, figure, mnist, mosaic, save

import jitnet
from jitnet import layers, ops, optimizers


class VAE(jitnet.Model):
    """Encoder: images to mean and logarithm of the variance of latent numbers; decoder: these to logits of pixels."""

    def __init__(self, pixels, latent, units, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        encoder = [layers.Input((pixels,)), layers.Dense(units, "relu"), layers.Dense(2 * latent)]
        decoder = [layers.Input((latent,)), layers.Dense(units, "relu"), layers.Dense(pixels)]
        self.encoder, self.decoder = (jitnet.Sequential(parts) for parts in (encoder, decoder))

    def encode(self, images):
        """Mean and logarithm of the variance, (batch, latent) each."""
        found = self.encoder(images)
        return found[:, : self.latent], found[:, self.latent :]

    def call(self, images):
        """Reconstructions, from the means."""
        return ops.sigmoid(self.decoder(self.encode(images)[0]))

    def losses_of(self, images):
        """Of every image, in nats: what reconstruction costs, and the latent numbers' distance from normal ones."""
        mean, log_variance = self.encode(images)
        noise = jitnet.random.normal(ops.shape(mean))
        logits = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
        reconstruction = ops.sum(ops.softplus(logits) - images * logits, axis=1)  # binary cross-entropy of the pixels
        distance = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=1)
        return reconstruction, distance

    def train_step(self, images):
        def loss_of_batch():
            reconstruction, distance = self.losses_of(images)
            return ops.mean(reconstruction + distance)

        variables = self.trainable_variables
        loss, gradients = jitnet.value_and_grad(loss_of_batch, variables=variables)()
        self.optimizer.apply(gradients, variables)
        return {"elbo": -loss}

    def test_step(self, images):
        reconstruction, distance = self.losses_of(images)
        return {"elbo": -(reconstruction + distance), "reconstruction": reconstruction, "distance": distance}

    def made(self, numbers):
        """Images of latent numbers (N, latent)."""
        return np.asarray(ops.sigmoid(self.decoder.predict(numbers, verbose=0)))


def main():
    given = arguments(__doc__, epochs=(12, 2), seeds=(3, 1), units=(400, 32), samples=(30_000, 256))
    (x, y), (x_test, _) = mnist(given.quick)
    judge, _ = trained_classifier(x, y, 3)
    black = [(images > 0.5).reshape(len(images), -1).astype("float32") for images in (x[: given.samples], x_test)]
    sizes = (2, 5, 10, 20, 50)
    random = np.random.default_rng(given.seed)
    bounds, used, sure = np.empty((3, given.seeds, len(sizes)))
    reconstructed, drawn = [black[1][:6]], []
    for seed in range(given.seeds):
        for i, size in enumerate(sizes):
            jitnet.utils.set_random_seed(given.seed + seed)
            model = VAE(black[0].shape[1], size, given.units)
            model.compile(optimizers.Adam(1e-3))
            model.fit(black[0], batch_size=128, epochs=given.epochs, verbose=0)
            bounds[seed, i] = model.evaluate(black[1], verbose=0, return_dict=True)["elbo"]
            # a number is in use where its mean depends on the image (Burda et al. 2016)
            means = model.encoder.predict(black[1], verbose=0)[:, :size]
            used[seed, i] = (means.var(axis=0) > 0.01).sum()
            made = model.made(random.standard_normal((1000, size), np.float32))
            sure[seed, i] = 100 * (judge.predict(made.reshape(-1, 28, 28, 1), verbose=0).max(axis=1) > 0.9).mean()
            if seed == 0:
                reconstructed.append(model.predict(black[1][:6], verbose=0))
                drawn.append(made[:6])
    noise = random.permuted(black[1], axis=1).reshape(-1, 28, 28, 1)  # pixels in random order
    sure_of_noise = 100 * (judge.predict(noise, verbose=0).max(axis=1) > 0.9).mean()

    picture, ((left, middle, curve),) = figure(1, 3, 13, 4.4)
    columns = (left, "reconstructed", reconstructed), (middle, "made of random numbers", drawn)
    for axis, title, images in columns:
        axis.imshow(mosaic(np.reshape(images, (-1, 6, 28, 28))), cmap="gray", vmin=0, vmax=1)
        names = [f"{size} numbers" for size in sizes]
        axis.set_yticks(14 + 28 * np.arange(len(images)), ["test", *names][-len(images) :])
        axis.set(title=title, xticks=[])
    curve.errorbar(sizes, bounds.mean(axis=0), bounds.std(axis=0), fmt="o-", capsize=3)
    curve.set_xscale("log")
    curve.set_xticks(sizes, [f"{size}" for size in sizes])
    curve.minorticks_off()
    curve.set(xlabel="latent numbers", ylabel="ELBO of test digits, nats")
    curve.grid(alpha=0.3)
    save(picture, given.output, "variational_autoencoder")
    print("ELBO on the test by latent numbers: " + "; ".join(
        f"{size}: {bound:.1f} nats, {use:.0f} in use, made digits sure {share:.0f} %"
        for size, bound, use, share in zip(sizes, *(found.mean(axis=0) for found in (bounds, used, sure)), strict=True)
    ) + f"; pixels in random order sure {sure_of_noise:.0f} %")  # fmt: skip
    claim("The bound rises with each step from 2 to 5, 10 and 20 numbers (least rise, nats).",
          np.diff(bounds[:, :4]).min(axis=1))  # fmt: skip
    claim("Fifty overfit no more: their bound is within a nat of that of twenty.", 1 + bounds[:, 4] - bounds[:, 3])
    claim("Digits of ten random numbers are surely digits to a classifier more often than pixels in random order, %.",
          sure[:, 2] - sure_of_noise)  # fmt: skip


if __name__ == "__main__":
    main()
