"""Generative adversarial networks: digits made by one network that another cannot tell from real ones.

    python scripts/recipes/generative_adversarial.py

The generator makes images of random numbers, the discriminator is trained to tell them from MNIST's, the generator to
deceive it (Goodfellow et al. 2014); two optimizers take turns in a ``train_step`` of the model's own. A classifier that
knows real digits says which ones are made, and how surely; their nearest training images show whether they are copies.
"""

import numpy as np
from lenet import trained as trained_classifier
from recipe import arguments, claim, figure, mnist, mosaic, save

import jitnet
from jitnet import layers, ops, optimizers


class GAN(jitnet.Model):
    """In every step the discriminator is updated first, then the generator, against the new discriminator."""

    def __init__(self, pixels, latent, units, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        generator, discriminator = [layers.Input((latent,))], [layers.Input((pixels,))]
        for _ in range(2):
            generator += [layers.Dense(units), layers.BatchNormalization(momentum=0.9), layers.LeakyReLU(0.2)]
            discriminator += [layers.Dense(units), layers.LeakyReLU(0.2), layers.Dropout(0.3)]
        self.generator = jitnet.Sequential([*generator, layers.Dense(pixels, "sigmoid")], name="generator")
        self.discriminator = jitnet.Sequential([*discriminator, layers.Dense(1)], name="discriminator")

    def compile(self, discriminator_optimizer, generator_optimizer, **kwargs):
        super().compile(**kwargs)
        self.discriminator_optimizer, self.generator_optimizer = discriminator_optimizer, generator_optimizer

    def call(self, latent):
        return self.generator(latent)

    def train_step(self, images):
        latent = jitnet.random.normal((None, self.latent))

        def discriminator_loss():
            fake = self.generator(latent, training=True)
            real_logits = self.discriminator(images, training=True)
            fake_logits = self.discriminator(fake, training=True)
            # labels of 0.9 instead of 1 for real images (Salimans et al. 2016)
            real_loss = ops.softplus(real_logits) - 0.9 * real_logits
            return ops.mean(real_loss + ops.softplus(fake_logits))

        variables = self.discriminator.trainable_variables
        d_loss, gradients = jitnet.value_and_grad(discriminator_loss, variables=variables)()
        self.discriminator_optimizer.apply(gradients, variables)

        def generator_loss():
            fake = self.generator(latent, training=True)
            return ops.mean(ops.softplus(-self.discriminator(fake, training=True)))

        variables = self.generator.trainable_variables
        g_loss, gradients = jitnet.value_and_grad(generator_loss, variables=variables)()
        self.generator_optimizer.apply(gradients, variables)
        return {"d_loss": d_loss, "g_loss": g_loss}


def nearest(images, real):
    """Which of the real images (N, pixels) is nearest to each, and how far it is: the root mean square of pixels."""
    squares = np.square(images).mean(axis=1)[:, None] + np.square(real).mean(axis=1)
    squares -= 2 / images.shape[1] * (images @ real.T)
    return squares.argmin(axis=1), np.sqrt(np.maximum(squares.min(axis=1), 0))


def main():
    given = arguments(__doc__, epochs=(15, 2), seeds=(5, 1), units=(256, 32), latent=(64, 8), samples=(30_000, 256))
    (x, y), (x_test, _) = mnist(given.quick)
    judge, _ = trained_classifier(x, y, 3)
    x, x_test = (images.reshape(len(images), -1) for images in (x[: given.samples], x_test[:1000]))
    random = np.random.default_rng(given.seed)
    numbers = random.standard_normal((1000, given.latent), np.float32)

    def judged(images):
        """The share in percent of which the classifier is sure, the rarest digit's, and the distance from real ones."""
        probabilities = judge.predict(images.reshape(-1, 28, 28, 1), verbose=0)
        rarest = np.bincount(probabilities.argmax(axis=1), minlength=10).min() / len(images)
        return 100 * (probabilities.max(axis=1) > 0.9).mean(), 100 * rarest, nearest(images, x)[1].mean()

    found = {"real": [judged(x_test)], "pixels in random order": [judged(random.permuted(x_test, axis=1))]}
    found |= {"untrained": [], "made": []}
    for seed in range(given.seeds):
        jitnet.utils.set_random_seed(given.seed + seed)
        model = GAN(x.shape[1], given.latent, given.units)
        model.compile(*(optimizers.Adam(5e-4, beta_1=0.5) for _ in range(2)))
        found["untrained"].append(judged(model.predict(numbers, verbose=0)))
        model.fit(x, batch_size=128, epochs=given.epochs, verbose=0)
        made = model.predict(numbers, verbose=0)
        found["made"].append(judged(made))
        if seed == 0:
            shown = made[:48]
    found = {name: np.array(values) for name, values in found.items()}
    picture, ((left, middle, right),) = figure(1, 3, 13, 4)
    closest = x[nearest(shown, x)[0]]
    for axis, title, images in (left, "made", shown), (middle, "the training's digit nearest to each", closest):
        axis.imshow(mosaic(images.reshape(6, 8, 28, 28)), cmap="gray", vmin=0, vmax=1)
        axis.set(title=title, xticks=[], yticks=[])
    for (name, values), marker in zip(found.items(), "os^D", strict=True):
        right.plot(values[:, 2], values[:, 0], marker, label=name)
    right.set(xlabel="distance from the nearest training digit (RMS of pixels)", ylabel="classifier sure, %")
    right.set_ylim(-4, 104)
    right.legend()
    right.grid(alpha=0.3)
    save(picture, given.output, "generative_adversarial")
    print("Sure of, the rarest digit, distance from the training's: " + "; ".join(
        f"{name} {sure:.0f} %, {rarest:.1f} %, {distance:.3f}"
        for name, (sure, rarest, distance) in ((name, values.mean(axis=0)) for name, values in found.items())
    ))  # fmt: skip
    made, real, noise = found["made"], found["real"][0], found["pixels in random order"][0]
    claim("A classifier is sure of more made digits than of pixels in random order, %.", made[:, 0] - noise[0])
    claim("All ten digits are made; of the rarest, %.", made[:, 1])
    claim("They are no copies: no nearer to the training's digits than test digits are.", made[:, 2] - real[2])


if __name__ == "__main__":
    main()
