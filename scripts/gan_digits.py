"""A generative adversarial network (Goodfellow et al. 2014) of the bundled digits, with a step of its own.

    python scripts/gan_digits.py
    python scripts/gan_digits.py --epochs 400

A small classifier that was trained on real digits then says what the generator makes: of images that look like digits
it is sure, and all ten digits should occur.  Random pixels with the same mean are shown it, too.
"""

import argparse

import numpy as np

import jitnet as keras
from jitnet import layers, ops

PIXELS = 64


class GAN(keras.Model):
    """In every step the discriminator is updated first, then the generator, against the new discriminator."""

    def __init__(self, latent, **kwargs):
        super().__init__(**kwargs)
        self.latent = latent
        self.generator = keras.Sequential(
            [
                keras.Input((latent,)),
                layers.Dense(128),
                layers.BatchNormalization(momentum=0.9),
                layers.Activation("leaky_relu"),
                layers.Dense(128),
                layers.BatchNormalization(momentum=0.9),
                layers.Activation("leaky_relu"),
                layers.Dense(PIXELS, activation="sigmoid"),
            ],
            name="generator",
        )
        self.discriminator = keras.Sequential(
            [
                keras.Input((PIXELS,)),
                layers.Dense(128),
                layers.Activation("leaky_relu"),
                layers.Dropout(0.3),
                layers.Dense(128),
                layers.Activation("leaky_relu"),
                layers.Dropout(0.3),
                layers.Dense(1),
            ],
            name="discriminator",
        )

    def compile(self, discriminator_optimizer, generator_optimizer, **kwargs):
        super().compile(**kwargs)
        self.discriminator_optimizer, self.generator_optimizer = discriminator_optimizer, generator_optimizer

    def call(self, latent):
        return self.generator(latent)

    def train_step(self, images):
        latent = keras.random.normal((None, self.latent))

        def discriminator_loss():
            fake = self.generator(latent, training=True)
            real_logits = self.discriminator(images, training=True)
            fake_logits = self.discriminator(fake, training=True)
            # labels of 0.9 instead of 1 for real images (Salimans et al. 2016)
            real_loss = ops.softplus(real_logits) - 0.9 * real_logits
            return ops.mean(real_loss + ops.softplus(fake_logits))

        variables = self.discriminator.trainable_variables
        d_loss, gradients = keras.value_and_grad(discriminator_loss, variables=variables)()
        self.discriminator_optimizer.apply(gradients, variables)

        def generator_loss():
            fake = self.generator(latent, training=True)
            return ops.mean(ops.softplus(-self.discriminator(fake, training=True)))

        variables = self.generator.trainable_variables
        g_loss, gradients = keras.value_and_grad(generator_loss, variables=variables)()
        self.generator_optimizer.apply(gradients, variables)
        return {"d_loss": d_loss, "g_loss": g_loss}


def trained_classifier(x, y, epochs):
    model = keras.Sequential(
        [
            keras.Input((PIXELS,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="classifier",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


def picture(image) -> list[str]:
    """Lines of text for an image (8, 8) with values from 0 to 1."""
    return ["".join(" .:*#"[min(4, int(5 * value))] * 2 for value in row) for row in image.reshape(8, 8)]


def main(arguments=None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--latent", type=int, default=16, help="random numbers that an image is made of")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)

    keras.utils.set_random_seed(options.seed)
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, x_test = (x.reshape(-1, PIXELS).astype("float32") / 16 for x in (x_train, x_test))
    classifier = trained_classifier(x_train, y_train, min(options.epochs, 30))
    accuracy = classifier.evaluate(x_test, y_test, verbose=0)[1]
    print(f"Classifier: {100 * accuracy:.1f} % of real test images")

    model = GAN(options.latent)
    model.compile(keras.optimizers.Adam(0.0005, beta_1=0.5), keras.optimizers.Adam(0.0005, beta_1=0.5))
    generator = np.random.default_rng(options.seed)
    latent = generator.standard_normal((1000, options.latent), np.float32)
    before = model.predict(latent, verbose=0)
    history = model.fit(x_train, batch_size=options.batch_size, epochs=options.epochs, verbose=0).history
    for epoch in sorted({0, options.epochs // 4, options.epochs // 2, options.epochs - 1}):
        parts = ", ".join(f"{name} {values[epoch]:.3f}" for name, values in history.items())
        print(f"Epoch {epoch + 1}: {parts}")

    made = model.predict(latent, verbose=0)
    noise = generator.permuted(x_test, axis=1)  # the pixels of digits, in random order
    found = {}
    for name, images in (("real", x_test), ("made", made), ("untrained", before), ("random pixels", noise)):
        probabilities = classifier.predict(images, verbose=0)
        counts = np.bincount(probabilities.argmax(axis=1), minlength=10)
        # how far an image is from the nearest real one, in root mean squares of pixels
        distances = np.sqrt(np.square(images[:300, None] - x_train[None]).mean(axis=2).min(axis=1))
        found[name] = {
            "sure": float((probabilities.max(axis=1) > 0.9).mean()), "counts": counts, "distance": distances.mean(),
        }  # fmt: skip
        sure, distance = 100 * found[name]["sure"], found[name]["distance"]
        shares = " ".join(f"{100 * count / len(images):.0f}" for count in counts)
        print(f"{name}: sure of {sure:.0f} %, distance from real images {distance:.3f}, % of 0 to 9: {shares}")
    print("Made of random numbers:")
    for lines in zip(*(picture(image) for image in made[:8]), strict=True):
        print(" ".join(lines))
    return found


if __name__ == "__main__":
    main()
